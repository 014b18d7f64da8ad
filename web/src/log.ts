// The log as it is shown: the newest entries, with those that come after them while it is followed.

import type { LogEntry, LogPage } from "./protocol";

/** Entries that are shown at once; older ones are let go. */
export const ENTRIES_MAX = 1_000;

export interface Log {
  entries: readonly LogEntry[];
  /** Where to read on. */
  next: string;
  /** Entries that were let go. */
  n_gone: number;
}

/** A log with what came after it. */
export function grown(log: Log | null, page: LogPage): Log {
  if (page.entries.length === 0 && log?.next === page.next) return log;
  const all = [...(log?.entries ?? []), ...page.entries];
  const n_gone = Math.max(0, all.length - ENTRIES_MAX);
  return { entries: all.slice(n_gone), next: page.next, n_gone: (log?.n_gone ?? 0) + n_gone };
}

/** `2026-11-22T10:00:00.123456Z` as date and time of day in the person's time zone, to the millisecond. */
export function timeOf(at: string): { day: string; time: string } {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return { day: "", time: "" };
  const two = (value: number) => String(value).padStart(2, "0");
  const ms = String(date.getMilliseconds()).padStart(3, "0");
  return {
    day: `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`,
    time: `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`,
  };
}
