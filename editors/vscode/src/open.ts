// Which files the gateway was told are open, and what it has to be told next. Pure.

import type { Report } from "./gateway.js";

/** Files that are told at most; the gateway holds no more. */
export const OPEN_FILES_MAX = 64;

export class Open {
  readonly #by: string;
  #told = new Set<string>();

  constructor(by: string) {
    this.#by = by;
  }

  /**
   * What has changed since it was last told: first what is closed, then what is open, the file in front last, so that it
   * counts as opened last.
   */
  next(paths: readonly string[], front: string | undefined): Report[] {
    const others = [...new Set(paths)].filter((path) => path !== front);
    const room = front === undefined ? OPEN_FILES_MAX : OPEN_FILES_MAX - 1;
    const open = others.slice(-room);
    if (front !== undefined) {
      open.push(front);
    }
    const now = new Set(open);
    const closed = [...this.#told].filter((path) => !now.has(path));
    const opened = open.filter((path) => path === front || !this.#told.has(path));
    return [
      ...closed.map((path) => this.#report(path, false)),
      ...opened.map((path) => this.#report(path, true)),
    ];
  }

  /** The gateway has heard a report. */
  heard(report: Report): void {
    if (report.is_open) {
      this.#told.add(report.path);
    } else {
      this.#told.delete(report.path);
    }
  }

  /** The gateway is another, or was gone: it has heard nothing. */
  forget(): void {
    this.#told.clear();
  }

  #report(path: string, is_open: boolean): Report {
    return { path, by: this.#by, is_open };
  }
}
