import { describe, expect, it } from "vitest";
import { fitting, parsed } from "../src/commands";
import { ago, bytes, count, duration, money, usageLine } from "../src/format";
import { mintId } from "../src/ids";
import { written } from "../src/partial";
import { clean, lookalikes, visible } from "../src/visible";
import { byModel, stacked } from "../src/usage";
import { linesOf } from "../src/unified";
import { effectText, endingOf, summary } from "../src/words";
import type { Effect } from "../src/protocol";
import { usage } from "./journal";

const tags = (text: string) =>
  [...text].map((char) => String.fromCodePoint(char.charCodeAt(0) + 0xe0000)).join("");

describe("prose and output", () => {
  // The cases of the terminal's own tests: both surfaces show the same.
  it.each([
    ["plain", "plain"],
    ["\u001b[31mred\u001b[0m", "red"],
    ["\u001b]0;title\u0007text", "text"],
    ["\u001b]8;;http://x\u001b\\link\u001b]8;;\u001b\\", "link"],
    ["\u001b]52;c;aGk=\u001b\\no clipboard", "no clipboard"],
    ["\u001bP+q544e\u001b\\no answer", "no answer"],
    ["\u001b[6nno report", "no report"],
    ["\u001b[201~no end of a paste", "no end of a paste"],
    ["\u001b]0;a\u001b[2Jb", "b"],
    ["\u009b2Jgone", "gone"],
    ["\u009d0;title\u009ctext", "text"],
    ["\u001b(Bset", "set"],
    ["\u001bcno reset", "no reset"],
    ["a\r\nb\rc", "a\nb\nc"],
    ["bell\u0007 back\u0008", "bell back"],
    ["\u001b]unended\nnext", "\nnext"],
    ["rm \u202ecod", "rm ⟨U+202E⟩cod"],
    ["a\u200bb", "a⟨U+200B⟩b"],
    ["a\u200b\u200c\u200bb", "a⟨U+200B and 2 more⟩b"],
    [`hi${tags("obey me")}!`, "hi⟨hidden: obey me⟩!"],
    ["\ufefftext", "text"],
    ["co\u00adoperate", "cooperate"],
    ["👩\u200d🚀", "👩\u200d🚀"],
    ["❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥"],
    ["می\u200cخواهم", "می\u200cخواهم"],
    ["x\ufe0f\ufe01\ufe02", "x⟨U+FE0F and 2 more⟩"],
  ])("%j is shown as %j", (input, expected) => {
    expect(clean(input)).toBe(expected);
  });

  it("leave nothing that steers, of all characters there are", () => {
    const strange = /[\p{Cc}\u202a-\u202e\u200b\u2060-\u206f\u{e0000}-\u{e007f}]/u;
    for (let code = 0; code < 0x110000; code++) {
      if (code >= 0xd800 && code < 0xe000) continue;
      const text = clean(`a${String.fromCodePoint(code)}[2Jb`).replace(/[\n\t]/g, "");
      if (strange.test(text)) throw new Error(`U+${code.toString(16)} is left`);
    }
  });
});

describe("an approval", () => {
  it.each([
    ["ls -la\nrm x", "ls -la\nrm x"],
    ["a\tb", "a⇥b"],
    ["\u001b[2K", "␛[2K"],
    ["a\rb", "a␍b"],
    ["x\u202ey", "x⟨U+202E⟩y"],
    ["x\u200by", "x⟨U+200B⟩y"],
    ["x\u00a0y", "x⟨U+00A0⟩y"],
    ["x\u3164y", "x⟨U+3164⟩y"],
    ["日本 é", "日本 é"],
  ])("%j is shown as %j", (input, expected) => {
    expect(visible(input)).toBe(expected);
  });

  it("names letters that look like others", () => {
    expect(lookalikes("rm аpple αa")).toEqual(["а", "α"]);
    expect(lookalikes("привет")).toEqual([]);
    expect(lookalikes("plain")).toEqual([]);
  });

  it("tells effects in the terminal's words", () => {
    const run: Effect = { type: "run", program: "/bin/rm", arguments: ["-rf", "\u001b[0m"], reads_only: false };
    expect(effectText(run)).toBe("runs /bin/rm -rf ␛[0m");
    expect(effectText({ type: "write", path: "/etc/x", in_workspace: false })).toBe(
      "writes /etc/x (outside the workspace)",
    );
    expect(effectText({ type: "money", usd_micros: 1_500_000, recipient: "shop" })).toBe(
      "spends up to $1.50, to shop",
    );
  });
});

