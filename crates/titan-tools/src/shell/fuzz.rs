//! Scripts that no person would write: kept in `fuzz/corpus/shell`.

use super::segment::Segmenter;
use super::{analysis, effects};
use std::time::{Duration, Instant};
use titan_protocol::Effect;
use titan_testkit::workbench::{MemoryWorkbench, Process};

/// How long a script of a few thousand bytes may be thought about.
const THOUGHT_MAX: Duration = Duration::from_secs(5);

fn place() -> MemoryWorkbench {
    [
        "ls", "cat", "rm", "git", "grep", "echo", "find", "sed", "env", "xargs",
    ]
    .iter()
    .fold(MemoryWorkbench::new(), |place, name| {
        place.program(name, |_| Process::exits(0))
    })
}

fn only_looks(script: &str, place: &MemoryWorkbench) -> bool {
    let claims = analysis::analyze(script);
    let effects = futures::executor::block_on(effects::resolve(&claims, place));
    effects.iter().all(|effect| match effect {
        Effect::Read { in_workspace, .. } => *in_workspace,
        Effect::Run { reads_only, .. } => *reads_only,
        _ => false,
    })
}

/// Whatever follows it, a command that changes something is never lost from what a script claims.
#[test]
fn x1_fuzz_shell() {
    let place = place();
    titan_testkit::fuzz::check("shell", |bytes| {
        let Ok(script) = std::str::from_utf8(bytes) else {
            return;
        };
        let started = Instant::now();
        let claims = analysis::analyze(script);
        assert!(claims.len() <= 257, "{} claims", claims.len());
        assert!(started.elapsed() < THOUGHT_MAX, "{:?}", started.elapsed());
        // A line of its own at the front is run whatever comes after it.
        let after = format!("rm -r src\n{script}");
        assert!(!only_looks(&after, &place), "{after:?}");
    });
}

/// However a script is cut, the same statements come of it, and they are its beginning.
#[test]
fn x20_fuzz_segmenter() {
    titan_testkit::fuzz::check("shell", |bytes| {
        let Ok(script) = std::str::from_utf8(bytes) else {
            return;
        };
        let whole = Segmenter::default().push(script);
        let mut segmenter = Segmenter::default();
        let mut buffer = [0; 4];
        let pieces: Vec<String> = script
            .chars()
            .flat_map(|c| segmenter.push(c.encode_utf8(&mut buffer)))
            .collect();
        assert_eq!(pieces, whole);
        assert!(script.starts_with(&whole.concat()));
    });
}
