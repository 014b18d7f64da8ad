// One turn: what was said, and all that came of it in the order in which it began.

import { useState } from "preact/hooks";
import { count, duration, moment, shortPath, ticking, usageLine } from "../format";
import { memo, useNow, useStickToEnd } from "../hooks";
import type { CanvasAction, PlanItem, SessionId, TurnOutcome } from "../protocol";
import { isRunning, type ChangedFile, type Item, type Turn } from "../state";
import { askForgetTurn, askModel, askUndo, branch, endReflex, hrefOf, showChanges } from "../store";
import { clean, cleanLine, visible } from "../visible";
import { changedText, modelErrorText, undoneText, waitingText } from "../words";
import { CallView } from "./call";
import { Values } from "./form";
import { GivenImages } from "./given";
import { Guard } from "./guard";
import { Icon } from "./icons";
import { Markdown } from "./markdown";
import { QuestionView } from "./question";

/** Items of a turn that are shown at once; the ones before are shown when asked for. */
const ITEMS_MAX = 120;
/** From here on what was said scrolls by itself, so that the answer stays in sight. */
const LONG_CHARS_MIN = 600;
/** Files that are named under a turn. */
const FILES_MAX = 6;

interface TurnProps {
  turn: Turn;
  /** Its number among the turns; for an undo, that of the turn that it undoes. */
  number: number | null;
  session: SessionId;
  root: string | null;
  showsThinking: boolean;
}

export const TurnView = memo((props: TurnProps) => {
  const { turn, number, session, root } = props;
  const isLive = isRunning(turn);
  return (
    <article class={`turn ${turn.kind}`} aria-label={labelOf(turn, number)}>
      <Said turn={turn} number={number} />
      <Items {...props} />
      {turn.plan.length > 0 && <Plan items={turn.plan} />}
      {turn.outcome && <Outcome outcome={turn.outcome} />}
      {isLive ? (
        <Working turn={turn} />
      ) : (
        <Footer turn={turn} number={number} session={session} root={root} />
      )}
    </article>
  );
});

function labelOf(turn: Turn, number: number | null): string {
  if (turn.kind === "undo") return "Undo";
  return number === null ? "Notices" : `Turn ${number}`;
}

function Said({ turn, number }: { turn: Turn; number: number | null }) {
  if (turn.act) return <Pressed act={turn.act} />;
  if (turn.said !== null) {
    return (
      <div class="said">
        <h2 class="unseen">You said</h2>
        <p tabIndex={turn.said.length > LONG_CHARS_MIN ? 0 : undefined}>{clean(turn.said)}</p>
      </div>
    );
  }
  if (turn.isForgotten) return <p class="note fine">Forgotten.</p>;
  if (turn.kind !== "undo") return null;
  return (
    <p class="note fine">
      <Icon name="undo" />
      Undo of {number === null ? "an undo" : `turn ${number}`}
    </p>
  );
}

/** What the person did on the canvas: the words around it are the engine's. */
function Pressed({ act }: { act: CanvasAction }) {
  return (
    <div class="said pressed">
      <h2 class="unseen">You pressed</h2>
      <p>
        <Icon name="canvas" />
        {cleanLine(act.action)} on {cleanLine(act.surface)}
      </p>
      <Values values={act.values} />
    </div>
  );
}

function Items({ turn, session, root, showsThinking }: TurnProps) {
  const [shownMax, setShownMax] = useState(ITEMS_MAX);
  const isLive = isRunning(turn);
  const first = Math.max(0, turn.items.length - shownMax);
  return (
    <>
      {first > 0 && (
        <button type="button" class="quiet earlier" onClick={() => setShownMax(shownMax + ITEMS_MAX)}>
          Show {count(Math.min(first, ITEMS_MAX))} earlier of {count(first)}
        </button>
      )}
      {turn.items.slice(first).map((item, offset) => {
        const idx = first + offset;
        const isOpen = idx === turn.openText || idx === turn.openThinking;
        return (
          <Guard key={idx}>
            <ItemView
              item={item}
              session={session}
              isOpen={isOpen}
              isLive={isLive}
              root={root}
              showsThinking={showsThinking}
            />
          </Guard>
        );
      })}
    </>
  );
}

interface ItemProps {
  item: Item;
  session: SessionId;
  /** Whether it still grows. */
  isOpen: boolean;
  /** Whether its turn runs. */
  isLive: boolean;
  root: string | null;
  showsThinking: boolean;
}

