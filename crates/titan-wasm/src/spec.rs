//! What a component says of itself, checked before a model or a person sees it.

use crate::bindings::Spec;
use crate::capability::Capability;
use crate::host::LoadError;
use crate::trouble::clip;
use serde_json::Value;
use titan_protocol::ToolSpec;

const NAME_BYTES_MAX: usize = 64;
const DESCRIPTION_BYTES_MAX: usize = 4 << 10;
const SCHEMA_BYTES_MAX: usize = 16 << 10;

/// # Errors
/// When a part of it can't be offered.
pub(crate) fn check(spec: Spec) -> Result<(ToolSpec, Vec<Capability>), LoadError> {
    let name = name(spec.name)?;
    let description = description(spec.description)?;
    let input_schema = schema(&spec.input_schema)?;
    let declared: Result<Vec<_>, _> = spec
        .capabilities
        .iter()
        .map(|name| capability(name))
        .collect();
    let spec = ToolSpec {
        name,
        description,
        input_schema,
    };
    Ok((spec, declared?))
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

fn description(text: String) -> Result<String, LoadError> {
    let text = text.trim_end().to_owned();
    let is_plain = |c: char| c == '\n' || !(c.is_control() || is_hidden(c));
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
