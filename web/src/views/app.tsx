// The page: sessions at the side, what is looked at in the middle, and the keys that work everywhere.

import { useEffect } from "preact/hooks";
import { useApp } from "../hooks";
import { requests, runningTurn } from "../state";
import { current, dismiss, show, shownSession, toggleCanvas, toggleDrawer, transcript, type App, type Toast } from "../store";
import { cleanLine } from "../visible";
import { requestTitle } from "../words";
import { CANVAS_BESIDE_PX_MIN, CanvasPane } from "./canvas";
import { Chat, toRequest } from "./chat";
import { Cost } from "./cost";
import { Dialogs } from "./dialogs";
import { Icon } from "./icons";
import { Logs } from "./logs";
import { Memory } from "./memory";
import { Settings } from "./settings";
import { Sidebar } from "./sidebar";
import { Status } from "./status";

export function AppView() {
  const app = useApp();
  useKeys();
  useTitle(app);
  if (app.isSignedOut) return <SignedOut />;
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        To the content
      </a>
      <div class="shell">
        <Sidebar />
        {app.isDrawerOpen && <div class="shade" onClick={() => toggleDrawer(false)} />}
        <main id="main" tabIndex={-1} inert={isCovered(app)}>
          <Page app={app} />
        </main>
        {app.route.page === "chat" && <CanvasPane session={app.route.session} />}
      </div>
      <Toasts toasts={app.toasts} />
      <p class="unseen" aria-live="polite">
        {announcement()}
      </p>
      {app.dialog && <Dialogs key={app.dialog.type} dialog={app.dialog} />}
    </>
  );
}

/** Whether the sessions or the canvas lie over the conversation, as they do where there is no room beside it. */
function isCovered(app: App): boolean {
  const isNarrow = (width: number) => matchMedia(`(max-width: ${width}px)`).matches;
  const hasCanvas = app.canvas === "open" && transcript().canvas.surfaces.length > 0;
  return (app.isDrawerOpen && isNarrow(760)) || (hasCanvas && isNarrow(CANVAS_BESIDE_PX_MIN - 1));
}

function skip(event: Event): void {
  event.preventDefault();
  (document.getElementById("composer") ?? document.getElementById("main"))?.focus();
}

function Page({ app }: { app: App }) {
  switch (app.route.page) {
    case "cost":
      return <Cost />;
    case "status":
      return <Status />;
    case "memory":
      return <Memory />;
    case "settings":
      return <Settings />;
    case "logs":
      return <Logs />;
    default:
      return <Chat />;
  }
}

function SignedOut() {
  return (
    <main class="signed-out">
      <h1>This page is not signed in</h1>
      <p>In a terminal, run</p>
      <pre>titanclaw web</pre>
      <p>and open the link that it prints. A link works once.</p>
    </main>
  );
}

function Toasts({ toasts }: { toasts: readonly Toast[] }) {
  return (
    <div class="toasts" role="status">
      {toasts.map(({ id, text, isError }) => (
        <p key={id} class={isError ? "error" : ""}>
          <span>{text}</span>
          <button type="button" class="quiet" aria-label="Dismiss" onClick={() => dismiss(id)}>
            <Icon name="close" />
          </button>
        </p>
      ))}
    </div>
  );
}

/** What somebody who listens is told: that something waits for them, and how a turn ended. */
function announcement(): string {
  const state = transcript();
  const first = requests(state)[0];
  if (first) {
    const what = first.type === "approval" ? requestTitle(first.approval) : cleanLine(first.question.text);
    return `${what}. F8 leads there.`;
  }
  if (runningTurn(state)) return "Working";
  const outcome = state.turns.at(-1)?.outcome?.type;
  return outcome ? { completed: "Done", interrupted: "Stopped", limited: "Ended by a limit", failed: "Failed" }[outcome] : "";
}

function useTitle(app: App): void {
  const state = transcript();
  const session = shownSession();
  const listed = app.sessions?.find((summary) => summary.session === session)?.title;
  const title = cleanLine(state.title ?? listed ?? "");
  const isAsked = requests(state).length > 0;
  useEffect(() => {
    document.title = `${isAsked ? "● " : ""}${title ? `${title} · ` : ""}TitanClaw`;
  }, [title, isAsked]);
}

/** Closes what lies over the conversation. */
function escaped(): void {
  if (isCovered(current())) toggleCanvas(false);
  toggleDrawer(false);
}

/** Keys with Ctrl and function keys only: a letter alone never does anything here. */
function useKeys(): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const isCommand = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
      if (isCommand && event.key === "k") show({ type: "palette" });
      else if (isCommand && event.key === "/") show({ type: "help" });
      else if (event.key === "F8") toRequest();
      else if (event.key === "Escape") return escaped();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
}
