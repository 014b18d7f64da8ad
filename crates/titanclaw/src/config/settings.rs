//! The settings as a face shows and changes them. They are the same table, the same checks and the same way into the
//! file as those of `titanclaw config`.

use super::env::Env;
use super::keys::{self, KEYS, Key, Kind};
use super::{Config, ProviderKind, edit};
use async_trait::async_trait;
use serde_json::Value as Json;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use titan_protocol::{
    ClientError, Holds, Override, ProviderSetting, Setting, SettingKind, SettingList, Settings,
};
use toml_edit::{Array, DocumentMut, Formatted, Value};
use url::Url;

/// The longest text, in characters.
const TEXT_CHARS_MAX: usize = 4_096;
/// Texts of one list.
const NAMES_MAX: usize = 256;

/// The config file of a home. Clones are the same one.
#[derive(Clone)]
pub(crate) struct SettingsFile(Arc<Opened>);

struct Opened {
    path: PathBuf,
    /// As it was when this process began.
    begun: DocumentMut,
    overrides: Vec<(&'static str, Override)>,
    /// The names of the keys that are there; `None` where another process holds them.
    keys: Option<Vec<String>>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl SettingsFile {
    /// Looks at the file as it is now.
    ///
    /// # Errors
    /// When it can't be read or is no TOML.
    pub(crate) fn open(
        path: PathBuf,
        overrides: Vec<(&'static str, Override)>,
        keys: Option<Vec<String>>,
    ) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Opened {
            begun: edit::read(&path)?,
            path,
            overrides,
            keys,
            changing: Mutex::default(),
        })))
    }

    /// Does something with the file where it may wait for the disk.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Opened) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, ClientError> {
        let opened = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&opened)).await;
        done.map_err(anyhow::Error::from)
            .flatten()
            .map_err(|error| ClientError::Refused(format!("{error:#}")))
    }
}

impl Opened {
    fn listed(&self) -> anyhow::Result<SettingList> {
        let document = edit::read(&self.path)?;
        let loaded = super::load(&self.path)?;
        Ok(SettingList {
            file: self.path.display().to_string(),
            settings: KEYS.iter().map(|key| self.told(key, &document)).collect(),
            providers: self.providers(&loaded.config),
            warnings: loaded.warnings,
        })
    }

    fn changed(&self, name: &str, value: Option<Json>) -> anyhow::Result<Setting> {
        let key = keys::find(name).map_err(anyhow::Error::msg)?;
        let value = value.map(|value| fitting(key, &value)).transpose()?;
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let document = edit::change(&self.path, |document| match value {
            Some(value) => edit::put(document, name, value),
            None => edit::unset(document, name),
        })?;
        tracing::info!(setting = name, "a setting was changed");
        Ok(self.told(key, &document))
    }

    fn told(&self, key: &Key, document: &DocumentMut) -> Setting {
        let written = |document| edit::get(document, key.path).and_then(json);
        let value = written(document);
        let overridden = self.overrides.iter().find(|(path, _)| *path == key.path);
        Setting {
            name: key.path.to_owned(),
            about: key.about.to_owned(),
            kind: kind(key.kind),
            allowed: keys::allowed(key.kind),
            is_changed: value != written(&self.begun),
            value,
            default: key.default.parse::<Value>().ok().as_ref().and_then(json),
            overridden: overridden.map(|(_, by)| by.clone()),
            holds: holds(key),
        }
    }

    fn providers(&self, config: &Config) -> Vec<ProviderSetting> {
        let told = |provider: &super::Provider| ProviderSetting {
            name: provider.name.clone(),
            kind: kind_name(provider.kind).to_owned(),
            base_url: provider.base_url.as_deref().map(without_password),
            model: provider.model.clone(),
            has_key: self
                .keys
                .as_ref()
                .map(|keys| keys.contains(&provider.secret)),
        };
        config.providers.iter().map(told).collect()
    }
}

/// What holds before the file in a process with this environment.
pub(crate) fn overrides(env: &Env) -> Vec<(&'static str, Override)> {
    let model = env.model.as_ref().map(|model| {
        let by = "TITANCLAW_MODEL".to_owned();
        let value = Json::from(model.as_str());
        ("models.chat", Override { value, by })
    });
    let color = env.no_color.then(|| {
        let by = "NO_COLOR".to_owned();
        let value = Json::from("never");
        ("display.color", Override { value, by })
    });
    model.into_iter().chain(color).collect()
}

