// The built page in a real browser, over the mock gateway: what a person does, what they see, and that it is
// accessible, quick and silent. Screenshots go to SHOTS, where it is set.

import AxeCore from "axe-core";
import { existsSync, mkdirSync } from "node:fs";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Op, SessionSummary } from "../src/protocol";
import { cutAnew, SESSION, Teller, turnId, usage, wholeStory } from "./journal";
import { MockGateway } from "./mock";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const SHOTS = process.env.SHOTS;
const OTHER = "01930000-0000-7000-8000-000000000002";
const SIZES = { wide: { width: 1280, height: 800 }, narrow: { width: 390, height: 844 } };

let browser: Browser;
let gateway: MockGateway;
let context: BrowserContext;
let page: Page;
let complaints: string[];

const describeInBrowser = existsSync(CHROMIUM) ? describe : describe.skip;
if (!existsSync(CHROMIUM)) console.log(`skipped: there is no browser at ${CHROMIUM}; set CHROMIUM`);

function summary(session: string, title: string, more: Partial<SessionSummary> = {}): SessionSummary {
  return {
    session,
    title,
    workspace: "/home/me/parser",
    started_at: Date.now() - 7_200_000,
    active_at: Date.now() - 60_000,
    turns: 1,
    is_running: false,
    usage: usage(1_000, 100, 5_000),
    ...more,
  };
}

async function openPage(size = SIZES.wide, scheme: "light" | "dark" = "light"): Promise<void> {
  context = await browser.newContext({ viewport: size, colorScheme: scheme });
  page = await context.newPage();
  page.on("console", (message) => {
    const text = message.text();
    // A gateway that is down is told by the browser itself.
    if (message.type() === "error" && !/WebSocket|Failed to load resource/.test(text)) complaints.push(text);
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(gateway.url) && !url.startsWith("data:")) complaints.push(`foreign request: ${url}`);
  });
}

async function visit(hash = ""): Promise<void> {
  await page.goto(`${gateway.url}/${hash}`);
  await page.waitForSelector(".bar, .signed-out");
}

const visitSession = (session = SESSION) => visit(`#/s/${session}`);

async function shot(name: string): Promise<void> {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.waitForTimeout(250);
  await page.screenshot({ path: `${SHOTS}/${name}.png` });
}

