//! Names one step exactly, so that an answer given for it serves no other.

use std::path::Path;
use titan_protocol::{ApprovalId, Effect, Step, Workbench};

/// Programs are hashed up to this many bytes; a larger one never matches.
const PROGRAM_BYTES_MAX: u64 = 256 << 20;

/// BLAKE3 over tool, arguments, directory, and each program that would run by path and content. The environment is the
/// workbench's own clean set, which only the person's configuration changes; `PATH` shows in the resolved programs.
pub(crate) async fn fingerprint(
    step: &Step,
    effects: &[Effect],
    workbench: &dyn Workbench,
) -> String {
    let mut hasher = blake3::Hasher::new();
    field(&mut hasher, step.call.name.as_bytes());
    field(
        &mut hasher,
        canonical(&serde_json::Value::Object(step.call.arguments.clone()))
            .to_string()
            .as_bytes(),
    );
    field(&mut hasher, workbench.root().as_os_str().as_encoded_bytes());
    for effect in effects {
        field(
            &mut hasher,
            serde_json::to_string(effect).unwrap_or_default().as_bytes(),
        );
        if let Effect::Run { program, .. } = effect
            && let Some(path) = workbench.which(program).await
        {
            field(&mut hasher, path.as_os_str().as_encoded_bytes());
            match content_hash(&path, workbench).await {
                Some(hash) => field(&mut hasher, hash.as_bytes()),
                // What can't be read can't be known again.
                None => field(&mut hasher, ApprovalId::new().to_string().as_bytes()),
            }
        }
    }
    hasher.finalize().to_hex().to_string()
}

async fn content_hash(program: &Path, workbench: &dyn Workbench) -> Option<blake3::Hash> {
    let file = workbench
        .resolve(&program.to_string_lossy())
        .await
        .ok()?
        .path;
    let bytes = workbench.read(&file, 0, PROGRAM_BYTES_MAX + 1).await.ok()?;
    (bytes.len() as u64 <= PROGRAM_BYTES_MAX).then(|| blake3::hash(&bytes))
}

/// Length first, so that no two lists of fields hash alike.
fn field(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// The value with its keys in order.
fn canonical(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map
                .iter()
                .map(|(key, value)| (key.clone(), canonical(value)))
                .collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}
