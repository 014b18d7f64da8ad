import { describe, expect, it } from "vitest";
import { parsed } from "../src/commands";
import { ENTRIES_MAX, grown, timeOf } from "../src/log";
import type { LogEntry, Setting } from "../src/protocol";
import { bySection, entered, holding, isAbout, sourceOf, valueOf } from "../src/setting";

function setting(more: Partial<Setting> = {}): Setting {
  return {
    name: "limits.turn_seconds",
    about: "how long a turn may take",
    kind: { type: "count", min: 5, max: 86_400 },
    allowed: "a whole number from 5 to 86400",
    value: null,
    default: 3_600,
    overridden: null,
    holds: "restart",
    is_changed: false,
    ...more,
  };
}

function entries(from: number, to: number): LogEntry[] {
  return Array.from({ length: to - from }, (_, idx) => ({ at: "", level: "info", target: "t", message: String(from + idx), fields: {} }));
}

describe("settings", () => {
  it("what holds is what goes first", () => {
    const overridden = { value: "a/b", by: "TITANCLAW_MODEL" };
    const cases: [Partial<Setting>, unknown, string][] = [
      [{}, 3_600, "default"],
      [{ default: null }, null, "not set"],
      [{ value: 90 }, 90, "set in the file"],
      [{ value: "c/d", overridden }, "a/b", "set by TITANCLAW_MODEL"],
    ];
    for (const [more, value, source] of cases) {
      expect([holding(setting(more)), sourceOf(setting(more))]).toEqual([value, source]);
    }
  });

  it("what is entered is a value of its kind, or is left for the engine to refuse", () => {
    const cases: [Setting["kind"], string, unknown][] = [
      [{ type: "count", min: 0, max: 9 }, " 7 ", 7],
      [{ type: "count", min: 0, max: 9 }, "soon", "soon"],
      [{ type: "count", min: 0, max: 9 }, "", ""],
      [{ type: "number", min: 0, max: 9 }, "1.5", 1.5],
      [{ type: "number", min: 0, max: 9 }, "1,5", "1,5"],
      [{ type: "flag" }, "true", true],
      [{ type: "names" }, "a/b\n\n local ", ["a/b", "local"]],
      [{ type: "text" }, " true ", "true"],
      [{ type: "choice", choices: ["ask"] }, "ask", "ask"],
    ];
    for (const [kind, text, value] of cases) expect(valueOf(text, kind)).toEqual(value);
    expect(["a", "b"]).toEqual(valueOf(entered(["a", "b"]), { type: "names" }));
  });

  it("they stand by section, and every word of a search has to fit", () => {
    const all = [setting(), setting({ name: "limits.usd_per_day" }), setting({ name: "policy.run", about: "programs are run" })];
    expect(bySection(all).map(([section, settings]) => [section, settings.length])).toEqual([["limits", 2], ["policy", 1]]);
    expect(all.filter((one) => isAbout(one, "RUN programs")).map(({ name }) => name)).toEqual(["policy.run"]);
  });
});

describe("the log", () => {
  it("grows by what came after it and lets go of the oldest", () => {
    const first = grown(null, { entries: entries(0, ENTRIES_MAX - 1), next: "a" });
    const second = grown(first, { entries: entries(ENTRIES_MAX - 1, ENTRIES_MAX + 2), next: "b" });
    expect([second.entries.length, second.n_gone, second.next]).toEqual([ENTRIES_MAX, 2, "b"]);
    expect([second.entries[0]!.message, second.entries.at(-1)!.message]).toEqual(["2", String(ENTRIES_MAX + 1)]);
    expect(grown(second, { entries: [], next: "b" })).toBe(second);
  });

  it("tells the time of day to the millisecond", () => {
    expect(timeOf("2026-11-22T10:00:00.123456Z").time).toMatch(/^\d\d:\d\d:00\.123$/);
    expect(timeOf("")).toEqual({ day: "", time: "" });
  });
});

it("the pages have commands", () => {
  for (const page of ["memory", "settings", "logs"]) expect(parsed(`/${page}`)).toEqual({ type: page });
  expect(parsed("/memory of an elephant")).toEqual({ type: "unknown", name: "memory" });
});
