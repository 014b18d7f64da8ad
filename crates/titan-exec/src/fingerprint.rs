//! Names one step exactly, so that an answer given for it serves no other.

use crate::policy::is_opaque;
use std::path::{Path, PathBuf};
use titan_protocol::{ApprovalId, Effect, EntryKind, Step, Workbench};

/// Programs and scripts are hashed up to this many bytes; a larger one never matches.
const PROGRAM_BYTES_MAX: u64 = 256 << 20;

/// A step's exact name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// BLAKE3, in hex.
    pub(crate) hash: String,
    /// Whether all that it stands for could be read. If not, the same step has another name each time.
    pub(crate) is_whole: bool,
}

/// BLAKE3 over tool, arguments, what ran before in the same call, directory, and each program that would run by path and content, with the scripts that
/// an interpreter is given. The environment is the workbench's own clean set, which only the person's configuration
/// changes; `PATH` shows in the resolved programs.
pub(crate) async fn fingerprint(
    step: &Step,
    effects: &[Effect],
    workbench: &dyn Workbench,
) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    field(&mut hasher, step.call.name.as_bytes());
    field(
        &mut hasher,
        canonical(&serde_json::Value::Object(step.call.arguments.clone()))
            .to_string()
            .as_bytes(),
    );
    field(&mut hasher, step.before.as_bytes());
    field(&mut hasher, workbench.root().as_os_str().as_encoded_bytes());
    let mut is_whole = true;
    for effect in effects {
        field(
            &mut hasher,
            serde_json::to_string(effect).unwrap_or_default().as_bytes(),
        );
        for file in files_run(effect, workbench).await {
            field(&mut hasher, file.as_os_str().as_encoded_bytes());
            match content_hash(&file, workbench).await {
                Some(hash) => field(&mut hasher, hash.as_bytes()),
                None => {
                    is_whole = false;
                    // What can't be read can't be known again.
                    field(&mut hasher, ApprovalId::new().to_string().as_bytes());
                }
            }
        }
    }
    Fingerprint {
        hash: hasher.finalize().to_hex().to_string(),
        is_whole,
    }
}

/// The program that an effect runs, and the files among its arguments when it runs whatever it is given.
async fn files_run(effect: &Effect, workbench: &dyn Workbench) -> Vec<PathBuf> {
    let Effect::Run {
        program, arguments, ..
    } = effect
    else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = workbench.which(program).await.into_iter().collect();
    if !is_opaque(program) {
        return files;
    }
    for argument in arguments {
        let Ok(resolved) = workbench.resolve(argument).await else {
            continue;
        };
        let found = workbench.metadata(&resolved.path).await;
        if matches!(found, Ok(Some(it)) if it.kind == EntryKind::File) {
            files.push(resolved.path);
        }
    }
    files
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use titan_protocol::ToolCall;
    use titan_testkit::workbench::{MemoryWorkbench, Process};

    fn place(script: &'static str, program: &'static str) -> MemoryWorkbench {
        MemoryWorkbench::new()
            .program("sh", |_| Process::exits(0))
            .file("/usr/bin/sh", program)
            .file("build.sh", script)
            .file("other.sh", "true")
    }

    async fn named(place: &MemoryWorkbench, tool: &str, script: &str) -> Fingerprint {
        let serde_json::Value::Object(arguments) = json!({ "script": format!("sh {script}") })
        else {
            panic!("arguments are an object")
        };
        let call = ToolCall {
            id: "c1".into(),
            name: tool.to_owned(),
            arguments,
        };
        let effects = [Effect::Run {
            program: "sh".to_owned(),
            arguments: vec![script.to_owned()],
            reads_only: false,
        }];
        fingerprint(&Step::whole(call), &effects, place).await
    }

    #[tokio::test]
    async fn x5_x12_an_exact_answer_serves_only_while_tool_arguments_program_and_script_stay() {
        let first = named(&place("true", "sh 1"), "shell", "build.sh").await;
        assert!(first.is_whole);
        let again = named(&place("true", "sh 1"), "shell", "build.sh").await;
        assert_eq!(first, again);
        for (what, place, tool, script) in [
            ("another script", place("true", "sh 1"), "shell", "other.sh"),
            ("another tool", place("true", "sh 1"), "shell2", "build.sh"),
            (
                "the script changed",
                place("rm -r .", "sh 1"),
                "shell",
                "build.sh",
            ),
            (
                "the program changed",
                place("true", "sh 2"),
                "shell",
                "build.sh",
            ),
        ] {
            assert_ne!(first, named(&place, tool, script).await, "{what}");
        }
    }

    #[tokio::test]
    async fn x12_what_cannot_be_read_is_never_known_again() {
        let place = MemoryWorkbench::new().program("sh", |_| Process::exits(0));
        let first = named(&place, "shell", "x").await;
        assert!(!first.is_whole);
        assert_ne!(first, named(&place, "shell", "x").await);
    }
}
