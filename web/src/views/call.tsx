// A tool call as a card: its arguments as they are written, its steps, its output, and how it ended.

import { useState } from "preact/hooks";
import { EMPTY, isEmpty, pushed, shown } from "../bounded";
import { duration, ticking } from "../format";
import { memo, useNow } from "../hooks";
import { written } from "../partial";
import type { JsonObject } from "../protocol";
import { CANVAS, type Call, type Step } from "../state";
import { clean, cleanLine } from "../visible";
import { argumentText, endingOf, summary } from "../words";
import { ApprovalView, DecidedLine } from "./approval";
import { Icon } from "./icons";
import { Output } from "./output";

interface CallProps {
  call: Call;
  isLive: boolean;
}

export const CallView = memo(({ call, isLive }: CallProps) => {
  const [isChosenOpen, setChosenOpen] = useState<boolean | null>(null);
  const isOpen = isChosenOpen ?? opensByItself(call, isLive);
  const pending = isLive && !call.ended ? call.approvals.filter(({ decided }) => !decided) : [];
  const body = `call-${call.id}`;
  return (
    <article class={`call ${stateOf(call, isLive)}`} aria-label={`Call of ${cleanLine(call.name)}`}>
      <h3>
        <button
          type="button"
          class="call-head"
          aria-expanded={isOpen}
          aria-controls={body}
          onClick={() => setChosenOpen(!isOpen)}
        >
          <Mark call={call} isLive={isLive} />
          <span class="tool">{cleanLine(call.name) || "…"}</span>
          <span class="summary">{summaryOf(call)}</span>
          <Ending call={call} />
          <Time call={call} isLive={isLive} />
          <Icon name="chevron" />
        </button>
      </h3>
      <div class="call-body" id={body} hidden={!isOpen}>
        {isOpen && <Body call={call} />}
      </div>
      {!call.approvals.some(({ decided }) => decided?.decision === "deny") && <Denials steps={call.steps} />}
      {call.findings.map(({ text, stopped }, idx) => (
        <p key={idx} class="note warning">
          <Icon name="alert" />
          {stopped === "call" ? "Stopped" : "The model was stopped while it still wrote"}, because{" "}
          {clean(text)}
        </p>
      ))}
      {call.approvals.map((approval) =>
        approval.decided ? (
          <DecidedLine key={approval.id} {...approval.decided} />
        ) : (
          pending.includes(approval) && <ApprovalView key={approval.id} approval={approval} />
        ),
      )}
    </article>
  );
});

/** What runs is open, what is done is folded, but for what a person wants to read: errors and their own calls. */
function opensByItself(call: Call, isLive: boolean): boolean {
  if (call.ended) return call.ended.isError || call.origin === "person";
  // What it draws is seen beside it.
  if (call.name === CANVAS) return false;
  return isLive && call.approvals.every(({ decided }) => decided);
}

type State = "failed" | "done" | "running" | "waiting" | "cut";

function stateOf(call: Call, isLive: boolean): State {
  if (call.ended) return call.ended.isError ? "failed" : "done";
  if (!isLive) return "cut";
  return call.approvals.every(({ decided }) => decided) ? "running" : "waiting";
}

const STATES: Record<State, string> = {
  failed: "failed",
  done: "done",
  running: "running",
  waiting: "waits for an answer",
  cut: "was cut",
};

function Mark({ call, isLive }: CallProps) {
  const state = stateOf(call, isLive);
  return (
    <span class="mark">
      {state === "running" && <span class="spinner" />}
      {state === "done" && <Icon name="check" />}
      {state === "failed" && <Icon name="cross" />}
      {state === "waiting" && <Icon name="alert" />}
      {state === "cut" && <Icon name="stop" />}
      <span class="unseen">{STATES[state]}</span>
    </span>
  );
}

function summaryOf(call: Call): string {
  if (call.arguments) return summary(call.arguments);
  const given = written(call.written.head).map(({ key, text }) => [key, text]);
  return summary(Object.fromEntries(given) as JsonObject);
}

function Ending({ call }: { call: Call }) {
  const ending = call.ended && endingOf(call.ended.text);
  if (!ending) return null;
  return <span class="badge">{ending}</span>;
}

function Time({ call, isLive }: CallProps) {
  const isCounting = stateOf(call, isLive) === "running";
  const now = useNow(isCounting);
  // What was not allowed took no time that would tell anything.
  if (call.ended) return call.ended.elapsedMs === 0 ? null : <span class="time">{duration(call.ended.elapsedMs)}</span>;
  return isCounting ? <span class="time">{ticking(now - call.startedAt)}</span> : null;
}

