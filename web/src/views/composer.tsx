// Where a person writes. Enter sends; while a turn runs, what is sent steers it.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { fitting, parsed, type Command } from "../commands";
import { read, tooMuch, type Given } from "../images";
import type { SessionId } from "../protocol";
import { perform, tell } from "../store";
import { cleanLine } from "../visible";
import { Icon } from "./icons";

/** What was begun and not sent, by session. */
const drafts = new Map<string, string>();
const givenBySession = new Map<string, readonly Given[]>();

let put: ((text: string, images: readonly Given[]) => void) | null = null;

/** Puts a text where it can be gone on with, in place of what was begun there. */
export function putInComposer(text: string, images: readonly Given[] = []): void {
  put?.(text, images);
}

interface ThumbnailsProps {
  images: readonly Given[];
  onRemove?: (image: Given) => void;
}

/** Images that go with what is said; each can be taken away while that is not sent. */
export function Thumbnails({ images, onRemove }: ThumbnailsProps) {
  return (
    <ul class="thumbnails" aria-label="Images">
      {images.map((image) => (
        <li key={image.id}>
          <img src={image.url} alt={cleanLine(image.name)} />
          {onRemove && (
            <button
              type="button"
              class="quiet"
              aria-label={`Take away ${cleanLine(image.name)}`}
              onClick={() => onRemove(image)}
            >
              <Icon name="close" />
            </button>
          )}
        </li>
      ))}
    </ul>
  );
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
  const [images, setImages] = useState(givenBySession.get(session ?? "") ?? []);
  const [isOver, setOver] = useState(false);
  const [chosen, setChosen] = useState(0);
  const [isListClosed, setListClosed] = useState(false);
  const box = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const latest = useRef(images);
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
  const keep = (next: readonly Given[]) => {
    latest.current = next;
    setImages(next);
    givenBySession.set(session ?? "", next);
  };
  /** Reads files one after the other: what is too much is said, and left out. */
  const give = async (files: readonly File[]) => {
    for (const file of files) {
      try {
        const image = await read(file);
        const why = tooMuch([...latest.current, image]);
        if (why) return tell(why, true);
        keep([...latest.current, image]);
      } catch (error) {
        tell((error as Error).message, true);
      }
    }
    box.current?.focus();
  };
  useEffect(() => {
    put = (more, images) => {
      write(more);
      keep(images);
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
    const isTaken = perform(text, images);
    if (!isTaken) return;
    drafts.delete(session ?? "");
    if (parsed(text).type === "say") keep([]);
    givenBySession.delete(session ?? "");
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
      class={`composer ${isOver ? "over" : ""}`}
      onDragOver={(event) => {
        if (!event.dataTransfer?.types.includes("Files")) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        setOver(false);
        const files = [...(event.dataTransfer?.files ?? [])];
        if (files.length === 0) return;
        event.preventDefault();
        void give(files);
      }}
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
      {images.length > 0 && (
        <Thumbnails
          images={images}
          onRemove={(image) => {
            keep(images.filter((other) => other !== image));
            box.current?.focus();
          }}
        />
      )}
      <input
        ref={picker}
        type="file"
        accept="image/*"
        multiple
        hidden
        onChange={(event) => {
          void give([...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = "";
        }}
      />
      <button
        type="button"
        class="quiet attach"
        aria-label="Give an image"
        title="Give an image; it can also be pasted or dropped here"
        onClick={() => picker.current?.click()}
      >
        <Icon name="image" />
      </button>
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
        onPaste={(event) => {
          const files = [...(event.clipboardData?.files ?? [])];
          if (files.length === 0) return;
          event.preventDefault();
          void give(files);
        }}
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
