//! What a component says of itself, checked before a model or a person sees it.

use crate::bindings::{first, second};
use crate::capability::Capability;
use crate::host::LoadError;
use crate::reach::{Declared, Host};
use crate::trouble::clip;
use serde_json::Value;
use titan_protocol::ToolSpec;

const NAME_BYTES_MAX: usize = 64;
const DESCRIPTION_BYTES_MAX: usize = 4 << 10;
const SCHEMA_BYTES_MAX: usize = 16 << 10;
/// Hosts, and tools, that a component declares.
const DECLARED_MAX: usize = 16;

/// What a component says of itself, in the words of the newest world.
pub(crate) type Spec = second::Spec;

impl From<first::Spec> for Spec {
    fn from(spec: first::Spec) -> Self {
        Self {
            name: spec.name,
            description: spec.description,
            input_schema: spec.input_schema,
            capabilities: spec.capabilities,
            hosts: Vec::new(),
            tools: Vec::new(),
        }
    }
}

/// # Errors
/// When a part of it can't be offered.
pub(crate) fn check(spec: Spec) -> Result<(ToolSpec, Vec<Capability>, Declared), LoadError> {
    let name = name(spec.name)?;
    let description = description(spec.description)?;
    let input_schema = schema(&spec.input_schema)?;
    let capabilities: Result<Vec<_>, _> = spec
        .capabilities
        .iter()
        .map(|name| capability(name))
        .collect();
    let capabilities = capabilities?;
    let declared = Declared {
        hosts: hosts(&spec.hosts, &capabilities)?,
        tools: tools(spec.tools, &capabilities)?,
    };
    let spec = ToolSpec {
        name,
        description,
        input_schema,
    };
    Ok((spec, capabilities, declared))
}

fn hosts(named: &[String], capabilities: &[Capability]) -> Result<Vec<Host>, LoadError> {
    is_declared("hosts", named.len(), capabilities, Capability::Http)?;
    let host = |text: &String| {
        Host::parse(text).ok_or_else(|| {
            LoadError::Spec(format!(
                "{:?} is no host: write name or name:port, in lower case",
                clip(text)
            ))
        })
    };
    named.iter().map(host).collect()
}

fn tools(named: Vec<String>, capabilities: &[Capability]) -> Result<Vec<String>, LoadError> {
    is_declared("tools", named.len(), capabilities, Capability::Tools)?;
    named.into_iter().map(name).collect()
}

/// Whether so many are named, and only where they are of use.
fn is_declared(
    what: &str,
    n: usize,
    capabilities: &[Capability],
    needed: Capability,
) -> Result<(), LoadError> {
    let no = |why: String| Err(LoadError::Spec(why));
    match (n, capabilities.contains(&needed)) {
        (0, true) => no(format!("it declares {needed} but no {what}")),
        (1.., false) => no(format!("it names {what} but does not declare {needed}")),
        (n, _) if n > DECLARED_MAX => no(format!("it names more than {DECLARED_MAX} {what}")),
        _ => Ok(()),
    }
}

/// Whether a tool may be called so.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= NAME_BYTES_MAX
        && name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

fn name(name: String) -> Result<String, LoadError> {
    match is_name(&name) {
        true => Ok(name),
        false => Err(LoadError::Spec(format!(
            "{:?} is no tool name: use lower-case letters, digits and underscores, beginning with a letter",
            clip(&name)
        ))),
    }
}

fn is_plain(c: char) -> bool {
    c == '\n' || !(c.is_control() || is_hidden(c))
}

/// A text without what nobody sees.
pub(crate) fn plain(text: &str) -> String {
    text.replace('\t', "  ")
        .chars()
        .filter(|c| is_plain(*c))
        .collect()
}

fn description(text: String) -> Result<String, LoadError> {
    let text = text.trim_end().to_owned();
    let problem = if text.is_empty() {
        "is empty"
    } else if text.len() > DESCRIPTION_BYTES_MAX {
        "has more than 4096 bytes"
    } else if !text.chars().all(is_plain) {
        "holds characters that nobody sees"
    } else {
        return Ok(text);
    };
    Err(LoadError::Spec(format!("its description {problem}")))
}

/// Characters that change how others are shown, or are shown as nothing.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}')
}

fn schema(text: &str) -> Result<Value, LoadError> {
    let no = |detail: String| LoadError::Spec(format!("its input-schema {detail}"));
    if text.len() > SCHEMA_BYTES_MAX {
        return Err(no(format!("has more than {SCHEMA_BYTES_MAX} bytes")));
    }
    let schema: Value =
        serde_json::from_str(text).map_err(|error| no(format!("is no JSON: {error}")))?;
    if schema["type"] != "object" || schema["additionalProperties"] != false {
        return Err(no(
            "must be that of an object, with \"additionalProperties\": false".to_owned(),
        ));
    }
    jsonschema::validator_for(&schema)
        .map_err(|error| no(format!("is no schema: {}", clip(&error.to_string()))))?;
    Ok(schema)
}

fn capability(name: &str) -> Result<Capability, LoadError> {
    Capability::named(name).ok_or_else(|| LoadError::Import(clip(name)))
}
