// A chart of comma-separated values: the first column names the points, each other one is a series.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { isNumeric, numberOf, sheet, type Sheet } from "../csv";
import { useApp } from "../hooks";
import { COLOURS_MAX } from "../usage";
import { clean, cleanLine } from "../visible";
import { Table } from "./table";

type Shape = "line" | "bar";

/** More points than this are read better as a line. */
const BARS_MAX = 24;
const HEIGHT_PX = 280;

export function Chart({ content, title }: { content: string; title: string }) {
  const data = useMemo(() => sheet(clean(content)), [content]);
  const [chosen, setShape] = useState<Shape | null>(null);
  const shape = chosen ?? (isNumeric(data, 0) || isDated(data) || data.rows.length > BARS_MAX ? "line" : "bar");
  return (
    <>
      <div class="choices" role="group" aria-label="How it is drawn">
        {(["line", "bar"] as const).map((one) => (
          <button key={one} type="button" class="small" aria-pressed={shape === one} onClick={() => setShape(one)}>
            {one === "line" ? "Lines" : "Bars"}
          </button>
        ))}
      </div>
      <Plot data={data} shape={shape} title={title} />
      <ul class="legend" aria-label="Series">
        {data.head.slice(1).map((name, idx) => (
          <li key={idx}>
            <span class={`swatch c${Math.min(idx, COLOURS_MAX)}`} />
            {cleanLine(name)}
          </li>
        ))}
      </ul>
      <details class="numbers">
        <summary>The numbers</summary>
        <Table sheet={data} label={`Numbers of ${title}`} />
      </details>
    </>
  );
}

const DATE = /^\d{4}-\d{2}-\d{2}([T ][\d:.]+Z?)?$/;

function isDated(data: Sheet): boolean {
  return data.rows.every((row) => DATE.test(row[0]?.trim() ?? ""));
}

function Plot({ data, shape, title }: { data: Sheet; shape: Shape; title: string }) {
  const { theme } = useApp();
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const place = box.current!;
    let plot = plotted(place, data, shape);
    const again = () => {
      plot.destroy();
      plot = plotted(place, data, shape);
    };
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", again);
    const resized = new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: HEIGHT_PX }));
    resized.observe(place);
    return () => {
      scheme.removeEventListener("change", again);
      resized.disconnect();
      plot.destroy();
    };
  }, [data, shape, theme]);
  return <div ref={box} class="plot" role="img" aria-label={`${title}: a chart; the table below holds its numbers`} />;
}

/** Where the points stand: at their numbers, at their days, or one after the other under their names. */
function axisOf(data: Sheet, shape: Shape) {
  const names = data.rows.map((row) => cleanLine(row[0] ?? ""));
  if (shape === "line" && isNumeric(data, 0)) return { xs: names.map((name) => numberOf(name) ?? 0), names: null, isTime: false };
  if (shape === "line" && isDated(data)) return { xs: names.map((name) => Date.parse(name) / 1_000), names: null, isTime: true };
  return { xs: names.map((_, idx) => idx), names, isTime: false };
}

function plotted(place: HTMLElement, data: Sheet, shape: Shape): uPlot {
  const { xs, names, isTime } = axisOf(data, shape);
  const style = getComputedStyle(place);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  // uPlot wants the points in order; names keep theirs.
  const order = xs.map((_, idx) => idx).sort((a, b) => xs[a]! - xs[b]!);
  const columns = data.head.slice(1).map((_, idx) => order.map((row) => numberOf(data.rows[row]![idx + 1] ?? "")));
  const nameAt = (tick: number) => shortened(Number.isInteger(tick) ? (names?.[tick] ?? "") : "");
  const xAxis = names ? { ...axis, grid: { show: false }, incrs: STEPS, values: (_: uPlot, ticks: number[]) => ticks.map(nameAt) } : axis;
  return new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT_PX,
      legend: { show: false },
      cursor: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), "Etc/UTC"),
      scales: {
        x: names ? { time: false, range: () => [-0.6, xs.length - 0.4] } : { time: isTime },
        y: shape === "bar" ? { range: (_plot, min, max) => padded(min, max) } : {},
      },
      axes: [xAxis, { ...axis, size: 62 }],
      series: [
        {},
        ...columns.map((_, idx) => {
          const paint = colour(`--plot-${Math.min(idx, COLOURS_MAX)}`);
          return shape === "line"
            ? { stroke: paint, width: 2, spanGaps: false, points: { show: xs.length <= 60, size: 6, fill: paint } }
            : { fill: paint, stroke: paint, width: 0, paths: barsOf(idx, columns.length), points: { show: false } };
        }),
      ],
    },
    [order.map((row) => xs[row]!), ...columns],
    place,
  );
}

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];
const NAME_CHARS_MAX = 12;

function shortened(name: string): string {
  return name.length > NAME_CHARS_MAX ? `${name.slice(0, NAME_CHARS_MAX - 1)}…` : name;
}

/** Bars begin at nothing. */
function padded(min: number, max: number): [number, number] {
  const [low, high] = [Math.min(0, min), Math.max(0, max)];
  const room = (high - low || 1) * 0.06;
  return [low < 0 ? low - room : 0, high > 0 || low === 0 ? high + room : 0];
}

/** Part of a point's place that its bars fill. */
const FILLED = 0.76;

/** The bars of one of several series, which stand side by side. */
function barsOf(idx: number, n_series: number): uPlot.Series.PathBuilder {
  const width = FILLED / n_series;
  const x0 = (plot: uPlot) => Array.from(plot.data[0], (x) => x - FILLED / 2 + idx * width);
  return uPlot.paths.bars!({
    disp: {
      x0: { unit: 1, values: x0 },
      size: { unit: 1, values: () => [width * 0.92] },
    },
  });
}
