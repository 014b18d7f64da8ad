// A conversation: its turns, what is on its way, and the composer under it.

import { useEffect, useState } from "preact/hooks";
import { baseName, count } from "../format";
import { useApp, useStickToEnd } from "../hooks";
import { requests, runningTurn, type Request, type Transcript, type Turn } from "../state";
import {
  askForgetSession,
  askTitle,
  chosenModel,
  shownSession,
  stop,
  toggleDrawer,
  transcript,
  withdraw,
  type Outgoing,
} from "../store";
import { clean, cleanLine } from "../visible";
import { requestTitle } from "../words";
import { CanvasButton } from "./canvas";
import { Composer, putInComposer, Thumbnails } from "./composer";
import { Icon } from "./icons";
import { TurnView } from "./turn";
import { Welcome } from "./welcome";

/** Turns that are shown at once; the ones before are shown when asked for. */
const TURNS_MAX = 30;

export function Chat() {
  const app = useApp();
  const state = transcript();
  const session = shownSession();
  const outgoing = app.outgoing.filter(({ op }) => op.session === session);
  const { box, onScroll, isAtEnd } = useStickToEnd<HTMLDivElement>([state, outgoing]);
  const [isAway, setAway] = useState(false);
  const running = runningTurn(state);
  useEffect(() => {
    isAtEnd.current = true;
    setAway(false);
  }, [session]);
  const scrolled = () => {
    onScroll();
    setAway(!isAtEnd.current);
  };
  const toEnd = () => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  };
  return (
    <>
      <Header state={state} />
      <div class="scroll" ref={box} onScroll={scrolled} tabIndex={-1}>
        {session === null ? (
          <Welcome />
        ) : (
          <div class="transcript">
            <Turns key={session} state={state} session={session} showsThinking={app.showsThinking} />
            {outgoing.map((out) => (
              <OutgoingView key={out.op.turn} out={out} />
            ))}
            {state.turns.length === 0 && outgoing.length === 0 && <Empty link={app.link} />}
          </div>
        )}
      </div>
      <div class="dock">
        {isAway && (
          <button type="button" class="to-end" onClick={toEnd}>
            <Icon name="down" />
            To the end
          </button>
        )}
        <Waiting requests={requests(state)} />
        <Composer
          key={session ?? "new"}
          session={session}
          isBusy={running !== null}
          onStop={() => session && void stop(session)}
          said={saidBefore(state.turns)}
          onSent={toEndSoon(toEnd, isAtEnd)}
        />
      </div>
    </>
  );
}

/** What was said last is shown, wherever the reader was. */
function toEndSoon(toEnd: () => void, isAtEnd: { current: boolean }): () => void {
  return () => {
    isAtEnd.current = true;
    requestAnimationFrame(toEnd);
  };
}

function saidBefore(turns: readonly Turn[]): string[] {
  return turns.flatMap((turn) => (turn.said === null ? [] : [turn.said]));
}

function Header({ state }: { state: Transcript }) {
  const app = useApp();
  const session = shownSession();
  const listed = app.sessions?.find((summary) => summary.session === session);
  const title = cleanLine(state.title ?? listed?.title ?? "");
  const workspace = state.workspace ?? listed?.workspace ?? null;
  const model = chosenModel();
  return (
    <header class="bar">
      <button type="button" class="quiet menu" aria-label="Sessions" onClick={() => toggleDrawer(true)}>
        <Icon name="menu" />
      </button>
      <div class="heading">
        <h1>{title || (session === null ? "New session" : "Session")}</h1>
        <p class="fine">
          {session !== null && workspace && (
            <span title={workspace}>
              <Icon name="folder" />
              {cleanLine(baseName(workspace))}
            </span>
          )}
          {model && <span>{cleanLine(model)}</span>}
          {app.link === "lost" && <span class="link lost">reconnecting</span>}
        </p>
      </div>
      {session !== null && (
        <>
          <CanvasButton />
          <button type="button" class="quiet" aria-label="Rename session" onClick={() => askTitle(session)}>
            <Icon name="pen" />
          </button>
          <button
            type="button"
            class="quiet"
            aria-label="Forget session"
            onClick={() => askForgetSession(session)}
          >
            <Icon name="trash" />
          </button>
        </>
      )}
    </header>
  );
}

interface TurnsProps {
  state: Transcript;
  session: string;
  showsThinking: boolean;
}

function Turns({ state, session, showsThinking }: TurnsProps) {
  const [shownMax, setShownMax] = useState(TURNS_MAX);
  const first = Math.max(0, state.turns.length - shownMax);
  const numbers = numbersOf(state.turns);
  return (
    <>
      {first > 0 && (
        <button type="button" class="quiet earlier" onClick={() => setShownMax(shownMax + TURNS_MAX)}>
          Show {count(Math.min(first, TURNS_MAX))} earlier of {count(first)} turns
        </button>
      )}
      {state.turns.slice(first).map((turn, offset) => (
        <TurnView
          key={first + offset}
          turn={turn}
          number={numbers.get(turn.kind === "undo" ? turn.undoes : turn.id) ?? null}
          session={session}
          root={state.workspace}
          showsThinking={showsThinking}
        />
      ))}
    </>
  );
}

/** Turns count from 1; what is no turn has no number. */
function numbersOf(turns: readonly Turn[]): Map<string | null, number> {
  const ids = turns.filter(({ kind }) => kind === "turn").map(({ id }) => id);
  return new Map(ids.map((id, idx) => [id, idx + 1]));
}

/** A session that is not there yet says why it is empty. */
function Empty({ link }: { link: string }) {
  return <p class="empty">{link === "open" ? "Nothing was said here yet." : "Reading the session…"}</p>;
}

function OutgoingView({ out }: { out: Outgoing }) {
  const takeBack = () => {
    withdraw(out);
    putInComposer(out.op.text, out.images);
  };
  return (
    <section class="turn outgoing" aria-label="On its way">
      <div class="said">
        <p>{clean(out.op.text)}</p>
        {out.images.length > 0 && <Thumbnails images={out.images} />}
      </div>
      {out.state === "sending" && <p class="fine">sending…</p>}
      {out.state === "waiting" && (
        <p class="note warning">
          <Icon name="alert" />
          Not sent yet: {out.why}
        </p>
      )}
      {out.state === "refused" && (
        <p class="note error">
          <Icon name="cross" />
          {clean(out.why ?? "")}
          <button type="button" class="quiet small" onClick={takeBack}>
            Take back
          </button>
        </p>
      )}
    </section>
  );
}

/** Says over the composer that something waits for the person, and leads there. */
function Waiting({ requests: pending }: { requests: Request[] }) {
  const first = pending[0];
  if (!first) return null;
  const text = first.type === "approval" ? requestTitle(first.approval) : cleanLine(first.question.text);
  return (
    <div class="asks">
      <Icon name={first.type === "approval" ? "alert" : "question"} />
      <span class="text">{text}</span>
      {pending.length > 1 && <span class="fine">and {pending.length - 1} more</span>}
      <button type="button" class="small" onClick={toRequest}>
        Look <kbd>F8</kbd>
      </button>
    </div>
  );
}

/** Leads to the request itself, never to one of its buttons. */
export function toRequest(): void {
  const request = document.querySelector<HTMLElement>('[data-request]:not([data-request="false"])');
  request?.scrollIntoView({ block: "nearest" });
  request?.focus({ preventScroll: true });
}
