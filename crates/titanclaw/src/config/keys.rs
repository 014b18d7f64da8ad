//! The settings that exist: one table that validation, `config set`, unknown-key hints and the reference read.

use toml_edit::{DocumentMut, Item, TableLike, Value};

/// What a setting may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Text,
    /// An IP address, or an empty text.
    Address,
    Flag,
    /// A whole number in a range.
    Count {
        min: i64,
        max: i64,
    },
    /// A number in a range.
    Number {
        min: f64,
        max: f64,
    },
    Choice(&'static [&'static str]),
    /// A list of texts.
    Names,
}

/// A setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    /// As TOML; empty when there is none and something else decides.
    pub(crate) default: &'static str,
    pub(crate) about: &'static str,
}

const fn key(path: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        about,
    }
}

const RULE: Kind = Kind::Choice(&["allow", "ask", "deny"]);
const USD: Kind = Kind::Number {
    min: 0.0,
    max: 100_000.0,
};

/// All settings outside `[[providers]]`, in the order of the reference.
pub(crate) const KEYS: &[Key] = &[
    key(
        "models.chat",
        Kind::Text,
        "",
        "the model that answers, as provider/model; empty: found by itself",
    ),
    key(
        "models.output_tokens",
        Kind::Count {
            min: 64,
            max: 200_000,
        },
        "4096",
        "tokens that one answer may have",
    ),
    key(
        "models.thinking_tokens",
        Kind::Count {
            min: 0,
            max: 200_000,
        },
        "0",
        "tokens that a model may think before it answers",
    ),
    key(
        "routes.chat",
        Kind::Names,
        "[]",
        "models to try, in order, when the first does not answer",
    ),
    key(
        "routes.code",
        Kind::Names,
        "[]",
        "models for work on code; empty: those for chat",
    ),
    key(
        "routes.utility",
        Kind::Names,
        "[]",
        "models for titles and summaries; empty: the local model, then those for chat",
    ),
    key(
        "routes.embed",
        Kind::Names,
        "[]",
        "the model for vectors; empty: the local one",
    ),
    key(
        "limits.model_calls_per_turn",
        Kind::Count { min: 1, max: 1_000 },
        "50",
        "model calls in one turn",
    ),
    key(
        "limits.turn_seconds",
        Kind::Count {
            min: 5,
            max: 86_400,
        },
        "3600",
        "how long a turn may take, waiting for people included",
    ),
    key(
        "limits.approval_seconds",
        Kind::Count {
            min: 5,
            max: 86_400,
        },
        "300",
        "how long an approval waits before it counts as denied",
    ),
    key(
        "limits.reads_along",
        Kind::Flag,
        "false",
        "ask the utility model if a program that has run for 15, 30, 60 and 120 seconds is worth waiting for",
    ),
    key(
        "limits.usd_per_turn",
        USD,
        "2.0",
        "what a turn's model calls may cost",
    ),
    key(
        "limits.usd_per_session",
        USD,
        "10.0",
        "what a session's model calls may cost",
    ),
    key(
        "limits.usd_per_day",
        USD,
        "20.0",
        "what a day's model calls may cost",
    ),
    key(
        "local.model",
        Kind::Text,
        "",
        "the local model, by its name in `titanclaw models list`; empty: the catalogue's default",
    ),
    key(
        "local.threads",
        Kind::Count { min: 0, max: 256 },
        "0",
        "threads of the local model; 0: by what is idle",
    ),
    key(
        "local.context_tokens",
        Kind::Count {
            min: 512,
            max: 131_072,
        },
        "8192",
        "tokens that the local model reads and writes together",
    ),
    key(
        "local.idle_seconds",
        Kind::Count {
            min: 0,
            max: 86_400,
        },
        "300",
        "after this long unused, the local model's memory is given back; 0: never",
    ),
    key(
        "local.models",
        Kind::Text,
        "",
        "where model files are kept; empty: ~/.cache/titanclaw/models",
    ),
    key(
        "policy.read",
        RULE,
        "\"allow\"",
        "files in the workspace are read",
    ),
    key(
        "policy.read_outside",
        RULE,
        "\"ask\"",
        "files elsewhere are read",
    ),
    key(
        "policy.write",
        RULE,
        "\"ask\"",
        "files in the workspace are changed",
    ),
    key(
        "policy.write_outside",
        RULE,
        "\"ask\"",
        "files elsewhere are changed",
    ),
    key(
        "policy.run_reading",
        RULE,
        "\"allow\"",
        "programs that are known to only look are run",
    ),
    key("policy.run", RULE, "\"ask\"", "other programs are run"),
    key("policy.network", RULE, "\"ask\"", "tools reach the network"),
    key(
        "policy.remember",
        RULE,
        "\"allow\"",
        "notes are written for later turns",
    ),
    key(
        "memory.unasked",
        Kind::Flag,
        "true",
        "put beside a question what is known of open files and of the files and code that it names",
    ),
    key(
        "memory.conversations",
        Kind::Flag,
        "true",
        "what is said in sessions is found in later ones without having been noted",
    ),
    key(
        "memory.pages",
        Kind::Flag,
        "true",
        "pages that the agent fetched are found in later sessions, as the words of strangers",
    ),
    key(
        "memory.enriched_daily",
        Kind::Count {
            min: 0,
            max: 10_000,
        },
        "100",
        "how often in a day the local model is asked, while it is in memory and nothing else is done, to add to what is known; 0: never",
    ),
    key(
        "reflexes.promotion",
        Kind::Choice(&["never", "owner", "proved"]),
        "\"owner\"",
        "who says that what was learned may answer without a model: nobody, you when it is proposed, or the proof alone",
    ),
    key(
        "reflexes.agreements",
        Kind::Count { min: 1, max: 100 },
        "2",
        "recorded turns, besides those that it was built from, whose outcome a reflex has to give",
    ),
    key(
        "reflexes.sample",
        Kind::Count { min: 0, max: 1_000 },
        "20",
        "of so many questions that a reflex would answer the model is asked one, to see whether it still holds; 0: of none",
    ),
    key(
        "reflexes.written_daily",
        Kind::Count { min: 0, max: 100 },
        "3",
        "how often in a day a model is asked to write the code for what it computes again and again; 0: never",
    ),
    key(
        "jit.rustc",
        Kind::Text,
        "",
        "the Rust compiler for tools that are written here; empty: the best that is found",
    ),
    key(
        "jit.folder",
        Kind::Text,
        "",
        "where what was prepared to compile them lies; empty: jit in the home",
    ),
    key(
        "display.thinking",
        Kind::Flag,
        "false",
        "show the model's thinking while it thinks",
    ),
    key(
        "display.color",
        Kind::Choice(&["auto", "always", "never"]),
        "\"auto\"",
        "when colour is written",
    ),
    key(
        "display.theme",
        Kind::Choice(&["dark", "light"]),
        "\"dark\"",
        "what the terminal's background is",
    ),
    // A section that is there opens the gateway with every engine in the background, so that none of these has a
    // default that could be written down and mean nothing.
    key(
        "gateway.port",
        Kind::Count {
            min: 1,
            max: 65_535,
        },
        "",
        "the port of the page and the API; empty: 7717. With this section, `titanclaw daemon` serves them",
    ),
    key(
        "gateway.address",
        Kind::Address,
        "",
        "the address that they are served at; empty: 127.0.0.1",
    ),
    key(
        "gateway.expose",
        Kind::Flag,
        "",
        "whether that may be an address that other machines reach; nothing is encrypted",
    ),
    key(
        "gateway.hosts",
        Kind::Names,
        "",
        "more names by which the page may be called",
    ),
    key(
        "gateway.workspace",
        Kind::Text,
        "",
        "the folder for turns that name none; empty: where `titanclaw web` was started, or one in the cache",
    ),
    key(
        "store.url",
        Kind::Text,
        "",
        "the database that sessions are kept in, as postgres://USER@HOST/DATABASE; empty: the home's own",
    ),
    key(
        "store.password_env",
        Kind::Text,
        "",
        "the environment variable that holds the password of store.url",
    ),
    key(
        "store.authorities",
        Kind::Text,
        "",
        "a PEM file of those who may vouch for the server of store.url; empty: those that this system trusts",
    ),
];

