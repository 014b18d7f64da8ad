// Where a session begins: the folder that it works in, and where others left off.

import { ago, baseName } from "../format";
import { useApp } from "../hooks";
import { hrefOf, setWorkspace, show } from "../store";
import { cleanLine } from "../visible";

const RECENT_MAX = 4;

export function Welcome() {
  const app = useApp();
  const sessions = app.sessions ?? [];
  const folders = [...new Set(sessions.map(({ workspace }) => workspace))].slice(0, 20);
  const model = app.models.get("");
  return (
    <div class="welcome">
      <h2>What shall we do?</h2>
      <label for="workspace">Folder to work in</label>
      <input
        id="workspace"
        list="folders"
        spellcheck={false}
        autocomplete="off"
        placeholder="/home/me/project"
        value={app.workspace}
        onInput={(event) => setWorkspace(event.currentTarget.value)}
      />
      <datalist id="folders">
        {folders.map((folder) => (
          <option key={folder} value={folder} />
        ))}
      </datalist>
      <p class="fine">
        {model ? `${cleanLine(model)}, chosen for this conversation` : cleanLine(app.status?.model ?? "")}{" "}
        <button type="button" class="quiet small" onClick={() => show({ type: "model" })}>
          Choose a model
        </button>
      </p>
      {sessions.length > 0 && (
        <nav aria-label="Recent sessions">
          <h3>Or go on with</h3>
          <ul>
            {sessions.slice(0, RECENT_MAX).map((session) => (
              <li key={session.session}>
                <a href={hrefOf({ page: "chat", session: session.session })}>
                  <span>{cleanLine(session.title) || "Untitled"}</span>
                  <span class="fine">
                    {cleanLine(baseName(session.workspace))} · {ago(session.active_at, Date.now())}
                  </span>
                </a>
              </li>
            ))}
          </ul>
        </nav>
      )}
    </div>
  );
}
