// What is sent to the gateway, and what comes back. Pure but for `ask`.

/** What is known about a file, as the gateway tells it. Its lines are words of whoever wrote them. */
export interface Pack {
  path: string;
  parts: { kind: string; lines: { text: string; source: string }[]; gap: string | null }[];
}

export interface Report {
  path: string;
  by: string;
  is_open: boolean;
}

const ANSWER_WAIT_MS = 10_000;

/** The gateway's address without what follows the port. The token opens everything, so it goes to this machine alone. */
export function base(address: string): string {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    throw new Error(`titanclaw.address is ${JSON.stringify(address)}, which is no address`);
  }
  const isHere = ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname);
  if (url.protocol !== "http:" || !isHere || url.username !== "" || url.password !== "") {
    throw new Error("titanclaw.address has to be http:// and this machine: 127.0.0.1, localhost or [::1]");
  }
  return url.origin;
}

/** The token in a token file's text; undefined where it holds none. */
export function token(text: string): string | undefined {
  const line = text.trim();
  return /^[A-Za-z0-9_-]{16,256}$/.test(line) ? line : undefined;
}

/** Where the pack of a file is asked for. */
export function packAddress(origin: string, path: string): string {
  return `${origin}/api/presence/pack?${new URLSearchParams({ path })}`;
}

/** The pack in an answer. */
export function pack(answer: unknown): Pack {
  const isText = (value: unknown): value is string => typeof value === "string";
  const isLine = (line: unknown): boolean =>
    isRecord(line) && isText(line["text"]) && isText(line["source"]);
  const isPart = (part: unknown): boolean =>
    isRecord(part) &&
    isText(part["kind"]) &&
    Array.isArray(part["lines"]) &&
    part["lines"].every(isLine) &&
    (part["gap"] === null || isText(part["gap"]));
  if (
    !isRecord(answer) ||
    !isText(answer["path"]) ||
    !Array.isArray(answer["parts"]) ||
    !answer["parts"].every(isPart)
  ) {
    throw new Error("the gateway's answer is not understood; is it of the same version?");
  }
  return answer as unknown as Pack;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Asks the gateway; a body is sent as JSON. Redirects are not followed, for the token would go with them. */
export async function ask(address: string, secret: string, body?: Report): Promise<unknown> {
  const response = await fetch(address, {
    method: body === undefined ? "GET" : "POST",
    headers: {
      authorization: `Bearer ${secret}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    body: body === undefined ? null : JSON.stringify(body),
    redirect: "error",
    signal: AbortSignal.timeout(ANSWER_WAIT_MS),
  });
  if (!response.ok) {
    throw new Error(`the gateway refused it (${response.status})`);
  }
  return response.status === 204 ? undefined : await response.json();
}