function Body({ call }: { call: Call }) {
  return (
    <>
      {call.origin !== "person" && <Given call={call} />}
      <Steps steps={call.steps} />
      <Result call={call} />
    </>
  );
}

/** What the model gave it; what a person gave it, they typed above. */
function Given({ call }: { call: Call }) {
  return call.arguments ? <Arguments given={call.arguments} /> : <Written call={call} />;
}

function Arguments({ given }: { given: JsonObject }) {
  const entries = Object.entries(given);
  if (entries.length === 0) return null;
  return (
    <dl class="arguments">
      {entries.map(([name, value]) => (
        <Argument key={name} name={name} text={argumentText(value)} />
      ))}
    </dl>
  );
}

const SHORT_CHARS_MAX = 400;
const SHORT_LINES_MAX = 10;

function Argument({ name, text, isOpen }: { name: string; text: string; isOpen?: boolean }) {
  const parts = shown(pushed(EMPTY, text));
  // What scrolls can be scrolled by keys.
  const isLong = text.length > SHORT_CHARS_MAX || text.split("\n").length > SHORT_LINES_MAX;
  return (
    <div>
      <dt>{cleanLine(name)}</dt>
      <dd>
        <pre class={isOpen ? "growing" : ""} tabIndex={isLong ? 0 : undefined}>
          {clean(parts.head)}
          {parts.hiddenLines > 0 && `⋯ ${parts.hiddenLines} lines not shown ⋯\n`}
          {clean(parts.tail)}
        </pre>
      </dd>
    </div>
  );
}

/** The arguments while they are being written. */
function Written({ call }: { call: Call }) {
  const parts = shown(call.written);
  const given = written(parts.head);
  if (given.length === 0) return null;
  const last = given.length - 1;
  return (
    <dl class="arguments">
      {given.map(({ key, text }, idx) => (
        <Argument
          key={key}
          name={key}
          text={idx === last && parts.tail ? `${text}\n⋯\n${unescaped(parts.tail)}` : text}
          isOpen={idx === last}
        />
      ))}
    </dl>
  );
}

/** The middle of a JSON text, as far as it can be read without its beginning. */
function unescaped(json: string): string {
  return json.replaceAll("\\n", "\n").replaceAll("\\t", "\t").replaceAll('\\"', '"');
}

function Steps({ steps }: { steps: readonly Step[] }) {
  if (steps.length < 2) return null;
  return (
    <ol class="steps" aria-label="Steps">
      {steps.map(({ step, verdict }) => (
        <li key={step} class={verdict.type}>
          Step {step + 1}: {verdictText(verdict.type)} <span class="why">{clean(verdict.reason)}</span>
        </li>
      ))}
    </ol>
  );
}

function verdictText(type: Step["verdict"]["type"]): string {
  return { allow: "allowed,", ask: "asked about,", deny: "not allowed," }[type];
}

/** What was denied is told where it is seen with the card folded too. */
function Denials({ steps }: { steps: readonly Step[] }) {
  const denied = steps.filter(({ verdict }) => verdict.type === "deny");
  return (
    <>
      {denied.map(({ step, verdict }) => (
        <p key={step} class="note error">
          <Icon name="cross" />
          Not allowed: {clean(verdict.reason)}
        </p>
      ))}
    </>
  );
}

function Result({ call }: { call: Call }) {
  const label = `Output of ${cleanLine(call.name)}`;
  if (!call.ended) {
    return isEmpty(call.output) ? null : <Output output={call.output} label={label} />;
  }
  const { text, whole, isForeign } = call.ended;
  const output = isEmpty(call.output) ? pushed(EMPTY, text) : call.output;
  const ending = isEmpty(call.output) ? "" : endingLines(text);
  return (
    <>
      {(!isEmpty(output) || ending) && <Output output={output} label={label} ending={ending} />}
      {whole && <p class="fine">The whole output is kept as output:{whole.slice(0, 12)}…</p>}
      {isForeign && <p class="fine">Comes from outside and is not trusted with what it asks for.</p>}
    </>
  );
}

/** The lines in brackets that end a result: they are not part of what was put out. */
function endingLines(text: string): string {
  return /(?:(?:^|\n)\[[^\n]*\])+\s*$/.exec(clean(text.slice(-600)))?.[0].trim() ?? "";
}
