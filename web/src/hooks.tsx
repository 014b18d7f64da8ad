// Small hooks that several views share.

import { Component, type ComponentChild, type FunctionComponent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { current, listen, type App } from "./store";

/** The page's state; the view is drawn anew when it changes. */
export function useApp(): App {
  const [app, setApp] = useState(current());
  useEffect(() => {
    setApp(current());
    return listen(() => setApp(current()));
  }, []);
  return app;
}

/** A view that is drawn anew only when one of its properties is another one. */
export function memo<P extends object>(view: FunctionComponent<P>): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const keys = new Set([...Object.keys(this.props), ...Object.keys(next)]) as Set<keyof P>;
      return [...keys].some((key) => this.props[key] !== next[key]);
    }
    override render(props: P): ComponentChild {
      const View = view;
      return <View {...props} />;
    }
  }
  return Memo as unknown as FunctionComponent<P>;
}

/** The time, as long as something is counting. */
export function useNow(isCounting: boolean, everyMs = 1_000): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!isCounting) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [isCounting, everyMs]);
  return now;
}

const SOON_MS = 250;

/** What was typed, once it has stayed so for a moment. */
export function useSoon(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), SOON_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

const NEAR_END_PX = 48;

/** Keeps a scrolled box at its end while it grows, unless the reader went up. */
export function useStickToEnd<E extends HTMLElement>(what: unknown) {
  const box = useRef<E>(null);
  const isAtEnd = useRef(true);
  useLayoutEffect(() => {
    const element = box.current;
    if (element && isAtEnd.current) element.scrollTop = element.scrollHeight;
  }, [what]);
  const onScroll = () => {
    const element = box.current;
    if (!element) return;
    isAtEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX;
  };
  return { box, onScroll, isAtEnd };
}

/** A native dialog that is open as long as it is there. */
export function useModal(onClose: () => void) {
  const box = useRef<HTMLDialogElement>(null);
  // Before anything else is typed: a key that comes with the dialog is meant for it.
  useLayoutEffect(() => {
    const dialog = box.current!;
    const before = document.activeElement;
    dialog.showModal();
    const closed = () => onClose();
    dialog.addEventListener("close", closed);
    return () => {
      dialog.removeEventListener("close", closed);
      dialog.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return box;
}
