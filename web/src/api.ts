// The gateway's HTTP half. Every answer is either what was asked for or an `ApiError` with words for a person.

import type {
  CostLine,
  GatewayStatus,
  Job,
  LogLevel,
  LogPage,
  MemoryDocument,
  MemoryDraft,
  ModelList,
  Op,
  SessionId,
  SessionSummary,
  Setting,
  SettingList,
  SettingValue,
  TurnChanges,
  TurnId,
} from "./protocol";

export class ApiError extends Error {
  constructor(
    readonly kind: "unauthorised" | "refused" | "unreachable",
    message: string,
  ) {
    super(message);
  }
}

const SESSIONS_MAX = 1_000;
const WAIT_MS_MAX = 30_000;

/** Where an image is that was given in a session: by the position of the record that tells of it. */
export function imageUrl(session: SessionId, at: number, number: number): string {
  return `/api/sessions/${session}/images/${at}/${number}`;
}

export const api = {
  status: () => ask<GatewayStatus>("/api/status"),
  sessions: () => ask<SessionSummary[]>(`/api/sessions?limit=${SESSIONS_MAX}`),
  jobs: () => ask<Job[]>("/api/jobs"),
  costs: (since: number) => ask<CostLine[]>(`/api/costs?since=${since}`),
  changes: (session: SessionId, turn: TurnId | null) =>
    ask<TurnChanges>(`/api/sessions/${session}/changes${turn ? `?turn=${turn}` : ""}`),
  submit: (op: Op) => send<unknown>("POST", "/api/ops", op),
  models: () => ask<ModelList>("/v1/models"),
  memory: (search: string, limit: number) =>
    ask<MemoryDocument[]>(`/api/memory?${new URLSearchParams({ search, limit: String(limit) })}`),
  /** Keeps a note, in the place of another where one is named. */
  keep: (draft: MemoryDraft, replaces: string | null) =>
    replaces === null
      ? send<MemoryDocument>("POST", "/api/memory", draft)
      : send<MemoryDocument>("PUT", `/api/memory/${encodeURIComponent(replaces)}`, draft),
  discard: (id: string) => ask<unknown>(`/api/memory/${encodeURIComponent(id)}`, { method: "DELETE" }),
  settings: () => ask<SettingList>("/api/settings"),
  /** Changes a setting; without a value its default holds again. */
  change: (name: string, value: SettingValue | null) =>
    value === null
      ? ask<Setting>(`/api/settings/${name}`, { method: "DELETE" })
      : send<Setting>("PUT", `/api/settings/${name}`, { value }),
  logs: (asked: LogAsked) => {
    const { after, level, search, limit } = asked;
    const query = new URLSearchParams({ level, search, limit: String(limit) });
    if (after !== null) query.set("after", after);
    return ask<LogPage>(`/api/logs?${query}`);
  },
};

export interface LogAsked {
  after: string | null;
  level: LogLevel;
  search: string;
  limit: number;
}

function send<T>(method: string, path: string, body: unknown): Promise<T> {
  return ask<T>(path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const response = await sent(path, init);
  if (response.status === 401) throw new ApiError("unauthorised", "This page is not signed in.");
  const body = await parsed(response);
  if (!response.ok) throw new ApiError(kindOf(response), messageOf(body, response));
  return body as T;
}

async function sent(path: string, init: RequestInit): Promise<Response> {
  try {
    const signal = AbortSignal.timeout(WAIT_MS_MAX);
    return await fetch(path, { credentials: "same-origin", cache: "no-store", signal, ...init });
  } catch {
    throw new ApiError("unreachable", "TitanClaw can't be reached; trying again.");
  }
}

async function parsed(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** A gateway that stands before an engine that is gone answers 502 to 504; the same words may succeed later. */
function kindOf(response: Response): "refused" | "unreachable" {
  return response.status >= 502 && response.status <= 504 ? "unreachable" : "refused";
}

function messageOf(body: unknown, response: Response): string {
  const error = (body as { error?: { message?: unknown } } | null)?.error;
  if (typeof error?.message === "string") return error.message;
  return `The gateway answered ${response.status} without a word.`;
}
