// How events are told in words. The words are those of the terminal.

import { money, shortPath } from "./format";
import type { Decision, Effect, Image, JsonObject, ModelError, UndoOutcome } from "./protocol";
import { openCalls, type Approval, type ChangedFile, type Turn } from "./state";
import { clean, cleanLine, visible } from "./visible";

/** One effect in words. */
export function effectText(effect: Effect): string {
  switch (effect.type) {
    case "read":
      return `reads ${visible(effect.path)}${side(effect.in_workspace)}`;
    case "write":
      return `writes ${visible(effect.path)}${side(effect.in_workspace)}`;
    case "run":
      return `runs ${[effect.program, ...effect.arguments].map(visible).join(" ")}`;
    case "network":
      return `connects to ${visible(effect.host)}:${effect.port}`;
    case "message":
      return `sends a message to ${visible(effect.recipient)}`;
    case "secret":
      return `uses the secret ${visible(effect.name)}`;
    case "money": {
      const to = effect.recipient ? `, to ${visible(effect.recipient)}` : "";
      return `spends up to ${money(effect.usd_micros)}${to}`;
    }
    case "remember":
      return "writes into the notes that later turns read";
  }
}

function side(inWorkspace: boolean): string {
  return inWorkspace ? "" : " (outside the workspace)";
}

export function decidedText(decision: Decision, by: string): string {
  const what = {
    once: "allowed once",
    session: "allowed for this session",
    exact: "allowed whenever it is exactly this",
    deny: "denied",
  }[decision];
  const who: Record<string, string> = {
    person: "",
    timeout: " (nobody answered in time)",
    unattended: " (nobody is here to ask)",
    cancelled: " (the turn was stopped)",
    restart: " (the engine was restarted)",
  };
  return what + (who[by] ?? " (by rule)");
}

const TELLING = ["script", "command", "path", "pattern", "url", "query", "question", "text"];

/** What a call is about, in one line: its most telling argument, or all of them. */
export function summary(given: JsonObject): string {
  const texts = [...TELLING.map((name) => given[name]), ...Object.values(given)];
  const telling = texts.find((value) => typeof value === "string");
  const isEmpty = Object.keys(given).length === 0;
  const text = typeof telling === "string" ? telling : isEmpty ? "" : JSON.stringify(given);
  return cleanLine(text.slice(0, 2_000)).split(/\s+/).filter(Boolean).join(" ");
}

/** An argument's value as text. */
export function argumentText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** What a running turn is doing. */
export function waitingText(turn: Turn): string {
  const open = openCalls(turn);
  switch (turn.waiting?.type) {
    case "model":
      return `waiting for ${cleanLine(turn.waiting.model)}`;
    case "thinking":
      return "thinking";
    case "writing":
      return "writing";
    case "arguments": {
      const id = turn.waiting.call;
      const call = open.find((call) => call.id === id);
      const name = cleanLine(call?.name ?? "a call");
      return call && call.output.head !== ""
        ? `running ${name} while it is written`
        : `preparing ${name}`;
    }
    case "tools":
      if (open.length === 0) return "waiting for the model";
      return open.length === 1
        ? `running ${cleanLine(open[0]!.name)}`
        : `running ${open.length} tools`;
    default:
      return "working";
  }
}

export function modelErrorText(error: ModelError): string {
  switch (error.type) {
    case "unauthorized":
      return `${error.provider} refused the key: ${error.detail}. Set another with \`titanclaw onboard\`, or choose a model with \`titanclaw models use\`.`;
    case "limited":
      return `${error.provider} is limiting requests: ${error.detail}`;
    case "rejected":
      return `${error.provider} refused the request: ${error.detail}`;
    case "too_long":
      return `the conversation is longer than ${error.model} can read: ${error.detail}`;
    case "unavailable":
      return `${error.provider} cannot be reached: ${error.detail}`;
    case "interrupted":
      return `${error.provider} stopped in the middle of its answer: ${error.detail}`;
    case "malformed":
      return `${error.provider} sent something that is not understood: ${error.detail}`;
    case "budget":
    case "no_model":
      return error.detail;
  }
}

export function undoneText(path: string, outcome: UndoOutcome, root: string | null): string {
  const name = visible(shortPath(path, root));
  switch (outcome.type) {
    case "restored":
      return `${name}: put back`;
    case "removed":
      return `${name}: removed again`;
    case "already":
      return `${name}: was so already`;
    case "refused":
      return `${name}: left alone, ${visible(outcome.why)}`;
    case "impossible":
      return `${name}: not possible, ${visible(outcome.why)}`;
  }
}

export function changedText(file: ChangedFile): "made" | "deleted" | "changed" {
  if (file.before === "absent") return "made";
  return file.after === "absent" ? "deleted" : "changed";
}

/** What a call's text ends with when it ended otherwise than well: `[exit status 1]`. */
export function endingOf(text: string): string | null {
  const found = /(?:^|\n)\[([^\n\]]{1,80})\]\s*$/.exec(clean(text.slice(-200)));
  return found ? found[1]! : null;
}

/** The request in a few words, for a notice and for who listens. */
export function requestTitle(approval: Approval): string {
  return `${visible(approval.call.name)} wants to run`;
}

const KINDS = { png: "PNG", jpeg: "JPEG", gif: "GIF", webp: "WebP" } as const;

/** An image in a few words. */
export function imageText({ kind, width, height }: Image): string {
  return `${KINDS[kind] ?? "image"}, ${width} × ${height}`;
}
