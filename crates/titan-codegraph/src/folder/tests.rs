//! Folders on the disk, looked at and watched.

#[cfg(target_os = "linux")]
mod watched;

use super::*;
use std::fs;
use std::time::SystemTime;

struct Disk {
    folder: tempfile::TempDir,
    cache: tempfile::TempDir,
}

impl Disk {
    fn new(files: &[(&str, &str)]) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            cache: tempfile::tempdir().unwrap(),
        };
        files
            .iter()
            .for_each(|(path, text)| place.write(path, text));
        place
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn open(&self) -> Folder {
        Folder::new(self.folder.path(), Some(self.cache.path()))
    }
}

/// The symbols that are there, and how many files were read anew.
fn check(folder: &mut Folder, expected: &str) {
    let (graph, changed) = folder.refresh().unwrap();
    let names: Vec<String> = graph
        .symbols("f", 100)
        .into_iter()
        .map(|it| it.name)
        .collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(format!("{} ({changed})", names.join(" ")), expected);
}

#[test]
fn only_what_changed_is_read_however_it_was_saved() {
    let place = Disk::new(&[("a.py", "def f1(): pass"), ("b.py", "def f2(): pass")]);
    let mut folder = place.open();
    check(&mut folder, "f1 f2 (2)");
    check(&mut folder, "f1 f2 (0)");
    place.write("a.py", "def f3(): pass");
    check(&mut folder, "f2 f3 (1)");
    // As editors save: another file takes the place, of the same size.
    place.write(".a.py.swp", "def f4(): pass");
    let at = |path: &str| place.folder.path().join(path);
    fs::rename(at(".a.py.swp"), at("a.py")).unwrap();
    check(&mut folder, "f2 f4 (1)");
    // The same size within the same tick of the clock.
    for n in 5..9 {
        place.write("a.py", &format!("def f{n}(): pass"));
        check(&mut folder, &format!("f2 f{n} (1)"));
    }
    // As branches are switched: some go, some come, some are others.
    fs::remove_file(at("b.py")).unwrap();
    place.write("c/d.py", "def f9(): pass");
    place.write("a.py", "def f0(): pass");
    check(&mut folder, "f0 f9 (3)");
}

#[test]
fn what_is_hidden_ignored_or_elsewhere_is_not_read() {
    let place = Disk::new(&[
        ("a.py", "def f1(): pass"),
        (".hidden.py", "def f2(): pass"),
        ("made/b.py", "def f3(): pass"),
        (".gitignore", "made/\n"),
    ]);
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("c.py"), "def f4(): pass").unwrap();
    let link = |to: &Path, name: &str| {
        std::os::unix::fs::symlink(to, place.folder.path().join(name)).unwrap();
    };
    link(outside.path(), "elsewhere");
    link(&outside.path().join("c.py"), "d.py");
    place.write("kept_out/e.py", "def f5(): pass");
    let mut folder = place
        .open()
        .without(&[place.folder.path().join("kept_out")]);
    check(&mut folder, "f1 (1)");
}

