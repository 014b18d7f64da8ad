//! Looks over a component's bytes before anything is compiled, since a compiler can't be stopped half way.

use crate::host::LoadError;
use crate::trouble::clip;
use wasmparser::{Parser, Payload};

/// Bytes of a component, at most.
pub const COMPONENT_BYTES_MAX: usize = 8 << 20;
/// Functions of all modules together.
const FUNCTIONS_MAX: usize = 20_000;
/// Bytes of the code of one function: compilers take more than twice as long for twice as much.
const FUNCTION_BYTES_MAX: usize = 256 << 10;
/// Modules and components in a component.
const PARTS_MAX: usize = 64;
/// Modules and components within one another.
const DEPTH_MAX: usize = 8;

/// # Errors
/// When it is no component, or larger in some way than any tool needs to be.
pub(crate) fn measure(bytes: &[u8]) -> Result<(), LoadError> {
    within("bytes", bytes.len(), COMPONENT_BYTES_MAX)?;
    if !Parser::is_component(bytes) {
        return Err(LoadError::NoComponent);
    }
    let mut seen = Seen::default();
    for payload in Parser::new(0).parse_all(bytes) {
        seen.take(&payload.map_err(|error| LoadError::Malformed(clip(error.message())))?)?;
    }
    Ok(())
}

#[derive(Default)]
struct Seen {
    functions: usize,
    parts: usize,
    depth: usize,
}

impl Seen {
    fn take(&mut self, payload: &Payload<'_>) -> Result<(), LoadError> {
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                self.parts += 1;
                self.depth += 1;
                within("modules", self.parts, PARTS_MAX)?;
                within("levels of nesting", self.depth, DEPTH_MAX)
            }
            Payload::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(())
            }
            Payload::CodeSectionEntry(body) => {
                self.functions += 1;
                within("functions", self.functions, FUNCTIONS_MAX)?;
                let bytes = body.range().len();
                within("bytes in one function", bytes, FUNCTION_BYTES_MAX)
            }
            _ => Ok(()),
        }
    }
}

fn within(what: &'static str, found: usize, max: usize) -> Result<(), LoadError> {
    match found <= max {
        true => Ok(()),
        false => Err(LoadError::TooLarge { what, found, max }),
    }
}
