//! Every environment variable that TitanClaw reads. No other module asks for one.

use secrecy::SecretString;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The variables and what each is for, in the order of the manual.
pub(crate) const VARIABLES: &[(&str, &str)] = &[
    (
        "TITANCLAW_HOME",
        "where config, sessions and logs are kept (default: ~/.titanclaw)",
    ),
    (
        "TITANCLAW_OFFLINE",
        "any value but 0: the same as --offline",
    ),
    (
        "TITANCLAW_MODEL",
        "the model that answers, before what the config says",
    ),
    (
        "TITANCLAW_LOG",
        "what is logged, such as info or titan_agent=debug (default: info)",
    ),
    (
        "TITANCLAW_RUSTC",
        "the Rust compiler for tools that are written here",
    ),
    (
        "ANTHROPIC_API_KEY",
        "a key for Anthropic; used when the config names no model",
    ),
    (
        "OPENAI_API_KEY",
        "a key for OpenAI or for the server at OPENAI_BASE_URL",
    ),
    (
        "OPENAI_BASE_URL",
        "a server with OpenAI's API, such as http://127.0.0.1:8000/v1",
    ),
    (
        "OLLAMA_HOST",
        "where Ollama listens (default: 127.0.0.1:11434)",
    ),
    (
        "NO_COLOR",
        "any value: no colour, unless --color says otherwise",
    ),
    ("TERM", "dumb: no cursor movement"),
    (
        "LC_ALL, LC_CTYPE, LANG",
        "a locale without UTF-8: line by line, not the whole screen",
    ),
    (
        "HTTPS_PROXY, NO_PROXY",
        "the proxy for providers and downloads, and what is reached without it",
    ),
    (
        "DISPLAY, WAYLAND_DISPLAY",
        "whether `titanclaw web` can open a browser",
    ),
    (
        "HOME, XDG_CACHE_HOME",
        "where the person's files and caches are",
    ),
];

/// The environment, read once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Env {
    pub(crate) home: Option<PathBuf>,
    pub(crate) is_offline: bool,
    pub(crate) model: Option<String>,
    pub(crate) log: Option<String>,
    pub(crate) rustc: Option<PathBuf>,
    pub(crate) anthropic_key: Option<SecretString>,
    pub(crate) openai_key: Option<SecretString>,
    pub(crate) openai_base_url: Option<String>,
    pub(crate) ollama_host: Option<String>,
    pub(crate) https_proxy: Option<String>,
    pub(crate) no_proxy: Option<String>,
    pub(crate) no_color: bool,
    pub(crate) is_dumb_terminal: bool,
    /// Whether the locale, if any is named, says that the terminal shows UTF-8.
    pub(crate) is_utf8: bool,
    pub(crate) has_display: bool,
    pub(crate) user_home: Option<PathBuf>,
    pub(crate) cache: Option<PathBuf>,
}

impl Env {
    /// Reads the process's environment.
    pub(crate) fn read() -> Self {
        Self::from(|name| std::env::var_os(name).and_then(|value| value.into_string().ok()))
    }

    /// Reads variables from `get`. An empty value counts as none.
    pub(crate) fn from(get: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        let either = |upper: &str, lower: &str| get(upper).or_else(|| get(lower));
        let user_home = get("HOME").map(PathBuf::from);
        Self {
            home: get("TITANCLAW_HOME").map(PathBuf::from),
            is_offline: get("TITANCLAW_OFFLINE").is_some_and(|value| value != "0"),
            model: get("TITANCLAW_MODEL"),
            log: get("TITANCLAW_LOG"),
            rustc: get("TITANCLAW_RUSTC").map(PathBuf::from),
            anthropic_key: get("ANTHROPIC_API_KEY").map(SecretString::from),
            openai_key: get("OPENAI_API_KEY").map(SecretString::from),
            openai_base_url: get("OPENAI_BASE_URL"),
            ollama_host: get("OLLAMA_HOST"),
            https_proxy: either("HTTPS_PROXY", "https_proxy"),
            no_proxy: either("NO_PROXY", "no_proxy"),
            no_color: get("NO_COLOR").is_some(),
            is_dumb_terminal: get("TERM").is_none_or(|term| term == "dumb"),
            is_utf8: get("LC_ALL")
                .or_else(|| get("LC_CTYPE"))
                .or_else(|| get("LANG"))
                .is_none_or(|locale| is_utf8(&locale)),
            has_display: get("DISPLAY").or_else(|| get("WAYLAND_DISPLAY")).is_some(),
            cache: get("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| Some(user_home.as_ref()?.join(".cache"))),
            user_home,
        }
    }
}

fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// The variable of a name that the config gives, if it holds something.
pub(crate) fn secret(name: &str) -> Option<SecretString> {
    let value = std::env::var(name).ok();
    value
        .filter(|value| !value.is_empty())
        .map(SecretString::from)
}

/// Every variable, for the programs that tools run; what they are given is chosen from these.
pub(crate) fn inherited() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_locale_that_is_named_says_whether_it_is_utf_8() {
        let is_utf8 = |name: &'static str, value: &'static str| {
            Env::from(|asked| (asked == name).then(|| value.to_owned())).is_utf8
        };
        assert!(is_utf8("LC_ALL", "C.UTF-8") && is_utf8("LANG", "de_DE.utf8"));
        assert!(!is_utf8("LC_ALL", "C") && !is_utf8("LC_CTYPE", "en_US.ISO-8859-1"));
        assert!(is_utf8("HOME", "/u"));
    }

    #[test]
    fn an_empty_variable_is_none() {
        let env = Env::from(|name| match name {
            "HOME" => Some("/u".into()),
            "TITANCLAW_OFFLINE" => Some("0".into()),
            "ANTHROPIC_API_KEY" => Some("sk-1".into()),
            _ => Some(" ".into()),
        });
        assert!(!env.is_offline);
        assert_eq!(env.model, None);
        assert_eq!(env.cache, Some("/u/.cache".into()));
        assert!(env.anthropic_key.is_some() && env.openai_key.is_none());
        assert!(!format!("{env:?}").contains("sk-1"));
    }
}
