// The real program in a real browser: `npm run real`, with TITANCLAW_BIN naming the program.
//
// A scripted model that this test serves itself streams its tokens slowly; all else is what a person has: a home, a
// folder, a link. Pictures of every page go to SHOTS, where it is set. Ends with 77 where there is no browser, or no program.

import AxeCore from "axe-core";
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext, type Page } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const PROGRAM = process.env.TITANCLAW_BIN ?? "";
const PICTURES = process.env.SHOTS;
const PICTURE_BYTES_MAX = 150 * 1024;
const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 390, height: 844 };
const WAIT_MS_MAX = 30_000;
const SKIPPED = 77;

for (const [what, path] of [["browser", CHROMIUM], ["program; set TITANCLAW_BIN", PROGRAM]]) {
  if (existsSync(path!)) continue;
  console.log(`skipped: there is no ${what} at “${path}”`);
  process.exit(SKIPPED);
}

function must(isSo: boolean, what: string): void {
  if (!isSo) throw new Error(what);
}

// The model: what it answers is found by the words that it was asked last.

interface Call {
  name: string;
  arguments: string;
}

interface Turn {
  words?: string;
  call?: Call;
  /** Between two pieces. */
  pauseMs: number;
}

const SCRIPT = "cat notes.txt\necho one\nsleep 0.2\necho two\nsleep 0.2\necho three\n";
const FORM = {
  name: "trip",
  kind: "form",
  title: "Where to?",
  content: JSON.stringify({ fields: [{ name: "city", label: "City" }, { name: "days", label: "Days", type: "number", value: 2 }], actions: ["plan it"] }),
};
const TABLE = { name: "trains", kind: "table", title: "Trains", content: "leaves,arrives,changes\n08:10,09:02,0\n09:10,10:31,1\n10:10,11:02,0\n" };
const CHART = { name: "load", kind: "chart", title: "How full they are", content: "day,morning,evening\nMon,62,71\nTue,58,69\nWed,64,75\nThu,66,80\nFri,81,92\nSat,40,35\nSun,22,51\n" };

const REMEMBERED = { text: "The minster of Ulm is climbed in the morning, before the buses come.", tags: ["ulm", "trip"] };

const calls = (name: string, given: unknown, pauseMs = 12): Turn => ({ call: { name, arguments: JSON.stringify(given) }, pauseMs });
const says = (words: string, pauseMs = 8): Turn => ({ words, pauseMs });

/** What it does for words that were said, by how many of its calls were answered since. */
const ANSWERS: Record<string, (n_answered: number) => Turn> = {
  "Look at the notes": (n) =>
    n === 0
      ? calls("shell", { script: SCRIPT }, 60)
      : says("The notes name three things. I read them with one script, which put out `one`, `two` and `three`."),
  "Remove the old": (n) =>
    n === 0 ? calls("shell", { script: "curl -sS -o /dev/null http://127.0.0.1:9/upload; echo tried" }) : says("I tried it once, as you allowed."),
  "Count slowly": () => says(Array.from({ length: 400 }, (_, n) => `${n + 1}`).join(" "), 40),
  "in words": () => says("One, two, three: in words then."),
  "Write a long one": () => says("Long. ".repeat(200), 30),
  "Keep in mind": (n) => (n === 0 ? calls("remember", REMEMBERED) : says("I noted it.")),
  "Name the colours": () => says("Blue, green and orange, from left to right."),
  "Wait for the kettle": (n) => (n === 0 ? calls("shell", { script: "sleep 50" }) : says("It boils.")),
  "Say something": () => says("Done with it."),
  "Plan a trip": (n) => {
    const drawn = [CHART, TABLE, FORM][n];
    return drawn ? calls("canvas", drawn) : says("Tell me where to, and I look for trains.");
  },
  "the person pressed": () =>
    says("Two days in Ulm it is.\n\n| day | what |\n|---|---|\n| 1 | the minster |\n| 2 | the fishermen's quarter |"),
};

/** What was said last decides, also where it came with what was said before. */
function turnFor(said: string, n_answered: number): Turn {
  const [last] = Object.entries(ANSWERS).sort(([a], [b]) => said.lastIndexOf(b) - said.lastIndexOf(a));
  return last![1](n_answered);
}

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

interface Message {
  role: string;
  content: unknown;
}

function textOf(content: unknown): string {
  return typeof content === "string" ? content : JSON.stringify(content ?? "");
}

