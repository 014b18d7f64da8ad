import { describe, expect, it } from "vitest";
import { shownOn, SURFACES_MAX } from "../src/canvas";
import { isNumeric, sheet, sorted } from "../src/csv";
import { laidOut, parsed } from "../src/diagram";
import type { Event, Surface } from "../src/protocol";
import { applyAll, drawingCalls, NOTHING, type Transcript } from "../src/state";
import { Teller, turnId } from "./journal";

function surface(name: string, more: Partial<Surface> = {}): Surface {
  return { name, title: "", kind: "markdown", language: "", content: `# ${name}`, ...more };
}

const drawn = (name: string, more: Partial<Surface> = {}): Event => ({ event: "canvas_drawn", surface: surface(name, more) });

function told(...events: Event[]): Transcript {
  return applyAll(NOTHING, new Teller().tell(turnId(1), { event: "turn_started", text: "draw" }, ...events).records);
}

const shown = (state: Transcript) => shownOn(state.canvas, drawingCalls(state));
const names = (state: Transcript) => shown(state).map(({ surface }) => surface.name);

describe("the canvas", () => {
  it("holds as much as the engine's, and what was drawn longest ago goes first", () => {
    const all = Array.from({ length: SURFACES_MAX }, (_, n) => drawn(`s${n}`));
    const state = told(...all, drawn("s0"), drawn("one-more"));
    expect(state.canvas.surfaces.length).toBe(SURFACES_MAX);
    expect(names(state).slice(0, 3)).toEqual(["one-more", "s0", `s${SURFACES_MAX - 1}`]);
    expect(names(state)).not.toContain("s1");
  });

  it("shows a name once, as it was drawn last, until it is taken away", () => {
    const state = told(drawn("a"), drawn("b"), drawn("a", { content: "anew" }));
    expect(shown(state).map(({ surface }) => surface.content)).toEqual(["anew", "# b"]);
    expect(names(told(drawn("a"), drawn("b"), { event: "canvas_removed", name: "b" }))).toEqual(["a"]);
  });

  it("keeps what was done on a surface until that is drawn anew", () => {
    const act = { surface: "a", action: "submit", values: { city: "Ulm" } };
    const acted = told(drawn("a"), drawn("b"), { event: "canvas_acted", act });
    expect(shown(acted).map(({ act }) => act)).toEqual([null, act]);
    expect(acted.turns[0]!.act).toEqual(act);
    expect(shown(told(drawn("a"), { event: "canvas_acted", act }, drawn("a")))[0]!.act).toBeNull();
  });

  it("knows which button steered a turn", () => {
    const act = { surface: "a", action: "next", values: {} };
    const state = told(drawn("a"), { event: "steered", text: "[…]", turn: turnId(9) }, { event: "canvas_acted", act });
    expect(state.turns[0]!.act).toBeNull();
    expect(state.turns[0]!.items).toMatchObject([{ kind: "steered", act }]);
  });
});

describe("a surface that is being written", () => {
  const WHOLE = JSON.stringify({ name: "sizes", kind: "table", title: "Sizes", content: 'file,bytes\n"a, ""b""",120\n' });
  const begun: Event = { event: "tool_call_started", call: "c1", name: "canvas" };
  const written = (json: string): Event => ({ event: "tool_arguments_delta", call: "c1", json });

  it("grows in front of the others, wherever it was cut", () => {
    let longest = 0;
    for (let at = 0; at <= WHOLE.length; at++) {
      const [first] = shown(told(drawn("a"), begun, written(WHOLE.slice(0, at))));
      const content = first?.surface.name === "sizes" ? first.surface.content : "";
      expect(content.length).toBeGreaterThanOrEqual(longest);
      longest = content.length;
    }
    expect(longest).toBe(JSON.parse(WHOLE).content.length);
  });

  it("is seen from its beginning, however long it is", () => {
    const long = "line\n".repeat(60_000);
    const json = JSON.stringify({ name: "long", kind: "code", content: long });
    const pieces = json.match(/[^]{1,4000}/g)!.map(written);
    expect(shown(told(begun, ...pieces))[0]!.surface.content).toBe(long);
  });

  it("stands in place of what it will replace, and is gone when its call is", () => {
    const growing = [drawn("sizes"), drawn("a"), begun, written(WHOLE)];
    expect(names(told(...growing))).toEqual(["sizes", "a"]);
    expect(shown(told(...growing))[0]!.isGrowing).toBe(true);
    const whole = shown(told(...growing, drawn("sizes", JSON.parse(WHOLE))))[0]!;
    expect(whole.surface.kind).toBe("table");
    const failed: Event = { event: "tool_call_ended", call: "c1", text: "no", is_error: true, taint: { untrusted: false, private: false }, whole: null, elapsed_ms: 1 };
    expect(names(told(...growing, failed))).toEqual(["a", "sizes"]);
    expect(names(told(...growing, { event: "turn_ended", outcome: { type: "interrupted" }, usage: { input_tokens: 0, cache_read_tokens: 0, cache_write_tokens: 0, output_tokens: 0, cost_usd_micros: 0 }, elapsed_ms: 1 }))).toEqual(["a", "sizes"]);
  });
});

