//! Folders that are watched: what changed is seen by the next question, and nothing else is looked at.

use super::*;
use proptest::prelude::*;
use std::os::unix::fs::symlink;

impl Disk {
    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    fn watch(&self) -> Folder {
        let mut folder = self.open().watched();
        folder.refresh().unwrap();
        assert!(folder.is_watched());
        folder
    }
}

/// As [`check`], without all having been looked at.
fn check_watched(folder: &mut Folder, expected: &str) {
    let looked = folder.looked;
    check(folder, expected);
    assert!(folder.looked == looked && folder.is_watched());
}

#[test]
fn a_save_is_seen_by_the_question_right_after_it() {
    let disk = Disk::new(&[("a.py", "def f(): pass"), ("b/c.py", "def f9(): pass")]);
    let mut folder = disk.watch();
    for n in 100..300 {
        disk.write("a.py", &format!("def f{n}(): pass"));
        check_watched(&mut folder, &format!("f{n} f9 (1)"));
    }
    check_watched(&mut folder, "f299 f9 (0)");
}

#[test]
fn files_are_saved_in_every_way_that_editors_know() {
    let disk = Disk::new(&[("a.py", "def f1(): pass"), ("b.py", "def f9(): pass")]);
    let mut folder = disk.watch();
    disk.write(".a.py.swp", "def f2(): pass");
    disk.rename(".a.py.swp", "a.py");
    check_watched(&mut folder, "f2 f9 (1)");
    disk.rename("a.py", "a.py~");
    disk.write("a.py", "def f3(): pass");
    fs::remove_file(disk.at("a.py~")).unwrap();
    check_watched(&mut folder, "f3 f9 (1)");
    fs::remove_file(disk.at("a.py")).unwrap();
    check_watched(&mut folder, "f9 (1)");
    disk.write("new.py", "def f4(): pass");
    check_watched(&mut folder, "f4 f9 (1)");
    disk.rename("new.py", "newer.py");
    check_watched(&mut folder, "f4 f9 (2)");
    let file = File::options().write(true).open(disk.at("b.py")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    check_watched(&mut folder, "f4 f9 (0)");
}

#[test]
fn folders_that_come_go_and_move_are_seen_with_all_that_is_in_them() {
    let disk = Disk::new(&[("a/b/c.py", "def f1(): pass"), ("d.py", "def f2(): pass")]);
    let outside = tempfile::tempdir_in(disk.cache.path()).unwrap();
    let mut folder = disk.watch();
    disk.write("new/deep/er/e.py", "def f3(): pass");
    check_watched(&mut folder, "f1 f2 f3 (1)");
    disk.write("new/deep/er/e.py", "def f4(): pass");
    check_watched(&mut folder, "f1 f2 f4 (1)");
    disk.rename("a", "new/a");
    check_watched(&mut folder, "f1 f2 f4 (2)");
    disk.write("new/a/b/c.py", "def f5(): pass");
    check_watched(&mut folder, "f2 f4 f5 (1)");
    // What is moved away is watched no more, and is found again when it comes back.
    fs::rename(disk.at("new"), outside.path().join("new")).unwrap();
    check_watched(&mut folder, "f2 (2)");
    fs::write(outside.path().join("new/a/b/c.py"), "def f6(): pass").unwrap();
    check_watched(&mut folder, "f2 (0)");
    fs::rename(outside.path().join("new"), disk.at("old")).unwrap();
    check_watched(&mut folder, "f2 f4 f6 (2)");
    // Another takes its place, and then a link, which is not followed.
    disk.rename("old", "older");
    disk.write("old/x.py", "def f7(): pass");
    check_watched(&mut folder, "f2 f4 f6 f7 (5)");
    fs::remove_dir_all(disk.at("old")).unwrap();
    symlink(disk.at("older"), disk.at("old")).unwrap();
    check_watched(&mut folder, "f2 f4 f6 (1)");
    fs::remove_dir_all(disk.at("older")).unwrap();
    check_watched(&mut folder, "f2 (2)");
}

#[test]
fn a_branch_of_a_thousand_files_is_switched() {
    let names: Vec<String> = (0..1_000).map(|n| format!("p{}/m{n}.py", n % 10)).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "x = 1")).collect();
    let disk = Disk::new(&files);
    let mut folder = disk.watch();
    for (n, name) in names.iter().enumerate() {
        // As git does: the old one is taken away, and another written.
        fs::remove_file(disk.at(name)).unwrap();
        if n != 7 {
            disk.write(name, "x = 22");
        }
    }
    disk.write("p3/other.py", "def f(): pass");
    check_watched(&mut folder, "f (1001)");
}

#[test]
fn more_than_is_noted_is_looked_at() {
    let disk = Disk::new(&[("a.py", "def f1(): pass"), ("b.py", "def f2(): pass")]);
    let notes: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let mut folder = disk.watch();
    let looked = folder.looked;
    for _ in 0..=notes / 4 {
        disk.write("a.py", "def f3(): pass");
        disk.write("b.py", "def f4(): pass");
    }
    check(&mut folder, "f3 f4 (2)");
    assert!(folder.looked != looked && folder.is_watched());
    disk.write("b.py", "def f5(): pass");
    check_watched(&mut folder, "f3 f5 (1)");
}

