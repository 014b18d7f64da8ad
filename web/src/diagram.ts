// A diagram's layout: nodes in layers from top to bottom, edges that go around nodes. Values in, values out.
//
// Long edges get a place in every layer that they pass, so that they are ordered with the nodes and cross none of them.

export interface Edge {
  readonly from: string;
  readonly to: string;
  readonly label: string;
}

export interface Graph {
  readonly nodes: readonly string[];
  readonly edges: readonly Edge[];
}

/** Lines that a diagram has at most; the engine takes no more. */
const LINES_MAX = 300;

/** One edge a line, `from -> to` or `from -> to: label`; a line without an arrow is a node by itself. */
export function parsed(text: string): Graph {
  const nodes = new Set<string>();
  const edges: Edge[] = [];
  for (const line of text.split("\n").slice(0, LINES_MAX)) {
    const arrow = line.indexOf("->");
    const from = (arrow < 0 ? line : line.slice(0, arrow)).trim();
    if (from === "") continue;
    nodes.add(from);
    if (arrow < 0) continue;
    const [to = "", ...label] = line.slice(arrow + 2).split(":");
    // An arrow that leads nowhere yet is still being written.
    if (to.trim() === "") continue;
    nodes.add(to.trim());
    edges.push({ from, to: to.trim(), label: label.join(":").trim() });
  }
  return { nodes: [...nodes], edges };
}