async function model(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  if (request.method === "GET") {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ object: "list", data: [{ id: "m", object: "model" }] }));
    return;
  }
  const { messages, tools, stream } = JSON.parse(Buffer.concat(parts).toString()) as { messages: Message[]; tools?: unknown[]; stream?: boolean };
  const saidAt = messages.findLastIndex(({ role }) => role === "user");
  const n_answered = messages.slice(saidAt).filter(({ role }) => role === "tool").length;
  // Who asks without tools wants a title.
  const turn = tools?.length ? turnFor(textOf(messages[saidAt]?.content), n_answered) : says("A day with the scripted model");
  if (!stream) {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ choices: [{ message: { role: "assistant", content: turn.words ?? "" }, finish_reason: "stop" }], usage: { prompt_tokens: 900, completion_tokens: 20 } }));
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  const tell = (delta: unknown, finish: string | null = null) => response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`);
  for (const piece of turn.words?.match(/[^]{1,4}/g) ?? []) {
    if (response.destroyed) return;
    tell({ content: piece });
    await pause(turn.pauseMs);
  }
  if (turn.call) {
    tell({ tool_calls: [{ index: 0, id: `call_${n_answered}_${saidAt}`, type: "function", function: { name: turn.call.name, arguments: "" } }] });
    for (const piece of turn.call.arguments.match(/[^]{1,6}/g) ?? []) {
      tell({ tool_calls: [{ index: 0, function: { arguments: piece } }] });
      await pause(turn.pauseMs);
    }
  }
  tell({}, turn.call ? "tool_calls" : "stop");
  response.write(`data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 1_200, completion_tokens: 60 } })}\n\n`);
  response.end("data: [DONE]\n\n");
}

// The program.

class Program {
  private child: ChildProcess | null = null;
  port = 0;

  constructor(
    private readonly home: string,
    private readonly folder: string,
  ) {}

  /** Runs it until it prints its link. */
  async start(): Promise<string> {
    const child = spawn(PROGRAM, ["--home", this.home, "web", "--no-open", "--port", String(this.port)], { cwd: this.folder, stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    let told = "";
    const link = await new Promise<string>((done, failed) => {
      const heard = (part: Buffer) => {
        told += part.toString();
        const found = /http:\/\/\S+\/login\?code=\S+/.exec(told);
        if (found) done(found[0]);
      };
      child.stdout!.on("data", heard);
      child.stderr!.on("data", heard);
      child.on("exit", (code) => failed(new Error(`the program ended with ${code}: ${told}`)));
      setTimeout(() => failed(new Error(`no link within ${WAIT_MS_MAX} ms: ${told}`)), WAIT_MS_MAX).unref();
    });
    this.port = Number(new URL(link).port);
    return link;
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill(signal);
    await ended;
  }
}

// The browser.

const complaints: string[] = [];
/** While the program is down, or refuses something, the browser says so. */
let isDown = false;

function watch(page: Page, own: () => string): void {
  page.on("console", (message) => {
    if (message.type() === "error" && !isDown) complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`error: ${error}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(own()) && !/^(data|blob):/.test(url)) complaints.push(`foreign request: ${url}`);
  });
}