const ItemView = memo(({ item, session, isOpen, isLive, root, showsThinking }: ItemProps) => {
  switch (item.kind) {
    case "text":
      return <Markdown text={item.text} isOpen={isOpen} />;
    case "thinking":
      return <Thinking text={item.text} isGrowing={isOpen && isLive} isShown={showsThinking} />;
    case "call":
      return <CallView call={item} isLive={isLive} />;
    case "question":
      return <QuestionView question={item} isLive={isLive} />;
    case "steered":
      return item.act ? (
        <Pressed act={item.act} />
      ) : (
        <div class="said steered">
          <h3 class="unseen">You said while it ran</h3>
          <p>{clean(item.text)}</p>
        </div>
      );
    case "instructed":
      return <Folded title="The engine told the model something" text={item.text} />;
    case "reflex":
      return <Reflex {...item} />;
    case "notice":
      return (
        <p class={`note ${item.level === "info" ? "fine" : item.level}`}>
          <Icon name="alert" />
          {clean(item.text)}
        </p>
      );
    case "fallback":
      return (
        <p class="note fine">
          {cleanLine(item.model)}: {clean(item.reason)}
        </p>
      );
    case "failed":
      return (
        <p class="note warning">
          <Icon name="alert" />
          {clean(modelErrorText(item.error))}
        </p>
      );
    case "compacted":
      return (
        <Folded
          title={`The earlier conversation was summarised for the model: about ${count(item.before)} tokens became ${count(item.after)}; the log keeps all`}
          text={item.summary}
        />
      );
    case "images":
      return <GivenImages session={session} at={item.at} images={item.images} />;
    case "branched":
      return <Branched from={item.from} />;
    case "undone":
      return <Undone item={item} root={root} />;
  }
});

/** Where the session parts from the one that it came from. */
function Branched({ from }: { from: SessionId | null }) {
  return (
    <p class="note fine branched">
      <Icon name="branch" />
      <span>
        A branch begins here. What is above is shared with{" "}
        {from ? <a href={hrefOf({ page: "chat", session: from })}>the session that it came from</a> : "another session"};
        files are as they are now, not as they were then.
      </span>
    </p>
  );
}

interface ThinkingProps {
  text: string;
  isGrowing: boolean;
  /** Whether the person wants to see it unfolded. */
  isShown: boolean;
}

function Thinking({ text, isGrowing, isShown }: ThinkingProps) {
  const [isChosenOpen, setChosenOpen] = useState<boolean | null>(null);
  const isOpen = isChosenOpen ?? (isShown || isGrowing);
  const { box, onScroll } = useStickToEnd<HTMLDivElement>(text);
  return (
    <div class={`thinking ${isGrowing ? "growing" : ""}`}>
      <button
        type="button"
        class="fold"
        aria-expanded={isOpen}
        onClick={() => setChosenOpen(!isOpen)}
      >
        <Icon name="chevron" />
        {isGrowing ? "Thinking" : "Thought"}
        {!isOpen && <span class="summary">{cleanLine(text.slice(0, 200))}</span>}
      </button>
      {isOpen && (
        <div ref={box} onScroll={onScroll} class="thought" tabIndex={0} role="group" aria-label="Thinking">
          {clean(text)}
        </div>
      )}
    </div>
  );
}

function Folded({ title, text }: { title: string; text: string }) {
  return (
    <details class="folded">
      <summary>{title}</summary>
      <p>{clean(text)}</p>
    </details>
  );
}

function Plan({ items }: { items: readonly PlanItem[] }) {
  const words = { done: "done", in_progress: "being done", pending: "to do" };
  return (
    <ol class="plan" aria-label="Plan">
      {items.map((item, idx) => (
        <li key={idx} class={item.status}>
          <span class="unseen">{words[item.status]}: </span>
          {cleanLine(item.text)}
        </li>
      ))}
    </ol>
  );
}

function Outcome({ outcome }: { outcome: TurnOutcome }) {
  switch (outcome.type) {
    case "completed":
      return null;
    case "interrupted":
      return <p class="note warning"><Icon name="stop" />Stopped; what was said is kept.</p>;
    case "limited":
      return <p class="note warning"><Icon name="alert" />A limit ended the turn: {clean(outcome.limit)}</p>;
    case "failed":
      return <p class="note error"><Icon name="cross" />{clean(outcome.error)}</p>;
  }
}

