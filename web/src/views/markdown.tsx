// An answer: blocks that keep their place in the page, so that only the one that grows is drawn anew.

import { useMemo, useRef, useState } from "preact/hooks";
import { memo } from "../hooks";
import { Growing, rendered, type Block } from "../markdown";
import { tell } from "../store";
import { cleanLine } from "../visible";
import { Icon } from "./icons";

export const Markdown = memo(({ text, isOpen }: { text: string; isOpen: boolean }) => {
  const growing = useRef<Growing | null>(null);
  const blocks = useMemo(() => {
    if (!isOpen) return rendered(text);
    growing.current ??= new Growing();
    return growing.current.blocks(text);
  }, [text, isOpen]);
  return (
    <div class="prose">
      {blocks.map((block, idx) => (
        <BlockView key={idx} {...block} />
      ))}
    </div>
  );
});

const BlockView = memo((block: Block) => {
  if (block.kind === "code") return <CodeBlock language={block.language} text={block.text} />;
  const inner = { __html: block.html };
  if (block.kind === "html") return <div class="block" dangerouslySetInnerHTML={inner} />;
  // A table may be wider than the page; it scrolls by itself then, by keys too.
  return (
    <div
      class="block table"
      tabIndex={0}
      role="group"
      aria-label="Table"
      dangerouslySetInnerHTML={inner}
    />
  );
});

export function CodeBlock({ language, text }: { language: string; text: string }) {
  const name = cleanLine(language) || "text";
  return (
    <figure class="code">
      <figcaption>
        <span>{name}</span>
        <CopyButton text={text} />
      </figcaption>
      <pre tabIndex={0} role="group" aria-label={`Code, ${name}`}>
        <code>{text}</code>
      </pre>
    </figure>
  );
}

const SHOWN_MS = 1_500;

export function CopyButton({ text }: { text: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      setTimeout(() => setCopied(false), SHOWN_MS);
    } catch {
      tell("The browser did not let this page copy.", true);
    }
  };
  return (
    <button type="button" class="quiet small" onClick={copy}>
      <Icon name={isCopied ? "check" : "copy"} />
      {isCopied ? "Copied" : "Copy"}
    </button>
  );
}