#[test]
fn a_second_start_reads_what_was_kept_and_a_damaged_one_reads_the_files() {
    let place = Disk::new(&[("a.py", "def f1(): pass"), ("b.py", "def f2(): f1()")]);
    // What was written in this tick would be read again.
    let long_ago = SystemTime::now() - std::time::Duration::from_secs(60);
    let mut first = place.open();
    check(&mut first, "f1 f2 (2)");
    first
        .stamps
        .values_mut()
        .for_each(|stamp| stamp.is_hot = false);
    first.unkept = 1;
    first.keep();
    let edges = first.graph.edges();
    let mut second = place.open();
    check(&mut second, "f1 f2 (0)");
    assert_eq!(second.graph.edges(), edges);
    // Of another time, but saying the same: it is read, and not parsed.
    let file = File::options()
        .append(true)
        .open(place.folder.path().join("a.py"))
        .unwrap();
    file.set_modified(long_ago).unwrap();
    check(&mut place.open(), "f1 f2 (0)");
    let kept = fs::read_dir(place.cache.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let whole = fs::read(&kept).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    for broken in [&damaged[..], &whole[..whole.len() - 1], b"", b"other"] {
        fs::write(&kept, broken).unwrap();
        check(&mut place.open(), "f1 f2 (2)");
    }
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let mut folder = Folder::new(Path::new("/nowhere/at/all"), None);
    assert!(folder.refresh().is_err());
}

#[test]
fn what_a_model_said_of_a_file_holds_until_the_file_says_something_else() {
    let silent = "def f1():\n    return 1\n\ndef f2():\n    return f1()\n";
    let place = Disk::new(&[
        ("a.py", silent),
        (
            "b.py",
            "\"\"\"Says it all by itself.\"\"\"\ndef f3(): pass\ndef f4(): pass",
        ),
    ]);
    let mut folder = place.open();
    folder.refresh().unwrap();
    let asked = folder.undescribed().unwrap();
    assert_eq!(asked.path, "a.py", "the other says what it is about");
    let described = Described {
        summary: "Counts sheep in a meadow".into(),
        tags: ["livestock".into()].into(),
        by: "local/small".into(),
    };
    folder.describe("a.py", asked.hash, described.clone());
    assert!(folder.undescribed().is_none());
    let summary = |folder: &mut Folder, words: &str| {
        let (graph, _) = folder.refresh().unwrap();
        let found = graph.search(words, 1);
        found
            .first()
            .map(|it| format!("{} {:?}", it.summary, it.tags))
    };
    let told = Some(
        "Counts sheep in a meadow (a model's words) [\"f1\", \"f2\", \"livestock\"]".to_owned(),
    );
    assert_eq!(summary(&mut folder, "livestock"), told);
    assert!(
        folder
            .refresh()
            .unwrap()
            .0
            .map(None, 500)
            .contains("Counts sheep")
    );
    // The next process knows it, and one that finds its file damaged asks again.
    assert_eq!(summary(&mut place.open(), "livestock"), told);
    // What the index does not see is another text too.
    place.write("a.py", &silent.replace("return 1", "return 2"));
    assert_eq!(summary(&mut folder, "livestock"), None);
    assert_eq!(folder.undescribed().unwrap().path, "a.py");
    // A saved file is as it says itself, and is asked about before all others.
    place.write(
        "b.py",
        "\"\"\"Says something else.\"\"\"\ndef f3(): pass\ndef f5(): pass",
    );
    place.write("a.py", "def f6(): return 1\ndef f7(): pass\n");
    assert_eq!(summary(&mut folder, "livestock"), None);
    let paths: Vec<String> = std::iter::from_fn(|| {
        let asked = folder.undescribed()?;
        folder.describe(&asked.path, asked.hash, Described::default());
        Some(asked.path)
    })
    .collect();
    assert_eq!(
        {
            let mut sorted = paths.clone();
            sorted.sort();
            sorted
        },
        ["a.py", "b.py"]
    );
    // What is on another branch comes back with what was said of it.
    place.write("a.py", silent);
    assert_eq!(summary(&mut folder, "livestock"), told);
}

#[test]
fn a_damaged_file_of_descriptions_is_asked_for_again() {
    let place = Disk::new(&[("a.py", "def f1(): pass\ndef f2(): pass")]);
    let mut folder = place.open();
    folder.refresh().unwrap();
    let asked = folder.undescribed().unwrap();
    folder.describe("a.py", asked.hash, Described::default());
    let is_described = || {
        let mut anew = place.open();
        anew.refresh().unwrap();
        anew.undescribed().is_none()
    };
    assert!(is_described());
    let told = kept::file_of(place.cache.path(), place.folder.path()).with_extension("told");
    let mut bytes = fs::read(&told).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&told, bytes).unwrap();
    assert!(!is_described());
}
