// A page or an SVG that the agent wrote, in a frame that has no origin and reaches nothing (`titan-web/src/frame.html`).
//
// Messages are taken from the frame's own window alone. What a page wishes to send is shown to the person first, and
// only their button here sends it.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Shown } from "../canvas";
import { mintId } from "../ids";
import type { SessionId } from "../protocol";
import { press } from "../store";
import { clean, cleanLine } from "../visible";
import { toldBy, type Wish } from "../wish";
import { Values } from "./form";

/** How long a wish is there before it can be agreed to: a click that was meant for the page agrees to nothing. */
const ARMED_AFTER_MS = 600;
/** How long a page is not heard after a no. */
const QUIET_MS = 3_000;

export function FrameView({ session, shown }: { session: SessionId; shown: Shown }) {
  const { surface, isGrowing } = shown;
  const frame = useRef<HTMLIFrameElement>(null);
  const [isReady, setReady] = useState(false);
  const [wish, setWish] = useState<Wish | null>(null);
  const deafUntil = useRef(0);
  useEffect(() => {
    const heard = (event: MessageEvent) => {
      if (event.source !== frame.current?.contentWindow || event.source === null) return;
      const told = toldBy(event.data);
      if (told?.type === "ready") setReady(true);
      else if (told?.type === "height") frame.current!.style.height = `${told.height}px`;
      else if (told?.type === "act" && !isGrowing && Date.now() > deafUntil.current) setWish((asked) => asked ?? told);
    };
    addEventListener("message", heard);
    return () => removeEventListener("message", heard);
  }, [isGrowing]);
  useEffect(() => {
    if (!isReady) return;
    // An SVG's declaration is no part of what is drawn.
    const content = surface.kind === "svg" ? surface.content.replace(/^\s*<\?xml[^>]*\?>/, "") : surface.content;
    // The frame has no origin that could be named; the browser lets it be no other page but one of this gateway.
    frame.current?.contentWindow?.postMessage({ type: "draw", content, isWhole: !isGrowing }, "*");
  }, [isReady, surface.content, isGrowing]);
  useFocusKept(frame);
  const answered = (isSent: boolean) => {
    if (!isSent) deafUntil.current = Date.now() + QUIET_MS;
    setWish(null);
  };
  return (
    <>
      {wish && <WishView session={session} surface={surface.name} wish={wish} onAnswered={answered} />}
      <iframe ref={frame} src="/canvas/frame" sandbox="allow-scripts" referrerpolicy="no-referrer" title={`${cleanLine(surface.title) || surface.name}, drawn by the agent`} />
      {shown.act && !wish && <p class="fine">Sent: {cleanLine(shown.act.action)}</p>}
    </>
  );
}

interface WishProps {
  session: SessionId;
  surface: string;
  wish: Wish;
  onAnswered: (isSent: boolean) => void;
}

function WishView({ session, surface, wish, onAnswered }: WishProps) {
  const [isArmed, setArmed] = useState(false);
  const turn = useRef(mintId());
  useEffect(() => {
    const timer = setTimeout(() => setArmed(true), ARMED_AFTER_MS);
    return () => clearTimeout(timer);
  }, []);
  const send = async () => {
    if (!isArmed) return;
    const { action, values } = wish;
    if (await press(session, turn.current, { surface, action, values })) onAnswered(true);
  };
  return (
    <div class="wish" role="group" aria-label="The page wants to send something">
      <p>The page wants to send “{clean(wish.action)}” to the agent{Object.keys(wish.values).length > 0 && " with:"}</p>
      <Values values={wish.values} />
      <div class="choices">
        <button type="button" class="small" aria-disabled={!isArmed} onClick={() => void send()}>
          Send it
        </button>
        <button type="button" class="small" onClick={() => onAnswered(false)}>
          Don't
        </button>
      </div>
    </div>
  );
}

/** A frame may not take the keys by itself: only who points into it or comes by Tab is in it. */
function useFocusKept(frame: { current: HTMLIFrameElement | null }): void {
  useEffect(() => {
    let isMeant = false;
    let before: Element | null = document.activeElement;
    const pointed = (event: Event) => (isMeant = event.target === frame.current);
    const keyed = (event: KeyboardEvent) => {
      isMeant = event.key === "Tab";
      before = document.activeElement;
    };
    const lost = () => {
      if (document.activeElement !== frame.current || isMeant) return;
      const back = before instanceof HTMLElement && before !== frame.current ? before : document.getElementById("composer");
      setTimeout(() => back?.focus());
    };
    addEventListener("pointerover", pointed);
    addEventListener("keydown", keyed, true);
    addEventListener("blur", lost);
    return () => {
      removeEventListener("pointerover", pointed);
      removeEventListener("keydown", keyed, true);
      removeEventListener("blur", lost);
    };
  }, []);
}
