// A session as it is shown: a pure fold over its records.
//
// The same journal gives the same transcript however it was cut into pieces, and a record that comes twice counts
// once. What streams at the same time grows at its own place: text where it began, output under its call.

import { EMPTY, pushed, type Bounded } from "./bounded";
import { BLANK, acted, drawn, removed, type Canvas } from "./canvas";
import { NO_USAGE, usagePlus } from "./format";
import type {
  CallId,
  CanvasAction,
  Decision,
  Effect,
  Event,
  EventRecord,
  FileState,
  Image,
  JsonObject,
  ModelError,
  NoticeLevel,
  Origin,
  PlanItem,
  SessionId,
  SharedPast,
  ToolCall,
  TurnId,
  TurnOutcome,
  UndoneFile,
  Usage,
  Verdict,
} from "./protocol";

export interface Transcript {
  /** The last record that was applied. */
  readonly seq: number;
  readonly workspace: string | null;
  readonly title: string | null;
  readonly turns: readonly Turn[];
  readonly canvas: Canvas;
}

export const NOTHING: Transcript = { seq: 0, workspace: null, title: null, turns: [], canvas: BLANK };

/** A turn, an undo, or what was told between them (`aside`). */
export interface Turn {
  readonly kind: "turn" | "undo" | "aside";
  readonly id: TurnId | null;
  /** What the person said; `null` where nothing was, or where it is forgotten. */
  readonly said: string | null;
  /** What they pressed on the canvas, where that began it. */
  readonly act: CanvasAction | null;
  readonly startedAt: number;
  readonly items: readonly Item[];
  readonly plan: readonly PlanItem[];
  readonly files: readonly ChangedFile[];
  readonly model: string;
  /** What it waits for; `null` when it doesn't run. */
  readonly waiting: Waiting | null;
  /** Index of the text and the thinking that grow. */
  readonly openText: number | null;
  readonly openThinking: number | null;
  readonly contextTokens: number | null;
  readonly instructions: readonly string[];
  readonly usage: Usage;
  readonly outcome: TurnOutcome | null;
  readonly elapsedMs: number | null;
  /** What an undo undoes. */
  readonly undoes: TurnId | null;
  readonly isUndone: boolean;
  readonly isForgotten: boolean;
  /** Whether a branch shares it with the session that it came from, to which it belongs. */
  readonly isShared: boolean;
}

export type Waiting =
  | { type: "engine" }
  | { type: "model"; model: string }
  | { type: "thinking" }
  | { type: "writing" }
  | { type: "arguments"; call: CallId }
  | { type: "tools" };

export type Item =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "thinking"; readonly text: string }
  | Call
  | Question
  | {
      readonly kind: "steered";
      readonly text: string;
      readonly turn: TurnId;
      readonly act: CanvasAction | null;
    }
  /** `at`: the position of the record, by which the images are asked for. */
  | { readonly kind: "images"; readonly at: number; readonly images: readonly Image[] }
  | { readonly kind: "instructed"; readonly text: string }
  | { readonly kind: "reflex"; readonly name: string; readonly because: string; readonly asked: string | null }
  | { readonly kind: "notice"; readonly level: NoticeLevel; readonly text: string }
  | { readonly kind: "fallback"; readonly model: string; readonly reason: string }
  | { readonly kind: "failed"; readonly error: ModelError }
  | {
      readonly kind: "compacted";
      readonly summary: string;
      readonly before: number;
      readonly after: number;
    }
  | { readonly kind: "branched"; readonly from: SessionId | null }
  | { readonly kind: "undone"; readonly files: readonly UndoneFile[]; readonly beyond: readonly string[] };

export interface Call {
  readonly kind: "call";
  readonly id: CallId;
  readonly name: string;
  readonly startedAt: number;
  /** Its arguments while they are being written, raw. */
  readonly written: Bounded;
  /** The same, whole, where it draws on the canvas: what grows there is seen from its beginning. */
  readonly drawing: string;
  /** Its arguments once they are whole. */
  readonly arguments: JsonObject | null;
  readonly origin: Origin;
  readonly steps: readonly Step[];
  readonly approvals: readonly Approval[];
  readonly output: Bounded;
  readonly findings: readonly Finding[];
  readonly ended: CallEnd | null;
}

export interface Step {
  readonly step: number;
  readonly verdict: Verdict;
}

export interface Finding {
  readonly text: string;
  readonly stopped: "call" | "model";
}

export interface CallEnd {
  readonly text: string;
  readonly isError: boolean;
  /** Whether all of it may be a stranger's: a page or a message, not a file of the person's. */
  readonly isForeign: boolean;
  readonly whole: string | null;
  readonly elapsedMs: number;
}