/// What a `[[providers]]` entry holds.
pub(crate) const PROVIDER_KEYS: &[Key] = &[
    key(
        "providers.name",
        Kind::Text,
        "",
        "what the provider is called here",
    ),
    key(
        "providers.kind",
        Kind::Choice(&["anthropic", "openai", "responses", "compatible", "ollama"]),
        "\"compatible\"",
        "the API that it speaks",
    ),
    key(
        "providers.base_url",
        Kind::Text,
        "",
        "where it is; empty: the vendor's own address",
    ),
    key(
        "providers.model",
        Kind::Text,
        "",
        "the model that is used when none is named",
    ),
    key(
        "providers.secret",
        Kind::Text,
        "",
        "the name of the sealed key; empty: the provider's name",
    ),
    key(
        "providers.context_tokens",
        Kind::Count {
            min: 512,
            max: 10_000_000,
        },
        "",
        "tokens that its models read and write together; empty: as the server says",
    ),
];

/// Something wrong or odd in a config.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) is_error: bool,
    pub(crate) text: String,
}

/// The setting of this path.
///
/// # Errors
/// When there is none; the text names the closest.
pub(crate) fn find(path: &str) -> Result<&'static Key, String> {
    KEYS.iter()
        .find(|key| key.path == path)
        .ok_or_else(|| unknown(path, KEYS.iter().map(|key| key.path)))
}