/** What axe finds on the page as it is; the page's own policy forbids nothing that it needs. */
async function violations(): Promise<string[]> {
  await page.waitForTimeout(250);
  await page.evaluate(AxeCore.source);
  const found = await page.evaluate(async () => {
    const axe = (window as unknown as { axe: typeof AxeCore }).axe;
    return (await axe.run()).violations;
  });
  return found.map(
    ({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`,
  );
}

async function fitsWidth(): Promise<boolean> {
  return page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
}

function opsOf<K extends Op["op"]>(kind: K): Extract<Op, { op: K }>[] {
  return gateway.ops.filter((op): op is Extract<Op, { op: K }> => op.op === kind);
}

beforeAll(async () => {
  if (existsSync(CHROMIUM)) {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  }
});

afterAll(async () => browser?.close());

beforeEach(async () => {
  complaints = [];
  gateway = await MockGateway.start();
  gateway.sessions = [
    summary(SESSION, "Mend the last_line test", { is_running: true }),
    summary(OTHER, "Compare three ways to cache pages", { workspace: "/home/me/site", active_at: Date.now() - 9e7 }),
    ...Array.from({ length: 12 }, (_, idx) =>
      summary(turnId(500 + idx), ["Plan the garden", "Sort the photos of 2019 by place", "Why is the build slow?"][idx % 3]!, {
        workspace: "/home/me/notes",
        active_at: Date.now() - 1e8 * (idx + 2),
      }),
    ),
  ];
});

afterEach(async () => {
  await context?.close();
  await gateway.stop();
  expect(complaints).toEqual([]);
});

/** An answer and calls that are wider and longer than any page. */
function tellWideTurn(): void {
  const cells = Array.from({ length: 14 }, (_, idx) => `column_${idx}`);
  const long = Array.from({ length: 60 }, (_, idx) => `echo ${idx} ${"word ".repeat(20)}`).join("\n");
  const table = `| ${cells.join(" | ")} |\n|${"---|".repeat(14)}\n| ${cells.join(" | ")} |`;
  gateway.tell(
    SESSION,
    turnId(40),
    { event: "turn_started", text: "Look at this:\n" + "and this word, and that. ".repeat(120) },
    { event: "text_delta", text: `${table}\n\n- a list\n\n  \`\`\`sh\n  ${"wide ".repeat(60)}\n  \`\`\`\n\n\`\`\`\n${"wide ".repeat(60)}\n\`\`\`\n\nhttps://example.com/${"a".repeat(300)}\n` },
    { event: "tool_call_ready", call: { id: "c40", name: "shell", arguments: { script: long } }, origin: "person" },
    { event: "tool_output_delta", call: "c40", text: long },
    { event: "tool_call_ended", call: "c40", text: long, is_error: false, taint: { untrusted: true, private: true }, whole: null, elapsed_ms: 900 },
    { event: "turn_ended", outcome: { type: "limited", limit: "30 model calls" }, usage: usage(10, 10, null), elapsed_ms: 1_500 },
  );
}

/** A turn that thinks, writes and runs at once and then waits for a person. */
function tellRunningTurn(): void {
  const turn = turnId(50);
  gateway.put(new Teller(SESSION, Date.now() - 14_000).tell(
    turn,
    { event: "turn_started", text: "Now publish the fixed version to the staging host." },
    { event: "model_call_started", provider: "house", model: "large-1", reason: null },
    { event: "thinking_delta", text: "Publishing needs the network. I will build first and then ask for the upload." },
    { event: "text_delta", text: "I build the release and then upload it to `staging.example.com`." },
    { event: "tool_call_started", call: "c50", name: "shell" },
    { event: "tool_call_ready", call: { id: "c50", name: "shell", arguments: { script: "cargo build --release" } }, origin: "model" },
    { event: "tool_output_delta", call: "c50", text: "   Compiling parser v0.1.0 (/home/me/parser)\n    Finished `release` profile in 9.31s\n" },
    { event: "tool_call_started", call: "c51", name: "shell" },
  ).records);
}

function askApproval(approval = "11111111-0000-4000-8000-000000000001", call = "c51"): void {
  const script = "rsync -a target/release/parser deploy@staging.example.com:/srv/parser/\nssh deploy@staging.example.com 'systemctl restart parser' # \u202etxt.с";
  gateway.tell(
    SESSION,
    turnId(50),
    { event: "tool_call_ready", call: { id: call, name: "shell", arguments: { script, timeout_s: 120 } }, origin: "model" },
    {
      event: "approval_requested",
      approval,
      call: { id: call, name: "shell", arguments: { script, timeout_s: 120 } },
      effects: [
        { type: "network", host: "staging.example.com", port: 22 },
        { type: "run", program: "/usr/bin/ssh", arguments: ["deploy@staging.example.com", "systemctl restart parser"], reads_only: false },
      ],
      reason: "It reaches a host over the network and runs a program there.",
      expires_at: Date.now() + 285_000,
    },
  );
}

describeInBrowser("what is seen", () => {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const scheme of ["light", "dark"] as const) {
      it(`${size} and ${scheme}: every page is accessible and fits`, async () => {
        await openPage(viewport, scheme);
        gateway.costs = costs();
        gateway.changes = changes();
        const looked = async (name: string) => {
          await shot(`${size}-${scheme}-${name}`);
          expect(await violations(), name).toEqual([]);
          expect(await fitsWidth(), name).toBe(true);
        };
        await visit();
        await page.waitForSelector(".welcome nav");
        await looked("1-new");

        gateway.put(wholeStory());
        await visitSession();
        await page.waitForSelector(".undone");
        await looked("2-story-end");
        await page.evaluate(() => (document.querySelector(".scroll")!.scrollTop = 0));
        await looked("3-story-begin");
        await page.locator(".call-head").nth(1).click();
        await page.locator(".fold").first().click();
        await looked("4-story-open");

        tellWideTurn();
        await page.getByText("A limit ended the turn").waitFor();
        await looked("4-wide");
        await page.getByText("column_0").first().scrollIntoViewIfNeeded();
        await looked("4-wide-table");

        tellRunningTurn();
        await page.evaluate(() => {
          const scroll = document.querySelector(".scroll")!;
          scroll.scrollTop = scroll.scrollHeight;
        });
        await page.waitForSelector(".call.running .output");
        await looked("5-running");
        askApproval();
        await page.waitForSelector(".approval");
        await page.waitForTimeout(700);
        await looked("6-approval");
        gateway.tell(SESSION, turnId(50), { event: "question_asked", question: "q9", text: "Which host shall be next?", choices: ["staging", "production"] });
        await page.waitForSelector(".question .answer");
        await looked("7-question");

        await page.fill("#composer", "/");
        await looked("8-suggestions");
        await page.fill("#composer", "");
        await page.keyboard.press("Control+k");
        await looked("9-palette");
        await page.keyboard.press("Escape");
        await page.keyboard.press("Control+/");
        await looked("10-help");
        await page.keyboard.press("Escape");
        await page.getByRole("button", { name: "Show changes" }).first().click();
        await page.waitForSelector(".diff");
        await looked("11-diff");
        await page.keyboard.press("Escape");
        await page.getByRole("button", { name: "Forget session" }).click();
        await looked("12-forget");
        await page.keyboard.press("Escape");
        await visit("#/cost");
        await page.waitForSelector(".models");
        await looked("13-cost");
        await visit("#/status");
        await page.waitForSelector(".facts");
        await looked("14-status");
        if (size === "narrow") {
          await page.getByRole("button", { name: "Sessions", exact: true }).click();
          await page.waitForTimeout(250);
          await looked("15-drawer");
          await page.keyboard.press("Escape");
          await page.waitForTimeout(250);
          expect(await page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toBe("Sessions");
        }
        gateway.isClosed = true;
        await page.reload();
        await page.waitForSelector(".signed-out");
        await looked("16-signed-out");
      });
    }
  }

  it("fits 360 pixels", async () => {
    await openPage({ width: 360, height: 740 });
    gateway.put(wholeStory());
    tellWideTurn();
    tellRunningTurn();
    askApproval();
    await visitSession();
    await page.waitForSelector(".approval");
    await shot("360");
    expect(await fitsWidth()).toBe(true);
  });

  it("can be used within a second", async () => {
    gateway.put(wholeStory());
    await openPage();
    const begin = performance.now();
    await visitSession();
    await page.waitForSelector("#composer:focus");
    await page.keyboard.type("x");
    expect(await page.inputValue("#composer")).toBe("x");
    const elapsed = performance.now() - begin;
    console.log(`interactive after ${Math.round(elapsed)} ms`);
    expect(elapsed).toBeLessThan(1_000);
  });
});

