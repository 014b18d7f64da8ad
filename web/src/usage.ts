// Usage summed by model and stacked by day, for the page of costs.

import { NO_USAGE, tokensRead, usagePlus } from "./format";
import type { CostLine, Usage } from "./protocol";

/** Models that get a colour of their own; the rest share one. */
export const COLOURS_MAX = 5;

export type Measure = "money" | "tokens";

export interface ModelUse {
  name: string;
  calls: number;
  usage: Usage;
}

/** Models by what they cost, then by what they wrote, most first. */
export function byModel(lines: readonly CostLine[]): ModelUse[] {
  const models = new Map<string, ModelUse>();
  for (const { provider, model, calls, usage } of lines) {
    const name = `${provider}/${model}`;
    const known = models.get(name) ?? { name, calls: 0, usage: NO_USAGE };
    models.set(name, { name, calls: known.calls + calls, usage: usagePlus(known.usage, usage) });
  }
  const weight = ({ usage }: ModelUse) => (usage.cost_usd_micros ?? 0) * 1e6 + usage.output_tokens;
  return [...models.values()].sort((a, b) => weight(b) - weight(a));
}

function amount(usage: Usage, measure: Measure): number {
  if (measure === "money") return (usage.cost_usd_micros ?? 0) / 1e6;
  return tokensRead(usage) + usage.output_tokens;
}

/** One row of sums for each colour, each upon those before it, so that bars stand on one another. */
export function stacked(
  lines: readonly CostLine[],
  models: readonly ModelUse[],
  days: readonly string[],
  measure: Measure,
): number[][] {
  const rows = models.slice(0, COLOURS_MAX + 1).map(() => days.map(() => 0));
  for (const line of lines) {
    const name = `${line.provider}/${line.model}`;
    const row = Math.min(COLOURS_MAX, models.findIndex((model) => model.name === name));
    const day = days.indexOf(line.day);
    if (day >= 0) rows[row]![day]! += amount(line.usage, measure);
  }
  for (let row = 1; row < rows.length; row++) {
    for (let day = 0; day < days.length; day++) rows[row]![day]! += rows[row - 1]![day]!;
  }
  return rows;
}
