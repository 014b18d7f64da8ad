// The canvas beside the conversation: a tab for each surface, the newest in front, and the one that is looked at.

import { useEffect, useRef } from "preact/hooks";
import { shownOn, type Shown } from "../canvas";
import { exported, fileName } from "../export";
import { useApp } from "../hooks";
import type { SessionId } from "../protocol";
import { drawingCalls } from "../state";
import { bringForward, current, toggleCanvas, transcript, type App } from "../store";
import { cleanLine } from "../visible";
import { Guard } from "./guard";
import { Icon } from "./icons";
import { SurfaceView } from "./surface";

/** From here on it stands beside the conversation, below it lies over it. Also in `canvas.css`. */
export const CANVAS_BESIDE_PX_MIN = 1_100;

function shownHere(): Shown[] {
  const state = transcript();
  return shownOn(state.canvas, drawingCalls(state));
}

/** What was chosen, unless something was drawn since or is being drawn. */
function frontOf(shown: readonly Shown[], app: App): Shown {
  const newest = shown[0]!;
  const isChosen = app.front?.revision === transcript().canvas.revision && !newest.isGrowing;
  const chosen = isChosen && shown.find(({ surface }) => surface.name === app.front?.name);
  return chosen || newest;
}

export function CanvasPane({ session }: { session: SessionId }) {
  const app = useApp();
  const box = useRef<HTMLElement>(null);
  const shown = shownHere();
  const isOpen = app.canvas === "open";
  useEffect(() => {
    // Where it lies over the conversation, it is what one is in.
    if (isOpen && innerWidth < CANVAS_BESIDE_PX_MIN) box.current?.focus();
  }, [isOpen]);
  if (shown.length === 0) return null;
  const front = frontOf(shown, app);
  return (
    <>
      {isOpen && <div class="shade canvas-shade" onClick={() => toggleCanvas(false)} />}
      <aside ref={box} class={`canvas ${app.canvas}`} aria-label="Canvas" tabIndex={-1}>
        <header>
          <h2 class="unseen">Canvas</h2>
          <Tabs shown={shown} front={front} />
          <button type="button" class="quiet" aria-label="Save the whole canvas as a file" title="Save all" onClick={() => save(shown, "canvas")}>
            <Icon name="save" />
          </button>
          <button type="button" class="quiet" aria-label="Close the canvas" onClick={() => toggleCanvas(false)}>
            <Icon name="close" />
          </button>
        </header>
        <Guard key={`${front.surface.name}-${front.revision}`}>
          <Panel session={session} shown={front} />
        </Guard>
      </aside>
    </>
  );
}

function titleOf({ surface }: Shown): string {
  return cleanLine(surface.title) || surface.name;
}

function Tabs({ shown, front }: { shown: readonly Shown[]; front: Shown }) {
  const onKeyDown = (event: KeyboardEvent) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const next = shown[(shown.indexOf(front) + by + shown.length) % shown.length]!;
    bringForward(next.surface.name);
    document.getElementById(`tab-${next.surface.name}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="Surfaces" onKeyDown={onKeyDown}>
      {shown.map((one) => (
        <button
          key={one.surface.name}
          id={`tab-${one.surface.name}`}
          type="button"
          role="tab"
          aria-selected={one === front}
          aria-controls={one === front ? "surface" : undefined}
          tabIndex={one === front ? 0 : -1}
          onClick={() => bringForward(one.surface.name)}
        >
          {one.isGrowing && <span class="spinner" />}
          {titleOf(one)}
        </button>
      ))}
    </div>
  );
}

function Panel({ session, shown }: { session: SessionId; shown: Shown }) {
  const { surface, isGrowing } = shown;
  return (
    <section id="surface" class="surface" role="tabpanel" aria-labelledby={`tab-${surface.name}`} tabIndex={0}>
      <div class="surface-head">
        <h3>{titleOf(shown)}</h3>
        <span class="fine">{isGrowing ? "being drawn" : surface.kind}</span>
        {!isGrowing && (
          <button type="button" class="quiet small" aria-label={`Save ${titleOf(shown)} as a file`} onClick={() => save([shown], surface.name)}>
            <Icon name="save" />
            Save
          </button>
        )}
      </div>
      <SurfaceView session={session} shown={shown} />
    </section>
  );
}

const KEPT_MS = 60_000;

/** Hands a file over to the browser. */
function save(shown: readonly Shown[], name: string): void {
  const whole = shown.filter(({ isGrowing }) => !isGrowing).map(({ surface }) => surface);
  const address = URL.createObjectURL(new Blob([exported(whole)], { type: "text/html" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = fileName(name);
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), KEPT_MS);
}

/** Opens and closes it, and says how much there is. */
export function CanvasButton() {
  const app = useApp();
  const shown = shownHere();
  if (shown.length === 0) return null;
  const isSeen = () => {
    const { canvas } = current();
    return canvas === "open" || (canvas === "auto" && innerWidth >= CANVAS_BESIDE_PX_MIN);
  };
  return (
    <button
      type="button"
      class={`quiet canvas-button ${app.canvas}`}
      aria-label={`Canvas, ${shown.length === 1 ? "1 surface" : `${shown.length} surfaces`}`}
      title="Canvas"
      onClick={() => toggleCanvas(!isSeen())}
    >
      <Icon name="canvas" />
      <span class="badge">{shown.length}</span>
    </button>
  );
}
