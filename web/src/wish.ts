// What a drawn page says to the page around it. All of it is a stranger's: anything but a height or a wish is nothing,
// and a wish does nothing until the person agreed.

import type { JsonObject } from "./protocol";

export type Told = { type: "ready" } | { type: "height"; height: number } | Wish;

export interface Wish {
  type: "act";
  action: string;
  values: JsonObject;
}

const ACTION_CHARS_MAX = 100;
const VALUES_CHARS_MAX = 16_384;
export const HEIGHT_PX_MIN = 48;
export const HEIGHT_PX_MAX = 4_000;

export function toldBy(data: unknown): Told | null {
  if (typeof data !== "object" || data === null) return null;
  const { type, height, action, values } = data as Record<string, unknown>;
  if (type === "ready") return { type };
  if (type === "height") return typeof height === "number" && Number.isFinite(height) ? { type, height: bounded(height) } : null;
  if (type !== "act" || typeof action !== "string" || action === "" || action.length > ACTION_CHARS_MAX) return null;
  const copied = copyOf(values ?? {});
  return copied && { type: "act", action, values: copied };
}

function bounded(height: number): number {
  return Math.min(HEIGHT_PX_MAX, Math.max(HEIGHT_PX_MIN, Math.ceil(height)));
}

/** As JSON has it, so that what is shown is what is sent. */
function copyOf(values: unknown): JsonObject | null {
  try {
    const json = JSON.stringify(values);
    if (json.length > VALUES_CHARS_MAX) return null;
    const copied: unknown = JSON.parse(json);
    return typeof copied === "object" && copied !== null && !Array.isArray(copied) ? (copied as JsonObject) : null;
  } catch {
    return null;
  }
}
