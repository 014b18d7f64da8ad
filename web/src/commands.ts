// What can be typed: the slash commands of the terminal, and the pages.

export type Typed =
  | { type: "say"; text: string }
  | { type: "shell"; script: string }
  | { type: "model"; name: string | null }
  | { type: "diff"; turn: string | null }
  | { type: "branch"; turn: string | null }
  | { type: "undo"; turn: string | null; isForced: boolean }
  | { type: "forget"; all: boolean }
  | { type: "rename"; title: string | null }
  | Alone<(typeof WORDS)[number]>
  | { type: "unknown"; name: string };

/** A command that nothing follows. */
type Alone<Word> = Word extends string ? { type: Word } : never;

export interface Command {
  /** What is typed, without what follows it. */
  slash: string;
  /** What may follow. */
  rest: string;
  label: string;
}

export const COMMANDS: readonly Command[] = [
  { slash: "/new", rest: "", label: "Begin a new session" },
  { slash: "/sessions", rest: "", label: "Find a session" },
  { slash: "/model", rest: "[NAME]", label: "Show or choose the model of this conversation" },
  { slash: "/stop", rest: "", label: "Stop the turn that runs" },
  { slash: "/diff", rest: "[TURN]", label: "Show what a turn changed in files" },
  { slash: "/undo", rest: "[TURN] [force]", label: "Put the files that a turn changed back" },
  { slash: "/branch", rest: "[TURN]", label: "Go on from an earlier turn in a session of its own" },
  { slash: "/compact", rest: "", label: "Shorten what the model is shown of this session" },
  { slash: "/rename", rest: "[TITLE]", label: "Give this session a title" },
  { slash: "/forget", rest: "[all]", label: "Delete the last turn, or the whole session, for good" },
  { slash: "/again", rest: "", label: "Ask the model what was said last, whatever reflex answered it" },
  { slash: "/never", rest: "", label: "End the reflex that answered last" },
  { slash: "/cost", rest: "", label: "Models and cost" },
  { slash: "/status", rest: "", label: "Status and jobs" },
  { slash: "/memory", rest: "", label: "What is remembered over sessions" },
  { slash: "/settings", rest: "", label: "Settings" },
  { slash: "/logs", rest: "", label: "What the engine logged" },
  { slash: "/theme", rest: "", label: "Light, dark or as the system" },
  { slash: "/help", rest: "", label: "Keys and commands" },
];

const WORDS = [
  "help",
  "sessions",
  "new",
  "compact",
  "again",
  "never",
  "cost",
  "status",
  "memory",
  "settings",
  "logs",
  "stop",
  "theme",
] as const;

/** What was typed. A path or anything else with a slash is something to say. */
export function parsed(line: string): Typed {
  const text = line.trim();
  if (text.startsWith("!") && text.slice(1).trim() !== "") {
    return { type: "shell", script: text.slice(1).trim() };
  }
  if (!text.startsWith("/")) return { type: "say", text };
  const [, name = "", rest = ""] = /^\/(\S*)\s*([^]*)$/.exec(text) ?? [];
  return command(name, rest.trim()) ?? other(name, text);
}

function command(name: string, rest: string): Typed | null {
  const word = WORDS.find((word) => word === (name === "?" ? "help" : name));
  if (word) return rest === "" ? ({ type: word } as Typed) : null;
  switch (name) {
    case "model":
      return { type: "model", name: rest || null };
    case "diff":
      return { type: "diff", turn: rest || null };
    case "branch":
      return { type: "branch", turn: rest || null };
    case "rename":
      return { type: "rename", title: rest || null };
    case "undo":
      return undo(rest);
    case "forget":
      return rest === "" || rest === "all" ? { type: "forget", all: rest === "all" } : null;
    default:
      return null;
  }
}

/** `/undo`, with a turn or `force` or both. */
function undo(rest: string): Typed {
  const isForced = rest.endsWith("force");
  const turn = isForced ? rest.slice(0, -"force".length).trim().replace(/-+$/, "").trim() : rest;
  return { type: "undo", turn: turn || null, isForced };
}

function other(name: string, text: string): Typed {
  return name === "" || name.includes("/") ? { type: "say", text } : { type: "unknown", name };
}

/** The commands that fit what is being typed; none once something follows the name. */
export function fitting(text: string): Command[] {
  if (!/^\/\S*$/.test(text)) return [];
  return COMMANDS.filter((command) => command.slash.startsWith(text.toLowerCase()));
}
