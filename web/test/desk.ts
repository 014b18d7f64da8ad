// What the pages beside the conversation show in tests: notes, settings, the log.

import type { LogEntry, MemoryDocument, Setting, SettingList } from "../src/protocol";

export function notes(session: string, turn: string): MemoryDocument[] {
  const hour = 3_600_000;
  const note = (id: string, text: string, tags: string[], more: Partial<MemoryDocument> = {}): MemoryDocument => ({
    id,
    kind: "note",
    text,
    tags,
    origin: { type: "turn", session, turn },
    at: Date.now() - 30 * hour,
    changed_at: null,
    ...more,
  });
  return [
    note("n1", "The person prefers short answers, and wants commands in a block of their own.", ["preference"], { at: Date.now() - hour }),
    note("n2", "Releases of the parser are cut on Thursdays. Before one, the changelog is read aloud.\nWho: Ada and Grace.", ["parser", "release"], { changed_at: Date.now() - 2 * hour }),
    note("n3", "The staging host is rebuilt every night; nothing on it lasts.", [], { origin: { type: "person" } }),
    note("n4", `A word that is longer than a phone is wide: ${"x".repeat(200)}`, ["odd"]),
  ];
}

export function settings(): SettingList {
  const setting = (name: string, about: string, kind: Setting["kind"], fallback: Setting["default"], more: Partial<Setting> = {}): Setting => ({
    name,
    about,
    kind,
    allowed: "a whole number from 5 to 86400",
    value: null,
    default: fallback,
    overridden: null,
    holds: name.startsWith("display.") ? "next_command" : "restart",
    is_changed: false,
    ...more,
  });
  const rule: Setting["kind"] = { type: "choice", choices: ["allow", "ask", "deny"] };
  return {
    file: "/home/me/.titanclaw/config.toml",
    settings: [
      setting("models.chat", "the model that answers, as provider/model; empty: found by itself", { type: "text" }, null, { value: "house/large-1", overridden: { value: "house/small-1", by: "TITANCLAW_MODEL" } }),
      setting("routes.chat", "models to try, in order, when the first does not answer", { type: "names" }, [], { value: ["house/large-1", "local"] }),
      setting("limits.turn_seconds", "how long a turn may take, waiting for people included", { type: "count", min: 5, max: 86_400 }, 3_600),
      setting("limits.reads_along", "ask the utility model if a program is worth waiting for", { type: "flag" }, false),
      setting("limits.usd_per_day", "what a day's model calls may cost", { type: "number", min: 0, max: 100_000 }, 20),
      setting("policy.run", "other programs are run", rule, "ask"),
      setting("policy.network", "tools reach the network", rule, "ask", { value: "deny", is_changed: true }),
      setting("display.theme", "what the terminal's background is", { type: "choice", choices: ["dark", "light"] }, "dark"),
      setting("gateway.expose", "whether that may be an address that other machines reach; nothing is encrypted", { type: "flag" }, null),
    ],
    providers: [
      { name: "house", kind: "compatible", base_url: "http://models.house.example:8000/v1", model: "large-1", has_key: true },
      { name: "anthropic", kind: "anthropic", base_url: null, model: null, has_key: false },
    ],
    warnings: ["there is no setting `limits.turn_second`; did you mean `limits.turn_seconds`?"],
  };
}

export function entry(message: string, level: LogEntry["level"] = "info", fields: Record<string, string> = {}): LogEntry {
  return { at: new Date(Date.now() - 60_000).toISOString(), level, target: "titan_agent::session", message, fields };
}

export function log(): LogEntry[] {
  return [
    entry("started", "info", { version: "0.9.0", pid: "4211" }),
    ...Array.from({ length: 40 }, (_, idx) => entry(`turn ${idx + 1} ended`, "info", { outcome: "completed", elapsed_ms: String(900 + idx * 37) })),
    entry("a step was cut", "debug"),
    entry("the provider limits requests", "warn", { provider: "house", retry_after_ms: "2000" }),
    entry("the store failed a request", "error", { text: `disk full \u001b[31m ${"z".repeat(300)}` }),
  ];
}
