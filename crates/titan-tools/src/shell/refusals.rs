//! What a script that ran into its confinement is told: what was refused, and how to ask for it.
//!
//! A program only sees the kernel's errors, which also mean other things; so a note is added to failures alone, and it
//! says what may be the cause.

use super::analysis::{self, Claim};
use titan_protocol::Exit;

/// The end of the output that is looked at, in bytes.
const LOOKED_AT_BYTES_MAX: usize = 64 * 1024;

const WRITES: &str = "[titanclaw: the confinement refused a write outside of the workspace. Write in the workspace or \
in $TMPDIR; or name the place so that the person is asked for it: `mkdir -p FOLDER` at the beginning of the script]";

const GUARDED: &str = "[titanclaw: git's hooks and settings, and instruction files, are kept from programs. \
`git config` and `git remote` may be asked for as commands of their own; for the rest ask the person to do it]";

const NETWORK: &str = "[titanclaw: there was no network: it is there only for scripts that name it and are allowed \
to, such as `cargo build`, `npm ci`, `pip install`, or `curl -sI https://HOST` at the beginning]";

const READ_ONLY: [&str; 4] = [
    "Read-only file system",
    "os error 30",
    "EROFS",
    "read-only file system",
];
const BUSY: [&str; 3] = [
    "could not write config file",
    "could not lock config file",
    "Device or resource busy",
];
#[rustfmt::skip] // A table.
const UNREACHABLE: [&str; 10] = [
    "Network is unreachable", "Temporary failure in name resolution", "Could not resolve host", "Couldn't resolve host",
    "EAI_AGAIN", "ENOTFOUND", "ENETUNREACH", "failed to lookup address", "Temporary failure resolving",
    "network is unreachable",
];

/// The notes for a script that ended so.
pub(super) fn notes(output: &str, exit: Option<Exit>, script: &str) -> Vec<&'static str> {
    let start = output.len().saturating_sub(LOOKED_AT_BYTES_MAX);
    let start = (start..=output.len())
        .find(|at| output.is_char_boundary(*at))
        .unwrap_or(0);
    let end = &output[start..];
    let says = |marks: &[&str]| marks.iter().any(|mark| end.contains(mark));
    let has_failed = exit != Some(Exit::Status(0));
    let mut notes = Vec::new();
    if says(&BUSY) {
        notes.push(GUARDED);
    } else if says(&READ_ONLY) {
        notes.push(WRITES);
    }
    if has_failed && says(&UNREACHABLE) && !asks_for_network(script) {
        notes.push(NETWORK);
    }
    notes
}

fn asks_for_network(script: &str) -> bool {
    let claims = analysis::analyze(script);
    claims
        .iter()
        .any(|claim| matches!(claim, Claim::Network { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_explained_once_and_other_failures_are_not() {
        let failed = Some(Exit::Status(1));
        let table: [(&str, Option<Exit>, &str, &[&str]); 6] = [
            (
                "sh: /x: Read-only file system\n/y: Read-only file system",
                failed,
                "echo >/x",
                &[WRITES],
            ),
            (
                "error: could not write config file .git/config: Device or resource busy",
                failed,
                "x",
                &[GUARDED],
            ),
            (
                "Could not resolve host: a.example",
                failed,
                "./get",
                &[NETWORK],
            ),
            (
                "Could not resolve host: a.example",
                failed,
                "curl https://a.example",
                &[],
            ),
            ("ENOTFOUND is a name", Some(Exit::Status(0)), "cat x", &[]),
            ("no such file", failed, "cat x", &[]),
        ];
        for (output, exit, script, wanted) in table {
            assert_eq!(notes(output, exit, script), wanted, "{output}");
        }
        let long = "é".repeat(LOOKED_AT_BYTES_MAX) + "x: Read-only file system";
        assert_eq!(notes(&long, failed, "x"), [WRITES]);
    }
}