/// All that is wrong or odd in a document.
pub(crate) fn check(document: &DocumentMut) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (section, item) in document.iter() {
        if section == "providers" {
            check_providers(item, &mut findings);
            continue;
        }
        let prefix = format!("{section}.");
        let is_section = KEYS.iter().any(|key| key.path.starts_with(&prefix));
        match item.as_table_like() {
            Some(table) if is_section => check_table(table, &prefix, KEYS, &mut findings),
            None if is_section => {
                findings.push(error(format!("`{section}` must be a section: [{section}]")))
            }
            _ => findings.push(warning(unknown(section, sections()))),
        }
    }
    findings
}

fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.iter()
        .filter_map(|key| key.path.split('.').next())
        .chain(["providers"])
}

fn check_providers(item: &Item, findings: &mut Vec<Finding>) {
    let Some(entries) = item.as_array_of_tables() else {
        findings.push(error(
            "`providers` must be a list of sections: [[providers]]".into(),
        ));
        return;
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.get("name").and_then(Item::as_str).unwrap_or_default();
        if name.is_empty() || name.contains('/') {
            findings.push(error(
                "each [[providers]] entry needs a `name` without a slash".into(),
            ));
        }
        if names.contains(&name) {
            findings.push(error(format!(
                "two [[providers]] entries are called `{name}`; rename one"
            )));
        }
        names.push(name);
        check_table(entry, "providers.", PROVIDER_KEYS, findings);
        if let Some(base_url) = entry.get("base_url").and_then(Item::as_str)
            && let Err(problem) = url::Url::parse(base_url)
        {
            findings.push(error(format!("`providers.base_url` is {base_url:?}, which is no address ({problem}); write it like \"http://127.0.0.1:8000/v1\"")));
        }
    }
}

fn check_table(table: &dyn TableLike, prefix: &str, keys: &[Key], findings: &mut Vec<Finding>) {
    for (name, item) in table.iter() {
        let path = format!("{prefix}{name}");
        let known = keys.iter().find(|key| key.path == path);
        match (known, item.as_value()) {
            (Some(key), Some(value)) => {
                findings.extend(check_value(key.kind, value).err().map(|allowed| {
                    error(format!(
                        "`{path}` is {}, but must be {allowed}",
                        value.to_string().trim()
                    ))
                }));
            }
            (Some(_), None) => {
                findings.push(error(format!("`{path}` must be a value, not a section")))
            }
            (None, _) => findings.push(warning(unknown(&path, keys.iter().map(|key| key.path)))),
        }
    }
}

/// Whether a value fits; else what is allowed.
pub(crate) fn check_value(kind: Kind, value: &Value) -> Result<(), String> {
    let fits = match kind {
        Kind::Text => value.is_str(),
        Kind::Address => value.as_str().is_some_and(is_address),
        Kind::Flag => value.is_bool(),
        Kind::Count { min, max } => value.as_integer().is_some_and(|n| (min..=max).contains(&n)),
        Kind::Number { min, max } => number(value).is_some_and(|n| (min..=max).contains(&n)),
        Kind::Choice(choices) => value.as_str().is_some_and(|text| choices.contains(&text)),
        Kind::Names => value
            .as_array()
            .is_some_and(|names| names.iter().all(Value::is_str)),
    };
    if fits { Ok(()) } else { Err(allowed(kind)) }
}

/// An empty one is none, for which the default holds.
fn is_address(text: &str) -> bool {
    text.trim().is_empty() || text.parse::<std::net::IpAddr>().is_ok()
}

fn number(value: &Value) -> Option<f64> {
    value
        .as_float()
        .or_else(|| value.as_integer().map(|n| n as f64))
}

/// What a setting may hold, in words.
pub(crate) fn allowed(kind: Kind) -> String {
    match kind {
        Kind::Text => "a text in quotes".to_owned(),
        Kind::Address => "an IP address, such as \"127.0.0.1\"".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Count { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Number { min, max } => format!("a number from {min} to {max}"),
        Kind::Choice(choices) => format!("one of {}", choices.join(", ")),
        Kind::Names => "a list of texts, such as [\"openai/gpt-5\", \"local\"]".to_owned(),
    }
}

fn unknown<'a>(path: &str, known: impl Iterator<Item = &'a str>) -> String {
    let closest = known
        .map(|known| (strsim::jaro_winkler(path, known), known))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match closest {
        Some((_, known)) => format!("there is no setting `{path}`; did you mean `{known}`?"),
        None => format!("there is no setting `{path}`; `titanclaw config show --all` lists them"),
    }
}

fn error(text: String) -> Finding {
    Finding {
        is_error: true,
        text,
    }
}

fn warning(text: String) -> Finding {
    Finding {
        is_error: false,
        text,
    }
}
