// A pack as plain text. What stands in it may be anybody's words, so it is never rendered as Markdown or HTML. Pure.

import type { Pack } from "./gateway.js";

const HEADINGS: Record<string, string> = {
  about: "What it is about",
  outline: "What it defines",
  callers: "Who uses it",
  history: "Its last changes",
  bugs: "What was wrong in it",
  decisions: "What was noted of it in conversations",
  notes: "Notes",
};

export function shown(pack: Pack): string {
  const lines = [clean(pack.path)];
  for (const part of pack.parts) {
    lines.push("", HEADINGS[part.kind] ?? clean(part.kind));
    for (const line of part.lines) {
      lines.push(`  ${clean(line.text)}  (${clean(line.source)})`);
    }
    if (part.gap !== null) {
      lines.push(`  [${clean(part.gap)}]`);
    }
  }
  if (pack.parts.length === 0) {
    lines.push("", "Nothing is known about this file.");
  }
  return `${lines.join("\n")}\n`;
}

/** One line without what steers or can't be seen. */
function clean(text: string): string {
  return text.replace(/\s+/g, " ").replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "");
}
