//! Command-line programs for WASI 0.2 as tools. They say nothing of themselves but what they print for `--help`.

use crate::component::{Component, Finished};
use crate::host::LoadError;
use crate::spec::{self, Spec};
use crate::wasi;
use serde_json::json;
use wasmtime::component::ComponentExportIndex;

/// Bytes of a program's help that stand in its description.
const HELP_BYTES_MAX: usize = 3 << 10;
/// Words that a program may be given.
const WORDS_MAX: usize = 32;

/// What is called to run a component, if it is a command-line program.
pub(crate) fn entry(compiled: &wasmtime::component::Component) -> Option<ComponentExportIndex> {
    let kind = compiled.component_type();
    let mut exports = kind.exports(compiled.engine());
    let (name, _) = exports.find(|(name, _)| wasi::is_command(name))?;
    let interface = compiled.get_export_index(None, name)?;
    compiled.get_export_index(Some(&interface), "run")
}

/// What is told of a program of which nothing is known.
pub(crate) fn spec(name: &str) -> Spec {
    let input_schema = json!({
        "type": "object",
        "properties": {
            "args": {
                "type": "array",
                "items": {"type": "string"},
                "maxItems": WORDS_MAX,
                "description": "The words that it is called with, without its name.",
            },
            "stdin": {"type": "string", "description": "What it reads from standard input."},
        },
        "additionalProperties": false,
    });
    Spec {
        name: name.to_owned(),
        description: format!(
            "Runs the program {name} and gives what it prints. It sees no files, no network and no environment: all that it \
             works on has to be given."
        ),
        input_schema: input_schema.to_string(),
        capabilities: vec!["wasi".to_owned()],
        hosts: Vec::new(),
        tools: Vec::new(),
    }
}

/// Asks a program for its help and takes that into its description. Blocks.
pub(crate) fn with_help(component: Component) -> Result<Component, LoadError> {
    let asked = component.clone();
    // The caller may be in a runtime or in none.
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.map(|runtime| runtime.block_on(asked.call_alone(r#"{"args":["--help"]}"#)))
    });
    let Ok(Ok(Finished {
        result: Ok(Ok(help)),
        ..
    })) = thread.join()
    else {
        return Ok(component);
    };
    let help = spec::plain(&help);
    let help = help.trim_end();
    if help.is_empty() {
        return Ok(component);
    }
    let help = &help[..help.floor_char_boundary(HELP_BYTES_MAX)];
    Ok(component.with_more_told(&format!("\n\nIts help:\n{help}")))
}
