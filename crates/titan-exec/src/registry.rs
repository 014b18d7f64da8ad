//! The tools on offer, each with its compiled schema.

use jsonschema::Validator;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use titan_protocol::{Tool, ToolSpec};

/// The longest list of schema violations that is told to a model.
const VIOLATIONS_MAX: usize = 5;

/// The tools on offer, by exact name.
pub struct Registry {
    tools: BTreeMap<String, Registered>,
}

struct Registered {
    tool: Arc<dyn Tool>,
    validator: Validator,
}

/// Why a set of tools can't be offered.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Two tools of one name.
    #[error("two tools are called {0:?}; rename one of them")]
    Duplicate(String),
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
    /// A registry of these tools.
    ///
    /// # Errors
    /// When two share a name, or a name or schema is not valid.
    pub fn new(tools: Vec<Arc<dyn Tool>>) -> Result<Self, RegistryError> {
        let mut registered = BTreeMap::new();
        for tool in tools {
            let name = tool.spec().name.clone();
            if !is_name(&name) {
                return Err(RegistryError::Name(name));
            }
            let validator =
                jsonschema::validator_for(&tool.spec().input_schema).map_err(|error| {
                    RegistryError::Schema {
                        name: name.clone(),
                        detail: error.to_string(),
                    }
                })?;
            if registered
                .insert(name.clone(), Registered { tool, validator })
                .is_some()
            {
                return Err(RegistryError::Duplicate(name));
            }
        }
        Ok(Self { tools: registered })
    }

    /// What models are told, in a stable order.
    pub fn specs(&self) -> Vec<ToolSpec> {
        self.tools
            .values()
            .map(|registered| registered.tool.spec().clone())
            .collect()
    }

    /// The tool of exactly this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools.get(name).map(|registered| &registered.tool)
    }

    /// The tool of exactly this name, once its arguments fit its schema. The error speaks to the model.
    pub(crate) fn find(
        &self,
        name: &str,
        arguments: &Map<String, Value>,
    ) -> Result<&Arc<dyn Tool>, String> {
        let Some(registered) = self.tools.get(name) else {
            let names: Vec<&str> = self.tools.keys().map(String::as_str).collect();
            return Err(format!(
                "There is no tool called {name:?}. The tools are: {}.",
                names.join(", ")
            ));
        };
        let arguments = Value::Object(arguments.clone());
        let violations: Vec<String> = registered
            .validator
            .iter_errors(&arguments)
            .take(VIOLATIONS_MAX)
            .map(|error| violation(&error))
            .collect();
        if violations.is_empty() {
            return Ok(&registered.tool);
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
