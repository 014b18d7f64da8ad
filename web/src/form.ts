// A form that the agent drew, as it can be filled in. Parsed once; the engine has checked it before.

import type { Json, JsonObject } from "./protocol";

export type FieldKind = "text" | "multiline" | "number" | "date" | "choice" | "checkbox";

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly kind: FieldKind;
  readonly options: readonly string[];
  readonly value: Json;
}

export interface Form {
  readonly fields: readonly Field[];
  readonly actions: readonly string[];
}

const KINDS: ReadonlySet<unknown> = new Set<FieldKind>(["text", "multiline", "number", "date", "choice", "checkbox"]);

/** `null` where it can't be read. */
export function formOf(content: string): Form | null {
  try {
    const { fields, actions } = JSON.parse(content) as { fields: JsonObject[]; actions?: string[] };
    const named = actions?.length ? actions.map(String) : ["submit"];
    return { fields: fields.map(fieldOf), actions: named };
  } catch {
    return null;
  }
}

function fieldOf(field: JsonObject): Field {
  const name = String(field.name);
  return {
    name,
    label: typeof field.label === "string" && field.label !== "" ? field.label : name,
    kind: KINDS.has(field.type) ? (field.type as FieldKind) : "text",
    options: Array.isArray(field.options) ? field.options.map(String) : [],
    value: field.value ?? null,
  };
}

/** What a field holds while it is filled in: text, or whether it is checked. */
export type Entered = Record<string, string | boolean>;

export function enteredAtFirst({ fields }: Form): Entered {
  return Object.fromEntries(fields.map((field) => [field.name, firstOf(field)]));
}

function firstOf({ kind, value, options }: Field): string | boolean {
  if (kind === "checkbox") return value === true;
  const text = value === null ? "" : typeof value === "string" ? value : JSON.stringify(value);
  if (kind === "choice") return options.includes(text) ? text : (options[0] ?? "");
  return text;
}

/** What is sent: numbers as numbers, and nothing as nothing. */
export function valuesOf({ fields }: Form, entered: Entered): JsonObject {
  return Object.fromEntries(
    fields.map(({ name, kind }) => {
      const value = entered[name] ?? "";
      if (kind !== "number" || typeof value !== "string") return [name, value];
      return [name, value.trim() === "" || !Number.isFinite(Number(value)) ? null : Number(value)];
    }),
  );
}
