import { toggleDrawer } from "../store";
import { Icon } from "./icons";

/** The head of a page that is no conversation. */
export function PageHeader({ title }: { title: string }) {
  return (
    <header class="bar">
      <button type="button" class="quiet menu" aria-label="Sessions" onClick={() => toggleDrawer(true)}>
        <Icon name="menu" />
      </button>
      <div class="heading">
        <h1>{title}</h1>
      </div>
    </header>
  );
}
