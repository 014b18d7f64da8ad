//! All files of a workspace at one moment, without reading them.

use super::path::Places;
use ignore::DirEntry;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use titan_protocol::{Stamp, Survey, Surveyed, WorkbenchError};

/// Git's own records: they are many, and only git knows how to put them back.
const RECORDS_OF_GIT: &str = ".git";

/// The files and links of the workspace. What can't be looked at, or goes away meanwhile, is left out.
pub(super) fn survey(places: &Arc<Places>, files_max: usize) -> Result<Survey, WorkbenchError> {
    let mut survey = Survey {
        files: Vec::new(),
        is_whole: true,
    };
    for found in walk(places).skip(1) {
        let Ok(found) = found else { continue };
        let is_told = found
            .file_type()
            .is_some_and(|kind| kind.is_file() || kind.is_symlink());
        if !is_told {
            continue;
        }
        if survey.files.len() == files_max {
            survey.is_whole = false;
            break;
        }
        survey.files.extend(surveyed(found));
    }
    Ok(survey)
}

fn walk(places: &Arc<Places>) -> ignore::Walk {
    let checked = places.clone();
    ignore::WalkBuilder::new(&places.root)
        .hidden(false)
        .require_git(false)
        .follow_links(false)
        .sort_by_file_name(|a, b| a.cmp(b))
        .filter_entry(move |entry| {
            let path = entry.path();
            let is_closed = checked.check(path).is_err() || checked.is_secret(path);
            entry.file_name() != RECORDS_OF_GIT && !is_closed
        })
        .build()
}

fn surveyed(found: DirEntry) -> Option<Surveyed> {
    let metadata = found.metadata().ok()?;
    let stamp = Stamp {
        bytes: metadata.len(),
        inode: metadata.ino(),
        mode: metadata.mode(),
        modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
    };
    Some(Surveyed {
        path: found.into_path(),
        stamp,
    })
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn places(root: &std::path::Path) -> Arc<Places> {
        Arc::new(Places::new(
            root.to_owned(),
            root.join("home-of-the-engine"),
            Some(root.to_owned()),
        ))
    }

    #[test]
    fn hidden_files_and_links_are_told_and_git_s_records_and_ignored_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for (name, text) in [
            (".git/config", ""),
            ("home-of-the-engine/key", ""),
            (".ssh/id_ed25519", ""),
            (".gitignore", "*.o\n"),
            (".hidden/x", ""),
            ("a.o", ""),
            ("b", ""),
        ] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        symlink("/etc/passwd", root.join("link")).unwrap();
        let survey = survey(&places(&root), 10).unwrap();
        let names = survey
            .files
            .iter()
            .map(|file| file.path.strip_prefix(&root).unwrap());
        let names: Vec<&str> = names.map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, [".gitignore", ".hidden/x", "b", "link"]);
    }

    #[test]
    fn a_change_that_hides_its_time_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let path = root.join("a");
        fs::write(&path, "one").unwrap();
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        let before = survey(&places(&root), 10).unwrap();
        // The clock of a file system ticks coarsely; a change of mode is stamped as well.
        let is_told = |_: &u32| {
            fs::write(&path, "two").unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(time).unwrap();
            survey(&places(&root), 10).unwrap() != before
        };
        assert!((0..1_000_000).any(|n| is_told(&n)));
    }
}
