// A form that the agent drew. What is entered is sent to the agent as a message; it approves nothing and answers no
// request, and it looks unlike those.

import { useMemo, useRef, useState } from "preact/hooks";
import type { Shown } from "../canvas";
import { enteredAtFirst, formOf, valuesOf, type Entered, type Field } from "../form";
import { mintId } from "../ids";
import type { JsonObject, SessionId } from "../protocol";
import { press } from "../store";
import { clean, cleanLine } from "../visible";
import { Icon } from "./icons";

/** What was entered and not sent, by session and drawing. */
const drafts = new Map<string, Entered>();

export function FormView({ session, shown }: { session: SessionId; shown: Shown }) {
  const { surface, revision, act } = shown;
  const form = useMemo(() => formOf(surface.content), [surface.content]);
  const draft = `${session} ${surface.name} ${revision}`;
  const [entered, setEntered] = useState<Entered>(drafts.get(draft) ?? (form ? enteredAtFirst(form) : {}));
  const [isSending, setSending] = useState(false);
  // The same press that is sent again counts once.
  const turn = useRef<{ id: string; action: string } | null>(null);
  if (!form) return <p class="note error">This form can't be read.</p>;
  const enter = (name: string, value: string | boolean) => {
    const next = { ...entered, [name]: value };
    drafts.set(draft, next);
    turn.current = null;
    setEntered(next);
  };
  const send = async (action: string) => {
    if (isSending) return;
    setSending(true);
    if (turn.current?.action !== action) turn.current = { id: mintId(), action };
    const isTaken = await press(session, turn.current.id, { surface: surface.name, action, values: valuesOf(form, entered) });
    if (isTaken) turn.current = null;
    setSending(false);
  };
  return (
    <form
      class="filled"
      onSubmit={(event) => {
        event.preventDefault();
        void send(form.actions[0]!);
      }}
    >
      {form.fields.map((field, idx) => (
        <FieldView key={field.name} id={`field-${idx}`} field={field} value={entered[field.name] ?? ""} onEnter={(value) => enter(field.name, value)} />
      ))}
      <div class="choices">
        {form.actions.map((action, idx) => (
          <button key={idx} type={idx === 0 ? "submit" : "button"} disabled={isSending} onClick={idx === 0 ? undefined : () => void send(action)}>
            {cleanLine(action)}
          </button>
        ))}
      </div>
      <p class="fine">The agent drew this form. What you enter is sent to it as a message.</p>
      {act && (
        <div class="sent" role="status">
          <p>
            <Icon name="check" />
            Sent: {cleanLine(act.action)}
          </p>
          <Values values={act.values} />
        </div>
      )}
    </form>
  );
}

interface FieldProps {
  id: string;
  field: Field;
  value: string | boolean;
  onEnter: (value: string | boolean) => void;
}

function FieldView({ id, field, value, onEnter }: FieldProps) {
  const label = cleanLine(field.label);
  if (field.kind === "checkbox") {
    return (
      <label class="check" for={id}>
        <input id={id} type="checkbox" checked={value === true} onInput={(event) => onEnter(event.currentTarget.checked)} />
        {label}
      </label>
    );
  }
  const common = { id, autocomplete: "off", value: String(value) };
  return (
    <div>
      <label for={id}>{label}</label>
      {field.kind === "multiline" && <textarea {...common} rows={4} onInput={(event) => onEnter(event.currentTarget.value)} />}
      {field.kind === "choice" && (
        <select {...common} onInput={(event) => onEnter(event.currentTarget.value)}>
          {field.options.map((option) => (
            <option key={option} value={option}>
              {cleanLine(option)}
            </option>
          ))}
        </select>
      )}
      {field.kind !== "multiline" && field.kind !== "choice" && (
        <input {...common} {...inputOf(field.kind)} onInput={(event) => onEnter(event.currentTarget.value)} />
      )}
    </div>
  );
}

function inputOf(kind: Field["kind"]) {
  if (kind === "number") return { type: "number", step: "any" } as const;
  return kind === "date" ? ({ type: "date" } as const) : ({ type: "text" } as const);
}

/** What was sent, name by name. */
export function Values({ values }: { values: JsonObject }) {
  const entries = Object.entries(values);
  if (entries.length === 0) return null;
  return (
    <dl class="values">
      {entries.map(([name, value]) => (
        <div key={name}>
          <dt>{cleanLine(name)}</dt>
          <dd>{valueText(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

function valueText(value: unknown): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (value === null || value === "") return "–";
  return clean(typeof value === "string" ? value : JSON.stringify(value));
}
