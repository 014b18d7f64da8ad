// Comma-separated values (RFC 4180), read leniently: a text that is still being written, or broken, gives what it has.

export interface Sheet {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function sheet(text: string): Sheet {
  const [head = [], ...rows] = lines(text);
  return { head, rows };
}

function lines(text: string): string[][] {
  const found: string[][] = [];
  let at = text.startsWith("\ufeff") ? 1 : 0;
  while (at < text.length) {
    const line: string[] = [];
    for (;;) {
      const cell = cellAt(text, at);
      line.push(cell.text);
      at = cell.end;
      if (text[at] !== ",") break;
      at += 1;
    }
    at += text.startsWith("\r\n", at) ? 2 : 1;
    // An empty line is no row.
    if (line.length > 1 || line[0] !== "") found.push(line);
  }
  return found;
}

interface Cell {
  text: string;
  /** Where the comma or the line's end stands. */
  end: number;
}

function cellAt(text: string, start: number): Cell {
  if (text[start] !== '"') {
    const end = endFrom(text, start);
    return { text: text.slice(start, end), end };
  }
  let inner = "";
  let at = start + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return { text: inner + text.slice(at), end: text.length };
    inner += text.slice(at, quote);
    if (text[quote + 1] !== '"') {
      // What stands between the closing quote and the comma belongs nowhere; it is kept, so that nothing is hidden.
      const end = endFrom(text, quote + 1);
      return { text: inner + text.slice(quote + 1, end), end };
    }
    inner += '"';
    at = quote + 2;
  }
}

function endFrom(text: string, from: number): number {
  const found = /[,\r\n]/.exec(text.slice(from, from + 4_096)) ?? /[,\r\n]/.exec(text.slice(from));
  return found ? from + found.index : text.length;
}

/** A cell as a number; `null` where it is none. */
export function numberOf(cell: string): number | null {
  const text = cell.trim();
  if (text === "" || !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return null;
  const number = Number(text);
  return Number.isFinite(number) ? number : null;
}

/** Whether all that stands in a column are numbers. */
export function isNumeric(sheet: Sheet, column: number): boolean {
  const cells = sheet.rows.map((row) => row[column] ?? "").filter((cell) => cell.trim() !== "");
  return cells.length > 0 && cells.every((cell) => numberOf(cell) !== null);
}

export interface Sorting {
  readonly column: number;
  readonly isDown: boolean;
}

/** Numbers by value, all else by letters; what is empty comes last. */
export function sorted(sheet: Sheet, { column, isDown }: Sorting): readonly (readonly string[])[] {
  const sign = isDown ? -1 : 1;
  const compare = isNumeric(sheet, column)
    ? (a: string, b: string) => numberOf(a)! - numberOf(b)!
    : (a: string, b: string) => a.localeCompare(b, undefined, { numeric: true });
  return [...sheet.rows].sort((left, right) => {
    const [a, b] = [left[column]?.trim() ?? "", right[column]?.trim() ?? ""];
    if (a === "" || b === "") return Number(a === "") - Number(b === "");
    return sign * compare(a, b);
  });
}
