// A gateway for tests: speaks the whole API over a journal in memory, which the test writes.

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";
import type {
  ClientMessage,
  CostLine,
  GatewayStatus,
  Event,
  Job,
  EventRecord,
  LogEntry,
  MemoryDocument,
  MemoryDraft,
  Op,
  ServerMessage,
  SessionId,
  SessionSummary,
  SettingList,
  SettingValue,
  TurnChanges,
  TurnId,
} from "../src/protocol";

const ASSETS = new URL("../../crates/titan-web/assets/", import.meta.url);
/** What the gateway itself says to browsers, and the frame that it serves. */
const SOURCES = new URL("../../crates/titan-web/src/", import.meta.url);
const RULES = readFileSync(new URL("assets.rs", SOURCES), "utf8");
const POLICY = ruleNamed("POLICY");
const FRAME_POLICY = ruleNamed("FRAME_POLICY");
const TYPES: Record<string, string> = { html: "text/html", js: "text/javascript", css: "text/css" };

function ruleNamed(name: string): string {
  const found = new RegExp(`const ${name}: &str = "([^"]*)"`).exec(RULES);
  if (!found) throw new Error(`assets.rs has no ${name}`);
  return found[1]!;
}

interface Follower {
  socket: WebSocket;
  session: SessionId | null;
}

export class MockGateway {
  readonly journal: EventRecord[] = [];
  readonly ops: Op[] = [];
  sessions: SessionSummary[] = [];
  costs: CostLine[] = [];
  changes: TurnChanges | null = null;
  jobs: Job[] = [];
  /** What an image of any record is; where there is none, images are not there any more. */
  image: Buffer | null = null;
  notes: MemoryDocument[] = [];
  settings: SettingList = { file: "/home/me/.titanclaw/config.toml", settings: [], providers: [], warnings: [] };
  logs: LogEntry[] = [];
  status: GatewayStatus = {
    version: "0.9.0",
    pid: 4_211,
    started_at: Date.now() - 3_600_000,
    home: "/home/me/.titanclaw",
    model: "house/large-1, as configured",
    turns_running: 1,
    resident_bytes: 64_000_000,
    is_offline: false,
  };
  /** Whether nobody is let in. */
  isClosed = false;
  /** Every request, with the cookie that came with it. */
  readonly asked: string[] = [];
  /** Why the next commands are refused. */
  refusal: string | null = null;
  /** What a command does; what it tells goes into the journal. */
  onOp: (op: Op) => void = () => {};
  follows: { session: SessionId | null; after: number }[] = [];
  private followers = new Set<Follower>();
  private readonly sockets = new WebSocketServer({ noServer: true });

  private constructor(private readonly server: Server) {
    server.on("request", (request, response) => void this.answered(request, response));
    server.on("upgrade", (request, socket, head) => {
      if (this.isClosed) socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
      else this.sockets.handleUpgrade(request, socket, head, (ws) => this.joined(ws));
    });
  }

  static async start(): Promise<MockGateway> {
    const server = createServer();
    const gateway = new MockGateway(server);
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return gateway;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.drop();
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }

  /** Puts records into the journal as they are, at the next positions, and tells those who follow. */
  put(records: readonly EventRecord[]): void {
    for (const record of records) {
      const placed = { ...record, seq: this.journal.length + 1 };
      this.journal.push(placed);
      for (const follower of this.followers) this.pass(follower, placed);
    }
  }

  tell(session: SessionId, turn: TurnId | null, ...events: Event[]): void {
    this.put(events.map((event) => ({ seq: 0, at: Date.now(), session, turn, event })));
  }

  /** Breaks all connections. */
  drop(): void {
    for (const { socket } of this.followers) socket.terminate();
    this.followers.clear();
  }

  /** Says that nothing more comes, and sends nothing more. */
  end(): void {
    for (const follower of this.followers) {
      this.say(follower.socket, { type: "ended", session: follower.session, error: { message: "The store failed." } });
      follower.session = "none";
    }
  }

  /** Says that somebody was too slow and sends them nothing more. */
  lag(): void {
    for (const { socket } of this.followers) this.say(socket, { type: "lagged", from_seq: 1 });
    for (const follower of this.followers) follower.session = "none";
  }

  private joined(socket: WebSocket): void {
    const follower: Follower = { socket, session: "none" };
    this.followers.add(follower);
    socket.on("close", () => this.followers.delete(follower));
    socket.on("message", (data) => this.heard(follower, JSON.parse(String(data))));
  }

  private heard(follower: Follower, message: ClientMessage): void {
    switch (message.type) {
      case "ping":
        return this.say(follower.socket, { type: "pong" });
      case "op": {
        const refusal = this.taken(message.op);
        const { id } = message;
        return this.say(
          follower.socket,
          refusal ? { type: "refused", id, message: refusal } : { type: "accepted", id },
        );
      }
      case "follow":
        this.follows.push({ session: message.session, after: message.after });
        follower.session = message.session;
        for (const record of this.journal) {
          if (record.seq > message.after) this.pass(follower, record);
        }
    }
  }

  private pass(follower: Follower, record: EventRecord): void {
    if (follower.session !== null && follower.session !== record.session) return;
    this.say(follower.socket, { type: "record", record });
  }

  private say(socket: WebSocket, message: ServerMessage): void {
    socket.send(JSON.stringify(message));
  }

