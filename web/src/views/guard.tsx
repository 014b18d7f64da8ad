import { Component, type ComponentChildren } from "preact";

interface GuardProps {
  children: ComponentChildren;
}

/** What can't be drawn takes nothing else with it. */
export class Guard extends Component<GuardProps, { error: string | null }> {
  override state = { error: null };

  static override getDerivedStateFromError(error: unknown) {
    return { error: String(error) };
  }

  override render({ children }: GuardProps) {
    if (this.state.error === null) return children;
    return (
      <p class="note error">
        This can't be shown here ({this.state.error}). The log has it: titanclaw sessions show
      </p>
    );
  }
}