export interface Approval {
  readonly id: string;
  readonly call: ToolCall;
  readonly effects: readonly Effect[];
  readonly reason: string;
  readonly requestedAt: number;
  readonly expiresAt: number;
  readonly decided: { readonly decision: Decision; readonly by: string } | null;
}

export interface Question {
  readonly kind: "question";
  readonly id: string;
  readonly text: string;
  readonly choices: readonly string[];
  /** `undefined` while nobody answered, `null` when nobody did. */
  readonly answer: string | null | undefined;
}

export interface ChangedFile {
  readonly path: string;
  readonly before: FileState["type"];
  readonly after: FileState["type"];
}

/** The transcript with the next record; the same transcript when it was applied before. */
export function apply(state: Transcript, record: EventRecord): Transcript {
  if (record.seq <= state.seq) return state;
  return { ...reduced(state, record), seq: record.seq };
}

export function applyAll(state: Transcript, records: readonly EventRecord[]): Transcript {
  return records.reduce(apply, state);
}

function reduced(state: Transcript, record: EventRecord): Transcript {
  const { event } = record;
  if (isBeside(record)) return state;
  switch (event.event) {
    case "session_started":
      return { ...state, workspace: event.workspace };
    case "session_branched":
      return branched(state, record, event.workspace, event.past);
    case "session_titled":
      return { ...state, title: event.title };
    case "turn_started":
      return inTurn(state, record, (turn) => ({
        ...turn,
        kind: "turn",
        said: event.text,
        waiting: { type: "engine" },
      }));
    case "undo_started":
      return inTurn(state, record, (turn) => ({
        ...turn,
        kind: "undo",
        undoes: event.of,
        waiting: { type: "engine" },
      }));
    case "undo_ended":
      return undoEnded(inTurn(state, record, (turn) => withUndone(turn, event)), event);
    case "forgotten":
      // A title or a digest that is gone leaves no hole that a person would see.
      return record.turn === null
        ? state
        : inTurn(state, record, (turn) => ({ ...turn, isForgotten: true }));
    case "canvas_drawn":
      return { ...state, canvas: drawn(state.canvas, event.surface) };
    case "canvas_removed":
      return { ...state, canvas: removed(state.canvas, event.name) };
    case "canvas_acted":
      return inTurn({ ...state, canvas: acted(state.canvas, event.act) }, record, (turn) => withAct(turn, event.act));
    default:
      return inTurn(state, record, (turn) => told(turn, event, record.at, record.seq));
  }
}

const MODEL_CALLS = new Set<Event["event"]>(["model_call_started", "model_call_ended", "model_call_failed"]);

/** A model that is asked beside the turns, for a title or an opinion: nobody waits for it and it says nothing here. */
function isBeside({ turn, event }: EventRecord): boolean {
  return turn === null && MODEL_CALLS.has(event.event);
}

/** Changes the turn that a record belongs to; begins it where the record is the first of it. */
function inTurn(state: Transcript, record: EventRecord, change: (turn: Turn) => Turn): Transcript {
  const found = turnIndex(state.turns, record.turn);
  if (found < 0) return withTurn(state, begun(record), change);
  const turns = state.turns.slice();
  turns[found] = change(turns[found]!);
  return { ...state, turns };
}

/** What changes nothing, as an event that this page is too old for, begins nothing either. */
function withTurn(state: Transcript, first: Turn, change: (turn: Turn) => Turn): Transcript {
  const turn = change(first);
  return turn === first ? state : { ...state, turns: [...state.turns, turn] };
}

/** What belongs to no turn stands where it was told: in the turn that runs, else after the last one. */
function turnIndex(turns: readonly Turn[], id: TurnId | null): number {
  if (id !== null) return turns.findLastIndex((turn) => turn.id === id);
  const last = turns.at(-1);
  return last && (last.id === null || isRunning(last)) ? turns.length - 1 : -1;
}

function begun(record: EventRecord): Turn {
  return {
    kind: "aside",
    id: record.turn,
    said: null,
    act: null,
    startedAt: record.at,
    items: [],
    plan: [],
    files: [],
    model: "",
    waiting: null,
    openText: null,
    openThinking: null,
    contextTokens: null,
    instructions: [],
    usage: NO_USAGE,
    outcome: null,
    elapsedMs: null,
    undoes: null,
    isUndone: false,
    isForgotten: false,
    isShared: false,
  };
}