describeInBrowser("a session of 50,000 records", () => {
  it("can be typed in while it is read, which takes seconds", async () => {
    for (let n = 1; n <= 250; n++) {
      const words = Array.from({ length: 196 }, (_, idx) => ({ event: "text_delta" as const, text: `word ${idx} of turn ${n}. ` }));
      gateway.tell(SESSION, turnId(n), { event: "turn_started", text: `question ${n}` }, ...words, { event: "model_call_ended", usage: usage(1, 1), stop: "end" }, { event: "turn_ended", outcome: { type: "completed" }, usage: usage(1, 1), elapsed_ms: 5 });
    }
    await openPage();
    // Told by the page itself: what is sent is also copied to this test, which takes longer than reading it.
    await page.addInitScript(watchFrames);
    await visitSession();
    await page.getByText("word 195 of turn 250.").waitFor();
    await page.getByText("#250").waitFor();
    const seen = await page.evaluate(() => ({ ...(window as unknown as { seen: Seen }).seen, readMs: performance.now() }));
    console.log(`${gateway.journal.length} records: composer after ${Math.round(seen.composerMs)} ms, slowest frame ${Math.round(seen.slowestMs)} ms, read after ${Math.round(seen.readMs)} ms`);
    expect(seen.composerMs).toBeLessThan(1_000);
    expect(seen.slowestMs).toBeLessThan(400);
    expect(seen.readMs).toBeLessThan(10_000);
  });
});