/** What the turn is doing now. */
function Working({ turn }: { turn: Turn }) {
  const now = useNow(true);
  return (
    <p class="working">
      <span class="spinner" />
      <span>{waitingText(turn)}</span>
      <span class="time">{ticking(now - turn.startedAt)}</span>
    </p>
  );
}

/** That a reflex answers, and what the person can do about it. */
function Reflex({ name, because, asked }: Extract<Item, { kind: "reflex" }>) {
  return (
    <p class="note fine reflex">
      <span>
        The reflex {cleanLine(name)} answers, no model is asked: {clean(because)}
      </span>
      {asked !== null && (
        <button type="button" class="quiet small" onClick={() => askModel(asked)}>
          Ask the model instead
        </button>
      )}
      <button type="button" class="quiet small" onClick={() => void endReflex(name)}>
        Never again
      </button>
    </p>
  );
}

function Undone({ item, root }: { item: Extract<Item, { kind: "undone" }>; root: string | null }) {
  return (
    <div class="undone">
      <p>Undone:</p>
      <ul>
        {item.files.map(({ path, outcome }) => (
          <li key={path} class={outcome.type}>
            {undoneText(path, outcome, root)}
          </li>
        ))}
        {item.files.length === 0 && <li>nothing had to be put back</li>}
      </ul>
      {item.beyond.length > 0 && (
        <>
          <p>Not undone, since no undo can take it back:</p>
          <ul>
            {item.beyond.map((text, idx) => (
              <li key={idx}>{visible(text)}</li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

interface FooterProps {
  turn: Turn;
  number: number | null;
  session: SessionId;
  root: string | null;
}

function Footer({ turn, number, session, root }: FooterProps) {
  const leftAlone = turn.items.some(
    (item) => item.kind === "undone" && item.files.some(({ outcome }) => outcome.type === "refused"),
  );
  return (
    <footer>
      {turn.files.length > 0 && <Files turn={turn} root={root} />}
      {leftAlone && turn.undoes && (
        <button type="button" class="quiet small" onClick={() => askUndo(turn.undoes, true)}>
          <Icon name="undo" />
          Put back all the same
        </button>
      )}
      {turn.kind === "turn" && (
        <p class="fine meta">
          {number !== null && <span title={turn.id ?? ""}>#{number}</span>}
          <span>{moment(turn.startedAt)}</span>
          {turn.model && <span>{cleanLine(turn.model)}</span>}
          {turn.model && <span>{usageLine(turn.usage)}</span>}
          {turn.elapsedMs !== null && <span>{duration(turn.elapsedMs)}</span>}
          {turn.isForgotten && <span>parts are forgotten</span>}
          {turn.id !== null && turn.outcome !== null && (
            <button
              type="button"
              class="quiet small on-hover"
              aria-label={`Go on from here, after turn ${number ?? ""}`}
              title="A new session that shares what was said until here"
              onClick={() => void branch(session, turn.id)}
            >
              <Icon name="branch" />
              Go on from here
            </button>
          )}
          {turn.said !== null && !turn.isShared && (
            <button
              type="button"
              class="quiet small on-hover"
              aria-label={`Forget turn ${number ?? ""}`}
              onClick={() => askForgetTurn(session, turn)}
            >
              Forget
            </button>
          )}
        </p>
      )}
    </footer>
  );
}

function Files({ turn, root }: { turn: Turn; root: string | null }) {
  const more = turn.files.length - FILES_MAX;
  return (
    <div class="files">
      <ul aria-label="Changed files">
        {turn.files.slice(0, FILES_MAX).map((file) => (
          <li key={file.path} class={changedText(file)}>
            <span class="what">{changedText(file)}</span> <FileName file={file} root={root} />
          </li>
        ))}
        {more > 0 && <li>and {count(more)} more</li>}
      </ul>
      <div class="choices">
        <button type="button" class="small" onClick={() => void showChanges(turn.id)}>
          Show changes
        </button>
        {turn.isUndone && <span class="fine">undone</span>}
        {!turn.isUndone && !turn.isShared && (
          <button type="button" class="small" onClick={() => askUndo(turn.id, false)}>
            <Icon name="undo" />
            Undo
          </button>
        )}
      </div>
    </div>
  );
}

function FileName({ file, root }: { file: ChangedFile; root: string | null }) {
  return <span class="path">{visible(shortPath(file.path, root))}</span>;
}
