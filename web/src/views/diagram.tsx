// A diagram of boxes and arrows. Its edges are told in words too.

import { useMemo } from "preact/hooks";
import { BOX_HEIGHT, laidOut, parsed, type Line, type Point } from "../diagram";
import { clean } from "../visible";

export function Diagram({ content }: { content: string }) {
  const graph = useMemo(() => parsed(clean(content)), [content]);
  const { width, height, boxes, lines } = useMemo(() => laidOut(graph), [graph]);
  if (boxes.length === 0) return null;
  return (
    <>
      <div class="diagram" tabIndex={0} role="group" aria-label="Diagram">
        <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`${graph.nodes.length} boxes, ${graph.edges.length} arrows; they are listed below`}>
          <defs>
            <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
              <path d="M0 0 8 4 0 8Z" />
            </marker>
          </defs>
          {lines.map((line, idx) => (
            <path key={idx} class="edge" d={curve(line.points)} marker-end="url(#tip)" />
          ))}
          {boxes.map(({ name, text, x, y, width }) => (
            <g key={name}>
              <title>{name}</title>
              <rect x={x} y={y} width={width} height={BOX_HEIGHT} rx="7" />
              <text x={x + width / 2} y={y + BOX_HEIGHT / 2 + 4.5}>
                {text}
              </text>
            </g>
          ))}
          {lines.map((line, idx) => (
            <Label key={idx} line={line} />
          ))}
        </svg>
      </div>
      <details class="numbers">
        <summary>In words</summary>
        <ul>
          {graph.edges.map(({ from, to, label }, idx) => (
            <li key={idx}>
              {from} → {to}
              {label && `: ${label}`}
            </li>
          ))}
        </ul>
      </details>
    </>
  );
}

const LABEL_CHARS_MAX = 28;

function Label({ line }: { line: Line }) {
  const { label } = line.edge;
  if (!label) return null;
  const text = label.length > LABEL_CHARS_MAX ? `${label.slice(0, LABEL_CHARS_MAX - 1)}…` : label;
  const { x, y } = line.label;
  return (
    <text class="label" x={x} y={y + 4}>
      <title>{label}</title>
      {text}
    </text>
  );
}

/** A line that leaves and reaches its boxes upright. */
function curve([first, ...rest]: readonly Point[]): string {
  let last = first!;
  return rest.reduce(
    (path, point) => {
      const turn = (last.y + point.y) / 2;
      path += ` C${last.x} ${turn} ${point.x} ${turn} ${point.x} ${point.y}`;
      last = point;
      return path;
    },
    `M${last.x} ${last.y}`,
  );
}