/** All before is another session's, under whose name it is not called. */
function branched(
  state: Transcript,
  record: EventRecord,
  workspace: string,
  past: readonly SharedPast[],
): Transcript {
  const turns = state.turns.map((turn) => ({ ...turn, isShared: true }));
  const item: Item = { kind: "branched", from: past.at(-1)?.session ?? null };
  const own = { ...begun(record), items: [item] };
  return { ...state, workspace, title: null, turns: [...turns, own] };
}

type InTurn = Exclude<
  Event,
  {
    event:
      | "session_started"
      | "session_branched"
      | "session_titled"
      | "turn_started"
      | "undo_started"
      | "undo_ended"
      | "canvas_drawn"
      | "canvas_removed"
      | "canvas_acted"
      | "forgotten";
  }
>;

function told(turn: Turn, event: InTurn, at: number, seq: number): Turn {
  switch (event.event) {
    case "text_delta":
      return withText(turn, event.text);
    case "thinking_delta":
      return withThinking(turn, event.text);
    case "thinking_sealed":
      return { ...turn, openThinking: null };
    case "steered":
      return withItem(closed(turn), { kind: "steered", text: event.text, turn: event.turn, act: null });
    case "images_given":
      return withItem(closed(turn), { kind: "images", at: seq, images: event.images });
    case "instructed":
      return withItem(closed(turn), { kind: "instructed", text: event.text });
    case "context_assembled":
      return {
        ...turn,
        contextTokens: event.tokens_estimated,
        instructions: event.instructions,
      };
    case "model_call_started":
      return modelStarted(turn, event.model, event.reason);
    case "model_call_ended":
      return {
        ...closed(turn),
        usage: usagePlus(turn.usage, event.usage),
        waiting: running(turn, { type: "engine" }),
      };
    case "model_call_failed":
      return withItem(closed(turn), { kind: "failed", error: event.error });
    case "tool_call_started":
      return {
        ...withCall(closed(turn), event.call, event.name, at, (call) => call),
        waiting: running(turn, { type: "arguments", call: event.call }),
      };
    case "tool_arguments_delta":
      return withCall(turn, event.call, "", at, (call) => ({
        ...call,
        written: pushed(call.written, event.json),
        drawing: call.name === CANVAS ? call.drawing + event.json : "",
      }));
    case "tool_call_ready":
      return callReady(turn, event.call, event.origin, at);
    case "step_decided":
      return withCall(turn, event.call, "", at, (call) => ({
        ...call,
        steps: withStep(call.steps, { step: event.step, verdict: event.verdict }),
      }));
    case "approval_requested":
      return approvalRequested(turn, event, at);
    case "approval_decided":
      return approvalDecided(turn, event.approval, event.decision, event.by);
    case "tool_output_delta":
      return withCall(turn, event.call, "", at, (call) => ({
        ...call,
        output: pushed(call.output, event.text),
      }));
    case "validator_finding":
      return withCall(turn, event.call, "", at, (call) => ({
        ...call,
        findings: [...call.findings, { text: event.text, stopped: event.stopped }],
      }));
    case "tool_call_ended":
      return callEnded(turn, event, at);
    case "plan_updated":
      return { ...turn, plan: event.items };
    case "question_asked":
      return withItem(closed(turn), {
        kind: "question",
        id: event.question,
        text: event.text,
        choices: event.choices,
        answer: undefined,
      });
    case "question_answered":
      return questionAnswered(turn, event.question, event.text);
    case "shortcut_taken":
      return withItem(closed(turn), { kind: "reflex", name: event.name, because: event.because, asked: turn.said });
    case "shortcut_resumed":
      return closed(turn);
    case "shortcut_declined":
      return withItem(closed(turn), {
        kind: "notice",
        level: "info",
        text: `The reflex ${event.name} left this to the model, because ${event.why}`,
      });
    case "notice":
      return withItem(turn, { kind: "notice", level: event.level, text: event.text });
    case "compacted":
      return withItem(closed(turn), {
        kind: "compacted",
        summary: event.summary,
        before: event.tokens_before,
        after: event.tokens_after,
      });
    case "turn_ended":
      return {
        ...closed(turn),
        waiting: null,
        outcome: event.outcome,
        usage: event.usage,
        elapsedMs: event.elapsed_ms,
      };
    case "file_changed":
      return { ...turn, files: withFile(turn.files, event) };
    default:
      return unknown(event, turn);
  }
}

/** An event that this page is too old for is left out. The compiler fails here when a variant has no arm above. */
function unknown(_event: never, turn: Turn): Turn {
  return turn;
}

/** What a turn waits for, where it still runs. */
function running(turn: Turn, waiting: Waiting): Waiting | null {
  return turn.outcome === null ? waiting : null;
}

function withItem(turn: Turn, item: Item): Turn {
  return { ...turn, items: [...turn.items, item] };
}

