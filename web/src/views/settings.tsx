// The settings: what holds, why, what is allowed, and a field to change each. The engine checks what is entered.

import { useEffect, useState } from "preact/hooks";
import { api } from "../api";
import type { ProviderSetting, Setting, SettingList } from "../protocol";
import { bySection, entered, holding, isAbout, sourceOf, valueOf } from "../setting";
import { wordsOf } from "../store";
import { clean, cleanLine } from "../visible";
import { Icon } from "./icons";
import { PageHeader } from "./page";
import { SearchField } from "./search";

export function Settings() {
  const [list, setList] = useState<SettingList | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [search, setSearch] = useState("");
  useEffect(() => {
    let isWanted = true;
    api.settings().then(
      (list) => isWanted && setList(list),
      (error: unknown) => isWanted && setError(wordsOf(error)),
    );
    return () => void (isWanted = false);
  }, []);
  const changed = (setting: Setting) =>
    setList((list) => list && { ...list, settings: list.settings.map((old) => (old.name === setting.name ? setting : old)) });
  const shown = list?.settings.filter((setting) => isAbout(setting, search)) ?? [];
  return (
    <>
      <PageHeader title="Settings" />
      <div class="scroll page settings">
        <SearchField label="Search settings" value={search} onSearch={setSearch} />
        {error && (
          <p class="note error" role="alert">
            {clean(error)}
          </p>
        )}
        {!list && !error && <p class="empty">Asking…</p>}
        {list && <Notes list={list} />}
        {list && shown.length === 0 && <p class="empty">No setting fits.</p>}
        {bySection(shown).map(([section, settings]) => (
          <section key={section} aria-labelledby={`section-${section}`}>
            <h2 id={`section-${section}`}>{TITLES[section] ?? section}</h2>
            {settings.map((setting) => (
              <Row key={setting.name} setting={setting} onChanged={changed} />
            ))}
          </section>
        ))}
        {list && search.trim() === "" && <Providers providers={list.providers} />}
      </div>
    </>
  );
}

const TITLES: Record<string, string> = {
  models: "Models",
  routes: "Models by task",
  limits: "Limits",
  local: "Local model",
  policy: "What tools may do",
  display: "Terminal",
  gateway: "This page and the API",
};

function Notes({ list }: { list: SettingList }) {
  const waits = list.settings.some(({ holds, is_changed }) => holds === "restart" && is_changed);
  return (
    <>
      <p class="fine">
        Kept in <span class="path">{cleanLine(list.file)}</span>, which can also be changed by hand.
      </p>
      <p class={`note ${waits ? "warning" : "fine"}`} role="status">
        {waits && <Icon name="alert" />}
        {waits
          ? "What was changed holds when the engine is started again: end it with titanclaw daemon stop or Ctrl-C, and start it."
          : "Changes hold when the engine is started again; those of the terminal with the next command."}
      </p>
      {list.warnings.map((warning) => (
        <p key={warning} class="note warning">
          <Icon name="alert" />
          {clean(warning)}
        </p>
      ))}
    </>
  );
}

interface RowProps {
  setting: Setting;
  onChanged: (setting: Setting) => void;
}

