//! Patches that no model should write: kept in `fuzz/corpus/patch`.

use super::patch::{self, ChangeKind};

/// No path is changed that does not stand in the patch, and what an update makes of a file holds nothing that stood
/// neither in the file nor in the patch.
#[test]
fn s22_fuzz_patch() {
    let file = "fn main() {\n    run();\n}\n\nfn run() {}\n";
    titan_testkit::fuzz::check("patch", |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return;
        };
        let Ok(changes) = patch::parse(text) else {
            return;
        };
        for change in &changes {
            assert!(text.contains(&change.path), "{:?}", change.path);
            let (to, hunks) = match &change.kind {
                ChangeKind::Update { move_to, hunks } => (move_to.as_deref(), hunks.as_slice()),
                ChangeKind::Add { .. } | ChangeKind::Delete => (None, &[][..]),
            };
            assert!(to.is_none_or(|to| text.contains(to)), "{to:?}");
            let Ok(after) = patch::apply(file, hunks) else {
                continue;
            };
            for line in after.lines() {
                let is_known = file.lines().any(|old| old == line) || text.contains(line);
                assert!(is_known, "{line:?} came from nowhere");
            }
        }
    });
}
