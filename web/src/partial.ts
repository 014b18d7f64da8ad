// The arguments of a call that is still being written, from its raw and unfinished JSON: good enough to read along.

export interface Written {
  key: string;
  text: string;
}

/** Argument by argument, the last one as far as it is written. */
export function written(json: string): Written[] {
  const found: Written[] = [];
  let at = json.indexOf("{") + 1;
  while (at > 0 && at < json.length) {
    const quote = json.indexOf('"', at);
    if (quote < 0) break;
    const key = stringAt(json, quote);
    const colon = key.end < 0 ? -1 : json.indexOf(":", key.end);
    if (colon < 0) break;
    const value = valueAt(json, colon + 1);
    found.push({ key: key.text, text: value.text });
    if (value.end < 0) break;
    at = value.end;
  }
  return found;
}

interface Piece {
  text: string;
  /** Where it ends; -1 while it isn't whole. */
  end: number;
}

function valueAt(json: string, from: number): Piece {
  const start = from + (/^\s*/.exec(json.slice(from))?.[0].length ?? 0);
  return json[start] === '"' ? stringAt(json, start) : plainAt(json, start);
}

const ESCAPES: Record<string, string> = { n: "\n", t: "\t", r: "\r", b: "\b", f: "\f" };

function stringAt(json: string, quote: number): Piece {
  let text = "";
  let at = quote + 1;
  while (at < json.length) {
    const next = /["\\]/.exec(json.slice(at));
    if (!next) return { text: text + json.slice(at), end: -1 };
    text += json.slice(at, at + next.index);
    at += next.index;
    if (json[at] === '"') return { text, end: at + 1 };
    const escape = json[at + 1];
    if (escape === undefined) break;
    if (escape === "u") {
      const digits = json.slice(at + 2, at + 6);
      if (digits.length < 4) break;
      text += String.fromCharCode(Number.parseInt(digits, 16) || 0xfffd);
      at += 6;
    } else {
      text += ESCAPES[escape] ?? escape;
      at += 2;
    }
  }
  return { text, end: -1 };
}

/** A number, a list or an object: its text up to the comma or brace that ends it. */
function plainAt(json: string, start: number): Piece {
  let depth = 0;
  for (let at = start; at < json.length; at++) {
    const char = json[at]!;
    if (char === '"') {
      const { end } = stringAt(json, at);
      if (end < 0) break;
      at = end - 1;
    } else if (char === "[" || char === "{") depth++;
    else if ((char === "]" || char === "}" || char === ",") && depth === 0) {
      return { text: json.slice(start, at).trim(), end: at };
    } else if (char === "]" || char === "}") depth--;
  }
  return { text: json.slice(start), end: -1 };
}
