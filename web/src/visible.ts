// Text of models, tools and files made safe to read: nothing from outside steers the page or hides from the reader.
//
// The same two readings as the terminal has: `clean` for prose and output, `visible` for what a person is asked to
// approve. Escape sequences and controls are left out of prose and drawn in an approval; bidi controls and other
// unseen characters become marks; joiners stay where scripts and emoji need them.

const QUIET = "\\u00ad\\ufeff\\u200e\\u200f\\u061c";
const JOINING = "\\u200c\\u200d\\ufe00-\\ufe0f\\u{e0100}-\\u{e01ef}";
const UNSEEN =
  QUIET +
  "\\u202a-\\u202e\\u200b\\u2060-\\u206f\\ufff0-\\ufffb\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u3164\\uffa0" +
  "\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e00ff}\\u{e01f0}-\\u{e0fff}";

/** What needs a second look. */
const STRANGE = new RegExp(`[\\0-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029${UNSEEN}${JOINING}]`, "u");

/** A string runs to BEL or ST; without an end it stops at the line's end, so a lone start hides one line at most. */
const STRING = "[^\\n\\x07\\x9c\\x1b]*(?:\\x07|\\x9c|\\x1b\\\\|\\x1b$)?";
const SEQUENCE = [
  "\\x1b\\[[ -?]*[@-~]?",
  `\\x1b[\\]PX^_]${STRING}`,
  "\\x1b[ -/]+[0-~]?",
  "\\x1b[0-~]?",
  "\\x9b[ -?]*[@-~]?",
  `[\\x90\\x98\\x9d-\\x9f]${STRING}`,
].join("|");

const TO_CLEAN = new RegExp(
  `(?<sequence>${SEQUENCE})|(?<end>\\r\\n?|[\\v\\f\\u2028\\u2029])|(?<run>[${UNSEEN}${JOINING}]+)|[\\0-\\x08\\x0e-\\x1f\\x7f-\\x9f]`,
  "gu",
);

/** Prose and program output with nothing in it that steers or hides. Line breaks and tabs stay. */
export function clean(text: string): string {
  if (!STRANGE.test(text)) return text;
  return text.replace(TO_CLEAN, (...found) => {
    const groups = found.at(-1) as { end?: string; run?: string };
    if (groups.end !== undefined) return "\n";
    return groups.run === undefined ? "" : mark(groups.run);
  });
}

/** `clean` in one line. */
export function cleanLine(text: string): string {
  return clean(text).replace(/[\n\t]/g, " ");
}

const IS_QUIET = new RegExp(`^[${QUIET}]$`, "u");
const IS_JOINING = new RegExp(`^[${JOINING}]$`, "u");
const IS_SELECTOR = /^[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]$/u;

/** Shows a run of characters that are not seen: as it is where writing needs it, else as a mark. */
function mark(run: string): string {
  const chars = [...run];
  const first = chars[0]!;
  if (chars.length === 1 && IS_QUIET.test(first)) return "";
  if (chars.length === 1 && IS_JOINING.test(first)) return first;
  // An emoji's selector, then the joiner to its next part.
  if (chars.length === 2 && IS_SELECTOR.test(first) && chars[1] === "\u200d") return run;
  const spelt = chars.map(tagLetter).join("");
  if (spelt) return `⟨hidden: ${spelt}⟩`;
  const more = chars.length - 1;
  return more === 0 ? `⟨${number(first)}⟩` : `⟨${number(first)} and ${more} more⟩`;
}

/** Tag characters spell text that nobody sees. */
function tagLetter(char: string): string {
  const code = char.codePointAt(0)!;
  return code >= 0xe0020 && code <= 0xe007e ? String.fromCharCode(code - 0xe0000) : "";
}

function number(char: string): string {
  return `U+${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`;
}

const HIDDEN = new RegExp(`[\\s\\p{Cc}\\p{Cf}\\p{Mn}\\p{Me}\\u2800${UNSEEN}${JOINING}]`, "u");
const NOT_PLAIN = /[^\n -~]/gu;

/** Every character that could hide or steer is written out: controls as their pictures, all else by its number. */
export function visible(text: string): string {
  return text.replace(NOT_PLAIN, (char) => {
    if (char === "\t") return "⇥";
    const code = char.codePointAt(0)!;
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "␡";
    return HIDDEN.test(char) ? `⟨${number(char)}⟩` : char;
  });
}

/** `visible` for a name, which has no business with line breaks. */
export function visibleLine(text: string): string {
  return visible(text).replaceAll("\n", "␊");
}

const LOOKALIKE =
  /[\u0370-\u03ff\u0400-\u052f\u0531-\u0587\u13a0-\u13ff\uff01-\uff5e\u2044\u2215\u{1d400}-\u{1d7ff}]/gu;

/** Letters that are easily taken for others, next to Latin ones. In order, each once. */
export function lookalikes(text: string): string[] {
  if (!/[a-z]/i.test(text)) return [];
  return [...new Set(text.match(LOOKALIKE) ?? [])];
}

/** A letter and its number, as a warning names it. */
export function named(char: string): string {
  return `${char} (${number(char)})`;
}
