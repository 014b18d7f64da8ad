//! The settings of a home, as the person looks at them and changes them.

use crate::ClientError;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The settings that there are. They lie in a file that the person may also write by hand.
#[async_trait]
pub trait Settings: Send + Sync {
    /// All of them, as the file is now.
    ///
    /// # Errors
    /// When the file can't be read or used; the text says where it is wrong.
    async fn list(&self) -> Result<SettingList, ClientError>;

    /// Changes one, or lets its default hold again where there is no value. The file keeps its comments and order, is
    /// written whole or not at all, and is durable when this returns.
    ///
    /// # Errors
    /// When there is no such setting or it can't be that; the text names it and what is allowed. Nothing is changed then.
    async fn change(&self, name: String, value: Option<Value>) -> Result<Setting, ClientError>;
}

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SettingList {
    /// Where they are written.
    pub file: String,
    /// In the order of the reference, section by section.
    pub settings: Vec<Setting>,
    /// Vendors and servers that are set up.
    pub providers: Vec<ProviderSetting>,
    /// What is odd about the file.
    pub warnings: Vec<String>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Such as `limits.turn_seconds`: its section, a dot and its name there.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// What it may hold.
    pub kind: SettingKind,
    /// The same in words.
    pub allowed: String,
    /// What the file says, if anything.
    pub value: Option<Value>,
    /// What holds where the file says nothing; `None` where something else decides, as `about` says.
    pub default: Option<Value>,
    /// What holds before the file and the default for this process, if anything does.
    pub overridden: Option<Override>,
    /// When a change of it holds.
    pub holds: Holds,
    /// Whether the file says something else than when this process began.
    pub is_changed: bool,
}

/// What a setting may hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SettingKind {
    /// A text.
    Text,
    /// True or false.
    Flag,
    /// A whole number.
    Count {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A number.
    Number {
        /// The least.
        min: f64,
        /// The most.
        max: f64,
    },
    /// One of some words.
    Choice {
        /// The words.
        choices: Vec<String>,
    },
    /// A list of texts.
    Names,
}

/// Something that holds before a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Override {
    /// What holds.
    pub value: Value,
    /// What says so, such as `TITANCLAW_MODEL`.
    pub by: String,
}

/// When a change of a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// With the next command in a terminal; the engine that runs need not end.
    NextCommand,
    /// When the engine is started again.
    Restart,
}

/// A vendor or server that is set up. No key is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderSetting {
    /// What it is called here.
    pub name: String,
    /// The API that it speaks.
    pub kind: String,
    /// Where it is, without any password; `None`: the vendor's own address.
    pub base_url: Option<String>,
    /// The model that is used when none is named.
    pub model: Option<String>,
    /// Whether its key is there; `None` where the engine is in another process, which alone knows.
    pub has_key: Option<bool>,
}
