//! The tools on offer, each with its compiled schema. Those of the engine itself stay; others come, change and go while it
//! runs.

use jsonschema::Validator;
use parking_lot::RwLock;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use titan_protocol::{Tool, ToolSpec};

/// The longest list of schema violations that is told to a model.
const VIOLATIONS_MAX: usize = 5;

/// Tools beside the engine's own.
const PUBLISHED_MAX: usize = 200;

/// The tools on offer, by exact name.
pub struct Registry(RwLock<Offer>);

#[derive(Default)]
struct Offer {
    tools: BTreeMap<String, Arc<Registered>>,
    /// Of all of them, in the order of their names: made once, since each turn holds on to it.
    specs: Arc<[ToolSpec]>,
    versions: Arc<BTreeMap<String, String>>,
}

impl Offer {
    fn of(tools: BTreeMap<String, Arc<Registered>>) -> Self {
        let specs = tools.values().map(|one| one.tool.spec().clone()).collect();
        let version = |(name, one): (&String, &Arc<Registered>)| {
            Some((name.clone(), one.tool.version()?.to_owned()))
        };
        let versions = Arc::new(tools.iter().filter_map(version).collect());
        Self {
            tools,
            specs,
            versions,
        }
    }

    fn is_own(&self, name: &str) -> bool {
        self.tools.get(name).is_some_and(|there| there.is_own)
    }
}

struct Registered {
    tool: Arc<dyn Tool>,
    validator: Validator,
    /// One of the engine's own, whose name nothing else takes.
    is_own: bool,
}

impl Registered {
    fn new(tool: Arc<dyn Tool>, is_own: bool) -> Result<Self, RegistryError> {
        let spec = tool.spec();
        if !is_name(&spec.name) {
            return Err(RegistryError::Name(spec.name.clone()));
        }
        let validator = jsonschema::validator_for(&spec.input_schema).map_err(|error| {
            RegistryError::Schema {
                name: spec.name.clone(),
                detail: error.to_string(),
            }
        })?;
        Ok(Self {
            tool,
            validator,
            is_own,
        })
    }

    fn name(&self) -> String {
        self.tool.spec().name.clone()
    }
}

/// Why a set of tools can't be offered.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Two tools of one name.
    #[error("two tools are called {0:?}; rename one of them")]
    Duplicate(String),
    /// One of the engine's own is called so.
    #[error("{0:?} is the name of a built-in tool, which no other tool may take")]
    Own(String),
    /// Too many.
    #[error("{PUBLISHED_MAX} tools are offered beside the built-in ones; remove one first")]
    Full,
    /// A name that a model could confuse with another.
    #[error(
        "{0:?} is no tool name: use lower-case letters, digits and underscores, beginning with a letter"
    )]
    Name(String),
    /// A schema that is none.
    #[error("the schema of tool {name:?} is not valid: {detail}")]
    Schema {
        /// The tool.
        name: String,
        /// What is wrong.
        detail: String,
    },
}

impl Registry {
    /// A registry of these tools, the engine's own.
    ///
    /// # Errors
    /// When two share a name, or a name or schema is not valid.
    pub fn new(tools: Vec<Arc<dyn Tool>>) -> Result<Self, RegistryError> {
        let mut own = BTreeMap::new();
        for tool in tools {
            let registered = Registered::new(tool, true)?;
            let name = registered.name();
            if own.insert(name.clone(), Arc::new(registered)).is_some() {
                return Err(RegistryError::Duplicate(name));
            }
        }
        Ok(Self(RwLock::new(Offer::of(own))))
    }

    /// Offers a tool from now on, in the place of one that was published under its name before. A call that has begun
    /// keeps the tool that it began with; one that begins later finds this one.
    ///
    /// # Errors
    /// When its name is that of one of the engine's own, its name or schema is not valid, or there are too many.
    pub fn publish(&self, tool: Arc<dyn Tool>) -> Result<(), RegistryError> {
        let registered = Registered::new(tool, false)?;
        let name = registered.name();
        let mut offer = self.0.write();
        if offer.is_own(&name) {
            return Err(RegistryError::Own(name));
        }
        let mut tools = offer.tools.clone();
        tools.insert(name, Arc::new(registered));
        if tools.values().filter(|there| !there.is_own).count() > PUBLISHED_MAX {
            return Err(RegistryError::Full);
        }
        *offer = Offer::of(tools);
        Ok(())
    }

    /// Offers a published tool no longer. Calls that have begun go on.
    pub fn withdraw(&self, name: &str) {
        let mut offer = self.0.write();
        if !offer.is_own(name) {
            let mut tools = offer.tools.clone();
            tools.remove(name);
            *offer = Offer::of(tools);
        }
    }

    /// What models are told, in a stable order.
    pub fn specs(&self) -> Arc<[ToolSpec]> {
        self.0.read().specs.clone()
    }

    /// The versions of those that have one, by name.
    pub fn versions(&self) -> Arc<BTreeMap<String, String>> {
        self.0.read().versions.clone()
    }

    /// The tool of exactly this name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<dyn Tool>> {
        Some(self.registered(name)?.tool.clone())
    }

    fn registered(&self, name: &str) -> Option<Arc<Registered>> {
        self.0.read().tools.get(name).cloned()
    }

    fn unknown(&self, name: &str) -> String {
        let names: Vec<String> = self.0.read().tools.keys().cloned().collect();
        format!(
            "There is no tool called {name:?}. The tools are: {}.",
            names.join(", ")
        )
    }

    /// The tool of exactly this name, once its arguments fit its schema. The error speaks to the model.
    pub(crate) fn find(
        &self,
        name: &str,
        arguments: &Map<String, Value>,
    ) -> Result<Arc<dyn Tool>, String> {
        let Some(registered) = self.registered(name) else {
            return Err(self.unknown(name));
        };
        let arguments = Value::Object(arguments.clone());
        let violations: Vec<String> = registered
            .validator
            .iter_errors(&arguments)
            .take(VIOLATIONS_MAX)
            .map(|error| violation(&error))
            .collect();
        if violations.is_empty() {
            return Ok(registered.tool.clone());
        }
        let schema = &registered.tool.spec().input_schema;
        Err(format!(
            "The arguments of {name} do not fit: {}. Its schema is {schema}.",
            violations.join("; ")
        ))
    }
}

fn violation(error: &jsonschema::ValidationError<'_>) -> String {
    match error.instance_path().to_string() {
        path if path.is_empty() => error.to_string(),
        path => format!("{path}: {error}"),
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}