#[async_trait]
impl Settings for SettingsFile {
    async fn list(&self) -> Result<SettingList, ClientError> {
        self.with(Opened::listed).await
    }

    async fn change(&self, name: String, value: Option<Json>) -> Result<Setting, ClientError> {
        self.with(move |opened| opened.changed(&name, value)).await
    }
}

fn kind(kind: Kind) -> SettingKind {
    match kind {
        Kind::Text | Kind::Address => SettingKind::Text,
        Kind::Flag => SettingKind::Flag,
        Kind::Count { min, max } => SettingKind::Count { min, max },
        Kind::Number { min, max } => SettingKind::Number { min, max },
        Kind::Choice(choices) => SettingKind::Choice {
            choices: choices.iter().map(|it| (*it).to_owned()).collect(),
        },
        Kind::Names => SettingKind::Names,
    }
}

/// Colours and the like are read by each command; all else by the engine, once.
fn holds(key: &Key) -> Holds {
    match key.path.starts_with("display.") {
        true => Holds::NextCommand,
        false => Holds::Restart,
    }
}

/// The value that a face sent, if it may be the setting's.
fn fitting(key: &Key, given: &Json) -> anyhow::Result<Value> {
    let fits = |value: Value| keys::check_value(key.kind, &value).map(|()| value);
    let fitting = toml(given)
        .ok_or_else(|| keys::allowed(key.kind))
        .and_then(fits);
    fitting.map_err(|allowed| {
        let given: String = given.to_string().chars().take(200).collect();
        anyhow::anyhow!("`{}` can't be {given}; it must be {allowed}", key.path)
    })
}

/// A value of the file as faces read it.
fn json(value: &Value) -> Option<Json> {
    match value {
        Value::String(text) => Some(text.value().as_str().into()),
        Value::Integer(number) => Some((*number.value()).into()),
        Value::Float(number) => Some((*number.value()).into()),
        Value::Boolean(flag) => Some((*flag.value()).into()),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Datetime(_) | Value::InlineTable(_) => None,
    }
}

/// What a face sent as a value of the file; `None` where no setting holds the like.
fn toml(value: &Json) -> Option<Value> {
    match value {
        Json::Bool(flag) => Some(Value::from(*flag)),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Some(Value::from(whole)),
            None => number.as_f64().map(Value::from),
        },
        Json::String(text) if text.chars().count() <= TEXT_CHARS_MAX => {
            Some(Value::String(Formatted::new(text.clone())))
        }
        Json::Array(items) if items.len() <= NAMES_MAX => {
            let items: Option<Array> = items.iter().map(toml).collect();
            items.map(Value::Array)
        }
        _ => None,
    }
}

fn kind_name(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::Anthropic => "anthropic",
        ProviderKind::OpenAi => "openai",
        ProviderKind::Responses => "responses",
        ProviderKind::Compatible => "compatible",
        ProviderKind::Ollama => "ollama",
    }
}

