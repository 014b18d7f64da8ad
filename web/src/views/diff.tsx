// What a turn changed in files, file by file.

import { useMemo, useState } from "preact/hooks";
import { count, shortPath } from "../format";
import type { FileDiff } from "../protocol";
import { askUndo, transcript, type Dialog } from "../store";
import { linesOf } from "../unified";
import { visible } from "../visible";
import { Frame } from "./dialogs";
import { Icon } from "./icons";

/** Lines of one file that are shown at once. */
const LINES_MAX = 400;

export function DiffDialog({ changes, error }: Extract<Dialog, { type: "diff" }>) {
  const root = transcript().workspace;
  const turn = transcript().turns.find((turn) => turn.id === changes?.turn);
  return (
    <Frame title="Changes in files" className="wide">
      {error && <p class="note error">{error}</p>}
      {!error && !changes && <p class="fine">Reading…</p>}
      {changes?.files.map((file) => (
        <FileView key={file.path} file={file} root={root} />
      ))}
      {changes?.notes.map((note, idx) => (
        <p key={idx} class="fine">
          {visible(note)}
        </p>
      ))}
      {changes && !turn?.isUndone && (
        <div class="choices end">
          <button type="button" onClick={() => askUndo(changes.turn, false)}>
            <Icon name="undo" />
            Undo
          </button>
        </div>
      )}
    </Frame>
  );
}

function FileView({ file, root }: { file: FileDiff; root: string | null }) {
  const [shownMax, setShownMax] = useState(LINES_MAX);
  const lines = useMemo(() => linesOf(file.diff), [file.diff]);
  const added = lines.filter(({ kind }) => kind === "add").length;
  const removed = lines.filter(({ kind }) => kind === "remove").length;
  const more = lines.length - shownMax;
  return (
    <section class="diff">
      <h3>
        <span class={`what ${file.what}`}>{file.what}</span>
        <span class="path">{visible(shortPath(file.path, root))}</span>
        {lines.length > 0 && (
          <span class="fine">
            +{count(added)} −{count(removed)}
          </span>
        )}
      </h3>
      {file.notes.map((note, idx) => (
        <p key={idx} class="fine">
          {visible(note)}
        </p>
      ))}
      {lines.length > 0 && (
        <div class="lines" tabIndex={0} role="group" aria-label={`Difference of ${file.path}`}>
          <table>
            <tbody>
              {lines.slice(0, shownMax).map((line, idx) => (
                <tr key={idx} class={line.kind}>
                  <td class="number">{line.before}</td>
                  <td class="number">{line.after}</td>
                  <td>
                    <span class="sign">{SIGNS[line.kind]}</span>
                    {line.text}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {more > 0 && (
        <button type="button" class="quiet small" onClick={() => setShownMax(shownMax + LINES_MAX)}>
          Show {count(Math.min(more, LINES_MAX))} more of {count(more)} lines
        </button>
      )}
    </section>
  );
}

const SIGNS = { add: "+", remove: "−", hunk: "", same: " " };
