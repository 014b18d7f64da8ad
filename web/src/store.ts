// The page's own state and what a person can do. Sessions themselves are folds of their records (`state.ts`).

import { api, ApiError } from "./api";
import { parsed, type Typed } from "./commands";
import { Connection, type Link, type Socket } from "./connection";
import { mintId } from "./ids";
import type { Given } from "./images";
import type {
  CanvasAction,
  Decision,
  EventRecord,
  GatewayStatus,
  Image,
  Op,
  SessionId,
  SessionSummary,
  TurnChanges,
  TurnId,
  TurnOptions,
} from "./protocol";
import {
  applyAll,
  holdsTurn,
  lastChanged,
  lastEnded,
  NOTHING,
  runningTurn,
  turnNamed,
  type Transcript,
  type Turn,
} from "./state";

/** Pages that are no conversation. */
const PAGES = ["cost", "status", "memory", "settings", "logs"] as const;

export type Route =
  | { page: "chat"; session: SessionId }
  | { page: "new" }
  | { page: (typeof PAGES)[number] };

export type Theme = "system" | "light" | "dark";

/** Words on their way, until the journal tells them back. */
export interface Outgoing {
  op: Extract<Op, { op: "user_turn" | "user_call" }>;
  /** What goes with them, to be seen and taken back. */
  images: readonly Given[];
  state: "sending" | "waiting" | "refused";
  why: string | null;
}

export interface Toast {
  id: number;
  text: string;
  isError: boolean;
}

export interface Front {
  name: string;
  /** What had been drawn when it was chosen. */
  revision: number;
}

export type Dialog =
  | { type: "palette" }
  | { type: "help" }
  | { type: "rename"; session: SessionId; title: string }
  | { type: "model" }
  | { type: "confirm"; title: string; text: string; action: string; act: () => Promise<void> }
  | { type: "image"; session: SessionId; at: number; number: number; image: Image }
  | { type: "diff"; turn: TurnId | null; changes: TurnChanges | null; error: string | null };

export interface App {
  route: Route;
  isSignedOut: boolean;
  link: Link;
  sessions: readonly SessionSummary[] | null;
  sessionsError: string | null;
  status: GatewayStatus | null;
  transcripts: ReadonlyMap<SessionId, Transcript>;
  outgoing: readonly Outgoing[];
  toasts: readonly Toast[];
  dialog: Dialog | null;
  isDrawerOpen: boolean;
  /** Whether the canvas is looked at; while nobody said, it is wherever there is room beside the conversation. */
  canvas: "auto" | "open" | "closed";
  /** The surface that was put in front; what is drawn after it goes before it. */
  front: Front | null;
  theme: Theme;
  showsThinking: boolean;
  /** The model chosen for a conversation. */
  models: ReadonlyMap<SessionId, string>;
  /** Where the next new session works; `null` while nobody said. */
  workspace: string | null;
}

/** Transcripts that are kept while others are looked at. */
const TRANSCRIPTS_MAX = 8;
const TOASTS_MAX = 4;
const TOAST_MS = 8_000;
const POLL_MS = 4_000;
const RESEND_MS = 2_000;

const stored = (key: string) => localStorage.getItem(`titanclaw.${key}`);
const keep = (key: string, value: string) => localStorage.setItem(`titanclaw.${key}`, value);

let app: App = {
  route: routeOf(location.hash),
  isSignedOut: false,
  link: "idle",
  sessions: null,
  sessionsError: null,
  status: null,
  transcripts: new Map(),
  outgoing: [],
  toasts: [],
  dialog: null,
  isDrawerOpen: false,
  canvas: "auto",
  front: null,
  theme: themeOf(stored("theme")),
  showsThinking: stored("thinking") === "open",
  models: new Map(),
  workspace: stored("workspace"),
};

const listeners = new Set<() => void>();

export function current(): App {
  return app;
}