describe("what is typed", () => {
  it.each([
    ["hello", { type: "say", text: "hello" }],
    [" /help ", { type: "help" }],
    ["/model", { type: "model", name: null }],
    ["/model a/b", { type: "model", name: "a/b" }],
    ["/forget all", { type: "forget", all: true }],
    ["/diff", { type: "diff", turn: null }],
    ["/diff 2", { type: "diff", turn: "2" }],
    ["/undo", { type: "undo", turn: null, isForced: false }],
    ["/undo force", { type: "undo", turn: null, isForced: true }],
    ["/undo 3 --force", { type: "undo", turn: "3", isForced: true }],
    ["/undo ab12", { type: "undo", turn: "ab12", isForced: false }],
    ["!ls -la", { type: "shell", script: "ls -la" }],
    ["!", { type: "say", text: "!" }],
    ["/usr/bin is what?", { type: "say", text: "/usr/bin is what?" }],
    ["/ or not", { type: "say", text: "/ or not" }],
    ["/nonsense x", { type: "unknown", name: "nonsense" }],
    ["/rename A new name", { type: "rename", title: "A new name" }],
  ])("%j", (line, expected) => {
    expect(parsed(line)).toEqual(expected);
  });

  it("is completed until something follows it", () => {
    expect(fitting("/d").map(({ slash }) => slash)).toEqual(["/diff"]);
    expect(fitting("/diff 2")).toEqual([]);
    expect(fitting("hello")).toEqual([]);
  });
});

describe("arguments that are being written", () => {
  const json = '{"path": "a\\"b\\u00e9.rs", "count": 3, "list": ["x", "y,}"], "script": "one\\ntwo"}';

  it("are read along at every cut", () => {
    expect(written(json)).toEqual([
      { key: "path", text: 'a"bé.rs' },
      { key: "count", text: "3" },
      { key: "list", text: '["x", "y,}"]' },
      { key: "script", text: "one\ntwo" },
    ]);
    for (let cut = 0; cut <= json.length; cut++) written(json.slice(0, cut));
    expect(written('{"script": "cargo te')).toEqual([{ key: "script", text: "cargo te" }]);
    expect(written('{"scr')).toEqual([]);
    expect(written("")).toEqual([]);
  });
});

describe("ids", () => {
  it("are UUIDv7 with their time, in order and each once", () => {
    const ids = Array.from({ length: 5_000 }, () => mintId());
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
    const later = Date.now() + 60_000;
    expect(Number.parseInt(mintId(later).replaceAll("-", "").slice(0, 12), 16)).toBe(later);
  });
});

describe("numbers", () => {
  it("are spelt as in the terminal", () => {
    expect([340, 1_234, 185_000].map(duration)).toEqual(["340ms", "1.2s", "3m 05s"]);
    expect([7, 1_234_567].map(count)).toEqual(["7", "1,234,567"]);
    expect([12, 1_500, 222_000_000].map(bytes)).toEqual(["12 B", "1.5 kB", "222 MB"]);
    expect([null, 0, 1_200, 2_500_000].map(money)).toEqual(["$?", "$0", "$0.0012", "$2.50"]);
    expect(usageLine({ ...usage(10, 5, null), cache_read_tokens: 1_000 })).toBe("1,010 in (1,000 cached) · 5 out · $?");
    expect(ago(0, 5 * 3_600_000)).toBe("5 h");
  });
});

describe("calls in a line", () => {
  it("say what is telling", () => {
    expect(summary({ timeout_s: 5, script: "ls\n  -la" })).toBe("ls -la");
    expect(summary({ flag: true })).toBe('{"flag":true}');
    expect(summary({})).toBe("");
  });

  it("say how a program ended", () => {
    expect(endingOf("out\n[exit status 101]\n")).toBe("exit status 101");
    expect(endingOf("all [well] here")).toBeNull();
  });
});

describe("usage by day", () => {
  const line = (day: string, model: string, micros: number) => ({
    day,
    provider: "p",
    model,
    calls: 1,
    usage: usage(10, 5, micros),
  });
  const lines = [line("2026-11-01", "a", 1_000_000), line("2026-11-01", "b", 3_000_000), line("2026-11-02", "a", 1_000_000)];

  it("puts the dearest model first and stacks the others on it", () => {
    const models = byModel(lines);
    expect(models.map(({ name }) => name)).toEqual(["p/b", "p/a"]);
    expect(stacked(lines, models, ["2026-11-01", "2026-11-02"], "money")).toEqual([
      [3, 0],
      [4, 1],
    ]);
  });
});

describe("a unified difference", () => {
  it("has its lines numbered", () => {
    const diff = "@@ -3,2 +3,3 @@\n same\n-old\n+new\n+\tmore\n\\ No newline at end of file\n";
    expect(linesOf(diff).map(({ kind, before, after, text }) => [kind, before, after, text])).toEqual([
      ["hunk", null, null, "@@ -3,2 +3,3 @@"],
      ["same", 3, 3, "same"],
      ["remove", 4, null, "old"],
      ["add", null, 4, "new"],
      ["add", null, 5, "    more"],
      ["hunk", null, null, "\\ No newline at end of file"],
    ]);
  });
});
