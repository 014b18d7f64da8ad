// Numbers, times and money for people, spelt as the terminal spells them.

import type { Usage } from "./protocol";

/** `340ms`, `1.2s`, `3m 05s`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)}s`;
  const seconds = Math.floor(ms / 1_000);
  return `${Math.floor(seconds / 60)}m ${String(seconds % 60).padStart(2, "0")}s`;
}

/** Whole seconds, for what is still counting. */
export function ticking(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  return seconds < 60 ? `${seconds}s` : duration(seconds * 1_000);
}

export function count(number: number): string {
  return number.toLocaleString("en-US");
}

export function bytes(number: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let scaled = number;
  let unit = 0;
  while (scaled >= 999.5 && unit + 1 < units.length) {
    scaled /= 1_000;
    unit += 1;
  }
  if (unit === 0) return `${number} B`;
  return `${scaled.toFixed(scaled < 10 ? 1 : 0)} ${units[unit]}`;
}

/** As many digits as small sums need; `$?` when no price is known. */
export function money(micros: number | null): string {
  if (micros === null) return "$?";
  if (micros === 0) return "$0";
  return `$${(micros / 1e6).toFixed(micros < 1_000_000 ? 4 : 2)}`;
}

export function tokensRead(usage: Usage): number {
  return usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens;
}

/** Tokens and money in one line. */
export function usageLine(usage: Usage): string {
  const cached = usage.cache_read_tokens > 0 ? ` (${count(usage.cache_read_tokens)} cached)` : "";
  return `${count(tokensRead(usage))} in${cached} · ${count(usage.output_tokens)} out · ${money(usage.cost_usd_micros)}`;
}

export const NO_USAGE: Usage = {
  input_tokens: 0,
  cache_read_tokens: 0,
  cache_write_tokens: 0,
  output_tokens: 0,
  cost_usd_micros: null,
};

/** The sum of two. A cost that is not known stays unknown only if both are. */
export function usagePlus(a: Usage, b: Usage): Usage {
  const unknown = a.cost_usd_micros === null && b.cost_usd_micros === null;
  return {
    input_tokens: a.input_tokens + b.input_tokens,
    cache_read_tokens: a.cache_read_tokens + b.cache_read_tokens,
    cache_write_tokens: a.cache_write_tokens + b.cache_write_tokens,
    output_tokens: a.output_tokens + b.output_tokens,
    cost_usd_micros: unknown ? null : (a.cost_usd_micros ?? 0) + (b.cost_usd_micros ?? 0),
  };
}

/** Date and minute in the person's time zone. */
export function moment(at: number): string {
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** How long ago, in a word or two; a date when it is long. */
export function ago(at: number, now: number): string {
  const minutes = Math.floor((now - at) / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h`;
  const days = Math.floor(minutes / (24 * 60));
  return days < 7 ? `${days} d` : moment(at).slice(0, 10);
}

/** A path as the person knows it: below the workspace, without it. */
export function shortPath(path: string, root: string | null): string {
  if (root && path.startsWith(root + "/")) return path.slice(root.length + 1);
  return path;
}

/** The last part of a path. */
export function baseName(path: string): string {
  return path.replace(/\/+$/, "").split("/").at(-1) || path;
}