export function listen(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function set(change: Partial<App>): void {
  app = { ...app, ...change };
  listeners.forEach((listener) => listener());
}

function themeOf(text: string | null): Theme {
  return text === "light" || text === "dark" ? text : "system";
}

// Where the page is.

function routeOf(hash: string): Route {
  const path = hash.replace(/^#\/?/, "");
  const session = /^s\/([0-9a-f-]{36})$/.exec(path)?.[1];
  if (session) return { page: "chat", session };
  return { page: PAGES.find((page) => page === path) ?? "new" };
}

export function hrefOf(route: Route): string {
  return route.page === "chat" ? `#/s/${route.session}` : `#/${route.page}`;
}

export function go(route: Route): void {
  location.hash = hrefOf(route);
  arrived();
}

let arrivedAt = "";

/** The address is another one. The browser says so some time after `go` has done it. */
function moved(): void {
  if (location.hash !== arrivedAt) arrived();
}

function arrived(): void {
  arrivedAt = location.hash;
  const route = routeOf(location.hash);
  set({ route, isDrawerOpen: false, canvas: "auto", front: null, dialog: null });
  if (route.page === "chat") open(route.session);
  else connection.close();
  void refresh();
}

/** The session that is looked at, if any. */
export function shownSession(): SessionId | null {
  return app.route.page === "chat" ? app.route.session : null;
}

export function transcript(): Transcript {
  const session = shownSession();
  return (session && app.transcripts.get(session)) || NOTHING;
}

// Records.

const connection = new Connection({
  open: () => new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/api/ws`) as Socket,
  seqOf: (session) => app.transcripts.get(session)?.seq ?? 0,
  onRecords: recorded,
  onLink: (link) => {
    if (link !== app.link) set({ link });
    if (link !== "open") return;
    void isSignedIn();
    void resend();
  },
  mayRetry: isSignedIn,
  soon,
});

const REPLAY_MS = 120;
const UNSEEN_MS = 250;

/** With the next frame; a page that nobody looks at has none, and a replay leaves time to type. */
function soon(flush: () => void, isReplay: boolean): void {
  if (document.visibilityState !== "visible") setTimeout(flush, UNSEEN_MS);
  else if (isReplay) setTimeout(flush, REPLAY_MS);
  else requestAnimationFrame(flush);
}

function open(session: SessionId): void {
  const transcripts = new Map(app.transcripts);
  const known = transcripts.get(session) ?? NOTHING;
  transcripts.delete(session);
  transcripts.set(session, known);
  const oldest = [...transcripts.keys()].slice(0, -TRANSCRIPTS_MAX);
  oldest.forEach((session) => transcripts.delete(session));
  set({ transcripts });
  connection.follow(session);
}

function recorded(session: SessionId, records: EventRecord[]): void {
  const before = app.transcripts.get(session) ?? NOTHING;
  const own = records.filter((record) => record.session === session);
  const after = applyAll(before, own);
  if (after === before) return;
  const transcripts = new Map(app.transcripts).set(session, after);
  const outgoing = app.outgoing.filter(({ op }) => op.session !== session || !holdsTurn(after, op.turn));
  set({ transcripts, outgoing: outgoing.length === app.outgoing.length ? app.outgoing : outgoing });
  if (own.some(({ event }) => LISTED.has(event.event))) void refresh();
}

/** Events after which the list of sessions is another. */
const LISTED = new Set(["session_started", "session_branched", "session_titled", "turn_started", "turn_ended"]);

/** Content that is gone is shown no more: what is left is read anew. */
function reread(session: SessionId): void {
  // What is still on its way to the page belongs to what was read before.
  if (shownSession() === session) connection.close();
  const transcripts = new Map(app.transcripts);
  transcripts.delete(session);
  set({ transcripts });
  if (shownSession() === session) open(session);
}

/** An engine that was started since may have lost the last records that were seen here, and others have their numbers. */
function heard(status: GatewayStatus): void {
  const isOther = app.status !== null && app.status.started_at !== status.started_at;
  set({ status });
  if (isOther) [...app.transcripts.keys()].forEach(reread);
}

/** What went wrong, in words for a person; nothing where all that is missing is the token, which the page says itself. */
export function wordsOf(error: unknown): string | null {
  return isUnauthorised(error) ? null : (error as Error).message;
}

async function isSignedIn(): Promise<boolean> {
  try {
    heard(await api.status());
    return true;
  } catch (error) {
    return !isUnauthorised(error);
  }
}

function isUnauthorised(error: unknown): boolean {
  const is = error instanceof ApiError && error.kind === "unauthorised";
  if (is && !app.isSignedOut) set({ isSignedOut: true });
  return is;
}

let refreshing: Promise<void> | null = null;

/** Reads the sessions and the status; whoever asks meanwhile waits for the same answer. */
export function refresh(): Promise<void> {
  refreshing ??= read().finally(() => (refreshing = null));
  return refreshing;
}

async function read(): Promise<void> {
  try {
    const [sessions, status] = await Promise.all([api.sessions(), api.status()]);
    sessions.sort((a, b) => b.active_at - a.active_at);
    set({ sessions, sessionsError: null, isSignedOut: false });
    heard(status);
    const workspace = status.workspace ?? sessions[0]?.workspace;
    if (app.workspace === null && workspace) set({ workspace });
  } catch (error) {
    if (!isUnauthorised(error)) set({ sessionsError: (error as Error).message });
  }
}

// What a person does.

let toastId = 0;

export function tell(text: string, isError = false): void {
  const toast = { id: ++toastId, text, isError };
  set({ toasts: [...app.toasts, toast].slice(-TOASTS_MAX) });
  setTimeout(() => dismiss(toast.id), TOAST_MS);
}

export function dismiss(id: number): void {
  set({ toasts: app.toasts.filter((toast) => toast.id !== id) });
}

/** Sends a command; says so when it was not taken. */
export async function submit(op: Op): Promise<boolean> {
  try {
    await api.submit(op);
    return true;
  } catch (error) {
    if (!isUnauthorised(error)) tell((error as Error).message, true);
    return false;
  }
}

export async function decide(approval: string, decision: Decision): Promise<boolean> {
  return submit({ op: "decide", approval, decision });
}

export async function answer(question: string, text: string): Promise<boolean> {
  return submit({ op: "answer", question, text });
}

/** Presses a button on the canvas. Nothing is sent with it that would choose for the session: it has its folder. */
export async function press(session: SessionId, turn: TurnId, act: CanvasAction): Promise<boolean> {
  const options: TurnOptions = { is_attended: true, workspace: null, model: null };
  return submit({ op: "act", session, turn, act, options });
}

export async function stop(session: SessionId): Promise<void> {
  await submit({ op: "interrupt", session });
  void refresh();
}

/** Does what was typed. Gives whether it was taken, so that the composer may let go of it. */
export function perform(text: string, images: readonly Given[] = []): boolean {
  const typed = parsed(text);
  switch (typed.type) {
    case "say":
      return typed.text !== "" && say(typed.text, null, images);
    case "shell":
      return say(`!${typed.script}`, typed.script);
    case "unknown":
      tell(`There is no /${typed.name}; /help lists what can be typed here.`, true);
      return false;
    default:
      void command(typed);
      return true;
  }
}

async function command(typed: Exclude<Typed, { type: "say" | "shell" | "unknown" }>): Promise<void> {
  switch (typed.type) {
    case "help":
      return show({ type: "help" });
    case "new":
      return go({ page: "new" });
    case "cost":
    case "status":
    case "memory":
    case "settings":
    case "logs":
      return go({ page: typed.type });
    case "theme":
      return nextTheme();
    case "again": {
      const said = transcript().turns.findLast((turn) => turn.said !== null)?.said;
      return said ? askModel(said) : tell("Nothing was said yet.", true);
    }
    case "never": {
      const name = lastReflex();
      return name ? void endReflex(name) : tell("No reflex has answered in this session.", true);
    }
    case "sessions":
      set({ isDrawerOpen: true });
      return void setTimeout(() => document.getElementById("search")?.focus());
    case "model":
      return typed.name === null ? show({ type: "model" }) : chooseModel(typed.name);
    default:
      return inSession(typed);
  }
}

type SessionCommand = Extract<
  Typed,
  { type: "stop" | "compact" | "diff" | "branch" | "undo" | "forget" | "rename" }
>;

async function inSession(typed: SessionCommand): Promise<void> {
  const session = shownSession();
  if (!session) return tell("Choose a session first, or begin one.", true);
  switch (typed.type) {
    case "stop":
      return stop(session);
    case "compact":
      if (await submit({ op: "compact", session })) {
        tell("The model is shown less of this session from now on; the log keeps all.");
      }
      return;
    case "rename":
      return typed.title === null ? askTitle(session) : rename(session, typed.title);
    case "diff":
      return withTurn(typed.turn, (turn) => void showChanges(turn));
    case "branch":
      return withTurn(typed.turn, (turn) => void branch(session, turn));
    case "undo":
      return withTurn(typed.turn, (turn) => askUndo(turn, typed.isForced));
    case "forget":
      return typed.all ? askForgetSession(session) : askForgetTurn(session);
  }
}

function withTurn(name: string | null, act: (turn: TurnId | null) => void): void {
  if (name === null) return act(null);
  const turn = turnNamed(transcript(), name);
  if (typeof turn === "string") tell(turn, true);
  else act(turn.id);
}

function options(session: SessionId): TurnOptions {
  return {
    workspace: app.transcripts.get(session)?.workspace ?? app.workspace,
    model: app.models.get(session) ?? null,
    is_attended: true,
  };
}

/** Has the model asked what a reflex answered. */
export function askModel(text: string): void {
  say(text, null, [], true);
}

/** Ends a reflex for good. */
export async function endReflex(name: string): Promise<void> {
  if (await submit({ op: "judge_reflex", name, judgement: "demote" })) tell(`${name} answers no more.`);
}

/** The reflex that answered last in the session that is shown. */
function lastReflex(): string | null {
  const items = transcript().turns.flatMap((turn) => turn.items);
  const last = items.findLast((item) => item.kind === "reflex");
  return last?.kind === "reflex" ? last.name : null;
}

/** Says something in the session that is shown, or begins one with it. */
function say(
  text: string,
  script: string | null,
  images: readonly Given[] = [],
  withoutReflexes = false,
): boolean {
  const session = shownSession() ?? begin();
  if (session === null) return false;
  const chosen = { ...options(session), ...(withoutReflexes ? { without_reflexes: true } : {}) };
  const said = { session, turn: mintId(), text, options: chosen };
  const given = images.length > 0 ? { images: images.map(({ base64 }) => base64) } : {};
  const op: Outgoing["op"] =
    script === null
      ? { op: "user_turn", ...said, ...given }
      : { op: "user_call", tool: "shell", arguments: { script }, ...said };
  set({ outgoing: [...app.outgoing, { op, images, state: "sending", why: null }] });
  void deliver(op);
  return true;
}

function begin(): SessionId | null {
  if (!app.workspace?.startsWith("/")) {
    tell("Name the folder that the new session works in, from the root: /home/me/project", true);
    document.getElementById("workspace")?.focus();
    return null;
  }
  const session = mintId();
  const model = app.models.get("");
  if (model) set({ models: new Map(app.models).set(session, model) });
  go({ page: "chat", session });
  return session;
}

/** The same turn that is sent twice starts once, so it is sent again until somebody has heard it. */
async function deliver(op: Outgoing["op"]): Promise<void> {
  try {
    await api.submit(op);
    if (app.workspace) keep("workspace", app.workspace);
  } catch (error) {
    if (isUnauthorised(error)) return mark(op, "waiting", null);
    const isRefused = error instanceof ApiError && error.kind === "refused";
    mark(op, isRefused ? "refused" : "waiting", (error as Error).message);
    if (!isRefused) setTimeout(() => void resend(), RESEND_MS);
  }
}

function mark(op: Outgoing["op"], state: Outgoing["state"], why: string | null): void {
  set({ outgoing: app.outgoing.map((out) => (out.op === op ? { ...out, state, why } : out)) });
}

/** In order, and none twice at a time. */
async function resend(): Promise<void> {
  for (const out of app.outgoing.filter(({ state }) => state === "waiting")) {
    mark(out.op, "sending", null);
    await deliver(out.op);
  }
}

export function withdraw(out: Outgoing): void {
  set({ outgoing: app.outgoing.filter((other) => other !== out) });
}

export function setWorkspace(workspace: string): void {
  set({ workspace: workspace.trim() });
}

export function chosenModel(): string | null {
  return app.models.get(shownSession() ?? "") ?? null;
}

export function chooseModel(name: string): void {
  const models = new Map(app.models);
  const session = shownSession() ?? "";
  if (name.trim() === "") models.delete(session);
  else models.set(session, name.trim());
  set({ models, dialog: null });
  tell(
    name.trim() === ""
      ? "The configured model answers again in this conversation."
      : `${name.trim()} answers from now on in this conversation. For good: titanclaw models use ${name.trim()}`,
  );
}

export async function rename(session: SessionId, title: string): Promise<void> {
  if (await submit({ op: "rename", session, title })) set({ dialog: null });
  void refresh();
}

/** Goes on after a turn, the last one that has ended if none is named, in a session of its own. */
export async function branch(session: SessionId, of: TurnId | null): Promise<void> {
  const after = of ?? lastEnded(transcript())?.id;
  if (!after) return tell("No turn has ended yet; there is nothing to go on from.", true);
  const into = mintId();
  if (!(await submit({ op: "branch", session, after, into }))) return;
  const model = app.models.get(session);
  if (model) set({ models: new Map(app.models).set(into, model) });
  go({ page: "chat", session: into });
}

function titleOf(session: SessionId): string {
  const listed = app.sessions?.find((summary) => summary.session === session);
  return listed?.title ?? app.transcripts.get(session)?.title ?? "";
}

export function askTitle(session: SessionId): void {
  show({ type: "rename", session, title: titleOf(session) });
}

export function askForgetSession(session: SessionId): void {
  show({
    type: "confirm",
    title: "Forget this session?",
    text: `“${titleOf(session) || "This session"}”: all that was said, done and put out in it is deleted for good. Files that it changed stay as they are.`,
    action: "Forget the session",
    act: async () => {
      if (!(await submit({ op: "forget", what: { type: "session", session } }))) return;
      if (shownSession() === session) go({ page: "new" });
      reread(session);
      tell("Forgotten.");
      void refresh();
    },
  });
}

export function askForgetTurn(session: SessionId, of: Turn | null = null): void {
  const turn = of ?? transcript().turns.findLast((turn) => turn.kind === "turn" && turn.said !== null);
  if (!turn?.id) return tell("Nothing was said yet; /forget all deletes the whole session.", true);
  const what = { type: "turn", session, turn: turn.id } as const;
  show({
    type: "confirm",
    title: "Forget this turn?",
    text: "What was said, done and put out in it is deleted for good. Files that it changed stay as they are.",
    action: "Forget the turn",
    act: async () => {
      if (!(await submit({ op: "forget", what }))) return;
      reread(session);
      tell("Forgotten.");
    },
  });
}

/** An undo is asked about once, with what it is about. */
export function askUndo(of: TurnId | null, isForced: boolean): void {
  const session = shownSession();
  if (!session) return;
  const turn = of ?? lastChanged(transcript())?.id ?? null;
  show({
    type: "confirm",
    title: isForced ? "Put everything back?" : "Undo what the turn changed?",
    text: isForced
      ? "Files are put back as they were before the turn, also those that somebody changed since."
      : "Files are put back as they were before the turn. What somebody changed since is left alone.",
    action: isForced ? "Put back all the same" : "Put the files back",
    act: async () => {
      const undo = mintId();
      await submit({ op: "undo", session, undo, of: turn, is_forced: isForced });
    },
  });
}

export async function showChanges(turn: TurnId | null): Promise<void> {
  const session = shownSession();
  if (!session) return;
  const dialog: Dialog = { type: "diff", turn, changes: null, error: null };
  show(dialog);
  try {
    const changes = await api.changes(session, turn);
    if (app.dialog === dialog) show({ ...dialog, changes });
  } catch (error) {
    if (app.dialog === dialog) show({ ...dialog, error: (error as Error).message });
  }
}

export function show(dialog: Dialog | null): void {
  set({ dialog });
}

export function toggleDrawer(isOpen: boolean): void {
  set({ isDrawerOpen: isOpen });
}

export function toggleCanvas(isOpen: boolean): void {
  set({ canvas: isOpen ? "open" : "closed" });
}

/** Puts a surface in front of those that are there. */
export function bringForward(name: string): void {
  set({ front: { name, revision: transcript().canvas.revision } });
}

export function nextTheme(): void {
  const themes: Theme[] = ["system", "light", "dark"];
  const theme = themes[(themes.indexOf(app.theme) + 1) % themes.length]!;
  keep("theme", theme);
  set({ theme });
  showTheme();
}

function showTheme(): void {
  document.documentElement.dataset.theme = app.theme;
}

export function toggleThinking(): void {
  const showsThinking = !app.showsThinking;
  keep("thinking", showsThinking ? "open" : "folded");
  set({ showsThinking });
}

/** Whether the session that is shown has a turn that runs. */
export function isBusy(): boolean {
  return runningTurn(transcript()) !== null;
}

/** Begins: reads where the page is, and looks at the sessions again and again while somebody watches. */
export function start(): void {
  showTheme();
  addEventListener("hashchange", moved);
  addEventListener("online", () => connection.wake());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible") return;
    connection.wake();
    void refresh();
  });
  setInterval(() => {
    if (document.visibilityState === "visible" && !app.isSignedOut) void refresh();
  }, POLL_MS);
  arrived();
}