function Row({ setting, onChanged }: RowProps) {
  const before = entered(setting.value ?? setting.default);
  const [draft, setDraft] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [said, setSaid] = useState("");
  const id = `setting-${setting.name.replace(".", "-")}`;
  const fallback = entered(setting.default).replaceAll("\n", ", ");
  const isDrafted = draft !== null && draft !== before;
  const send = async (value: ReturnType<typeof valueOf> | null) => {
    try {
      onChanged(await api.change(setting.name, value));
      setDraft(null);
      setError(null);
      setSaid(value === null ? "Its default holds again." : "Saved.");
    } catch (error) {
      setSaid("");
      setError(wordsOf(error));
    }
  };
  const enter = (text: string, isWhole: boolean) => {
    setDraft(text);
    setSaid("");
    if (isWhole) void send(valueOf(text, setting.kind));
    else setError(null);
  };
  const undo = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || !isDrafted) return;
    event.stopPropagation();
    setDraft(null);
    setError(null);
  };
  return (
    <form
      class="setting"
      onKeyDown={undo}
      onSubmit={(event) => {
        event.preventDefault();
        if (isDrafted) void send(valueOf(draft, setting.kind));
      }}
    >
      <div class="what">
        <label for={id}>
          <code>{setting.name}</code>
        </label>
        <p id={`${id}-about`}>{sentence(setting.about)}</p>
        <p class="fine">
          <span class={`badge ${setting.value === null ? "plain" : ""}`}>{sourceOf(setting)}</span>
          {setting.is_changed && setting.holds === "restart" && <span class="badge waits">after a restart</span>}
          {setting.holds === "next_command" && <span>from the next command on</span>}
        </p>
        {setting.overridden && (
          <p class="note warning">
            {setting.overridden.by} goes before the file: {cleanLine(entered(holding(setting)))}
          </p>
        )}
      </div>
      <div class="value">
        <Field
          id={id}
          setting={setting}
          text={draft ?? before}
          describedBy={`${id}-about${error ? ` ${id}-error` : ""}`}
          isInvalid={error !== null}
          onEnter={enter}
        />
        <div class="choices">
          {isDrafted && (
            <button type="submit" class="main small">
              Save
            </button>
          )}
          {setting.value !== null && (
            <button type="button" class="quiet small" onClick={() => void send(null)}>
              <Icon name="undo" />
              Back to default{fallback && `: ${fallback}`}
              <span class="unseen"> ({setting.name})</span>
            </button>
          )}
          <span class="fine" role="status">
            {said}
          </span>
        </div>
        {error && (
          <p id={`${id}-error`} class="note error" role="alert">
            {clean(error)}
          </p>
        )}
      </div>
    </form>
  );
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

interface FieldProps {
  id: string;
  setting: Setting;
  text: string;
  describedBy: string;
  isInvalid: boolean;
  /** What is chosen is whole at once; what is typed is not. */
  onEnter: (text: string, isWhole: boolean) => void;
}

function Field({ id, setting, text, describedBy, isInvalid, onEnter }: FieldProps) {
  const { kind } = setting;
  const common = { id, "aria-describedby": describedBy, "aria-invalid": isInvalid };
  const options = kind.type === "choice" ? kind.choices : kind.type === "flag" ? ["true", "false"] : null;
  if (options) {
    return (
      <select {...common} value={text} onInput={(event) => onEnter(event.currentTarget.value, true)}>
        {text === "" && (
          <option value="" disabled>
            not set
          </option>
        )}
        {options.map((option) => (
          <option key={option} value={option}>
            {option}
          </option>
        ))}
      </select>
    );
  }
  const typed = { ...common, value: text, spellcheck: false, autocomplete: "off", placeholder: "not set" };
  if (kind.type === "names") {
    return <textarea {...typed} rows={text === "" ? 1 : Math.min(6, text.split("\n").length + 1)} placeholder="one a line" onInput={(event) => onEnter(event.currentTarget.value, false)} />;
  }
  const isNumber = kind.type === "count" || kind.type === "number";
  return <input {...typed} inputMode={isNumber ? "decimal" : "text"} onInput={(event) => onEnter(event.currentTarget.value, false)} />;
}

function Providers({ providers }: { providers: readonly ProviderSetting[] }) {
  return (
    <section aria-labelledby="section-providers">
      <h2 id="section-providers">Vendors and servers</h2>
      <p class="fine">
        <code>titanclaw onboard</code> adds one, and takes its key where it is not shown. A key is never shown here.
      </p>
      {providers.length === 0 && <p class="empty">None is set up in the file.</p>}
      <ul class="providers">
        {providers.map((provider) => (
          <li key={provider.name}>
            <strong>{cleanLine(provider.name)}</strong>
            <span class="fine">{provider.kind}</span>
            <span class="path">{cleanLine(provider.base_url ?? "")}</span>
            <span class="fine">{cleanLine(provider.model ?? "")}</span>
            <span class={`badge ${provider.has_key ? "" : "plain"}`}>{keyWords(provider.has_key)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function keyWords(hasKey: boolean | null): string {
  if (hasKey === null) return "the engine's own process knows the key";
  return hasKey ? "key set" : "no key";
}
