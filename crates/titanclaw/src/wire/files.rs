//! What this process may have of the system. An engine holds connections, the store, models and the pipes of tools, so it
//! takes all the open files that it is allowed to have, and says so where they are few. It leaves no core dump.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Below this, an engine with a few callers and a tool that runs may come to its end.
const FILES_MIN: u64 = 256;

/// Raises this process's limit of open files to the most that it may have, and gives that.
pub(crate) fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays as it was");
            limit.current.unwrap_or(u64::MAX)
        }
    }
}

/// Has a crash write nothing: a core dump would hold keys in plain.
pub(crate) fn forbid_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps can't be switched off");
    }
}

/// The most files that this process could hold open.
pub(crate) fn open_files_max() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// What a person should know of so many open files, where they are few.
pub(crate) fn too_few(files_max: u64) -> Option<String> {
    (files_max < FILES_MIN).then(|| {
        format!(
            "at most {files_max} files may be open at once here, which is little for an engine: callers and tools may have to wait or be refused. Raise it before the start: ulimit -n 1024"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_open_files_are_told_with_the_way_to_more() {
        assert!(too_few(64).is_some_and(|text| text.contains("64") && text.contains("ulimit -n")));
        assert_eq!(too_few(FILES_MIN), None);
    }
}