export interface Box {
  readonly name: string;
  /** What is read in it: the name, cut where it is long. */
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

export interface Line {
  readonly edge: Edge;
  /** Points from the one box to the other. */
  readonly points: readonly Point[];
  /** Where its label stands, in the middle of it. */
  readonly label: Point;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly Box[];
  readonly lines: readonly Line[];
}

export const BOX_HEIGHT = 34;
const LAYER_HEIGHT = 100;
const GAP = 44;
const MARGIN = 14;
const CHAR_WIDTH = 7.4;
const NAME_CHARS_MAX = 32;
const SWEEPS = 6;

/** A node, or the place where a long edge passes a layer. */
interface Cell {
  readonly id: string;
  readonly layer: number;
  readonly width: number;
}

export function laidOut(graph: Graph): Picture {
  const layers = layersOf(graph);
  const cells = new Map<string, Cell>();
  for (const name of graph.nodes) cells.set(node(name), { id: node(name), layer: layers.get(name)!, width: widthOf(name) });
  const paths = graph.edges.map((edge, idx) => pathOf(edge, idx, layers, cells));
  const rows = ordered(cells, linksOf(paths));
  const places = placed(rows);
  const boxes = graph.nodes.map((name) => boxOf(name, cells.get(node(name))!, places));
  const aside = asides(graph.edges);
  const lines = graph.edges.map((edge, idx) => lineOf(edge, aside[idx]!, pointsOf(edge, paths[idx]!, cells, places)));
  const right = Math.max(0, ...[...cells.values()].map(({ id, width }) => places.get(id)! + width / 2));
  const looping = graph.edges.some(({ from, to }) => from === to) ? 40 : 0;
  return {
    width: right + MARGIN + looping,
    height: rows.length * LAYER_HEIGHT - (LAYER_HEIGHT - BOX_HEIGHT) + 2 * MARGIN,
    boxes,
    lines,
  };
}

const node = (name: string) => `n:${name}`;

function textOf(name: string): string {
  return name.length > NAME_CHARS_MAX ? `${name.slice(0, NAME_CHARS_MAX - 1)}…` : name;
}

function widthOf(name: string): number {
  return Math.max(44, textOf(name).length * CHAR_WIDTH + 24);
}

/** Each node below all that lead to it; an edge that closes a circle doesn't count. */
function layersOf({ nodes, edges }: Graph): Map<string, number> {
  const out = new Map<string, string[]>(nodes.map((name) => [name, []]));
  edges.forEach(({ from, to }) => from !== to && out.get(from)!.push(to));
  const order = downwards(nodes, out);
  const rank = new Map(order.map((name, idx) => [name, idx]));
  const layers = new Map<string, number>(nodes.map((name) => [name, 0]));
  for (const name of order) {
    for (const next of out.get(name)!) {
      if (rank.get(next)! > rank.get(name)!) layers.set(next, Math.max(layers.get(next)!, layers.get(name)! + 1));
    }
  }
  return layers;
}

/** The nodes, each before those that it leads to. A circle begins with what is named first in it. */
function downwards(nodes: readonly string[], out: ReadonlyMap<string, readonly string[]>): string[] {
  const seen = new Set<string>();
  const done: string[] = [];
  const visit = (name: string) => {
    if (seen.has(name)) return;
    seen.add(name);
    out.get(name)!.forEach(visit);
    done.push(name);
  };
  nodes.forEach(visit);
  return done.reverse();
}

/** The cells that an edge passes, from top to bottom. */
function pathOf({ from, to }: Edge, idx: number, layers: ReadonlyMap<string, number>, cells: Map<string, Cell>): string[] {
  const isDown = layers.get(from)! <= layers.get(to)!;
  const [top, bottom] = isDown ? [from, to] : [to, from];
  const path = [node(top)];
  for (let layer = layers.get(top)! + 1; layer < layers.get(bottom)!; layer++) {
    const id = `e:${idx}:${layer}`;
    cells.set(id, { id, layer, width: 12 });
    path.push(id);
  }
  return [...path, node(bottom)];
}

function linksOf(paths: readonly (readonly string[])[]): [string, string][] {
  return paths.flatMap((path) => path.slice(1).map((id, idx): [string, string] => [path[idx]!, id]));
}

/** Rows of cells, moved towards the middle of those that they are tied to. */
function ordered(cells: ReadonlyMap<string, Cell>, links: readonly [string, string][]): Cell[][] {
  const rows: Cell[][] = [];
  for (const cell of cells.values()) (rows[cell.layer] ??= []).push(cell);
  const tied = { up: new Map<string, string[]>(), down: new Map<string, string[]>() };
  for (const [top, bottom] of links) {
    if (cells.get(top)!.layer === cells.get(bottom)!.layer) continue;
    tied.up.set(bottom, [...(tied.up.get(bottom) ?? []), top]);
    tied.down.set(top, [...(tied.down.get(top) ?? []), bottom]);
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const isDown = sweep % 2 === 0;
    const walk = isDown ? rows.slice(1) : rows.slice(0, -1).reverse();
    walk.forEach((row) => arrange(row, rows, isDown ? tied.up : tied.down));
  }
  return rows;
}

function arrange(row: Cell[], rows: readonly Cell[][], tied: ReadonlyMap<string, readonly string[]>): void {
  const places = new Map(rows.flatMap((row) => row.map(({ id }, idx) => [id, (idx + 0.5) / row.length] as const)));
  const middle = (cell: Cell) => {
    const others = tied.get(cell.id) ?? [cell.id];
    return others.reduce((sum, id) => sum + places.get(id)!, 0) / others.length;
  };
  const middles = new Map(row.map((cell) => [cell.id, middle(cell)]));
  row.sort((a, b) => middles.get(a.id)! - middles.get(b.id)!);
}

/** Where each cell's middle is, across; rows stand one over the other by their middles. */
function placed(rows: readonly Cell[][]): Map<string, number> {
  const widths = rows.map((row) => row.reduce((sum, { width }) => sum + width + GAP, -GAP));
  const widest = Math.max(0, ...widths);
  const places = new Map<string, number>();
  rows.forEach((row, idx) => {
    let x = MARGIN + (widest - widths[idx]!) / 2;
    for (const { id, width } of row) {
      places.set(id, x + width / 2);
      x += width + GAP;
    }
  });
  return places;
}

const top = (layer: number) => MARGIN + layer * LAYER_HEIGHT;

function boxOf(name: string, { id, layer, width }: Cell, places: ReadonlyMap<string, number>): Box {
  return { name, text: textOf(name), x: places.get(id)! - width / 2, y: top(layer), width };
}

const ASIDE = 18;

/** How far each edge stands beside the middle: those between the same two boxes stand side by side. */
function asides(edges: readonly Edge[]): number[] {
  const pair = ({ from, to }: Edge) => JSON.stringify([from, to].sort());
  const counts = new Map<string, number>();
  edges.forEach((edge) => counts.set(pair(edge), (counts.get(pair(edge)) ?? 0) + 1));
  const seen = new Map<string, number>();
  return edges.map((edge) => {
    const nth = seen.get(pair(edge)) ?? 0;
    seen.set(pair(edge), nth + 1);
    const n_beside = Math.min(counts.get(pair(edge))!, 3);
    return (Math.min(nth, 2) - (n_beside - 1) / 2) * ASIDE;
  });
}

/** Labels of edges that stand side by side stand one over the other. */
function lineOf(edge: Edge, aside: number, points: readonly Point[]): Line {
  const moved = points.map(({ x, y }) => ({ x: x + aside, y }));
  const { x, y } = middle(moved);
  return { edge, points: moved, label: { x, y: y + aside } };
}

function middle(points: readonly Point[]): Point {
  const at = points.length / 2;
  if (points.length % 2 === 1) return points[Math.floor(at)]!;
  const [a, b] = [points[at - 1]!, points[at]!];
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}

function pointsOf(
  edge: Edge,
  path: readonly string[],
  cells: ReadonlyMap<string, Cell>,
  places: ReadonlyMap<string, number>,
): Point[] {
  const own = cells.get(node(edge.from))!;
  if (edge.from === edge.to) return loop(places.get(own.id)! + own.width / 2, top(own.layer));
  const ends = [cells.get(path[0]!)!, cells.get(path.at(-1)!)!] as const;
  if (ends[0].layer === ends[1].layer) return beside(ends[0], ends[1], places);
  const points = path.map((id, idx): Point => {
    const y = top(cells.get(id)!.layer);
    return { x: places.get(id)!, y: idx === 0 ? y + BOX_HEIGHT : idx === path.length - 1 ? y : y + BOX_HEIGHT / 2 };
  });
  return path[0] === node(edge.from) ? points : points.reverse();
}

function loop(x: number, y: number): Point[] {
  return [
    { x, y: y + 8 },
    { x: x + 34, y: y + BOX_HEIGHT / 2 },
    { x, y: y + BOX_HEIGHT - 8 },
  ];
}

/** Two that stand in the same row are joined under it. */
function beside(from: Cell, to: Cell, places: ReadonlyMap<string, number>): Point[] {
  const y = top(from.layer) + BOX_HEIGHT;
  const [a, b] = [places.get(from.id)!, places.get(to.id)!];
  return [{ x: a, y }, { x: (a + b) / 2, y: y + 22 }, { x: b, y }];
}