/// An address without what may be a secret in it: a name, a password, a query.
fn without_password(address: &str) -> String {
    match Url::parse(address) {
        Ok(url) => {
            let mut origin = url.origin().ascii_serialization();
            origin.push_str(url.path());
            origin
        }
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TEXT: &str = "# mine\n[limits] # all of them\nturn_seconds = 60 # a minute\n\n[[providers]]\nname = \"work\"\nkind = \"openai\"\nbase_url = \"https://me:hunter2@models.example/v1?key=hunter2\"\n";

    struct Place {
        folder: tempfile::TempDir,
        settings: SettingsFile,
    }

    impl Place {
        fn new(env: &Env) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("config.toml");
            std::fs::write(&path, TEXT).unwrap();
            let keys = Some(vec!["work".to_owned()]);
            let settings = SettingsFile::open(path, overrides(env), keys).unwrap();
            Self { folder, settings }
        }

        fn text(&self) -> String {
            std::fs::read_to_string(self.folder.path().join("config.toml")).unwrap()
        }

        fn setting(&self, name: &str) -> Setting {
            let mut settings = self.settings.0.listed().unwrap().settings.into_iter();
            settings.find(|it| it.name == name).unwrap()
        }
    }

    #[test]
    fn a_setting_tells_what_holds_where_it_comes_from_and_what_is_allowed() {
        let env = Env {
            model: Some("house/m".into()),
            ..Env::default()
        };
        let place = Place::new(&env);
        let expected = Setting {
            name: "limits.turn_seconds".into(),
            about: "how long a turn may take, waiting for people included".into(),
            kind: SettingKind::Count {
                min: 5,
                max: 86_400,
            },
            allowed: "a whole number from 5 to 86400".into(),
            value: Some(json!(60)),
            default: Some(json!(3600)),
            overridden: None,
            holds: Holds::Restart,
            is_changed: false,
        };
        assert_eq!(place.setting("limits.turn_seconds"), expected);
        let chat = place.setting("models.chat");
        let by = Override {
            value: json!("house/m"),
            by: "TITANCLAW_MODEL".into(),
        };
        assert_eq!(
            (chat.value, chat.default, chat.overridden),
            (None, None, Some(by))
        );
        assert_eq!(place.setting("display.theme").holds, Holds::NextCommand);
        let names: Vec<&str> = KEYS.iter().map(|key| key.path).collect();
        let listed = place.settings.0.listed().unwrap();
        let told: Vec<&str> = listed.settings.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(told, names);
    }

    #[test]
    fn a_change_keeps_comments_and_order_and_a_default_comes_back() {
        let place = Place::new(&Env::default());
        let changed = place
            .settings
            .0
            .changed("limits.turn_seconds", Some(json!(90)));
        let changed = changed.unwrap();
        assert_eq!((changed.value, changed.is_changed), (Some(json!(90)), true));
        let set = |name, value| place.settings.0.changed(name, Some(value)).unwrap();
        set("limits.usd_per_turn", json!(1));
        set("routes.chat", json!(["a/b", "local"]));
        set("models.chat", json!("true"));
        let expected = TEXT
            .replace("= 60 #", "= 90 #")
            .replace("a minute\n", "a minute\nusd_per_turn = 1\n");
        let text = place.text();
        assert!(
            text.starts_with(&expected[..expected.find("[[").unwrap()]),
            "{text}"
        );
        assert!(text.contains("chat = [\"a/b\", \"local\"]") && text.contains("chat = \"true\""));
        let back = place
            .settings
            .0
            .changed("limits.turn_seconds", None)
            .unwrap();
        assert_eq!((back.value, back.is_changed), (None, true));
        assert!(!place.text().contains("turn_seconds"));
    }

    #[test]
    fn what_is_not_allowed_names_the_setting_and_what_is_and_changes_nothing() {
        let place = Place::new(&Env::default());
        let long = "x".repeat(5_000);
        for (name, value, expected) in [
            (
                "limits.turn_seconds",
                json!(0),
                "`limits.turn_seconds` can't be 0; it must be a whole number from 5 to 86400",
            ),
            (
                "policy.run",
                json!("maybe"),
                "`policy.run` can't be \"maybe\"; it must be one of allow, ask, deny",
            ),
            (
                "display.thinking",
                json!({ "a": 1 }),
                "`display.thinking` can't be {\"a\":1}; it must be true or false",
            ),
            (
                "gateway.address",
                json!("localhost"),
                "`gateway.address` can't be \"localhost\"; it must be an IP address, such as \"127.0.0.1\"",
            ),
            ("routes.chat", json!(["a", 1]), "must be a list of texts"),
            ("models.chat", json!(long), "must be a text in quotes"),
            (
                "limit.turn_seconds",
                json!(9),
                "there is no setting `limit.turn_seconds`; did you mean `limits.turn_seconds`?",
            ),
        ] {
            let error = place.settings.0.changed(name, Some(value)).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(place.text(), TEXT);
    }

    #[test]
    fn no_secret_is_in_what_is_told() {
        let place = Place::new(&Env::default());
        let listed = place.settings.0.listed().unwrap();
        let expected = ProviderSetting {
            name: "work".into(),
            kind: "openai".into(),
            base_url: Some("https://models.example/v1".into()),
            model: None,
            has_key: Some(true),
        };
        assert_eq!(listed.providers, [expected]);
        assert!(!serde_json::to_string(&listed).unwrap().contains("hunter2"));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told_and_left_alone() {
        let place = Place::new(&Env::default());
        let broken = "[policy]\nrun = \"maybe\"\n";
        std::fs::write(place.folder.path().join("config.toml"), broken).unwrap();
        let error = format!("{:#}", place.settings.0.listed().unwrap_err());
        assert!(error.contains("`policy.run` is \"maybe\""), "{error}");
        assert!(
            place
                .settings
                .0
                .changed("policy.read", Some(json!("deny")))
                .is_err()
        );
        assert_eq!(place.text(), broken);
        // What is wrong can be made right from here too.
        let right = place.settings.0.changed("policy.run", Some(json!("deny")));
        assert_eq!(right.unwrap().value, Some(json!("deny")));
    }
}
