// A unified difference, line by line.

import { visible } from "./visible";

const TAB = "    ";

export interface Line {
  kind: "add" | "remove" | "hunk" | "same";
  before: number | null;
  after: number | null;
  text: string;
}

/** The lines of a unified difference with their numbers. */
export function linesOf(diff: string): Line[] {
  let before = 0;
  let after = 0;
  const lines = diff.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines.map((line) => {
    const hunk = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/.exec(line);
    if (hunk) {
      before = Number(hunk[1]);
      after = Number(hunk[2]);
      return { kind: "hunk", before: null, after: null, text: shownLine(line) };
    }
    const text = shownLine(line.slice(1));
    if (line.startsWith("+")) return { kind: "add", before: null, after: after++, text };
    if (line.startsWith("-")) return { kind: "remove", before: before++, after: null, text };
    if (line.startsWith("\\")) return { kind: "hunk", before: null, after: null, text: shownLine(line) };
    return { kind: "same", before: before++, after: after++, text };
  });
}

function shownLine(text: string): string {
  return visible(text.replaceAll("\t", TAB));
}
