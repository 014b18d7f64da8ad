// The words that cross the gateway, as titan-protocol writes them in JSON. Nothing here behaves.

export type SessionId = string;
export type TurnId = string;
export type CallId = string;
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface EventRecord {
  seq: number;
  at: number;
  session: SessionId;
  turn: TurnId | null;
  event: Event;
}

export interface ToolCall {
  id: CallId;
  name: string;
  arguments: JsonObject;
}

export interface Taint {
  untrusted: boolean;
  private: boolean;
}

export interface Usage {
  input_tokens: number;
  cache_read_tokens: number;
  cache_write_tokens: number;
  output_tokens: number;
  cost_usd_micros: number | null;
}

export type Effect =
  | { type: "read"; path: string; in_workspace: boolean }
  | { type: "write"; path: string; in_workspace: boolean }
  | { type: "run"; program: string; arguments: string[]; reads_only: boolean }
  | { type: "network"; host: string; port: number }
  | { type: "message"; recipient: string }
  | { type: "secret"; name: string }
  | { type: "money"; usd_micros: number; recipient?: string }
  | { type: "remember" };

export type Verdict =
  | { type: "allow"; reason: string }
  | { type: "ask"; reason: string; effects: Effect[] }
  | { type: "deny"; reason: string };

export type Decision = "once" | "session" | "exact" | "deny";
export type Origin = "person" | "model" | "tool";
export type StopReason = "end" | "tool_calls" | "length" | "refused";
export type NoticeLevel = "info" | "warning" | "error";

export type ModelError =
  | { type: "unauthorized"; provider: string; detail: string }
  | { type: "limited"; provider: string; detail: string; retry_after_ms: number | null }
  | { type: "rejected"; provider: string; detail: string }
  | { type: "too_long"; model: string; detail: string }
  | { type: "unavailable"; provider: string; detail: string }
  | { type: "interrupted"; provider: string; detail: string }
  | { type: "malformed"; provider: string; detail: string }
  | { type: "budget"; detail: string }
  | { type: "no_model"; detail: string };

export type TurnOutcome =
  | { type: "completed" }
  | { type: "interrupted" }
  | { type: "limited"; limit: string }
  | { type: "failed"; error: string };

export interface PlanItem {
  text: string;
  status: "pending" | "in_progress" | "done";
}

export type FileState =
  | { type: "absent" }
  | { type: "file"; content: string; mode: number | null }
  | { type: "link"; target: string }
  | { type: "not_kept"; why: string };

export type UndoOutcome =
  | { type: "restored" }
  | { type: "removed" }
  | { type: "already" }
  | { type: "refused"; why: string }
  | { type: "impossible"; why: string };

export interface UndoneFile {
  path: string;
  outcome: UndoOutcome;
}

export type SurfaceKind =
  | "markdown"
  | "html"
  | "svg"
  | "table"
  | "chart"
  | "form"
  | "code"
  | "image"
  | "diagram";

export interface Surface {
  name: string;
  title: string;
  kind: SurfaceKind;
  language: string;
  content: string;
}

export interface CanvasAction {
  surface: string;
  action: string;
  values: JsonObject;
}

/** Records of another session that a branch shares. */
export interface SharedPast {
  session: SessionId;
  until: number;
}

/** An image that was given, by what its bytes say. */
export interface Image {
  blob: string;
  kind: "png" | "jpeg" | "gif" | "webp";
  width: number;
  height: number;
  bytes: number;
}

export type Event =
  | { event: "session_started"; workspace: string }
  | { event: "session_branched"; workspace: string; past: SharedPast[] }
  | { event: "session_titled"; title: string }
  | { event: "turn_started"; text: string }
  | { event: "steered"; text: string; turn: TurnId }
  | { event: "images_given"; images: Image[] }
  | { event: "instructed"; text: string }
  | {
      event: "context_assembled";
      tokens_estimated: number;
      messages: number;
      instructions: string[];
      taint?: Taint;
    }
  | { event: "model_call_started"; provider: string; model: string; reason: string | null }
  | { event: "text_delta"; text: string }
  | { event: "thinking_delta"; text: string }
  | { event: "thinking_sealed"; signature: string }
  | { event: "tool_call_started"; call: CallId; name: string }
  | { event: "tool_arguments_delta"; call: CallId; json: string }
  | { event: "tool_call_ready"; call: ToolCall; origin: Origin }
  | { event: "step_decided"; call: CallId; step: number; verdict: Verdict; lasting?: Effect[] }
  | {
      event: "approval_requested";
      approval: string;
      call: ToolCall;
      effects: Effect[];
      reason: string;
      expires_at: number;
    }
  | { event: "approval_decided"; approval: string; decision: Decision; by: string }
  | { event: "tool_output_delta"; call: CallId; text: string }
  | {
      event: "validator_finding";
      call: CallId;
      rule: string;
      text: string;
      stopped: "call" | "model";
    }
  | {
      event: "tool_call_ended";
      call: CallId;
      text: string;
      is_error: boolean;
      taint: Taint;
      whole: string | null;
      elapsed_ms: number;
    }
  | { event: "plan_updated"; items: PlanItem[] }
  | { event: "question_asked"; question: string; text: string; choices: string[] }
  | { event: "question_answered"; question: string; text: string | null }
  | { event: "model_call_ended"; usage: Usage; stop: StopReason }
  | { event: "model_call_failed"; error: ModelError }
  | { event: "notice"; level: NoticeLevel; text: string }
  | {
      event: "compacted";
      summary: string;
      kept_after: number;
      tokens_before: number;
      tokens_after: number;
    }
  | { event: "turn_ended"; outcome: TurnOutcome; usage: Usage; elapsed_ms: number }
  | { event: "file_changed"; path: string; before: FileState; after: FileState }
  | { event: "undo_started"; of: TurnId; is_forced: boolean }
  | { event: "undo_ended"; of: TurnId; files: UndoneFile[]; beyond: string[] }
  | { event: "canvas_drawn"; surface: Surface }
  | { event: "shortcut_taken"; name: string; version: number; because: string }
  | { event: "shortcut_resumed" }
  | { event: "shortcut_declined"; name: string; why: string }
  | { event: "canvas_removed"; name: string }
  | { event: "canvas_acted"; act: CanvasAction }
  | { event: "forgotten" };

