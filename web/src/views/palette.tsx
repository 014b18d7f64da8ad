// Ctrl-K: everything that can be done, and every session, by a few letters.

import { useRef, useState } from "preact/hooks";
import { COMMANDS } from "../commands";
import { useApp, useModal } from "../hooks";
import { go, perform, show, toggleThinking } from "../store";
import { cleanLine } from "../visible";
import { putInComposer } from "./composer";

interface Entry {
  key: string;
  label: string;
  hint: string;
  act: () => void;
}

const SESSIONS_MAX = 8;
/** Commands that mean little without what follows them: the rest is typed in the composer. */
const ASKS_FOR_MORE = new Set(["/rename", "/model"]);

export function Palette() {
  const box = useModal(() => show(null));
  const [search, setSearch] = useState("");
  const [chosen, setChosen] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const entries = useEntries(search);
  const active = Math.min(chosen, entries.length - 1);
  const act = (entry: Entry | undefined) => {
    if (!entry) return;
    show(null);
    entry.act();
  };
  const move = (by: number) => {
    const next = (active + by + entries.length) % Math.max(1, entries.length);
    setChosen(next);
    list.current?.children[next]?.scrollIntoView({ block: "nearest" });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowUp") move(-1);
    else if (event.key === "Enter") act(entries[active]);
    else return;
    event.preventDefault();
  };
  return (
    <dialog ref={box} class="palette" aria-label="Commands">
      <input
        role="combobox"
        aria-expanded="true"
        aria-controls="entries"
        aria-activedescendant={active >= 0 ? `entry-${active}` : undefined}
        aria-label="Search commands and sessions"
        placeholder="Search commands and sessions"
        value={search}
        autoFocus
        onInput={(event) => {
          setSearch(event.currentTarget.value);
          setChosen(0);
        }}
        onKeyDown={onKeyDown}
      />
      <ul ref={list} role="listbox" id="entries" aria-label="Commands and sessions">
        {entries.map((entry, idx) => (
          <li
            key={entry.key}
            id={`entry-${idx}`}
            role="option"
            aria-selected={idx === active}
            onClick={() => act(entry)}
          >
            <span>{entry.label}</span>
            <span class="fine">{entry.hint}</span>
          </li>
        ))}
      </ul>
      {entries.length === 0 && <p class="fine none">Nothing fits.</p>}
    </dialog>
  );
}

function useEntries(search: string): Entry[] {
  const app = useApp();
  const commands: Entry[] = COMMANDS.map(({ slash, label, rest }) => ({
    key: slash,
    label,
    hint: `${slash} ${rest}`.trim(),
    act: () => (ASKS_FOR_MORE.has(slash) || !rest ? perform(slash) : putInComposer(`${slash} `)),
  }));
  const thinking: Entry = {
    key: "thinking",
    label: app.showsThinking ? "Fold thinking when it is done" : "Keep thinking unfolded",
    hint: "",
    act: toggleThinking,
  };
  const sessions: Entry[] = (app.sessions ?? []).map((session) => ({
    key: session.session,
    label: cleanLine(session.title) || "Untitled",
    hint: cleanLine(session.workspace),
    act: () => go({ page: "chat", session: session.session }),
  }));
  const words = search.toLowerCase().split(/\s+/);
  const isFitting = ({ label, hint }: Entry) => {
    const text = `${label} ${hint}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  return [
    ...[...commands, thinking].filter(isFitting),
    ...sessions.filter(isFitting).slice(0, SESSIONS_MAX),
  ];
}
