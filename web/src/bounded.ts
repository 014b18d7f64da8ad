// A text that may grow without end, of which the head and the tail are kept and the middle is counted.

/** Characters kept of the beginning. */
export const HEAD_CHARS_MAX = 8 * 1024;
/** Characters kept of the end; up to one block more, so that not every piece moves all of it. */
export const TAIL_CHARS_MAX = 32 * 1024;
const BLOCK_CHARS = 8 * 1024;

export interface Bounded {
  readonly head: string;
  readonly tail: string;
  /** Lines that ended in the part that was dropped. */
  readonly droppedLines: number;
  readonly droppedChars: number;
}

export const EMPTY: Bounded = { head: "", tail: "", droppedLines: 0, droppedChars: 0 };

/** The text with the next piece. Blocks are cut at fixed places of the whole text, so pieces don't matter. */
export function pushed(text: Bounded, piece: string): Bounded {
  const room = HEAD_CHARS_MAX - text.head.length;
  const head = room > 0 ? text.head + piece.slice(0, room) : text.head;
  const tail = room > 0 ? text.tail + piece.slice(room) : text.tail + piece;
  return trimmed({ ...text, head, tail });
}

function trimmed(text: Bounded): Bounded {
  const surplus = text.tail.length - TAIL_CHARS_MAX - BLOCK_CHARS;
  if (surplus <= 0) return text;
  const cut = Math.ceil(surplus / BLOCK_CHARS) * BLOCK_CHARS;
  return {
    head: text.head,
    tail: text.tail.slice(cut),
    droppedLines: text.droppedLines + lineEnds(text.tail.slice(0, cut)),
    droppedChars: text.droppedChars + cut,
  };
}

export function isEmpty(text: Bounded): boolean {
  return text.head === "";
}

export interface Shown {
  head: string;
  /** Whole lines that are left out between the two; 0 when nothing is. */
  hiddenLines: number;
  tail: string;
}

/** What is shown of it: whole lines, unless a single line is longer than what is kept. */
export function shown(text: Bounded): Shown {
  if (text.droppedChars === 0) return { head: text.head + text.tail, hiddenLines: 0, tail: "" };
  const headEnd = text.head.lastIndexOf("\n") + 1 || text.head.length;
  const tailStart = text.tail.indexOf("\n") + 1;
  const hiddenLines =
    text.droppedLines +
    lineEnds(text.head.slice(headEnd)) +
    lineEnds(text.tail.slice(0, tailStart));
  return {
    head: text.head.slice(0, headEnd),
    hiddenLines: Math.max(1, hiddenLines),
    tail: text.tail.slice(tailStart),
  };
}

function lineEnds(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}
