// What is remembered over sessions: looked through, added to, changed and deleted.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { api } from "../api";
import { ago, count, moment } from "../format";
import { useNow, useSoon } from "../hooks";
import type { MemoryDocument } from "../protocol";
import { hrefOf, show, tell, wordsOf } from "../store";
import { clean, cleanLine } from "../visible";
import { Icon } from "./icons";
import { PageHeader } from "./page";
import { SearchField } from "./search";

/** Notes that are shown at once. */
const SHOWN_MAX = 200;
const NOTE_CHARS_MAX = 4_000;
/** The form of a note that is not there yet. */
const NEW = "new";

export function Memory() {
  const [search, setSearch] = useState("");
  const [notes, setNotes] = useState<MemoryDocument[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [edited, setEdited] = useState<string | null>(null);
  const [version, setVersion] = useState(0);
  const sought = useSoon(search);
  useEffect(() => {
    let isWanted = true;
    api.memory(sought, SHOWN_MAX).then(
      (notes) => isWanted && (setNotes(notes), setError(null)),
      (error: unknown) => isWanted && setError(wordsOf(error)),
    );
    return () => void (isWanted = false);
  }, [sought, version]);
  const done = () => {
    setEdited(null);
    setVersion(version + 1);
  };
  const add = useRef<HTMLButtonElement>(null);
  const cancel = () => {
    const id = edited;
    setEdited(null);
    setTimeout(() => (id === NEW ? add.current : document.getElementById(`edit-${id}`))?.focus());
  };
  return (
    <>
      <PageHeader title="Memory" />
      <div class="scroll page">
        <div class="tools">
          <SearchField label="Search notes" value={search} onSearch={setSearch} />
          <button ref={add} type="button" class="main" aria-expanded={edited === NEW} onClick={() => setEdited(NEW)}>
            <Icon name="plus" />
            New note
          </button>
        </div>
        <p class="fine">
          Notes that the agent keeps with its tool <code>remember</code>, and yours. It finds them again in later sessions.
        </p>
        {edited === NEW && <Form note={null} onDone={done} onCancel={cancel} />}
        {error && (
          <p class="note error" role="alert">
            {error}
          </p>
        )}
        {notes === null && !error && <p class="empty">Asking…</p>}
        {notes?.length === 0 && <p class="empty">{sought.trim() ? "No note fits." : "Nothing is remembered yet."}</p>}
        <ul class="notes" aria-label="Notes">
          {notes?.map((note) => (
            <li key={note.id}>
              {edited === note.id ? (
                <Form note={note} onDone={done} onCancel={cancel} />
              ) : (
                <Note note={note} onEdit={() => setEdited(note.id)} onGone={done} />
              )}
            </li>
          ))}
        </ul>
        {notes?.length === SHOWN_MAX && <p class="fine">These are {count(SHOWN_MAX)}; search to find others.</p>}
      </div>
    </>
  );
}

interface NoteProps {
  note: MemoryDocument;
  onEdit: () => void;
  onGone: () => void;
}

function Note({ note, onEdit, onGone }: NoteProps) {
  const beginning = cleanLine(note.text.slice(0, 60));
  return (
    <article>
      <p class="text">{clean(note.text)}</p>
      <footer>
        {note.tags.map((tag) => (
          <span key={tag} class="badge">
            {cleanLine(tag)}
          </span>
        ))}
        <Origin note={note} />
        <span class="acts">
          <button id={`edit-${note.id}`} type="button" class="quiet small" aria-label={`Edit: ${beginning}`} onClick={onEdit}>
            <Icon name="pen" />
            Edit
          </button>
          <button type="button" class="quiet small" aria-label={`Delete: ${beginning}`} onClick={() => askDiscard(note, onGone)}>
            <Icon name="trash" />
            Delete
          </button>
        </span>
      </footer>
    </article>
  );
}

function Origin({ note }: { note: MemoryDocument }) {
  const now = useNow(true, 60_000);
  const changed = note.changed_at === null ? "" : `, changed ${ago(note.changed_at, now)}`;
  const when = `${ago(note.at, now)}${changed}`;
  const { origin } = note;
  return (
    <span class="fine" title={moment(note.at)}>
      {origin.type === "person" ? "by you" : <a href={hrefOf({ page: "chat", session: origin.session })}>from a session</a>} · {when}
    </span>
  );
}

function askDiscard(note: MemoryDocument, onGone: () => void): void {
  const rest = note.origin.type === "turn" ? " What was said in the session that it came from stays there until that is forgotten." : "";
  show({
    type: "confirm",
    title: "Delete this note?",
    text: `“${note.text.slice(0, 200)}” is deleted for good.${rest}`,
    action: "Delete the note",
    act: async () => {
      try {
        await api.discard(note.id);
        tell("Deleted.");
      } catch (error) {
        const words = wordsOf(error);
        if (words) tell(words, true);
      }
      onGone();
    },
  });
}

interface FormProps {
  note: MemoryDocument | null;
  onDone: () => void;
  onCancel: () => void;
}

function Form({ note, onDone, onCancel }: FormProps) {
  const [text, setText] = useState(note?.text ?? "");
  const [tags, setTags] = useState(note?.tags.join(", ") ?? "");
  const [error, setError] = useState<string | null>(null);
  const [isSaving, setSaving] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  // Before anything else is typed: it is meant for the note.
  useLayoutEffect(() => field.current?.focus(), []);
  const save = async () => {
    if (isSaving) return;
    setSaving(true);
    try {
      const named = tags.split(",").map((tag) => tag.trim());
      await api.keep({ text, tags: named.filter((tag) => tag !== "") }, note?.id ?? null);
      onDone();
    } catch (error) {
      setError(wordsOf(error));
      setSaving(false);
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    if (event.key === "Escape") onCancel();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void save();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <form
      class="entry"
      aria-label={note ? "Edit the note" : "New note"}
      onKeyDown={onKeyDown}
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <label for="note-text">One fact, understandable on its own</label>
      <textarea
        id="note-text"
        ref={field}
        rows={4}
        maxLength={NOTE_CHARS_MAX}
        value={text}
        aria-invalid={error !== null}
        aria-describedby={error ? "note-error" : undefined}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <label for="note-tags">Tags, with commas between them</label>
      <input id="note-tags" autocomplete="off" value={tags} onInput={(event) => setTags(event.currentTarget.value)} />
      {error && (
        <p id="note-error" class="note error" role="alert">
          {error}
        </p>
      )}
      <div class="choices end">
        <button type="button" onClick={onCancel}>
          Cancel <kbd>Esc</kbd>
        </button>
        <button type="submit" class="main" disabled={isSaving || text.trim() === ""}>
          Save
        </button>
      </div>
    </form>
  );
}
