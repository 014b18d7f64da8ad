// What a program puts out: bounded, with its end in sight while it grows.

import { isEmpty, shown, type Bounded } from "../bounded";
import { count } from "../format";
import { memo, useStickToEnd } from "../hooks";
import { clean } from "../visible";

interface OutputProps {
  output: Bounded;
  label: string;
  /** What follows the output: how the program ended. */
  ending?: string;
}

export const Output = memo(({ output, label, ending = "" }: OutputProps) => {
  const { box, onScroll } = useStickToEnd<HTMLPreElement>(output);
  const parts = shown(output);
  return (
    <pre ref={box} onScroll={onScroll} class="output" tabIndex={0} role="group" aria-label={label}>
      {clean(parts.head)}
      {parts.hiddenLines > 0 && <HiddenLines number={parts.hiddenLines} />}
      {parts.tail !== "" && clean(parts.tail)}
      {ending !== "" && <span class="ending">{onItsLine(output, ending)}</span>}
    </pre>
  );
});

function onItsLine(output: Bounded, ending: string): string {
  const isAtLineStart = isEmpty(output) || (output.tail || output.head).endsWith("\n");
  return isAtLineStart ? ending : `\n${ending}`;
}

function HiddenLines({ number }: { number: number }) {
  const lines = number === 1 ? "1 line" : `${count(number)} lines`;
  return <span class="hidden-lines">⋯ {lines} not shown ⋯{"\n"}</span>;
}
