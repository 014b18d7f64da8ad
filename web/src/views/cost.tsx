// What models were used for how much: by day as a plot, by model as a table.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { api } from "../api";
import { count, money, NO_USAGE, tokensRead, usagePlus } from "../format";
import { useApp } from "../hooks";
import type { CostLine } from "../protocol";
import { tell } from "../store";
import { byModel, COLOURS_MAX, stacked, type Measure, type ModelUse } from "../usage";
import { cleanLine } from "../visible";
import { PageHeader } from "./page";

const DAY_MS = 24 * 3_600_000;
/** Room for the first and the last bar. */
const HALF_DAY_S = 12 * 3_600;
const RANGES = [7, 30, 90] as const;

export function Cost() {
  const app = useApp();
  const [days, setDays] = useState<number>(30);
  const [measure, setMeasure] = useState<Measure>("money");
  const [lines, setLines] = useState<CostLine[] | null>(null);
  useEffect(() => {
    let isWanted = true;
    api.costs(sinceDay(days)).then(
      (lines) => isWanted && setLines(lines),
      (error: Error) => tell(error.message, true),
    );
    return () => void (isWanted = false);
  }, [days, app.status?.turns_running]);
  return (
    <>
      <PageHeader title="Models and cost" />
      <div class="scroll page">
        <p class="fine">{cleanLine(app.status?.model ?? "")}</p>
        <div class="choices" role="group" aria-label="What is shown">
          {RANGES.map((range) => (
            <button key={range} type="button" aria-pressed={days === range} onClick={() => setDays(range)}>
              {range} days
            </button>
          ))}
          <span class="gap" />
          {(["money", "tokens"] as const).map((what) => (
            <button key={what} type="button" aria-pressed={measure === what} onClick={() => setMeasure(what)}>
              {what === "money" ? "Money" : "Tokens"}
            </button>
          ))}
        </div>
        {lines && <Shown lines={lines} days={days} measure={measure} theme={app.theme} />}
      </div>
    </>
  );
}

/** The beginning of the first day that is shown, UTC, since days are told in UTC. */
function sinceDay(days: number): number {
  return Math.floor(Date.now() / DAY_MS) * DAY_MS - (days - 1) * DAY_MS;
}

interface ShownProps {
  lines: CostLine[];
  days: number;
  measure: Measure;
  theme: string;
}

function Shown({ lines, days, measure, theme }: ShownProps) {
  const models = useMemo(() => byModel(lines), [lines]);
  const total = models.reduce((sum, model) => usagePlus(sum, model.usage), NO_USAGE);
  if (lines.length === 0) return <p class="empty">No model was used in these days.</p>;
  return (
    <>
      <p class="total">
        <strong>{money(total.cost_usd_micros)}</strong>
        {count(tokensRead(total))} tokens in, {count(total.output_tokens)} out
      </p>
      <Plot lines={lines} models={models} days={days} measure={measure} theme={theme} />
      <table class="models">
        <caption class="unseen">Usage by model in the last {days} days</caption>
        <thead>
          <tr>
            <th scope="col">Model</th>
            <th scope="col">Calls</th>
            <th scope="col">Tokens in</th>
            <th scope="col">Tokens out</th>
            <th scope="col">Cost</th>
          </tr>
        </thead>
        <tbody>
          {models.map(({ name, calls, usage }, idx) => (
            <tr key={name}>
              <th scope="row">
                <span class={`swatch c${Math.min(idx, COLOURS_MAX)}`} />
                {cleanLine(name)}
              </th>
              <td>{count(calls)}</td>
              <td>{count(tokensRead(usage))}</td>
              <td>{count(usage.output_tokens)}</td>
              <td>{money(usage.cost_usd_micros)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

interface PlotProps extends ShownProps {
  models: ModelUse[];
}

const HEIGHT_PX = 240;

function Plot({ lines, models, days, measure, theme }: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const place = box.current!;
    const draw = () => drawn(place, lines, models, days, measure);
    let plot = draw();
    const again = () => {
      plot.destroy();
      plot = draw();
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
  }, [lines, models, days, measure, theme]);
  const what = measure === "money" ? "Cost" : "Tokens";
  return <div ref={box} class="plot" role="img" aria-label={`${what} by day; the table says the same by model`} />;
}

function drawn(
  place: HTMLElement,
  lines: CostLine[],
  models: ModelUse[],
  days: number,
  measure: Measure,
): uPlot {
  const since = sinceDay(days);
  const starts = Array.from({ length: days }, (_, idx) => since + idx * DAY_MS);
  const names = starts.map((start) => new Date(start).toISOString().slice(0, 10));
  const rows = stacked(lines, models, names, measure);
  const style = getComputedStyle(place);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  // The highest stack is drawn first, the ones before it over it.
  const order = rows.map((_, row) => rows.length - 1 - row);
  const bars = uPlot.paths.bars!({ size: [0.7, 40], radius: 0.1 });
  return new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT_PX,
      legend: { show: false },
      cursor: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), "Etc/UTC"),
      scales: {
        x: { range: (_plot, min, max) => [min - HALF_DAY_S, max + HALF_DAY_S] },
        y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
      },
      axes: [
        { ...axis, grid: { show: false }, values: "{MMM} {D}" },
        { ...axis, size: 64, values: (_plot, ticks) => ticks.map((tick) => label(tick, measure)) },
      ],
      series: [
        {},
        ...order.map((row) => ({
          fill: colour(`--plot-${Math.min(row, COLOURS_MAX)}`),
          width: 0,
          paths: bars,
          points: { show: false },
        })),
      ],
    },
    [starts.map((start) => start / 1_000), ...order.map((row) => rows[row]!)],
    place,
  );
}

function label(value: number, measure: Measure): string {
  if (measure === "money") return value === 0 ? "$0" : `$${Number(value.toPrecision(3))}`;
  return value >= 1_000_000 ? `${value / 1_000_000}M` : value >= 1_000 ? `${value / 1_000}k` : `${value}`;
}
