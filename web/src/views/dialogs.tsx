// The small dialogs: one at a time, closed by Escape, with the focus given back to where it was.

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api } from "../api";
import { COMMANDS } from "../commands";
import { useApp, useModal } from "../hooks";
import { chooseModel, chosenModel, rename, show, type Dialog } from "../store";
import { cleanLine } from "../visible";
import { DiffDialog } from "./diff";
import { ImageDialog } from "./given";
import { Icon } from "./icons";
import { Palette } from "./palette";

export function Dialogs({ dialog }: { dialog: Dialog }) {
  switch (dialog.type) {
    case "palette":
      return <Palette />;
    case "help":
      return <Help />;
    case "rename":
      return <Rename {...dialog} />;
    case "model":
      return <Model />;
    case "confirm":
      return <Confirm {...dialog} />;
    case "image":
      return <ImageDialog {...dialog} />;
    case "diff":
      return <DiffDialog {...dialog} />;
  }
}

interface FrameProps {
  title: string;
  children: ComponentChildren;
  className?: string;
}

export function Frame({ title, children, className = "" }: FrameProps) {
  const box = useModal(() => show(null));
  return (
    <dialog ref={box} class={className} aria-labelledby="dialog-title">
      <header>
        <h2 id="dialog-title">{title}</h2>
        <button type="button" class="quiet" aria-label="Close" onClick={() => show(null)}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </dialog>
  );
}

const KEYS: readonly [string, string][] = [
  ["Enter", "send; while a turn runs, steer it"],
  ["Shift Enter", "begin a line"],
  ["Esc Esc", "stop the turn, from the composer"],
  ["↑ ↓", "what was said before, from an empty composer"],
  ["F8", "go to what waits for an answer"],
  ["o s e d", "there: once, this session, exactly this, deny"],
  ["Ctrl K", "commands and sessions"],
  ["Ctrl /", "this list"],
];

function Help() {
  return (
    <Frame title="Keys and commands" className="help">
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
        {COMMANDS.map(({ slash, rest, label }) => (
          <div key={slash}>
            <dt>
              <code>
                {slash} {rest}
              </code>
            </dt>
            <dd>{label}</dd>
          </div>
        ))}
        <div>
          <dt>
            <code>!COMMAND</code>
          </dt>
          <dd>Run a command by hand; the model reads of it later</dd>
        </div>
      </dl>
    </Frame>
  );
}

function Rename({ session, title }: Extract<Dialog, { type: "rename" }>) {
  const [text, setText] = useState(title);
  const submitted = (event: Event) => {
    event.preventDefault();
    if (text.trim() !== "") void rename(session, text.trim());
  };
  return (
    <Frame title="Rename the session">
      <form onSubmit={submitted}>
        <label for="title">Title</label>
        <input
          id="title"
          value={text}
          maxLength={200}
          autoFocus
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <div class="choices end">
          <button type="button" onClick={() => show(null)}>
            Cancel
          </button>
          <button type="submit" class="main" disabled={text.trim() === ""}>
            Rename
          </button>
        </div>
      </form>
    </Frame>
  );
}

function Model() {
  const app = useApp();
  const [name, setName] = useState(chosenModel() ?? "");
  const [there, setThere] = useState<string[]>([]);
  useEffect(() => {
    api.models().then(
      // The first leaves the choice to the engine, as no name does.
      ({ data }) => setThere(data.slice(1).map(({ id }) => id)),
      // They are only suggestions; a name can be typed all the same.
      () => setThere([]),
    );
  }, []);
  const submitted = (event: Event) => {
    event.preventDefault();
    chooseModel(name);
  };
  return (
    <Frame title="Model of this conversation">
      <form onSubmit={submitted}>
        <p class="fine">{cleanLine(app.status?.model ?? "")}</p>
        <label for="model">Model, as provider/model; empty for the configured one</label>
        <input
          id="model"
          list="models"
          value={name}
          spellcheck={false}
          autocomplete="off"
          autoFocus
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <datalist id="models">
          {there.map((model) => (
            <option key={model} value={model} />
          ))}
        </datalist>
        <div class="choices end">
          <button type="button" onClick={() => show(null)}>
            Cancel
          </button>
          <button type="submit" class="main">
            Choose
          </button>
        </div>
      </form>
    </Frame>
  );
}

function Confirm({ title, text, action, act }: Extract<Dialog, { type: "confirm" }>) {
  const confirmed = () => {
    show(null);
    void act();
  };
  return (
    <Frame title={title}>
      <p>{cleanLine(text)}</p>
      <div class="choices end">
        <button type="button" autoFocus onClick={() => show(null)}>
          Cancel
        </button>
        <button type="button" class="danger" onClick={confirmed}>
          {action}
        </button>
      </div>
    </Frame>
  );
}