describe("comma-separated values", () => {
  it("are read as RFC 4180 has them", () => {
    expect(sheet('a,"b ""quoted"", with comma",c\r\n1,"two\r\nlines",\r\n\r\n,,x')).toEqual({
      head: ["a", 'b "quoted", with comma', "c"],
      rows: [["1", "two\r\nlines", ""], ["", "", "x"]],
    });
    expect(sheet("")).toEqual({ head: [], rows: [] });
    expect(sheet("\ufeffa\n1")).toEqual({ head: ["a"], rows: [["1"]] });
  });

  it("never fail, wherever they are cut, and lose nothing", () => {
    const text = 'name,"say ""hi"""\n"x\ny",2\n';
    for (let at = 0; at <= text.length; at++) expect(() => sheet(text.slice(0, at))).not.toThrow();
    expect(sheet('a\n"half').rows).toEqual([["half"]]);
    expect(sheet('a\n"odd"rest,2').rows).toEqual([["oddrest", "2"]]);
  });

  it("are sorted by value or by letters, with nothing last", () => {
    const data = sheet("n,word\n10,pear\n9,apple\n,Äpfel\n-1e3,fig10\n2,fig9");
    const column = (column: number, isDown: boolean) => sorted(data, { column, isDown }).map((row) => row[column]);
    expect(column(0, false)).toEqual(["-1e3", "2", "9", "10", ""]);
    expect(column(0, true)).toEqual(["10", "9", "2", "-1e3", ""]);
    expect(column(1, false).indexOf("fig9")).toBeLessThan(column(1, false).indexOf("fig10"));
    expect([isNumeric(data, 0), isNumeric(data, 1), isNumeric(data, 7)]).toEqual([true, false, false]);
  });
});

describe("a diagram", () => {
  it("is read line by line, also while it is written", () => {
    expect(parsed("a -> b: goes: on\n\nalone\nb -> a\nc -> \nd -")).toEqual({
      nodes: ["a", "b", "alone", "c", "d -"],
      edges: [{ from: "a", to: "b", label: "goes: on" }, { from: "b", to: "a", label: "" }],
    });
  });

  it("stands in layers in which no two boxes touch", () => {
    const text = "read -> parse\nparse -> check\ncheck -> run\nread -> run: at once\nrun -> read: again\nrun -> run\ncheck -> tell\na -> b";
    const { boxes, lines, width, height } = laidOut(parsed(text));
    const at = (name: string) => boxes.find((box) => box.name === name)!;
    expect(at("read").y).toBeLessThan(at("parse").y);
    expect(at("parse").y).toBeLessThan(at("check").y);
    expect(at("run").y).toBe(at("tell").y);
    for (const one of boxes) {
      expect(one.x).toBeGreaterThanOrEqual(0);
      expect(one.x + one.width).toBeLessThanOrEqual(width);
      expect(one.y).toBeLessThan(height);
      for (const other of boxes) {
        if (one === other || one.y !== other.y) continue;
        expect(one.x + one.width <= other.x || other.x + other.width <= one.x).toBe(true);
      }
    }
    expect(lines.length).toBe(8);
    const again = lines.find(({ edge }) => edge.label === "again")!;
    expect(again.points[0]!.y).toBeGreaterThan(again.points.at(-1)!.y);
  });

  it("takes circles, chains and crowds", () => {
    const chain = Array.from({ length: 300 }, (_, n) => `n${n} -> n${n + 1}`).join("\n");
    expect(laidOut(parsed(chain)).boxes.length).toBe(301);
    const crowd = Array.from({ length: 300 }, (_, n) => `n${n % 17} -> m${(n * 7) % 23}: ${n}`).join("\n");
    for (const { points } of laidOut(parsed(crowd)).lines) {
      for (const { x, y } of points) expect(Number.isFinite(x + y)).toBe(true);
    }
    expect(laidOut(parsed("")).boxes).toEqual([]);
    expect(() => laidOut(parsed("a -> b\nb -> c\nc -> a\n__proto__ -> constructor"))).not.toThrow();
  });
});
