//! Makes tools of what was written: compiled by a toolchain that is ready, loaded by a host, a tool like any other.

use crate::capability::Capability;
use crate::host::{LoadError, WasmHost};
use crate::prelude;
use crate::spec::is_name;
use crate::tool::ComponentTool;
use crate::toolchain::{Compiler, Toolchain};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::sync::Arc;
use titan_protocol::{Care, Draft, Made, MakeError, ToolMaker, ToolSpec};

/// Opens a host, or says why there is none.
pub type OpenHost = Arc<dyn Fn() -> Result<WasmHost, String> + Send + Sync>;

/// What a tool that the engine writes may declare.
const DECLARED: [Capability; 3] = [Capability::Log, Capability::Clock, Capability::Random];

/// A [`ToolMaker`] with a toolchain of this machine.
pub struct Maker {
    toolchain: Toolchain,
    host: OpenHost,
    guide: String,
}

impl Maker {
    /// With what is ready of this toolchain when a tool is made.
    pub fn new(toolchain: Toolchain, host: OpenHost) -> Self {
        Self {
            toolchain,
            host,
            guide: prelude::API.to_owned(),
        }
    }

    async fn compiler(&self) -> Result<Compiler, MakeError> {
        match self.toolchain.ready() {
            Some(ready) => Ok(Compiler::new(self.toolchain.clone(), ready)),
            None => Err(MakeError::Missing(
                self.toolchain.missing(&self.toolchain.find().await),
            )),
        }
    }
}

/// # Errors
/// When what is said of a tool can't be.
fn sound(draft: &Draft) -> Result<(), MakeError> {
    if !is_name(&draft.spec.name) {
        return Err(MakeError::Wrong(format!(
            "{:?} is no name of a tool: use lower-case letters, digits and underscores, beginning with a letter",
            draft.spec.name
        )));
    }
    let unknown = draft
        .capabilities
        .iter()
        .find(|one| !DECLARED.iter().any(|known| known.name() == one.as_str()));
    match unknown {
        Some(unknown) => Err(MakeError::Wrong(format!(
            "{unknown:?} is no capability of a tool that is written here; there are log, clock and random"
        ))),
        None => Ok(()),
    }
}

#[async_trait]
impl ToolMaker for Maker {
    fn guide(&self) -> &str {
        &self.guide
    }

    fn fits(&self, spec: &ToolSpec, input: &Map<String, Value>) -> Result<(), String> {
        let validator = jsonschema::validator_for(&spec.input_schema)
            .map_err(|error| format!("input_schema is no schema: {error}"))?;
        let input = Value::Object(input.clone());
        validator
            .validate(&input)
            .map_err(|error| error.to_string())
    }

    async fn make(&self, draft: &Draft, care: Care) -> Result<Made, MakeError> {
        sound(draft)?;
        let component = self.compiler().await?.compile(draft, care).await?;
        let open = self.host.clone();
        let load = move || -> Result<Made, MakeError> {
            let host = open().map_err(MakeError::Failed)?;
            let loaded = match care {
                Care::Once => host.load_once(&component),
                Care::Kept => host.load(&component),
            };
            let tool = Arc::new(ComponentTool::new(loaded.map_err(refused)?));
            Ok(Made { tool, component })
        };
        let loaded = tokio::task::spawn_blocking(load).await;
        loaded.map_err(|error| MakeError::Failed(error.to_string()))?
    }
}

/// What was loaded comes from the writer of the source.
fn refused(error: LoadError) -> MakeError {
    MakeError::Wrong(error.to_string())
}
