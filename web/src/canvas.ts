// What is on a session's canvas: a pure fold, as the engine keeps it, and what is being drawn there right now.

import { written } from "./partial";
import type { CanvasAction, JsonObject, Surface, SurfaceKind } from "./protocol";

/** Surfaces that a session has at most; when one more is drawn, the one drawn longest ago goes. */
export const SURFACES_MAX = 32;

export interface Drawn {
  readonly surface: Surface;
  /** Which drawing of the session this is: another one is another surface, even under the same name. */
  readonly revision: number;
  /** What the person did on it last. */
  readonly act: CanvasAction | null;
}

export interface Canvas {
  /** The surface drawn last at the end. */
  readonly surfaces: readonly Drawn[];
  readonly revision: number;
}

export const BLANK: Canvas = { surfaces: [], revision: 0 };

export function drawn(canvas: Canvas, surface: Surface): Canvas {
  const revision = canvas.revision + 1;
  const others = removed(canvas, surface.name).surfaces;
  return { surfaces: [...others, { surface, revision, act: null }].slice(-SURFACES_MAX), revision };
}

export function removed(canvas: Canvas, name: string): Canvas {
  return { ...canvas, surfaces: canvas.surfaces.filter(({ surface }) => surface.name !== name) };
}

export function acted(canvas: Canvas, act: CanvasAction): Canvas {
  const surfaces = canvas.surfaces.map((drawn) => (drawn.surface.name === act.surface ? { ...drawn, act } : drawn));
  return { ...canvas, surfaces };
}

/** A surface as it is shown: one that is there, or one that is still being written. */
export interface Shown extends Drawn {
  readonly isGrowing: boolean;
}

/** All that is to be seen, the newest first. What is being written stands in place of what it will replace. */
export function shownOn(canvas: Canvas, calls: readonly Drawing[]): Shown[] {
  const growing = calls.flatMap((call, idx) => growingOf(call, canvas.revision + 1 + idx));
  const names = new Set(growing.map(({ surface }) => surface.name));
  const there = canvas.surfaces.filter(({ surface }) => !names.has(surface.name));
  return [...there.map((drawn) => ({ ...drawn, isGrowing: false })), ...growing].reverse();
}

/** A call that draws, as far as it is written. */
export interface Drawing {
  readonly drawing: string;
  readonly arguments: JsonObject | null;
}

const KINDS: ReadonlySet<string> = new Set<SurfaceKind>([
  "markdown", "html", "svg", "table", "chart", "form", "code", "image", "diagram",
]);

function growingOf(call: Drawing, revision: number): Shown[] {
  const given = call.arguments ?? Object.fromEntries(written(call.drawing).map(({ key, text }) => [key, text]));
  const text = (name: string) => (typeof given[name] === "string" ? (given[name] as string) : "");
  const [name, kind, content] = [text("name"), text("kind"), text("content")];
  // Until its kind is known nobody can tell how to read it, and empty content takes a surface away.
  if (!KINDS.has(kind) || name === "" || content === "") return [];
  const surface = { name, kind: kind as SurfaceKind, title: text("title"), language: text("language"), content };
  return [{ surface, revision, act: null, isGrowing: true }];
}
