// Where a person writes. Enter sends; while a turn runs, what is sent steers it.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { fitting, type Command } from "../commands";
import type { SessionId } from "../protocol";
import { perform, tell } from "../store";
import { Icon } from "./icons";

/** What was begun and not sent, by session. */
const drafts = new Map<string, string>();

let put: ((text: string) => void) | null = null;

/** Puts a text where it can be gone on with; what was begun there goes before it. */
export function putInComposer(text: string): void {
  put?.(text);
}

const STOP_WITHIN_MS = 1_500;

interface ComposerProps {
  session: SessionId | null;
  isBusy: boolean;
  onStop: () => void;
  /** What was said before, oldest first. */
  said: string[];
  onSent: () => void;
}

export function Composer({ session, isBusy, onStop, said, onSent }: ComposerProps) {
  const [text, setText] = useState(drafts.get(session ?? "") ?? "");
  const [chosen, setChosen] = useState(0);
  const [isListClosed, setListClosed] = useState(false);
  const box = useRef<HTMLTextAreaElement>(null);
  const escapedAt = useRef(0);
  const recalled = useRef(said.length);
  const commands = isListClosed ? [] : fitting(text);
  const active = Math.min(chosen, commands.length - 1);

  const write = (next: string) => {
    setText(next);
    setChosen(0);
    setListClosed(false);
    drafts.set(session ?? "", next);
  };
  useEffect(() => {
    put = (more) => {
      write(more);
      box.current?.focus();
    };
    // A screen that is touched would cover half of itself with its keyboard.
    if (matchMedia("(pointer: fine)").matches) box.current?.focus();
    return () => (put = null);
  }, []);
  useLayoutEffect(() => grow(box.current), [text]);
  useLayoutEffect(() => {
    document.getElementById(`suggestion-${active}`)?.scrollIntoView({ block: "nearest" });
  }, [active]);

  const send = () => {
    if (text.trim() === "") return;
    const isTaken = perform(text);
    if (!isTaken) return;
    drafts.delete(session ?? "");
    recalled.current = said.length + 1;
    write("");
    onSent();
  };
  const take = (command: Command) => {
    write(command.rest ? `${command.slash} ` : command.slash);
    box.current?.focus();
  };
  const recall = (by: number) => {
    const next = recalled.current + by;
    if (next < 0 || next > said.length) return;
    recalled.current = next;
    write(said[next] ?? "");
  };
  const escape = () => {
    if (commands.length > 0) return setListClosed(true);
    if (!isBusy) return;
    if (Date.now() - escapedAt.current < STOP_WITHIN_MS) return onStop();
    escapedAt.current = Date.now();
    tell("Escape again stops the turn.");
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    const command = commands[active];
    const key = event.key;
    const isAlone = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
    if (key === "Escape") return escape();
    if (!isAlone) return;
    if (command && (key === "ArrowDown" || key === "ArrowUp")) {
      const by = key === "ArrowDown" ? 1 : commands.length - 1;
      setChosen((active + by) % commands.length);
    } else if (command && key === "Tab") take(command);
    else if (command && key === "Enter" && command.slash !== text) take(command);
    else if (key === "Enter") send();
    else if (key === "ArrowUp" && isRecalling(text, said, recalled.current)) recall(-1);
    else if (key === "ArrowDown" && isRecalling(text, said, recalled.current)) recall(1);
    else return;
    event.preventDefault();
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {commands.length > 0 && (
        <ul class="suggestions" role="listbox" id="suggestions" aria-label="Commands" tabIndex={0}>
          {commands.map((command, idx) => (
            <li
              key={command.slash}
              id={`suggestion-${idx}`}
              role="option"
              aria-selected={idx === active}
              onMouseDown={(event) => {
                event.preventDefault();
                take(command);
              }}
            >
              <code>
                {command.slash} <span class="rest">{command.rest}</span>
              </code>
              <span>{command.label}</span>
            </li>
          ))}
        </ul>
      )}
      <textarea
        ref={box}
        id="composer"
        rows={1}
        value={text}
        aria-label={isBusy ? "Steer the turn that runs" : "Message"}
        aria-autocomplete="list"
        aria-controls={commands.length > 0 ? "suggestions" : undefined}
        aria-activedescendant={commands.length > 0 ? `suggestion-${active}` : undefined}
        placeholder={isBusy ? "Steer it while it works…" : "Ask, or type / for commands"}
        onInput={(event) => write(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      {isBusy && (
        <button type="button" class="round stop" aria-label="Stop the turn" title="Stop (Esc Esc)" onClick={onStop}>
          <Icon name="stop" />
        </button>
      )}
      <button
        type="submit"
        class="round send"
        aria-label={isBusy ? "Steer" : "Send"}
        title="Enter sends, Shift+Enter begins a line"
        disabled={text.trim() === ""}
      >
        <Icon name="send" />
      </button>
    </form>
  );
}

/** The arrow keys go through what was said as long as nothing else is being written. */
function isRecalling(text: string, said: string[], at: number): boolean {
  return text === "" || text === said[at];
}

const HEIGHT_PX_MAX = 240;

function grow(box: HTMLTextAreaElement | null): void {
  if (!box) return;
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight, HEIGHT_PX_MAX)}px`;
}
