import { describe, expect, it } from "vitest";
import { HEAD_CHARS_MAX, TAIL_CHARS_MAX, EMPTY, pushed, shown } from "../src/bounded";
import type { Event, EventRecord } from "../src/protocol";
import {
  apply,
  applyAll,
  lastChanged,
  lastEnded,
  NOTHING,
  requests,
  runningTurn,
  turnNamed,
  type Call,
  type Transcript,
} from "../src/state";
import { chance, cutAnew, Teller, turnId, usage, wholeStory } from "./journal";

/** All that is shown; where in the journal it was told is not. */
function screen({ seq: _, ...rest }: Transcript) {
  return rest;
}

function folded(records: readonly EventRecord[]): Transcript {
  return applyAll(NOTHING, records);
}

const TURN = turnId(1);

function told(...events: Event[]): Transcript {
  return folded(new Teller().tell(TURN, { event: "turn_started", text: "hi" }, ...events).records);
}

const text = (text: string): Event => ({ event: "text_delta", text });
const thinking = (text: string): Event => ({ event: "thinking_delta", text });
const started = (call: string): Event => ({ event: "tool_call_started", call, name: "shell" });
const output = (call: string, text: string): Event => ({ event: "tool_output_delta", call, text });
const ended = (call: string): Event => ({
  event: "tool_call_ended",
  call,
  text: "done",
  is_error: false,
  taint: { untrusted: false, private: false },
  whole: null,
  elapsed_ms: 5,
});

describe("the fold", () => {
  it("gives the same screen however the journal was cut", () => {
    const whole = screen(folded(wholeStory()));
    for (let seed = 1; seed <= 200; seed++) {
      expect(screen(folded(cutAnew(wholeStory(), seed))), `seed ${seed}`).toEqual(whole);
    }
  });

  it("ignores what was applied before, wherever a replay begins", () => {
    const story = wholeStory();
    const whole = folded(story);
    const next = chance(7);
    for (let round = 0; round < 50; round++) {
      const brokenAt = Math.floor(next() * story.length);
      const againFrom = Math.floor(next() * brokenAt);
      const replayed = applyAll(folded(story.slice(0, brokenAt)), story.slice(againFrom));
      expect(replayed).toEqual(whole);
    }
    expect(applyAll(whole, story)).toBe(whole);
  });

  it("is told by every kind of event", () => {
    const kinds = new Set(wholeStory().map(({ event }) => event.event));
    expect([...kinds].sort()).toMatchSnapshot();
    expect(screen(folded(wholeStory()))).toMatchSnapshot();
  });

  it("never changes a state that it was given", () => {
    let state = NOTHING;
    for (const record of wholeStory()) {
      const before = JSON.stringify(state);
      const next = apply(state, record);
      expect(JSON.stringify(state)).toBe(before);
      state = next;
    }
  });

  it("leaves out an event that it is too old for", () => {
    const record = { ...wholeStory()[0]!, event: { event: "not_invented_yet" } } as unknown as EventRecord;
    expect(apply(NOTHING, record)).toEqual({ ...NOTHING, seq: record.seq });
  });
});

describe("what streams at the same time", () => {
  it("grows at its own place, in the order in which it began", () => {
    const state = told(started("c1"), text("one "), output("c1", "a\n"), text("two"), output("c1", "b\n"));
    expect(state.turns[0]!.items).toMatchObject([
      { kind: "call", output: { head: "a\nb\n" } },
      { kind: "text", text: "one two" },
    ]);
  });

  it("gives the same screen however two streams were mixed", () => {
    const words = [..."the answer goes on"].map(text);
    const lines = [..."output\ngoes on\n"].map((piece) => output("c1", piece));
    const inARow = told(started("c1"), text(""), ...words, ...lines);
    for (let seed = 1; seed <= 50; seed++) {
      const mixed = mixedBy(chance(seed), words, lines);
      const items = told(started("c1"), ...mixed).turns[0]!.items;
      const kinds = (kind: string) => items.find((item) => item.kind === kind);
      expect(kinds("text")).toEqual(inARow.turns[0]!.items[1]);
      expect(kinds("call")).toEqual(inARow.turns[0]!.items[0]);
      expect(items.length).toBe(2);
    }
  });

  it("lets a notice stand under the words that it came into", () => {
    const state = told(text("half a "), { event: "notice", level: "info", text: "by the way" }, text("word"));
    expect(state.turns[0]!.items.map((item) => item.kind)).toEqual(["text", "notice"]);
    expect(state.turns[0]!.items[0]).toMatchObject({ text: "half a word" });
  });

  it("keeps thinking and words apart", () => {
    const state = told(thinking("a"), thinking("b"), text("c"), thinking("d"));
    expect(state.turns[0]!.items).toEqual([
      { kind: "thinking", text: "ab" },
      { kind: "text", text: "c" },
      { kind: "thinking", text: "d" },
    ]);
  });
});

