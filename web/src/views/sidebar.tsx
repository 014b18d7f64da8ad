// The sessions, with search, and the ways to the other pages.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Link } from "../connection";
import { ago, baseName, count } from "../format";
import { memo, useApp, useNow } from "../hooks";
import type { SessionSummary } from "../protocol";
import { hrefOf, nextTheme, show, shownSession, toggleDrawer, type Theme } from "../store";
import { cleanLine } from "../visible";
import { Icon, type IconName } from "./icons";

/** Sessions that are listed at once. */
const SHOWN_MAX = 80;

export function Sidebar() {
  const app = useApp();
  const page = app.route.page;
  const close = useRef<HTMLButtonElement>(null);
  const box = useRef<HTMLElement>(null);
  // Before the browser takes the focus from what it hides.
  useLayoutEffect(() => {
    const isInside = box.current?.contains(document.activeElement);
    if (app.isDrawerOpen && !isInside) close.current?.focus();
    if (!app.isDrawerOpen && isInside) document.querySelector<HTMLElement>(".bar .menu")?.focus();
  }, [app.isDrawerOpen]);
  return (
    <aside
      ref={box}
      class={`sidebar ${app.isDrawerOpen ? "open" : ""}`}
      aria-label="Sessions and pages"
    >
      <div class="brand">
        <span class="name">TitanClaw</span>
        <LinkState link={app.link} isOffline={app.status?.is_offline ?? false} />
        <button
          ref={close}
          type="button"
          class="quiet menu"
          aria-label="Close the list of sessions"
          onClick={() => toggleDrawer(false)}
        >
          <Icon name="close" />
        </button>
      </div>
      <a class="new" href={hrefOf({ page: "new" })} aria-current={page === "new" ? "page" : undefined}>
        <Icon name="plus" />
        New session
      </a>
      <Sessions sessions={app.sessions} error={app.sessionsError} shown={shownSession()} />
      <nav class="pages" aria-label="Pages">
        <a href="#/status" aria-current={page === "status" ? "page" : undefined}>
          <Icon name="pulse" />
          Status and jobs
          {(app.status?.turns_running ?? 0) > 0 && <span class="badge">{app.status!.turns_running}</span>}
        </a>
        <PageLink page="cost" icon="chart" label="Models and cost" shown={page} />
        <PageLink page="memory" icon="book" label="Memory" shown={page} />
        <PageLink page="settings" icon="sliders" label="Settings" shown={page} />
        <PageLink page="logs" icon="list" label="Log" shown={page} />
        <button type="button" class="quiet" onClick={() => show({ type: "palette" })}>
          <Icon name="command" />
          Commands <kbd>Ctrl K</kbd>
        </button>
        <ThemeButton theme={app.theme} />
      </nav>
    </aside>
  );
}

interface PageLinkProps {
  page: "cost" | "memory" | "settings" | "logs";
  icon: IconName;
  label: string;
  shown: string;
}

function PageLink({ page, icon, label, shown }: PageLinkProps) {
  return (
    <a href={hrefOf({ page })} aria-current={shown === page ? "page" : undefined}>
      <Icon name={icon} />
      {label}
    </a>
  );
}

function LinkState({ link, isOffline }: { link: Link; isOffline: boolean }) {
  const words = { idle: "", open: "", connecting: "connecting", lost: "reconnecting" }[link];
  const text = words || (isOffline ? "offline mode" : "");
  return text ? <span class={`link ${link}`}>{text}</span> : null;
}

function ThemeButton({ theme }: { theme: Theme }) {
  const icon = { system: "half", light: "sun", dark: "moon" } as const;
  const words = { system: "as the system", light: "light", dark: "dark" }[theme];
  return (
    <button type="button" class="quiet" onClick={nextTheme}>
      <Icon name={icon[theme]} />
      Colours: {words}
    </button>
  );
}

interface SessionsProps {
  sessions: readonly SessionSummary[] | null;
  error: string | null;
  shown: string | null;
}

const Sessions = memo(({ sessions, error, shown }: SessionsProps) => {
  const [search, setSearch] = useState("");
  const [shownMax, setShownMax] = useState(SHOWN_MAX);
  const now = useNow(true, 30_000);
  const titles = new Map((sessions ?? []).map(({ session, title }) => [session, title]));
  const originOf = ({ branch_of }: SessionSummary) =>
    branch_of ? `branch of ${titles.get(branch_of.session) || "a session"}` : "";
  const found = (sessions ?? []).filter((session) => fits(session, originOf(session), search));
  return (
    <div class="sessions">
      <div class="search">
        <Icon name="search" />
        <input
          id="search"
          type="search"
          aria-label="Search sessions"
          placeholder="Search sessions"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
      </div>
      {error && <p class="note warning">{error}</p>}
      <ul aria-label="Sessions">
        {found.slice(0, shownMax).map((session) => (
          <li key={session.session}>
            <SessionLink
              session={session}
              origin={originOf(session)}
              isShown={session.session === shown}
              now={now}
            />
          </li>
        ))}
      </ul>
      {found.length === 0 && sessions && (
        <p class="fine none">{search ? "No session fits." : "No session yet."}</p>
      )}
      {found.length > shownMax && (
        <button type="button" class="quiet small" onClick={() => setShownMax(shownMax + SHOWN_MAX)}>
          Show more of {count(found.length)}
        </button>
      )}
    </div>
  );
});

/** Every word of the search is in the title, the folder, or what it is a branch of. */
export function fits(session: SessionSummary, origin: string, search: string): boolean {
  const text = `${session.title} ${session.workspace} ${origin} ${session.session}`.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

interface SessionLinkProps {
  session: SessionSummary;
  /** What it is a branch of, in words. */
  origin: string;
  isShown: boolean;
  now: number;
}

function SessionLink({ session, origin, isShown, now }: SessionLinkProps) {
  return (
    <a
      href={hrefOf({ page: "chat", session: session.session })}
      aria-current={isShown ? "page" : undefined}
      title={cleanLine(session.workspace)}
    >
      <span class="title">{cleanLine(session.title) || "Untitled"}</span>
      <span class="fine">
        {session.is_running && <span class="running">running</span>}
        {origin && (
          <span class="origin">
            <Icon name="branch" />
            {cleanLine(origin)}
          </span>
        )}
        <span>{cleanLine(baseName(session.workspace))}</span>
        <span>{ago(session.active_at, now)}</span>
      </span>
    </a>
  );
}
