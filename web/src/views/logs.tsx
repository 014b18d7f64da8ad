// What the engine logged, newest last, and what it logs from now on.

import { useEffect, useState } from "preact/hooks";
import { api } from "../api";
import { count } from "../format";
import { useSoon, useStickToEnd } from "../hooks";
import { grown, timeOf, type Log } from "../log";
import type { LogEntry, LogLevel } from "../protocol";
import { wordsOf } from "../store";
import { clean, cleanLine } from "../visible";
import { PageHeader } from "./page";
import { SearchField } from "./search";

const SHOWN_AT_FIRST = 200;
const READ_MAX = 1_000;
const LOOK_MS = 2_000;

const LEVELS: readonly [LogLevel, string][] = [
  ["error", "Errors"],
  ["warn", "Warnings and errors"],
  ["info", "All but debugging"],
  ["trace", "All"],
];

export function Logs() {
  const [level, setLevel] = useState<LogLevel>("info");
  const [search, setSearch] = useState("");
  const [isFollowed, setFollowed] = useState(true);
  const sought = useSoon(search);
  const { log, error } = useLog(level, sought, isFollowed);
  const { box, onScroll } = useStickToEnd<HTMLDivElement>(log);
  return (
    <>
      <PageHeader title="Log" />
      <div class="tools bound">
        <SearchField label="Search the log" value={search} onSearch={setSearch} />
        <select
          aria-label="What is shown"
          value={level}
          onInput={(event) => setLevel(event.currentTarget.value as LogLevel)}
        >
          {LEVELS.map(([level, label]) => (
            <option key={level} value={level}>
              {label}
            </option>
          ))}
        </select>
        <button type="button" aria-pressed={isFollowed} onClick={() => setFollowed(!isFollowed)}>
          Follow
        </button>
      </div>
      {error && (
        <p class="note error bound" role="alert">
          {error}
        </p>
      )}
      <div ref={box} class="scroll log" tabIndex={0} role="region" aria-label="Entries" onScroll={onScroll}>
        {log && log.n_gone > 0 && <p class="fine">{count(log.n_gone)} older entries are not shown any more.</p>}
        {log?.entries.length === 0 && <p class="empty">{sought.trim() ? "No entry fits." : "Nothing was logged yet."}</p>}
        <ol>
          {log?.entries.map((entry, idx) => (
            <Entry key={log.n_gone + idx} entry={entry} />
          ))}
        </ol>
      </div>
    </>
  );
}

/** The log as it is asked for; read anew when that is another, and read on while it is followed. */
function useLog(level: LogLevel, search: string, isFollowed: boolean) {
  const [log, setLog] = useState<Log | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    let isWanted = true;
    let timer = 0;
    let known: Log | null = null;
    const look = async () => {
      if (document.visibilityState === "visible") await read();
      if (isWanted && isFollowed) timer = window.setTimeout(look, LOOK_MS);
    };
    const read = async () => {
      try {
        const page = await api.logs({ after: known?.next || null, level, search, limit: known ? READ_MAX : SHOWN_AT_FIRST });
        if (!isWanted) return;
        known = grown(known, page);
        setLog(known);
        setError(null);
      } catch (error) {
        if (isWanted) setError(wordsOf(error));
      }
    };
    void look();
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [level, search, isFollowed]);
  return { log, error };
}

function Entry({ entry }: { entry: LogEntry }) {
  const { day, time } = timeOf(entry.at);
  return (
    <li class={entry.level}>
      <time dateTime={entry.at} title={day}>
        {time}
      </time>
      <span class="level">{entry.level}</span>
      <span class="event">
        <span class="target">{cleanLine(entry.target)}</span> {clean(entry.message)}
        {Object.entries(entry.fields).map(([name, value]) => (
          <span key={name} class="field">
            {" "}
            {cleanLine(name)}={cleanLine(value)}
          </span>
        ))}
      </span>
    </li>
  );
}