function replaced(turn: Turn, idx: number, item: Item): Turn {
  const items = turn.items.slice();
  items[idx] = item;
  return { ...turn, items };
}

/** What follows is no part of the text and the thinking so far. */
function closed(turn: Turn): Turn {
  return { ...turn, openText: null, openThinking: null };
}

function withText(turn: Turn, text: string): Turn {
  if (text === "") return turn;
  const open = { ...turn, openThinking: null, waiting: running(turn, { type: "writing" }) };
  const item = turn.openText === null ? undefined : turn.items[turn.openText];
  if (item?.kind === "text") {
    return replaced(open, turn.openText!, { kind: "text", text: item.text + text });
  }
  return withItem({ ...open, openText: turn.items.length }, { kind: "text", text });
}

function withThinking(turn: Turn, text: string): Turn {
  if (text === "") return turn;
  const open = { ...turn, openText: null, waiting: running(turn, { type: "thinking" }) };
  const item = turn.openThinking === null ? undefined : turn.items[turn.openThinking];
  if (item?.kind === "thinking") {
    return replaced(open, turn.openThinking!, { kind: "thinking", text: item.text + text });
  }
  return withItem({ ...open, openThinking: turn.items.length }, { kind: "thinking", text });
}

function modelStarted(turn: Turn, model: string, reason: string | null): Turn {
  const next = { ...closed(turn), model, waiting: running(turn, { type: "model", model }) };
  return reason === null ? next : withItem(next, { kind: "fallback", model, reason });
}

function withCall(
  turn: Turn,
  id: CallId,
  name: string,
  at: number,
  change: (call: Call) => Call,
): Turn {
  const idx = turn.items.findLastIndex((item) => item.kind === "call" && item.id === id);
  if (idx < 0) return withItem(turn, change(newCall(id, name, at)));
  return replaced(turn, idx, change(turn.items[idx] as Call));
}

function newCall(id: CallId, name: string, at: number): Call {
  return {
    kind: "call",
    id,
    name,
    startedAt: at,
    written: EMPTY,
    drawing: "",
    arguments: null,
    origin: "model",
    steps: [],
    approvals: [],
    output: EMPTY,
    findings: [],
    ended: null,
  };
}

function callReady(turn: Turn, call: ToolCall, origin: Origin, at: number): Turn {
  const ready = (open: Call): Call => ({
    ...open,
    name: call.name,
    arguments: call.arguments,
    origin,
    written: EMPTY,
    drawing: "",
  });
  return {
    ...withCall(closed(turn), call.id, call.name, at, ready),
    waiting: running(turn, { type: "tools" }),
  };
}

/** The button that began the turn, or that steered it just before. */
function withAct(turn: Turn, act: CanvasAction): Turn {
  const last = turn.items.at(-1);
  if (last?.kind !== "steered") return { ...turn, act };
  return replaced(turn, turn.items.length - 1, { ...last, act });
}

function withStep(steps: readonly Step[], step: Step): readonly Step[] {
  return [...steps.filter((known) => known.step !== step.step), step];
}

function approvalRequested(
  turn: Turn,
  event: Extract<Event, { event: "approval_requested" }>,
  at: number,
): Turn {
  const approval: Approval = {
    id: event.approval,
    call: event.call,
    effects: event.effects,
    reason: event.reason,
    requestedAt: at,
    expiresAt: event.expires_at,
    decided: null,
  };
  return withCall(closed(turn), event.call.id, event.call.name, at, (call) => ({
    ...call,
    approvals: [...call.approvals, approval],
  }));
}

function approvalDecided(turn: Turn, id: string, decision: Decision, by: string): Turn {
  const items = turn.items.map((item) =>
    item.kind === "call" && item.approvals.some((approval) => approval.id === id)
      ? { ...item, approvals: decidedIn(item.approvals, id, { decision, by }) }
      : item,
  );
  return { ...turn, items };
}

function decidedIn(
  approvals: readonly Approval[],
  id: string,
  decided: NonNullable<Approval["decided"]>,
): readonly Approval[] {
  return approvals.map((approval) => (approval.id === id ? { ...approval, decided } : approval));
}

function callEnded(
  turn: Turn,
  event: Extract<Event, { event: "tool_call_ended" }>,
  at: number,
): Turn {
  const ended: CallEnd = {
    text: event.text,
    isError: event.is_error,
    isForeign: event.taint.untrusted && !event.taint.private,
    whole: event.whole,
    elapsedMs: event.elapsed_ms,
  };
  const next = withCall(turn, event.call, "", at, (call) => ({ ...call, ended, written: EMPTY, drawing: "" }));
  const isStillSpeaking = turn.openText !== null || turn.openThinking !== null;
  return isStillSpeaking ? next : { ...next, waiting: running(turn, { type: "tools" }) };
}

