// An approval request as a person must see it: the whole of what would run, nothing hidden and nothing cut.
//
// Nothing here takes the focus by itself, single keys work only inside of it, and it answers only after it was there
// for a moment: a key or a click that was meant for something else approves nothing.

import { useEffect, useRef, useState } from "preact/hooks";
import { ticking } from "../format";
import { useNow } from "../hooks";
import type { Decision } from "../protocol";
import type { Approval } from "../state";
import { decide } from "../store";
import { clean, lookalikes, named, visible, visibleLine } from "../visible";
import { argumentText, decidedText, effectText, requestTitle } from "../words";
import { Icon } from "./icons";

const CHOICES: readonly [Decision, string, string, string][] = [
  ["once", "Once", "o", "This, now"],
  ["session", "This session", "s", "This tool with effects of these kinds, for the rest of the session"],
  ["exact", "Exactly this", "e", "Exactly this, whenever it comes again"],
  ["deny", "Deny", "d", "No"],
];

/** How long a request is there before it can be answered. */
const ARMED_AFTER_MS = 600;

export function ApprovalView({ approval }: { approval: Approval }) {
  const [isArmed, setArmed] = useState(false);
  const [isSent, setSent] = useState(false);
  // At once, for a key that comes before the page is drawn anew.
  const sent = useRef(false);
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    const timer = setTimeout(() => setArmed(true), ARMED_AFTER_MS);
    return () => clearTimeout(timer);
  }, [approval.id]);
  useFocusGivenBack(box);
  const choose = async (decision: Decision) => {
    if (!isArmed || sent.current) return;
    sent.current = true;
    setSent(true);
    if (await decide(approval.id, decision)) return;
    // A refusal leaves the question open, so it can be answered again.
    sent.current = false;
    setSent(false);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const choice = CHOICES.find(([, , key]) => key === event.key.toLowerCase());
    if (!choice) return;
    event.preventDefault();
    void choose(choice[0]);
  };
  const title = `approval-${approval.id}`;
  return (
    <section
      ref={box}
      class="approval"
      role="group"
      aria-labelledby={title}
      tabIndex={-1}
      data-request
      onKeyDown={onKeyDown}
    >
      <h4 id={title}>
        <Icon name="alert" />
        {requestTitle(approval)}
      </h4>
      <WholeCall approval={approval} />
      <p class="reason">{clean(approval.reason)}</p>
      <div class="choices">
        {CHOICES.map(([decision, label, key, meaning]) => (
          <button
            key={decision}
            type="button"
            class={decision}
            aria-disabled={!isArmed || isSent}
            aria-keyshortcuts={key}
            title={meaning}
            onClick={() => void choose(decision)}
          >
            {label} <kbd>{key}</kbd>
          </button>
        ))}
        <Expiry at={approval.expiresAt} />
      </div>
    </section>
  );
}

/** When a request that held the focus is gone, the composer has it again. */
function useFocusGivenBack(box: { current: HTMLElement | null }): void {
  useEffect(() => {
    const element = box.current;
    let hadFocus = false;
    const noted = () => (hadFocus = true);
    const left = (event: FocusEvent) => (hadFocus = event.relatedTarget === null && hadFocus);
    element?.addEventListener("focusin", noted);
    element?.addEventListener("focusout", left);
    return () => {
      if (hadFocus) setTimeout(() => document.getElementById("composer")?.focus());
    };
  }, []);
}

function WholeCall({ approval }: { approval: Approval }) {
  const { call, effects } = approval;
  const strange = lookalikes(JSON.stringify(call.arguments));
  return (
    <div class="whole">
      <dl>
        {Object.entries(call.arguments).map(([name, value]) => (
          <div key={name}>
            <dt>{visibleLine(name)}</dt>
            <dd>
              <pre>{visible(argumentText(value))}</pre>
            </dd>
          </div>
        ))}
      </dl>
      {effects.length > 0 && (
        <ul class="effects" aria-label="What it would do">
          {effects.map((effect, idx) => (
            <li key={idx}>{effectText(effect)}</li>
          ))}
        </ul>
      )}
      {strange.length > 0 && (
        <p class="strange">Letters that look like others: {strange.map(named).join(", ")}</p>
      )}
    </div>
  );
}

function Expiry({ at }: { at: number }) {
  const now = useNow(true);
  return <span class="fine">counts as a no in {ticking(at - now)}</span>;
}

export function DecidedLine({ decision, by }: { decision: Decision; by: string }) {
  const isNo = decision === "deny";
  return (
    <p class={`note ${isNo ? "error" : "fine"}`}>
      <Icon name={isNo ? "cross" : "check"} />
      {capital(decidedText(decision, by))}
    </p>
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
