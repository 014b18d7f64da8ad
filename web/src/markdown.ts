// Markdown of models: never trusted, and rendered block by block, so that only the last block changes while it grows.

import DOMPurify from "dompurify";
import { Lexer, Marked, type Token, type Tokens, type TokensList } from "marked";
import { clean } from "./visible";

/** A block of the answer. Code keeps its text, since it gets a button; all else is sanitised HTML. */
export type Block =
  | { readonly kind: "html" | "table"; readonly html: string }
  | { readonly kind: "code"; readonly language: string; readonly text: string };

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (char) => escapes[char]!);
}

/** Where a link may lead; anything else is shown as text. */
function safeAddress(href: string): URL | null {
  const url = URL.parse ? URL.parse(href) : tried(href);
  return url && ["http:", "https:", "mailto:"].includes(url.protocol) ? url : null;
}

function tried(href: string): URL | null {
  try {
    return new URL(href);
  } catch {
    return null;
  }
}

/** A link says where it leads when its words don't. */
function link(href: string, inner: string, words: string): string {
  const url = safeAddress(href);
  if (!url) return `${inner} <span class="where">${escaped(href)}</span>`;
  const where = url.host || url.pathname;
  const told = words.includes(where) ? "" : ` <span class="where">${escaped(where)}</span>`;
  const address = escaped(url.href);
  return `<a href="${address}" title="${address}" target="_blank" rel="noopener noreferrer">${inner}</a>${told}`;
}

const marked = new Marked({
  gfm: true,
  renderer: {
    // HTML in an answer is text about HTML, not part of this page.
    html: ({ text }) => escaped(text),
    link({ href, text, tokens }) {
      return link(href, this.parser.parseInline(tokens), text);
    },
    // No image is loaded: an address alone would tell a stranger who reads what.
    image: ({ href, text }) => link(href, `🖼 ${escaped(text || "image")}`, text),
    // The page has headings of its own above these.
    heading({ tokens, depth }) {
      const level = Math.min(6, depth + 2);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`;
    },
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

const ALLOWED = {
  ALLOWED_TAGS: [
    ..."a blockquote br code del em h3 h4 h5 h6 hr li ol p pre span strong".split(" "),
    ..."table tbody td th thead tr ul".split(" "),
  ],
  ALLOWED_ATTR: ["href", "title", "target", "rel", "class", "start", "align"],
  ALLOW_DATA_ATTR: false,
};

function safe(html: string): string {
  return DOMPurify.sanitize(html, ALLOWED);
}

function block(token: Token): Block {
  if (token.type === "code") {
    const code = token as Tokens.Code;
    return { kind: "code", language: code.lang?.split(/\s/)[0] ?? "", text: code.text };
  }
  const kind = token.type === "table" ? "table" : "html";
  return { kind, html: safe(marked.parser([token])) };
}

function lexed(text: string): TokensList {
  return new Lexer({ gfm: true, ...marked.defaults }).lex(text);
}

function blocksOf(tokens: TokensList): Block[] {
  return tokens.filter(isShown).map(block);
}

function isShown(token: Token): boolean {
  return token.type !== "space" && token.type !== "def";
}

/** The whole text at once: what a finished answer looks like, whatever pieces it came in. */
export function rendered(text: string): Block[] {
  return blocksOf(lexed(clean(text)));
}

/** A text that grows: blocks that are finished are kept as they are, only the last one is read again. */
export class Growing {
  private text = "";
  private done: Block[] = [];
  private doneChars = 0;

  blocks(text: string): Block[] {
    const cleaned = clean(text);
    if (!cleaned.startsWith(this.text.slice(0, this.doneChars))) this.reset();
    this.text = cleaned;
    const rest = lexed(cleaned.slice(this.doneChars));
    const last = rest.findLastIndex(isShown);
    const finished = rest.slice(0, Math.max(0, last));
    this.done = [...this.done, ...finished.filter(isShown).map(block)];
    this.doneChars += finished.reduce((sum, token) => sum + token.raw.length, 0);
    const open = rest.slice(Math.max(0, last)).filter(isShown).map(block);
    return [...this.done, ...open];
  }

  private reset(): void {
    this.done = [];
    this.doneChars = 0;
  }
}