function questionAnswered(turn: Turn, id: string, answer: string | null): Turn {
  const items = turn.items.map((item) =>
    item.kind === "question" && item.id === id ? { ...item, answer } : item,
  );
  return { ...turn, items };
}

/** Files by path, each once: as it was before the first change and as it is after the last. */
function withFile(
  files: readonly ChangedFile[],
  event: Extract<Event, { event: "file_changed" }>,
): readonly ChangedFile[] {
  const known = files.find((file) => file.path === event.path);
  const file = {
    path: event.path,
    before: known?.before ?? event.before.type,
    after: event.after.type,
  };
  return known ? files.map((other) => (other === known ? file : other)) : [...files, file];
}

function withUndone(turn: Turn, event: Extract<Event, { event: "undo_ended" }>): Turn {
  const item: Item = { kind: "undone", files: event.files, beyond: event.beyond };
  return { ...withItem(turn, item), waiting: null, undoes: event.of };
}

/** Marks what was undone, so that it is not offered again. */
function undoEnded(
  state: Transcript,
  event: Extract<Event, { event: "undo_ended" }>,
): Transcript {
  const isPutBack = event.files.some(
    ({ outcome }) => outcome.type === "restored" || outcome.type === "removed",
  );
  if (!isPutBack) return state;
  const turns = state.turns.map((turn) =>
    turn.id === event.of ? { ...turn, isUndone: true } : turn,
  );
  return { ...state, turns };
}

// What is asked of a transcript.

export function isRunning(turn: Turn): boolean {
  return turn.waiting !== null;
}

/** The turn that runs now. */
export function runningTurn(state: Transcript): Turn | null {
  return state.turns.findLast(isRunning) ?? null;
}

/** Calls that have begun and not ended. */
export function openCalls(turn: Turn): Call[] {
  return turn.items.filter((item): item is Call => item.kind === "call" && item.ended === null);
}

export type Request =
  | { readonly type: "approval"; readonly approval: Approval }
  | { readonly type: "question"; readonly question: Question };

/** What waits for the person, oldest first. */
export function requests(state: Transcript): Request[] {
  const turn = runningTurn(state);
  return turn ? turn.items.flatMap(requestsOf) : [];
}

function requestsOf(item: Item): Request[] {
  if (item.kind === "question") {
    return item.answer === undefined ? [{ type: "question", question: item }] : [];
  }
  if (item.kind !== "call" || item.ended !== null) return [];
  const pending = item.approvals.filter((approval) => approval.decided === null);
  return pending.map((approval) => ({ type: "approval", approval }));
}

/** The tool that draws. */
export const CANVAS = "canvas";

/** Calls that draw and whose surface is not there yet. */
export function drawingCalls(state: Transcript): Call[] {
  const turn = runningTurn(state);
  return turn ? openCalls(turn).filter(({ name }) => name === CANVAS) : [];
}

/** The last turn that has ended, after which a branch may begin. */
export function lastEnded(state: Transcript): Turn | null {
  return state.turns.findLast((turn) => turn.kind === "turn" && turn.outcome !== null) ?? null;
}

/** The last turn or undo that changed files and is not undone. */
export function lastChanged(state: Transcript): Turn | null {
  return state.turns.findLast((turn) => turn.files.length > 0 && !turn.isUndone && !turn.isShared) ?? null;
}

/** Whether a turn was begun under this id or its words steered another. */
export function holdsTurn(state: Transcript, id: TurnId): boolean {
  return state.turns.some(
    (turn) =>
      turn.id === id || turn.items.some((item) => item.kind === "steered" && item.turn === id),
  );
}

/** The turn of this number, counted from 1, or whose id ends so; an undo by its id alone. Else what is wrong. */
export function turnNamed(state: Transcript, name: string): Turn | string {
  const turns = state.turns.filter((turn) => turn.kind === "turn");
  const byNumber = /^\d+$/.test(name) ? turns[Number(name) - 1] : undefined;
  if (byNumber) return byNumber;
  const wanted = name.toLowerCase();
  const isLong = wanted.length >= 4;
  const fitting = state.turns.filter((turn) => isLong && turn.id?.endsWith(wanted));
  if (fitting.length === 1) return fitting[0]!;
  if (fitting.length > 1) return `Several turns fit “${name}”; give more of the id.`;
  return `There is no turn “${name}”: name one by its number, 1 to ${turns.length}, or by its id.`;
}