  private taken(op: Op): string | null {
    if (this.refusal) return this.refusal;
    this.ops.push(op);
    this.onOp(op);
    return null;
  }

  private async answered(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? "/", this.url).pathname;
    this.asked.push(`${request.method} ${request.url} ${request.headers.cookie ?? "no cookie"}`);
    if (path === "/canvas/frame") return this.frame(response);
    if (path === "/v1/models") return json(response, { object: "list", data: [{ id: "titanclaw" }, { id: "house/large-1" }] });
    if (!path.startsWith("/api/")) return this.file(path, response);
    if (this.isClosed) return refused(response, 401, "unauthorised", "sign in");
    if (path === "/api/ops") return this.op(request, response);
    if (path === "/api/status") return json(response, this.status);
    if (path === "/api/sessions") return json(response, this.sessions);
    if (path === "/api/jobs") return json(response, this.jobs);
    if (/^\/api\/sessions\/[^/]+\/images\/\d+\/\d+$/.test(path) && this.image) return picture(response, this.image);
    if (path === "/api/costs") return json(response, this.costs);
    if (path.startsWith("/api/memory")) return this.memory(request, response);
    if (path.startsWith("/api/settings")) return this.setting(request, response);
    if (path === "/api/logs") return this.log(request, response);
    if (/^\/api\/sessions\/[^/]+\/changes$/.test(path) && this.changes) return json(response, this.changes);
    refused(response, 404, "refused", "No turn changed files yet.");
  }

  /** A note's id is made of its text, so that a changed one has another. */
  private async memory(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, this.url);
    const id = decodeURIComponent(url.pathname.slice("/api/memory/".length));
    if (request.method === "GET") {
      const words = (url.searchParams.get("search") ?? "").toLowerCase().split(/\s+/);
      return json(response, this.notes.filter(({ text, tags }) => words.every((word) => `${text} ${tags}`.toLowerCase().includes(word))));
    }
    const old = this.notes.find((note) => note.id === id);
    if (request.method === "DELETE") {
      this.notes = this.notes.filter((note) => note !== old);
      response.writeHead(204).end();
      return;
    }
    const { text, tags } = (await bodyOf(request)) as MemoryDraft;
    if (this.refusal) return refused(response, 409, "refused", this.refusal);
    const origin = old?.origin ?? ({ type: "person" } as const);
    const note: MemoryDocument = { id: `id of ${text}`, kind: "note", text, tags, origin, at: old?.at ?? Date.now(), changed_at: old ? Date.now() : null };
    this.notes = [note, ...this.notes.filter((note) => note !== old)];
    json(response, note);
  }

  /** Takes whatever is given, but for words where a number has to be. */
  private async setting(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === "GET") return json(response, this.settings);
    const name = new URL(request.url!, this.url).pathname.slice("/api/settings/".length);
    const setting = this.settings.settings.find((setting) => setting.name === name)!;
    const value = request.method === "PUT" ? ((await bodyOf(request)) as { value: SettingValue }).value : null;
    if (setting.kind.type === "count" && typeof value === "string") {
      return refused(response, 409, "refused", `\`${name}\` can't be "${value}"; it must be ${setting.allowed}`);
    }
    Object.assign(setting, { value, is_changed: true });
    json(response, setting);
  }

  private log(request: IncomingMessage, response: ServerResponse): void {
    const { searchParams: asked } = new URL(request.url!, this.url);
    const levels = ["trace", "debug", "info", "warn", "error"];
    const least = levels.indexOf(asked.get("level") ?? "trace");
    const words = (asked.get("search") ?? "").toLowerCase().split(/\s+/);
    const isSought = (entry: LogEntry) => levels.indexOf(entry.level) >= least && words.every((word) => entry.message.toLowerCase().includes(word));
    const after = Number(asked.get("after") ?? 0);
    const entries = this.logs.slice(after).filter(isSought).slice(-Number(asked.get("limit")));
    json(response, { entries, next: String(this.logs.length) });
  }

  private async op(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.headers["content-type"] !== "application/json") {
      return refused(response, 415, "refused", "not JSON");
    }
    const refusal = this.taken((await bodyOf(request)) as Op);
    if (refusal) return refused(response, 409, "refused", refusal);
    response.writeHead(202).end();
  }

  private async frame(response: ServerResponse): Promise<void> {
    response.writeHead(200, {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": FRAME_POLICY,
      "x-content-type-options": "nosniff",
      "x-frame-options": "SAMEORIGIN",
    });
    response.end(await readFile(new URL("frame.html", SOURCES)));
  }

  private async file(path: string, response: ServerResponse): Promise<void> {
    const name = path === "/" ? "index.html" : path.slice(1);
    try {
      const bytes = await readFile(new URL(name, ASSETS));
      const type = TYPES[name.split(".").at(-1) ?? ""] ?? "application/octet-stream";
      response.writeHead(200, {
        "content-type": `${type}; charset=utf-8`,
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
      });
      response.end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString());
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function picture(response: ServerResponse, bytes: Buffer): void {
  response.writeHead(200, { "content-type": "image/png", "x-content-type-options": "nosniff", "cache-control": "no-store" }).end(bytes);
}

function refused(response: ServerResponse, status: number, type: string, message: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ error: { type, message } }));
}