interface Seen {
  composerMs: number;
  slowestMs: number;
}

/** Runs in the page: notes when one could type, and how long a key would have waited. */
function watchFrames(): void {
  const seen: Seen = { composerMs: Infinity, slowestMs: 0 };
  (window as unknown as { seen: Seen }).seen = seen;
  let last = 0;
  const frame = (now: number) => {
    if (seen.composerMs < now) seen.slowestMs = Math.max(seen.slowestMs, now - last);
    else if (document.getElementById("composer")) seen.composerMs = now;
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

describeInBrowser("what streams", () => {
  const end = () => page.locator(".turn footer .meta").first().waitFor();
  const html = () =>
    page.$$eval(".transcript .prose, .transcript .said, .transcript .call, .transcript .note", (found) =>
      found.map((element) => element.outerHTML),
    );

  it("ends as the same screen however it was cut, streamed or read at once, also over broken connections", async () => {
    await openPage();
    gateway.put(wholeStory());
    await visitSession();
    await page.waitForSelector(".undone");
    const whole = await html();
    for (const seed of [1, 2, 3]) {
      const records = cutAnew(wholeStory(), seed);
      gateway.journal.length = 0;
      await page.goto("about:blank");
      await visitSession();
      for (let at = 0; at < records.length; at += 6) {
        gateway.put(records.slice(at, at + 6));
        if (at % 60 === 54) gateway.drop();
        await page.waitForTimeout(12);
      }
      await page.waitForSelector(".undone");
      expect(await html(), `seed ${seed}`).toEqual(whole);
      expect(await page.locator(".turn .said").count()).toBe(2);
    }
  });

  it("shows thinking, words and output growing at once", async () => {
    await openPage();
    await visitSession();
    tellRunningTurn();
    await page.waitForSelector(".call .output");
    gateway.tell(SESSION, turnId(50), { event: "tool_output_delta", call: "c50", text: "one more line\n" }, { event: "tool_arguments_delta", call: "c51", json: '{"script": "echo gro' });
    await page.getByText("one more line").waitFor();
    await page.getByText("echo gro").first().waitFor();
    gateway.tell(SESSION, turnId(50), { event: "text_delta", text: "And while it runs I write." });
    await page.getByText("And while it runs").waitFor();
    expect(await page.locator(".call.running").count()).toBe(2);
  });

  it("loads no picture, runs no script and opens nothing but web addresses", async () => {
    await openPage();
    gateway.put(wholeStory());
    gateway.tell(SESSION, turnId(60), { event: "turn_started", text: "x" }, { event: "text_delta", text: "[a](javascript:alert(1)) [b](data:text/html,x) <img src=x onerror=alert(1)> ![p](http://127.0.0.1:1/p.png) [good.example](https://evil.example/x)\n\n<iframe src=/></iframe>" });
    await visitSession();
    await page.getByText("good.example").waitFor();
    expect(await page.locator(".transcript img, .transcript script, .transcript iframe").count()).toBe(0);
    const links = await page.$$eval(".prose a", (found) => found.map((a) => [a.getAttribute("href"), a.getAttribute("rel")]));
    for (const [href, rel] of links) {
      expect(href).toMatch(/^(https?|mailto):/);
      expect(rel).toBe("noopener noreferrer");
    }
    expect(await page.locator(".prose", { hasText: "evil.example" }).count()).toBe(1);
  });

  it("stays smooth with 100,000 lines of output", async () => {
    await openPage();
    await visitSession();
    gateway.tell(SESSION, turnId(70), { event: "turn_started", text: "x" }, { event: "tool_call_ready", call: { id: "c", name: "shell", arguments: { script: "yes" } }, origin: "model" });
    await page.waitForSelector(".call.running");
    await page.evaluate(watchFrames);
    for (let at = 0; at < 100_000; at += 10) {
      const text = Array.from({ length: 10 }, (_, idx) => `line ${at + idx}: the quick brown fox\n`).join("");
      gateway.tell(SESSION, turnId(70), { event: "tool_output_delta", call: "c", text });
      if (at % 2_000 === 0) await page.waitForTimeout(5);
    }
    await page.getByText("line 99999:").waitFor();
    const slowest = await page.evaluate(() => (window as unknown as { seen: Seen }).seen.slowestMs);
    console.log(`100,000 lines: slowest frame ${Math.round(slowest)} ms`);
    expect(slowest).toBeLessThan(400);
    expect(await page.locator(".output").evaluate((pre) => pre.textContent!.length)).toBeLessThan(60_000);
    await page.getByText("lines not shown").waitFor();
  });

  it("shows a long session's end first and the rest when asked", async () => {
    await openPage();
    for (let n = 1; n <= 80; n++) {
      gateway.tell(SESSION, turnId(n), { event: "turn_started", text: `question ${n}` }, { event: "text_delta", text: `answer ${n}` }, { event: "turn_ended", outcome: { type: "completed" }, usage: usage(1, 1), elapsed_ms: 5 });
    }
    await visitSession();
    await page.getByText("answer 80").waitFor();
    expect(await page.locator(".turn").count()).toBe(30);
    await page.getByRole("button", { name: /earlier/ }).click();
    expect(await page.locator(".turn").count()).toBe(60);
    await end();
  });
});

describeInBrowser("what a person does", () => {
  it("says something: it is sent once, shown at once and told back once", async () => {
    await openPage();
    await visit();
    await page.waitForSelector(".welcome nav");
    gateway.onOp = (op) => {
      if (op.op !== "user_turn") return;
      gateway.tell(op.session, op.turn, { event: "session_started", workspace: op.options.workspace! }, { event: "turn_started", text: op.text }, { event: "text_delta", text: "Hello." });
    };
    await page.fill("#composer", "Good morning");
    await page.keyboard.press("Enter");
    await page.getByText("Hello.").waitFor();
    const [op] = opsOf("user_turn");
    expect(op).toMatchObject({ text: "Good morning", options: { workspace: "/home/me/parser", model: null, is_attended: true } });
    expect(op!.turn).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab]/);
    expect(page.url()).toContain(op!.session);
    expect(await page.getByText("Good morning").count()).toBe(1);
    expect(await page.inputValue("#composer")).toBe("");
  });

  it("goes on saying it until somebody hears it", async () => {
    await openPage();
    gateway.put(wholeStory());
    await visitSession();
    await page.waitForSelector(".undone");
    await context.route("**/api/ops", (route) => route.abort());
    await page.fill("#composer", "Are you there?");
    await page.keyboard.press("Enter");
    await page.getByText("Not sent yet").waitFor();
    await context.unroute("**/api/ops");
    gateway.onOp = (op) => op.op === "user_turn" && gateway.tell(op.session, op.turn, { event: "turn_started", text: op.text });
    await page.waitForSelector(".working");
    expect(opsOf("user_turn").length).toBe(1);
    expect(await page.locator(".outgoing").count()).toBe(0);
  });

  it("hears why something was refused and can take it back", async () => {
    await openPage();
    await visitSession();
    gateway.refusal = "The store is full.";
    await page.fill("#composer", "Remember this");
    await page.keyboard.press("Enter");
    await page.getByText("The store is full.").waitFor();
    await page.getByRole("button", { name: "Take back" }).click();
    expect(await page.inputValue("#composer")).toBe("Remember this");
    expect(await page.locator(".outgoing").count()).toBe(0);
  });

  it("approves by keys only where the request has the focus, and once", async () => {
    await openPage();
    await visitSession();
    tellRunningTurn();
    await page.waitForSelector("#composer:focus");
    await page.keyboard.type("half a wo");
    askApproval();
    await page.waitForSelector(".approval");
    await page.keyboard.type("osed");
    expect(await page.inputValue("#composer")).toBe("half a woosed");
    await page.waitForTimeout(700);
    await page.keyboard.press("Enter");
    await page.waitForTimeout(100);
    expect(opsOf("decide")).toEqual([]);
    expect(opsOf("user_turn").length).toBe(1);

    await page.keyboard.press("F8");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Space");
    expect(opsOf("decide")).toEqual([]);
    gateway.onOp = (op) => {
      if (op.op !== "decide") return;
      gateway.tell(SESSION, turnId(50), { event: "approval_decided", approval: op.approval, decision: op.decision, by: "person" });
    };
    await page.keyboard.press("s");
    await page.keyboard.press("s");
    await page.getByText("Allowed for this session").waitFor();
    expect(opsOf("decide")).toEqual([{ op: "decide", approval: "11111111-0000-4000-8000-000000000001", decision: "session" }]);
    await page.waitForSelector("#composer:focus");
  });

  it("can't approve what appeared under the pointer a moment ago", async () => {
    await openPage();
    await visitSession();
    tellRunningTurn();
    askApproval();
    await page.waitForSelector(".approval");
    await page.locator(".approval .once").dispatchEvent("click");
    expect(opsOf("decide")).toEqual([]);
    await page.waitForTimeout(700);
    await page.locator(".approval .deny").click();
    await expect.poll(() => opsOf("decide").length).toBe(1);
  });

  it("sees the whole of what would run, with what hides in it", async () => {
    await openPage();
    await visitSession();
    tellRunningTurn();
    askApproval();
    const text = await page.locator(".approval").innerText();
    expect(text).toContain("systemctl restart parser' # ⟨U+202E⟩txt.с");
    expect(text).toContain("connects to staging.example.com:22");
    expect(text).toContain("Letters that look like others: с (U+0441)");
    expect(text).toContain("It reaches a host over the network");
  });

  it("answers a question", async () => {
    await openPage();
    await visitSession();
    tellRunningTurn();
    gateway.tell(SESSION, turnId(50), { event: "question_asked", question: "q", text: "Which?", choices: ["left", "right"] });
    await page.getByRole("button", { name: "right" }).click();
    await expect.poll(() => opsOf("answer")).toEqual([{ op: "answer", question: "q", text: "right" }]);
  });

  it("steers and stops a turn", async () => {
    await openPage();
    await visitSession();
    tellRunningTurn();
    await page.waitForSelector(".working");
    gateway.onOp = (op) => op.op === "user_turn" && gateway.tell(op.session, turnId(50), { event: "steered", text: op.text, turn: op.turn });
    await page.fill("#composer", "Use the other host");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".steered");
    expect(await page.locator(".outgoing").count()).toBe(0);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await expect.poll(() => opsOf("interrupt").length).toBe(1);
  });

  it("runs a command by hand, and commands that are typed", async () => {
    await openPage();
    gateway.put(wholeStory());
    gateway.changes = changes();
    await visitSession();
    await page.waitForSelector(".undone");
    const type = async (text: string) => {
      await page.fill("#composer", text);
      await page.keyboard.press("Enter");
    };
    await type("!ls -la");
    await expect.poll(() => opsOf("user_call")).toMatchObject([{ tool: "shell", arguments: { script: "ls -la" }, text: "!ls -la" }]);
    await type("/compact");
    await expect.poll(() => opsOf("compact").length).toBe(1);
    await type("/model house/small-1");
    await type("again");
    await expect.poll(() => opsOf("user_turn")).toMatchObject([{ options: { model: "house/small-1" } }]);
    await type("/nonsense");
    await page.getByText("There is no /nonsense").waitFor();
    await page.fill("#composer", "");
    await type("/undo 1 force");
    await page.locator("dialog").getByRole("button", { name: "Put back all the same" }).click();
    await expect.poll(() => opsOf("undo")).toMatchObject([{ of: turnId(1), is_forced: true }]);
    await type("/diff 1");
    await page.waitForSelector(".diff");
    await page.keyboard.press("Escape");
    await type("/cost");
    await page.waitForSelector(".page");
  });

  it("completes a command with Tab and the arrows", async () => {
    await openPage();
    await visitSession();
    await page.fill("#composer", "/d");
    await page.keyboard.press("Tab");
    expect(await page.inputValue("#composer")).toBe("/diff ");
  });

  it("finds, renames and forgets a session", async () => {
    await openPage();
    gateway.put(wholeStory());
    await visit();
    await page.fill("#search", "cache site");
    expect(await page.locator(".sessions li").count()).toBe(1);
    await page.fill("#search", "last_line");
    await page.locator(".sessions li a").click();
    await page.waitForSelector(".undone");
    await page.getByRole("button", { name: "Rename session" }).click();
    await page.fill("#title", "A better name");
    await page.keyboard.press("Enter");
    await expect.poll(() => opsOf("rename")).toEqual([{ op: "rename", session: SESSION, title: "A better name" }]);
    await page.getByRole("button", { name: "Forget session" }).click();
    await page.keyboard.press("Enter");
    expect(opsOf("forget")).toEqual([]);
    await page.getByRole("button", { name: "Forget session" }).click();
    await page.getByRole("button", { name: "Forget the session" }).click();
    await expect.poll(() => opsOf("forget")).toEqual([{ op: "forget", what: { type: "session", session: SESSION } }]);
    await page.waitForSelector(".welcome");
  });

  it("goes anywhere with Ctrl-K", async () => {
    await openPage();
    await visit();
    await page.waitForSelector(".welcome nav");
    await page.keyboard.press("Control+k");
    await page.keyboard.type("cache pages");
    await page.keyboard.press("Enter");
    await expect.poll(() => page.url()).toContain(OTHER);
    await page.keyboard.press("Control+k");
    await page.keyboard.type("status");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".facts");
  });

  it("stops a job from the list of them", async () => {
    await openPage();
    await visit("#/status");
    await page.getByRole("button", { name: "Stop Mend the last_line test" }).click();
    await expect.poll(() => opsOf("interrupt")).toEqual([{ op: "interrupt", session: SESSION }]);
  });

  it("chooses light or dark, and the page remembers", async () => {
    await openPage();
    await visit();
    const scheme = () => page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
    const button = page.getByRole("button", { name: /Colours/ });
    await button.click();
    await button.click();
    expect(await scheme()).toBe("dark");
    await page.reload();
    await page.waitForSelector(".bar");
    expect(await scheme()).toBe("dark");
  });
});