async function accessible(page: Page, name: string): Promise<void> {
  await page.evaluate(AxeCore.source);
  const found = await page.evaluate(async () => {
    const axe = (window as unknown as { axe: typeof AxeCore }).axe;
    return (await axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`);
  });
  must(found.length === 0, `${name}: ${found.join("\n")}`);
}

async function pictured(page: Page, name: string): Promise<void> {
  await page.waitForTimeout(300);
  const path = PICTURES && join(PICTURES, `${name}.png`);
  const bytes = await page.screenshot(path ? { path } : {});
  must(bytes.length <= PICTURE_BYTES_MAX, `${name}.png has ${bytes.length} bytes`);
  await accessible(page, name);
}

/** A page in both sizes. */
async function looked(page: Page, name: string): Promise<void> {
  await page.setViewportSize(WIDE);
  await pictured(page, `${name}-wide`);
  await page.setViewportSize(NARROW);
  await pictured(page, `${name}-narrow`);
  must(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than a phone`);
  await page.setViewportSize(WIDE);
}

async function say(page: Page, text: string): Promise<void> {
  await page.fill("#composer", text);
  await page.keyboard.press("Enter");
}

const idle = (page: Page) => page.locator(".working").waitFor({ state: "detached", timeout: WAIT_MS_MAX });

async function step(name: string, act: () => Promise<void>): Promise<void> {
  const begun = performance.now();
  await act();
  console.log(`ok: ${name} (${Math.round(performance.now() - begun)} ms)`);
}

async function everything(page: Page, context: BrowserContext, program: Program, link: string, config: string): Promise<void> {
  await step("a link lets the browser in, once", async () => {
    await page.goto(link);
    await page.waitForSelector(".welcome");
    must(!page.url().includes("code="), "the code stays in the address");
    const stranger = await context.browser()!.newContext({ viewport: WIDE });
    const other = await stranger.newPage();
    await other.goto(link);
    must(!(await other.locator(".welcome").count()), "the link let a second browser in");
    await other.goto(`http://127.0.0.1:${program.port}/`);
    await other.waitForSelector(".signed-out");
    await looked(other, "signed-out");
    await stranger.close();
    await looked(page, "new");
  });

  await step("a script runs while it is still being written", async () => {
    await say(page, "Look at the notes.");
    await page.locator(".call.running .output").getByText("bread").waitFor({ timeout: WAIT_MS_MAX });
    must((await page.locator(".call .growing").count()) > 0, "the script was whole before its first output came");
    await page.locator(".transcript").getByText("The notes name three things").waitFor({ timeout: WAIT_MS_MAX });
    await idle(page);
  });

  await step("what is not allowed by itself is approved in place", async () => {
    await say(page, "Remove the old upload.");
    await page.locator(".approval").waitFor({ timeout: WAIT_MS_MAX });
    await page.waitForTimeout(800);
    await looked(page, "approval");
    await page.keyboard.press("F8");
    await page.keyboard.press("o");
    await page.getByText("Allowed once").waitFor();
    await page.getByText("as you allowed").waitFor({ timeout: WAIT_MS_MAX });
    await idle(page);
  });

  await step("a turn is steered and stopped", async () => {
    await say(page, "Count slowly.");
    await page.locator(".transcript").getByText("1 2 3 4").waitFor({ timeout: WAIT_MS_MAX });
    await say(page, "No, in words");
    await page.locator(".steered").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await page.getByText("Stopped; what was said is kept").waitFor({ timeout: WAIT_MS_MAX });
    await idle(page);
  });

  await step("the page comes back after the program was killed, without loss or doubles", async () => {
    await say(page, "Write a long one.");
    await page.locator(".transcript").getByText("Long. Lo").waitFor({ timeout: WAIT_MS_MAX });
    isDown = true;
    await program.kill("SIGKILL");
    await page.locator(".link.lost").first().waitFor();
    await program.start();
    await page.locator(".link.lost").first().waitFor({ state: "detached", timeout: WAIT_MS_MAX });
    await idle(page);
    isDown = false;
    await say(page, "Say something after it.");
    await page.getByText("Done with it.").last().waitFor({ timeout: WAIT_MS_MAX });
    await idle(page);
    const said = await page.$$eval(".transcript .said:not(.steered) > p", (found) => found.map((p) => p.textContent));
    must(said.join() === "Look at the notes.,Remove the old upload.,Count slowly.,Write a long one.,Say something after it.", `said: ${said.join()}`);
    const before = await transcript(page);
    await page.reload();
    await page.getByText("Done with it.").last().waitFor({ timeout: WAIT_MS_MAX });
    await page.waitForTimeout(500);
    must((await transcript(page)) === before, "what was streamed and what is read again differ");
  });

  await step("the canvas grows beside the conversation, and a form is sent", async () => {
    await say(page, "Plan a trip.");
    await page.locator(".tabs .spinner").first().waitFor({ timeout: WAIT_MS_MAX });
    await page.locator("#tab-trip[aria-selected=true]").waitFor({ timeout: WAIT_MS_MAX });
    await page.getByText("Tell me where to").waitFor({ timeout: WAIT_MS_MAX });
    await idle(page);
    await page.locator("#tab-load").click();
    await page.setViewportSize(WIDE);
    await pictured(page, "canvas-wide");
    await page.locator("#tab-trip").click();
    await page.getByLabel("City").fill("Ulm");
    await page.getByRole("button", { name: "plan it" }).click();
    await page.locator(".sent").getByText("Ulm").waitFor();
    await page.getByText("Two days in Ulm").waitFor({ timeout: WAIT_MS_MAX });
    await idle(page);
    await looked(page, "chat");
    await page.setViewportSize(NARROW);
    await page.getByRole("button", { name: /^Canvas, 3/ }).click();
    await pictured(page, "canvas-narrow");
    await page.keyboard.press("Escape");
    await page.setViewportSize(WIDE);
  });

  await step("colours are switched", async () => {
    const button = page.getByRole("button", { name: /Colours/ });
    await button.click();
    await button.click();
    must((await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme)) === "dark", "it is not dark");
    await looked(page, "chat-dark");
    await button.click();
  });

  await step("an image is given, stands in the conversation, and opens large", async () => {
    await page.goto(`http://127.0.0.1:${program.port}/#/new`);
    await page.waitForSelector(".welcome");
    const drawn = await page.evaluate(drawSquares);
    await page.setInputFiles("input[type=file]", [{ name: "squares.png", mimeType: "image/png", buffer: Buffer.from(drawn, "base64") }]);
    await page.locator(".thumbnails img").waitFor();
    await say(page, "Name the colours of these squares.");
    await page.getByText("Blue, green and orange").waitFor({ timeout: WAIT_MS_MAX });
    await idle(page);
    const given = page.getByRole("img", { name: "Image 1: PNG, 480 × 240" });
    const isShown = () => given.evaluate((img: HTMLImageElement) => img.complete && img.naturalWidth === 480);
    for (let n = 0; n < 100 && !(await isShown()); n += 1) await pause(50);
    must(await isShown(), "the image is not shown");
    // The gateway says what it is, and lets nobody keep it.
    const address = await given.getAttribute("src");
    const headers = await page.evaluate(async (address) => [...(await fetch(address!)).headers], address);
    const told = Object.fromEntries(headers);
    must(told["content-type"] === "image/png" && told["cache-control"] === "no-store" && told["x-content-type-options"] === "nosniff", `headers: ${JSON.stringify(told)}`);
    await looked(page, "images");
    await given.click();
    await page.getByRole("dialog", { name: "Image 1" }).waitFor();
    await accessible(page, "an image that is open");
    await page.keyboard.press("Escape");
  });

  await step("what the agent remembered is seen, changed, added to and deleted", async () => {
    // In a session that read what strangers may have written, it would have to be asked about.
    await page.goto(`http://127.0.0.1:${program.port}/#/new`);
    await page.waitForSelector(".welcome");
    await say(page, "Keep in mind when to climb the minster.");
    await page.getByText("I noted it.").waitFor({ timeout: WAIT_MS_MAX });
    await idle(page);
    await page.goto(`http://127.0.0.1:${program.port}/#/memory`);
    await page.locator(".notes").getByText("before the buses come").waitFor();
    await note(page, "Trains to Ulm are booked two weeks ahead.", "trip");
    await note(page, "Short answers, and prices with them.", "preference");
    await note(page, "Nothing that is worth keeping.", "");
    await page.getByRole("button", { name: "Edit: Short answers" }).click();
    await page.getByLabel("One fact").fill("Short answers, and prices in euros with them.");
    await page.getByRole("button", { name: "Save" }).click();
    await page.locator(".notes").getByText("prices in euros").waitFor();
    await page.getByRole("button", { name: "Delete: Nothing that" }).click();
    await page.getByRole("button", { name: "Delete the note" }).click();
    await page.locator(".notes").getByText("Nothing that is worth").waitFor({ state: "detached" });
    must((await page.locator(".notes li").count()) === 3, "there are not three notes");
    await page.locator(".toasts p").waitFor({ state: "detached", timeout: WAIT_MS_MAX });
    await looked(page, "memory");
  });

  await step("a setting is changed in the file, and a wrong one is refused with words", async () => {
    await page.goto(`http://127.0.0.1:${program.port}/#/settings`);
    const seconds = page.getByLabel("limits.turn_seconds", { exact: true });
    await seconds.fill("soon");
    await page.keyboard.press("Enter");
    isDown = true;
    await page.getByRole("alert").getByText("must be a whole number from 5 to 86400").waitFor();
    isDown = false;
    await seconds.fill("1800");
    await page.keyboard.press("Enter");
    await page.getByText("after a restart").waitFor();
    const written = readFileSync(config, "utf8");
    must(written.startsWith("# Of the trip.\n") && written.includes("turn_seconds = 1800"), `the file: ${written}`);
    await page.getByLabel("Search settings").fill("a turn");
    await page.evaluate(() => (document.querySelector(".scroll")!.scrollTop = 0));
    await looked(page, "settings");
    await page.getByLabel("Search settings").fill("");
  });

  await step("the log is followed", async () => {
    await page.goto(`http://127.0.0.1:${program.port}/#/logs`);
    await page.locator(".log").getByText("a setting was changed").waitFor();
    await looked(page, "logs");
  });

  await step("all models are listed", async () => {
    const ids = await page.evaluate(async () => ((await (await fetch("/v1/models")).json()) as { data: { id: string }[] }).data.map(({ id }) => id));
    must(["titanclaw", "s/m"].every((id) => ids.includes(id)), `models: ${ids.join()}`);
  });

  await step("the other pages", async () => {
    // A turn that runs, with the program that it waits for.
    await page.goto(`http://127.0.0.1:${program.port}/#/new`);
    await page.waitForSelector(".welcome");
    await say(page, "Wait for the kettle.");
    await page.waitForSelector(".call.running");
    await page.goto(`http://127.0.0.1:${program.port}/#/status`);
    await page.waitForSelector(".facts");
    await page.locator(".jobs").getByText("sleep 50").waitFor();
    await looked(page, "status");
    await page.locator(".jobs").getByRole("button", { name: /^Stop / }).click();
    await page.getByText("No turn runs.").waitFor({ timeout: WAIT_MS_MAX });
    await page.goto(`http://127.0.0.1:${program.port}/#/cost`);
    await page.waitForSelector(".models");
    await looked(page, "cost");
    await page.keyboard.press("Control+/");
    await page.waitForSelector("dialog.help");
    await looked(page, "help");
    await page.keyboard.press("Escape");
  });
}

/** Runs in the page: three squares, as a PNG in base64. */
function drawSquares(): string {
  const canvas = Object.assign(document.createElement("canvas"), { width: 480, height: 240 });
  const pen = canvas.getContext("2d")!;
  pen.fillStyle = "#f4f1ea";
  pen.fillRect(0, 0, 480, 240);
  ["#2f6db5", "#2e8b57", "#d98324"].forEach((colour, n) => {
    pen.fillStyle = colour;
    pen.fillRect(30 + n * 145, 55, 130, 130);
  });
  return canvas.toDataURL("image/png").split(",")[1]!;
}

async function note(page: Page, text: string, tags: string): Promise<void> {
  await page.getByRole("button", { name: "New note" }).click();
  await page.getByLabel("One fact").fill(text);
  await page.getByLabel("Tags").fill(tags);
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator(".notes").getByText(text).waitFor();
}

function transcript(page: Page): Promise<string> {
  return page.$$eval(".transcript .prose, .transcript .said, .transcript .note", (found) => found.map((one) => one.textContent).join("\n"));
}

async function main(): Promise<void> {
  const place = mkdtempSync(join(tmpdir(), "titanclaw-real-"));
  const [home, folder] = [join(place, "home"), join(place, "trip")];
  const server = createServer((request, response) => void model(request, response));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  mkdirSync(home, { mode: 0o700 });
  mkdirSync(folder);
  if (PICTURES) mkdirSync(PICTURES, { recursive: true });
  writeFileSync(join(folder, "notes.txt"), "bread\nstamps\ntickets to Ulm\n");
  const config = join(home, "config.toml");
  writeFileSync(config, `# Of the trip.\n[models]\nchat = "s/m"\n\n[[providers]]\nname = "s"\nkind = "compatible"\nbase_url = "${address}"\n`, { mode: 0o600 });
  const program = new Program(home, folder);
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  try {
    const link = await program.start();
    const context = await browser.newContext({ viewport: WIDE, colorScheme: "light" });
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS_MAX);
    watch(page, () => `http://127.0.0.1:${program.port}`);
    await everything(page, context, program, link, config).catch(async (error) => {
      await page.screenshot({ path: join(tmpdir(), "titanclaw-real-failed.png") });
      throw error;
    });
    must(complaints.length === 0, `the browser complained:\n${complaints.join("\n")}`);
  } finally {
    await browser.close();
    await program.kill("SIGTERM");
    server.closeAllConnections();
    server.close();
    if (!process.env.KEEP) rmSync(place, { recursive: true, force: true });
    else console.log(`kept: ${place}`, readFileSync(config, "utf8"));
  }
}

await main();
