// A setting as it is entered: what stands in its field, and the value that is sent for it. Whether that is allowed is
// the engine's to say.

import type { Setting, SettingValue } from "./protocol";

/** What holds, in the order in which it is looked for; `null` where something else decides. */
export function holding(setting: Setting): SettingValue | null {
  return setting.overridden?.value ?? setting.value ?? setting.default;
}

/** Who says so. */
export function sourceOf(setting: Setting): string {
  if (setting.overridden) return `set by ${setting.overridden.by}`;
  if (setting.value !== null) return "set in the file";
  return setting.default === null ? "not set" : "default";
}

/** What stands in the field: names one a line. */
export function entered(value: SettingValue | null): string {
  if (value === null) return "";
  return Array.isArray(value) ? value.join("\n") : String(value);
}

/** The value of what was entered. What is no value of the kind is sent as it is, and refused with words. */
export function valueOf(text: string, kind: Setting["kind"]): SettingValue {
  switch (kind.type) {
    case "flag":
      return text === "true" || text === "false" ? text === "true" : text;
    case "count":
    case "number":
      return /^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : text;
    case "names":
      return text.split("\n").map((name) => name.trim()).filter((name) => name !== "");
    default:
      return text.trim();
  }
}

/** The settings by section, in their order. */
export function bySection(settings: readonly Setting[]): [string, Setting[]][] {
  const sections = new Map<string, Setting[]>();
  for (const setting of settings) {
    const section = setting.name.split(".")[0]!;
    sections.set(section, [...(sections.get(section) ?? []), setting]);
  }
  return [...sections];
}

/** Every word of the search is in the name or in what it is for. */
export function isAbout(setting: Setting, search: string): boolean {
  const text = `${setting.name} ${setting.about}`.toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}
