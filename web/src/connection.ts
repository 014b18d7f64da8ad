// Follows one session over a WebSocket, comes back by itself and asks for what it missed.
//
// Each socket follows one session from one place: what was being sent when the session or the place changes goes
// down with its socket, so records come in order and without gaps. Doubles are ignored by the fold.

import type { ClientMessage, EventRecord, ServerMessage, SessionId } from "./protocol";

export type Link = "idle" | "connecting" | "open" | "lost";

export interface Socket {
  send(text: string): void;
  close(): void;
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: { data: unknown }) => unknown) | null;
  onclose: ((event: never) => unknown) | null;
}

export interface ConnectionParts {
  open: () => Socket;
  /** The last record of a session that was applied. */
  seqOf: (session: SessionId) => number;
  onRecords: (session: SessionId, records: EventRecord[]) => void;
  onLink: (link: Link) => void;
  /** Called when a connection could not be made; `false` ends the trying. */
  mayRetry: () => Promise<boolean>;
  /** Calls back soon, and once: records that come together are shown together. A replay need not be watched. */
  soon: (flush: () => void, isReplay: boolean) => void;
}

/** So many records at once are no model that writes but a journal that is read. */
const REPLAY_RECORDS_MIN = 200;
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 8_000;
const PING_MS = 20_000;
const SILENCE_MS_MAX = 45_000;

export class Connection {
  private socket: Socket | null = null;
  private session: SessionId | null = null;
  private queue: EventRecord[] = [];
  private isFlushPlanned = false;
  private isReplay = false;
  private failures = 0;
  private heardAt = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private pinger: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly parts: ConnectionParts) {}

  /** Follows this session from here on, from the last record that was applied; nothing when `null`. */
  follow(session: SessionId | null): void {
    this.session = session;
    this.failures = 0;
    this.reconnect();
  }

  /** Tries at once: the network is back, or somebody looks at the page again. */
  wake(): void {
    const isSilent = Date.now() - this.heardAt > SILENCE_MS_MAX;
    if (this.session !== null && (this.socket === null || isSilent)) this.reconnect();
  }

  close(): void {
    this.session = null;
    this.drop();
    this.parts.onLink("idle");
  }

  private reconnect(): void {
    this.drop();
    if (this.session === null) return this.parts.onLink("idle");
    this.connect(this.session);
  }

  private connect(session: SessionId): void {
    this.parts.onLink(this.failures === 0 ? "connecting" : "lost");
    const socket = this.parts.open();
    this.socket = socket;
    this.heardAt = Date.now();
    socket.onopen = () => this.opened(socket, session);
    socket.onmessage = ({ data }) => this.heard(socket, String(data));
    socket.onclose = () => void this.closed(socket);
  }

  private opened(socket: Socket, session: SessionId): void {
    if (socket !== this.socket) return;
    this.parts.onLink("open");
    this.say(socket, { type: "follow", session, after: this.parts.seqOf(session) });
    this.pinger = setInterval(() => this.ping(socket), PING_MS);
  }

  private heard(socket: Socket, data: string): void {
    if (socket !== this.socket) return;
    this.heardAt = Date.now();
    this.failures = 0;
    const message = JSON.parse(data) as ServerMessage;
    if (message.type === "record") this.take(message.record);
    // What is missing is asked for anew, from the last record that was applied.
    if (message.type === "lagged") this.reconnect();
  }

  private take(record: EventRecord): void {
    this.queue.push(record);
    if (this.isFlushPlanned) return;
    this.isFlushPlanned = true;
    this.parts.soon(() => {
      this.isFlushPlanned = false;
      this.isReplay = this.queue.length >= REPLAY_RECORDS_MIN;
      this.flush();
    }, this.isReplay);
  }

  private flush(): void {
    const records = this.queue;
    this.queue = [];
    if (records.length > 0 && this.session !== null) this.parts.onRecords(this.session, records);
  }

  private async closed(socket: Socket): Promise<void> {
    if (socket !== this.socket) return;
    this.drop();
    this.failures += 1;
    this.parts.onLink("lost");
    const session = this.session;
    if (!(await this.parts.mayRetry()) || this.socket !== null || session !== this.session) return;
    this.retry = setTimeout(() => this.reconnect(), this.pause());
  }

  /** Twice as long after each failure, and never the same for all pages of a gateway that comes back. */
  private pause(): number {
    const longest = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (this.failures - 1));
    return longest * (0.5 + Math.random() / 2);
  }

  private ping(socket: Socket): void {
    if (Date.now() - this.heardAt > SILENCE_MS_MAX) return this.reconnect();
    this.say(socket, { type: "ping" });
  }

  private say(socket: Socket, message: ClientMessage): void {
    socket.send(JSON.stringify(message));
  }

  /** Lets go of the socket. What it brought is applied first, so that its successor asks for the right place. */
  private drop(): void {
    clearTimeout(this.retry);
    clearInterval(this.pinger);
    this.flush();
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }
}