function mixedBy(next: () => number, a: readonly Event[], b: readonly Event[]): Event[] {
  const [left, right] = [[...a], [...b]];
  const out: Event[] = [];
  while (left.length + right.length > 0) {
    const from = right.length === 0 || (left.length > 0 && next() < 0.5) ? left : right;
    out.push(from.shift()!);
  }
  return out;
}

describe("a branch", () => {
  const ORIGIN = "01930000-0000-7000-8000-000000000009";
  const turn = (words: string): Event[] => [
    { event: "turn_started", text: words },
    { event: "file_changed", path: "/a", before: { type: "absent" }, after: { type: "absent" } },
    { event: "turn_ended", outcome: { type: "completed" }, usage: usage(1, 1), elapsed_ms: 1 },
  ];
  const branched: Event = { event: "session_branched", workspace: "/w", past: [{ session: ORIGIN, until: 4 }] };

  it("shares what is above it and calls itself by no name of its origin", () => {
    const teller = new Teller()
      .tell(null, { event: "session_titled", title: "theirs" })
      .tell(TURN, ...turn("one"))
      .tell(null, branched)
      .tell(turnId(2), ...turn("two"));
    const state = folded(teller.records);
    expect(state.turns.map(({ said, isShared, items }) => [said, isShared, items.map(({ kind }) => kind)])).toEqual([
      ["one", true, []],
      [null, false, ["branched"]],
      ["two", false, []],
    ]);
    expect([state.title, state.workspace]).toEqual([null, "/w"]);
    expect(lastEnded(state)?.said).toBe("two");
  });

  it("offers no undo of what belongs to its origin", () => {
    const teller = new Teller().tell(TURN, ...turn("one")).tell(null, branched);
    expect(lastChanged(folded(teller.records))).toBeNull();
    expect(lastEnded(folded(teller.records))?.said).toBe("one");
  });
});

describe("what waits for a person", () => {
  const asked: Event = {
    event: "approval_requested",
    approval: "a1",
    call: { id: "c1", name: "shell", arguments: { script: "rm x" } },
    effects: [],
    reason: "deletes",
    expires_at: 9,
  };

  it("is there until it is answered", () => {
    const state = told(started("c1"), asked);
    expect(requests(state)).toMatchObject([{ type: "approval", approval: { id: "a1" } }]);
    const decided = told(started("c1"), asked, {
      event: "approval_decided",
      approval: "a1",
      decision: "once",
      by: "person",
    });
    expect(requests(decided)).toEqual([]);
  });

  it("is gone when the turn ended, answered or not", () => {
    const end: Event = {
      event: "turn_ended",
      outcome: { type: "interrupted" },
      usage: usage(1, 1),
      elapsed_ms: 1,
    };
    const state = told(started("c1"), asked, end);
    expect(requests(state)).toEqual([]);
    expect(runningTurn(state)).toBeNull();
  });

  it("belongs to the call that waits, also among several", () => {
    const state = told(started("c1"), started("c2"), asked);
    const [first, second] = state.turns[0]!.items as Call[];
    expect([first!.approvals.length, second!.approvals.length]).toEqual([1, 0]);
  });
});

describe("a model that is asked beside the turns", () => {
  const beside: Event[] = [
    { event: "model_call_started", provider: "house", model: "small-1", reason: "small-2 is busy" },
    { event: "model_call_failed", error: { type: "budget", detail: "no money" } },
    { event: "model_call_started", provider: "house", model: "small-1", reason: null },
    { event: "model_call_ended", usage: usage(900, 9), stop: "end" },
  ];
  const said: Event = { event: "turn_started", text: "hi" };
  const end: Event = { event: "turn_ended", outcome: { type: "completed" }, usage: usage(1, 1), elapsed_ms: 1 };

  it("begins no turn, and none runs because of it", () => {
    const state = folded(new Teller().tell(null, ...beside).records);
    expect(state.turns).toEqual([]);
    const after = folded(new Teller().tell(TURN, said, end).tell(null, beside[0]!).records);
    expect(after.turns.length).toBe(1);
    expect(runningTurn(after)).toBeNull();
  });

  it("changes nothing of the turn that runs", () => {
    const alone = new Teller().tell(TURN, said, text("words "));
    const mixed = new Teller().tell(TURN, said, text("words ")).tell(null, ...beside);
    expect(screen(folded(mixed.records))).toEqual(screen(folded(alone.records)));
    const goesOn = folded(mixed.tell(TURN, text("go on")).records);
    expect(goesOn.turns[0]!.items).toEqual([{ kind: "text", text: "words go on" }]);
    expect(goesOn.turns[0]!.waiting).toEqual({ type: "writing" });
  });
});