#[test]
fn what_is_left_alone_may_change() {
    let disk = Disk::new(&[("a.py", "def f1(): pass"), ("made/b.py", "def f2(): pass")]);
    let mut folder = disk.watch();
    disk.write(".gitignore", "made/\n");
    check(&mut folder, "f1 (1)");
    disk.write("made/b.py", "def f3(): pass");
    check_watched(&mut folder, "f1 (0)");
    disk.write("made/c/d.py", "def f4(): pass");
    disk.write(".hidden/e.py", "def f5(): pass");
    check_watched(&mut folder, "f1 (0)");
    fs::remove_file(disk.at(".gitignore")).unwrap();
    check(&mut folder, "f1 f3 f4 (2)");
    // A file of git's own, which is not watched.
    disk.write(".git/info/exclude", "a.py\n");
    check(&mut folder, "f3 f4 (1)");
    disk.write(".git/info/exclude", "b.py\n");
    check(&mut folder, "f1 f4 (2)");
}

#[test]
fn a_root_that_is_gone_and_comes_again_is_another() {
    let disk = Disk::new(&[("root/a.py", "def f1(): pass")]);
    let mut folder = Folder::new(&disk.at("root"), None).watched();
    check(&mut folder, "f1 (1)");
    disk.rename("root", "other");
    assert!(folder.refresh().is_err());
    disk.write("root/b.py", "def f2(): pass");
    check(&mut folder, "f2 (2)");
    disk.write("root/b.py", "def f3(): pass");
    check_watched(&mut folder, "f3 (1)");
    fs::remove_dir_all(disk.at("root")).unwrap();
    disk.rename("other", "root");
    check(&mut folder, "f1 (2)");
    disk.write("root/a.py", "def f4(): pass");
    check_watched(&mut folder, "f4 (1)");
}

#[test]
fn a_file_with_two_names_is_changed_by_the_other_one() {
    let disk = Disk::new(&[("a.py", "def f1(): pass")]);
    let elsewhere = disk.cache.path().join("other.py");
    fs::hard_link(disk.at("a.py"), &elsewhere).unwrap();
    let mut folder = disk.watch();
    fs::write(&elsewhere, "def f2(): pass").unwrap();
    check_watched(&mut folder, "f2 (1)");
    check_watched(&mut folder, "f2 (0)");
}

#[test]
fn a_folder_that_cant_be_watched_is_looked_at() {
    let disk = Disk::new(&[("a.py", "def f1(): pass")]);
    let mut folder = disk.watch();
    folder.give_up(Unwatchable::Limit);
    for n in 2..5 {
        disk.write("a.py", &format!("def f{n}(): pass"));
        let looked = folder.looked;
        check(&mut folder, &format!("f{n} (1)"));
        assert!(folder.looked != looked && !folder.is_watched());
    }
    // What belongs to the kernel is no folder that tells of all its changes.
    let mut folder = Folder::new(Path::new("/proc/self/task"), None).watched();
    folder.refresh().unwrap();
    assert!(!folder.is_watched());
}

/// Something that is done to a tree of files.
#[derive(Clone, Debug)]
enum Step {
    Write(String, u8),
    Remove(String),
    Rename(String, String),
    Link(String, String),
    Ignore(String, String),
    Ask,
}

fn path() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec!["a", "b", "c.py", "d.py", ".e"]);
    prop::collection::vec(names, 1..4).prop_map(|names| names.join("/"))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (path(), any::<u8>()).prop_map(|(path, n)| Step::Write(path, n)),
        2 => path().prop_map(Step::Remove),
        4 => (path(), path()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => (path(), path()).prop_map(|(from, to)| Step::Link(from, to)),
        1 => (path(), path()).prop_map(|(folder, rule)| Step::Ignore(folder, rule)),
        4 => Just(Step::Ask),
    ]
}

impl Disk {
    /// Whether it can be done is for the file system to say.
    fn take(&self, step: &Step) {
        let _ = match step {
            Step::Write(path, n) => {
                let path = self.at(path);
                let _ = fs::create_dir_all(path.parent().unwrap());
                fs::write(path, format!("def f{n}(): pass"))
            }
            Step::Remove(path) if self.at(path).is_dir() => fs::remove_dir_all(self.at(path)),
            Step::Remove(path) => fs::remove_file(self.at(path)),
            Step::Rename(from, to) => {
                let _ = fs::create_dir_all(self.at(to).parent().unwrap());
                fs::rename(self.at(from), self.at(to))
            }
            Step::Link(from, to) => symlink(self.at(from), self.at(to)),
            Step::Ignore(folder, rule) => {
                let rule = rule.rsplit('/').next().unwrap_or_default();
                fs::write(self.at(folder).join(".gitignore"), rule)
            }
            Step::Ask => Ok(()),
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_folder_that_is_watched_holds_what_one_that_is_looked_at_does(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let disk = Disk::new(&[("a/b/c.py", "def f(): pass"), ("b/d.py", "def g(): pass")]);
        let mut watched = Folder::new(disk.folder.path(), None).watched();
        watched.refresh().unwrap();
        for step in steps.iter().chain([&Step::Ask]) {
            disk.take(step);
            if matches!(step, Step::Ask) {
                watched.refresh().unwrap();
                let mut anew = Folder::new(disk.folder.path(), None);
                anew.refresh().unwrap();
                prop_assert_eq!(&watched.hashes, &anew.hashes);
                prop_assert_eq!(watched.graph.edges(), anew.graph.edges());
            }
        }
    }
}