function costs() {
  const models = [["house", "large-1", 900_000], ["house", "small-1", 120_000], ["local", "tiny", 0]] as const;
  return Array.from({ length: 24 }, (_, day) => day).flatMap((day) =>
    models.map(([provider, model, micros], idx) => ({
      day: new Date(Date.now() - day * 86_400_000).toISOString().slice(0, 10),
      provider,
      model,
      calls: 3 + ((day * 7 + idx) % 11),
      usage: usage(40_000 + day * 900, 3_000 + ((day * 37) % 900), Math.round(micros * (0.3 + ((day * 13) % 10) / 10))),
    })),
  );
}

function changes() {
  const diff = "@@ -10,6 +10,7 @@ impl Parser {\n     pub fn lines(&self) -> Vec<&str> {\n         let mut lines: Vec<&str> = self.text.split('\\n').collect();\n-        lines.pop();\n+        // A file that ends with a newline has no line after it.\n+        if lines.last() == Some(&\"\") { lines.pop(); }\n         lines\n     }\n }\n";
  return {
    turn: turnId(3),
    files: [
      { path: "/home/me/parser/src/parse.rs", what: "changed", notes: [], diff },
      { path: "/home/me/parser/tests/lines.rs", what: "made", notes: ["changed again since"], diff: "@@ -0,0 +1,2 @@\n+#[test]\n+fn last_line() {}\n" },
      { path: "/home/me/parser/logo.png", what: "deleted", notes: ["not text"], diff: "" },
    ],
    notes: ["2 more files are left out."],
  };
}