describe("calls", () => {
  it("know a call that the person made, which no model began", () => {
    const state = told({
      event: "tool_call_ready",
      call: { id: "c1", name: "shell", arguments: { script: "ls" } },
      origin: "person",
    }, ended("c1"));
    expect(state.turns[0]!.items).toMatchObject([{ kind: "call", origin: "person", ended: { text: "done" } }]);
  });

  it("show a step's last verdict once", () => {
    const step = (type: "allow" | "deny"): Event => ({
      event: "step_decided",
      call: "c1",
      step: 0,
      verdict: { type, reason: type },
    });
    const state = told(started("c1"), step("allow"), step("deny"));
    expect((state.turns[0]!.items[0] as Call).steps).toEqual([
      { step: 0, verdict: { type: "deny", reason: "deny" } },
    ]);
  });
});

describe("a reflex", () => {
  it("says what it answers for, and what follows it is an answer of its own", () => {
    const taken: Event = { event: "shortcut_taken", name: "count_lines", version: 2, because: "it was proved" };
    const state = folded(
      new Teller().tell(
        TURN,
        { event: "turn_started", text: "How many lines?" },
        taken,
        text("90 lines."),
        { event: "shortcut_resumed" },
        text("That is all."),
        { event: "shortcut_declined", name: "count_lines", why: "a call failed" },
      ).records,
    );
    expect(state.turns[0]!.items).toEqual([
      { kind: "reflex", name: "count_lines", because: "it was proved", asked: "How many lines?" },
      { kind: "text", text: "90 lines." },
      { kind: "text", text: "That is all." },
      {
        kind: "notice",
        level: "info",
        text: "The reflex count_lines left this to the model, because a call failed",
      },
    ]);
  });
});

describe("undo", () => {
  it("marks what is undone and offers what is left", () => {
    const state = folded(wholeStory());
    expect(state.turns[0]!.isUndone).toBe(true);
    expect(lastChanged(state)?.kind).toBe("undo");
  });

  it("finds a turn by number and by the end of its id", () => {
    const state = folded(wholeStory());
    expect(turnNamed(state, "1")).toBe(state.turns[0]);
    expect(turnNamed(state, "00000001")).toBe(state.turns[0]);
    expect(turnNamed(state, "7")).toMatch(/There is no turn “7”/);
  });
});

describe("a bounded text", () => {
  const long = Array.from({ length: 100_000 }, (_, idx) => `line ${idx}\n`).join("");

  it("keeps head and tail and counts every line between them", () => {
    const parts = shown(pushed(EMPTY, long));
    const lines = (text: string) => text.split("\n").length - 1;
    expect(lines(parts.head) + parts.hiddenLines + lines(parts.tail)).toBe(100_000);
    expect(parts.head.startsWith("line 0\n")).toBe(true);
    expect(parts.tail.endsWith("line 99999\n")).toBe(true);
    expect(parts.head.length).toBeLessThanOrEqual(HEAD_CHARS_MAX);
    expect(parts.tail.length).toBeLessThanOrEqual(TAIL_CHARS_MAX + 8 * 1024);
  });

  it("is the same in any pieces", () => {
    const whole = pushed(EMPTY, long);
    for (let seed = 1; seed <= 5; seed++) {
      const next = chance(seed);
      let cut = EMPTY;
      for (let at = 0; at < long.length; ) {
        const length = Math.floor(next() * 5_000);
        cut = pushed(cut, long.slice(at, at + length));
        at += length;
      }
      expect(cut).toEqual(whole);
    }
  });

  it("keeps the ends of 100,000 lines that come one by one", () => {
    const events = long.match(/[^\n]*\n/g)!.map((line) => output("c1", line));
    const records = new Teller().tell(TURN, { event: "turn_started", text: "x" }, started("c1"), ...events).records;
    const state = folded(records);
    expect((state.turns[0]!.items[0] as Call).output).toEqual(pushed(EMPTY, long));
  });
});