export interface TurnOptions {
  workspace: string | null;
  model: string | null;
  is_attended: boolean;
  /** Whether a model answers, whatever reflex might. */
  without_reflexes?: boolean;
}

export type Forget =
  | { type: "session"; session: SessionId }
  | { type: "turn"; session: SessionId; turn: TurnId }
  | { type: "events"; session: SessionId; seqs: number[] };

export type Op =
  | {
      op: "user_turn";
      session: SessionId;
      turn: TurnId;
      text: string;
      /** In base64. */
      images?: string[];
      options: TurnOptions;
    }
  | {
      op: "user_call";
      session: SessionId;
      turn: TurnId;
      text: string;
      tool: string;
      arguments: JsonObject;
      options: TurnOptions;
    }
  | { op: "act"; session: SessionId; turn: TurnId; act: CanvasAction; options: TurnOptions }
  | { op: "interrupt"; session: SessionId }
  | { op: "decide"; approval: string; decision: Decision }
  | { op: "answer"; question: string; text: string }
  | { op: "compact"; session: SessionId }
  | { op: "forget"; what: Forget }
  | { op: "undo"; session: SessionId; undo: TurnId; of: TurnId | null; is_forced: boolean }
  | { op: "branch"; session: SessionId; after: TurnId; into: SessionId }
  | { op: "rename"; session: SessionId; title: string }
  | { op: "judge_reflex"; name: string; judgement: "promote" | "demote" | "prove" };

export interface SessionSummary {
  session: SessionId;
  title: string;
  workspace: string;
  started_at: number;
  active_at: number;
  turns: number;
  is_running: boolean;
  usage: Usage;
  branch_of?: SharedPast | null;
}

/** A turn that runs. */
export interface Job {
  session: SessionId;
  turn: TurnId;
  title: string;
  text: string;
  workspace: string;
  started_at: number;
  /** Its calls that have not ended; without any, it waits for a model. */
  calls: JobCall[];
}

export interface JobCall {
  call: CallId;
  tool: string;
  /** The first text among its arguments, in a line; empty while they are being written. */
  about: string;
  started_at: number;
  stage: "written" | "running" | "asked";
}

export interface FileDiff {
  path: string;
  what: string;
  notes: string[];
  diff: string;
}

export interface TurnChanges {
  turn: TurnId;
  files: FileDiff[];
  notes: string[];
}

export interface CostLine {
  day: string;
  provider: string;
  model: string;
  calls: number;
  usage: Usage;
}

export interface EngineStatus {
  version: string;
  pid: number;
  started_at: number;
  home: string;
  model: string;
  turns_running: number;
  resident_bytes: number;
  is_offline: boolean;
  recovered?: string | null;
}

/** The gateway adds where sessions work that name no folder. */
export interface GatewayStatus extends EngineStatus {
  workspace?: string;
}

export interface MemoryDocument {
  id: string;
  kind: "note";
  text: string;
  tags: string[];
  origin: { type: "person" } | { type: "turn"; session: SessionId; turn: TurnId };
  at: number;
  changed_at: number | null;
}

export interface MemoryDraft {
  text: string;
  tags: string[];
}

export type SettingValue = string | boolean | number | string[];

export interface Setting {
  name: string;
  about: string;
  kind:
    | { type: "text" | "flag" | "names" }
    | { type: "count" | "number"; min: number; max: number }
    | { type: "choice"; choices: string[] };
  allowed: string;
  value: SettingValue | null;
  default: SettingValue | null;
  overridden: { value: SettingValue; by: string } | null;
  holds: "next_command" | "restart";
  is_changed: boolean;
}

export interface ProviderSetting {
  name: string;
  kind: string;
  base_url: string | null;
  model: string | null;
  has_key: boolean | null;
}

export interface SettingList {
  file: string;
  settings: Setting[];
  providers: ProviderSetting[];
  warnings: string[];
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error";

export interface LogEntry {
  at: string;
  level: LogLevel;
  target: string;
  message: string;
  fields: Record<string, string>;
}

export interface LogPage {
  entries: LogEntry[];
  next: string;
}

/** As OpenAI lists models. */
export interface ModelList {
  data: { id: string; owned_by: string }[];
}

export type ClientMessage =
  | { type: "follow"; session: SessionId | null; after: number }
  | { type: "op"; id: string; op: Op }
  | { type: "ping" };

export type ServerMessage =
  | { type: "record"; record: EventRecord }
  | { type: "accepted"; id: string }
  | { type: "refused"; id: string; message: string }
  | { type: "lagged"; from_seq: number }
  | { type: "ended"; session: SessionId | null; error: { message: string } }
  | { type: "pong" };
