//! Histories of real repositories, read where programs really run: confined.

use super::GitHistory;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use titan_protocol::{FileHistory, History, HistoryError, HistoryQuestion};
use titan_sandbox::{HostConfig, HostWorkbench};
use titan_testkit::workbench::MemoryWorkbench;

/// A repository in a folder of its own.
struct Repository {
    folder: tempfile::TempDir,
    root: PathBuf,
}

impl Repository {
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("work");
        std::fs::create_dir(&root).unwrap();
        Self { folder, root }
    }

    fn new() -> Self {
        let repository = Self::empty();
        repository.git(&["init", "-q", "-b", "main", "."]);
        repository
    }

    fn git(&self, arguments: &[&str]) -> String {
        let run = git(&self.root, arguments);
        assert!(
            run.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&run.stderr)
        );
        String::from_utf8_lossy(&run.stdout).trim().to_owned()
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.root.join(name), content).unwrap();
    }

    /// Commits all there is and gives the commit's name.
    fn commit(&self, author: &str, message: &str) -> String {
        self.git(&["add", "-A"]);
        let author = format!("--author={author} <{author}@t.test>");
        self.git(&["commit", "-q", "--allow-empty", &author, "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn workbench(&self) -> HostWorkbench {
        let environment =
            ["PATH", "HOME"].map(|name| (name.to_owned(), std::env::var(name).unwrap()));
        let config = HostConfig {
            home: self.folder.path().join("home"),
            environment: BTreeMap::from(environment),
        };
        HostWorkbench::open(&self.root, config).unwrap()
    }

    async fn ask(
        &self,
        name: &str,
        lines: Option<(u32, u32)>,
    ) -> Result<FileHistory, HistoryError> {
        let question = HistoryQuestion {
            path: self.root.join(name),
            lines,
            commits_max: 100,
        };
        GitHistory.of_file(&self.workbench(), question).await
    }

    async fn history(&self, name: &str) -> FileHistory {
        self.ask(name, None).await.unwrap()
    }

    async fn lines(&self, name: &str, first: u32, last: u32) -> Vec<(u32, u32, String)> {
        let history = self.ask(name, Some((first, last))).await.unwrap();
        assert_eq!(history.gaps, Vec::<String>::new());
        let shown = history.lines.into_iter().map(|line| {
            let subject = line.commit.map_or("-".into(), |commit| {
                format!("{}: {}", commit.author, commit.subject)
            });
            (line.first, line.last, subject)
        });
        shown.collect()
    }
}

fn git(folder: &Path, arguments: &[&str]) -> std::process::Output {
    Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "Ann")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "ann@t.test")))
        .envs(
            ["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_DATE"), "2026-01-02T03:04:05Z")),
        )
        .output()
        .unwrap()
}

fn subjects(history: &FileHistory) -> Vec<&str> {
    history
        .commits
        .iter()
        .map(|commit| commit.subject.as_str())
        .collect()
}

#[tokio::test]
async fn a_file_is_followed_through_its_names_with_who_when_and_why() {
    let repository = Repository::new();
    repository.write("old.rs", "a\nb\nc\nd\ne\n");
    repository.commit(
        "Ann",
        "Begin (#1)\n\nSomebody has to.\n\nReviewed-by: Bob <bob@t.test>",
    );
    repository.git(&["mv", "old.rs", "new.rs"]);
    repository.commit("Bob", "Call it new");
    repository.write("new.rs", "a\nb\nc\nd\ne\nf\n");
    let newest = repository.commit("Bob", "Fix the end\n\nFixes #2.");
    repository.write("other.rs", "x\n");
    repository.commit("Ann", "Something else");

    let history = repository.history("new.rs").await;
    assert_eq!(
        subjects(&history),
        ["Fix the end", "Call it new", "Begin (#1)"]
    );
    assert!(history.is_whole && history.gaps.is_empty());
    let [fix, renamed, begun] = &history.commits[..] else {
        unreachable!()
    };
    assert_eq!(
        (&fix.hash, fix.author.as_str(), fix.mail.as_str()),
        (&newest, "Bob", "Bob@t.test")
    );
    assert_eq!((fix.at, fix.mends), (1_767_323_045_000, true));
    assert_eq!(
        (fix.issues[0].name.as_str(), fix.issues[0].closes),
        ("#2", true)
    );
    assert_eq!(
        (renamed.path.as_str(), renamed.renamed_from.as_deref()),
        ("new.rs", Some("old.rs"))
    );
    assert_eq!(
        (begun.path.as_str(), begun.why.as_str(), begun.mends),
        ("old.rs", "Somebody has to.", false)
    );
    assert_eq!(
        begun.trailers,
        [("Reviewed-by".to_owned(), "Bob <bob@t.test>".to_owned())]
    );
    let owners: Vec<_> = history
        .owners
        .iter()
        .map(|it| (it.author.as_str(), it.lines))
        .collect();
    assert_eq!(owners, [("Ann", 5), ("Bob", 1)]);
}

#[tokio::test]
async fn a_commit_that_was_taken_back_says_by_which() {
    let repository = Repository::new();
    repository.write("f", "a\n");
    repository.commit("Ann", "Begin");
    repository.write("f", "b\n");
    let wrong = repository.commit("Ann", "Change");
    repository.git(&["revert", "--no-edit", "HEAD"]);
    let history = repository.history("f").await;
    assert_eq!(subjects(&history), ["Revert \"Change\"", "Change", "Begin"]);
    assert_eq!(history.commits[0].reverts, [wrong]);
    let by: Vec<_> = history
        .commits
        .iter()
        .map(|it| it.reverted_by.as_ref())
        .collect();
    assert_eq!(by, [None, Some(&history.commits[0].hash), None]);
}

#[tokio::test]
async fn both_sides_of_a_merge_are_told() {
    let repository = Repository::new();
    repository.write("f", "a\nb\nc\nd\ne\n");
    repository.commit("Ann", "Begin");
    repository.git(&["switch", "-q", "-c", "side"]);
    repository.write("f", "a\nb\nc\nd\nside\n");
    repository.commit("Bob", "Side");
    repository.git(&["switch", "-q", "main"]);
    repository.write("f", "main\nb\nc\nd\ne\n");
    repository.commit("Ann", "Main");
    repository.git(&["merge", "-q", "--no-edit", "side"]);
    let history = repository.history("f").await;
    let found: BTreeSet<_> = subjects(&history).into_iter().collect();
    assert!(
        found.is_superset(&BTreeSet::from(["Begin", "Side", "Main"])),
        "{found:?}"
    );
    assert_eq!(
        repository.lines("f", 1, 9).await,
        [
            (1, 1, "Ann: Main".to_owned()),
            (2, 4, "Ann: Begin".to_owned()),
            (5, 5, "Bob: Side".to_owned())
        ]
    );
}

#[tokio::test]
async fn lines_are_told_as_the_file_is_now_also_before_it_is_committed() {
    let repository = Repository::new();
    repository.write("f", "a\nb\nc\n");
    repository.commit("Ann", "Begin");
    repository.write("f", "a\nb\nmiddle\nc\n");
    repository.commit("Bob", "A middle");
    repository.write("f", "new\na\nb\nmiddle\nc\n");
    assert_eq!(
        repository.lines("f", 1, 4).await,
        [
            (1, 1, "-".to_owned()),
            (2, 3, "Ann: Begin".to_owned()),
            (4, 4, "Bob: A middle".to_owned())
        ]
    );
    let beyond = repository.ask("f", Some((9, 9))).await.unwrap();
    assert_eq!(beyond.gaps, ["the file has 5 lines; there is no line 9"]);
    let question = HistoryQuestion {
        path: repository.root.join("f"),
        lines: Some((2, 2)),
        commits_max: 1,
    };
    let few = GitHistory
        .of_file(&repository.workbench(), question)
        .await
        .unwrap();
    assert_eq!((subjects(&few), few.is_whole), (vec!["A middle"], false));
    assert_eq!(few.lines[0].commit.as_ref().unwrap().subject, "Begin");
}

#[tokio::test]
async fn x28_names_are_names_whatever_they_look_like() {
    let repository = Repository::new();
    for name in ["--output=x", ":(top)f", "*", "a b\tc", "naïve"] {
        repository.write(name, &format!("{name}\n"));
        repository.commit("Ann", name);
    }
    for name in ["--output=x", ":(top)f", "*", "naïve"] {
        let history = repository.history(name).await;
        assert_eq!(
            (subjects(&history), history.owners.len()),
            (vec![name], 1),
            "{name}"
        );
    }
    assert_eq!(repository.history("a b\tc").await.commits[0].path, "a b c");
    assert!(!repository.root.join("x").exists());
}

#[tokio::test]
async fn a_name_that_is_no_text_is_shown_where_a_file_had_it_and_refused_where_one_has() {
    let repository = Repository::new();
    let bytes = OsStr::from_bytes(b"caf\xe9\x1b[31m");
    std::fs::write(repository.root.join(bytes), "a\nb\nc\n").unwrap();
    repository.commit("Ann", "Begin");
    std::fs::rename(repository.root.join(bytes), repository.root.join("cafe")).unwrap();
    repository.commit("Ann", "A name that all can write");
    let history = repository.history("cafe").await;
    assert_eq!(
        history.commits[0].renamed_from.as_deref(),
        Some("caf\u{fffd}[31m")
    );
    let question = HistoryQuestion {
        path: repository.root.join(bytes),
        lines: None,
        commits_max: 1,
    };
    let refused = GitHistory.of_file(&repository.workbench(), question).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("its name is not UTF-8")
    );
}

#[tokio::test]
async fn p15_strangers_words_come_without_what_steers_a_terminal() {
    let repository = Repository::new();
    repository.write("f", "a\n");
    repository.commit(
        "Eve\u{1b}[2J\u{202e}",
        "Sub\u{1b}]0;owned\u{7}ject\n\nwh\u{9b}y\u{200b}",
    );
    let history = repository.history("f").await;
    let commit = &history.commits[0];
    assert_eq!(
        (commit.author.as_str(), commit.subject.as_str()),
        ("Eve[2J", "Sub]0;ownedject")
    );
    assert_eq!(
        (commit.why.as_str(), history.owners[0].author.as_str()),
        ("why", "Eve[2J")
    );
}

#[tokio::test]
async fn where_there_is_nothing_to_tell_it_is_said_why() {
    let nowhere = Repository::empty();
    nowhere.write("f", "a\n");
    let told = nowhere.ask("f", None).await;
    assert_eq!(told, Err(HistoryError::NoRepository { path: "f".into() }));

    let repository = Repository::new();
    repository.write("f", "a\n");
    let nothing = FileHistory {
        is_whole: true,
        ..FileHistory::default()
    };
    assert_eq!(repository.history("f").await, nothing);
    repository.commit("Ann", "Begin");
    repository.write("new", "a\n");
    assert_eq!(repository.history("new").await, nothing);
    let new = repository.ask("new", Some((1, 1))).await.unwrap();
    assert_eq!((new.lines[0].last, new.lines[0].commit.clone()), (1, None));

    std::fs::create_dir(repository.root.join("gone")).unwrap();
    repository.write("gone/f", "b\n");
    repository.commit("Ann", "Here");
    std::fs::remove_dir_all(repository.root.join("gone")).unwrap();
    repository.commit("Ann", "Gone");
    assert_eq!(
        subjects(&repository.history("gone/f").await),
        ["Gone", "Here"]
    );

    let question = HistoryQuestion {
        path: "/workspace/f".into(),
        lines: None,
        commits_max: 1,
    };
    let without = GitHistory.of_file(&MemoryWorkbench::new(), question).await;
    assert_eq!(without, Err(HistoryError::NoGit));
}

#[tokio::test]
async fn a_repository_beside_or_above_the_workspace_is_read() {
    let main = Repository::new();
    main.write("f", "a\n");
    main.commit("Ann", "Begin");
    let linked = main.folder.path().canonicalize().unwrap().join("linked");
    main.git(&["worktree", "add", "-q", linked.to_str().unwrap()]);
    let linked = Repository {
        folder: tempfile::tempdir().unwrap(),
        root: linked,
    };
    assert_eq!(subjects(&linked.history("f").await), ["Begin"]);

    std::fs::create_dir(main.root.join("below")).unwrap();
    main.write("below/f", "below\n");
    main.commit("Ann", "Below");
    let below = Repository {
        folder: tempfile::tempdir().unwrap(),
        root: main.root.join("below"),
    };
    assert_eq!(subjects(&below.history("f").await), ["Below"]);
}

/// Makes a program that leaves a mark with its own name in the workspace and shows the file that it is given.
fn trap(repository: &Repository, name: &str) -> String {
    let program = repository.root.join(".git/traps").join(name);
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    let mark = repository.root.join(format!("marked-{name}"));
    let script = format!(
        "#!/bin/sh\n: > '{}'\n[ -f \"$1\" ] && cat \"$1\"\nexit 0\n",
        mark.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program.to_str().unwrap().to_owned()
}

/// The marks that are there, and takes them away.
fn marks(repository: &Repository) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(&repository.root).unwrap() {
        let entry = entry.unwrap();
        if let Some(mark) = entry.file_name().to_str().unwrap().strip_prefix("marked-") {
            found.insert(mark.to_owned());
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    found
}

#[tokio::test]
async fn s26_a_hostile_repository_runs_nothing_when_its_history_is_read() {
    let repository = Repository::new();
    repository.write("f", "a\nb\n");
    repository.write(".gitattributes", "* diff=evil filter=evil\n");
    repository.commit("Ann", "Begin");
    repository.write("f", "a\nb\nc\n");
    let unsigned = repository.commit("Ann", "Second");
    // A signature that nobody made, so that a verifier would be asked.
    let text = repository.git(&["cat-file", "commit", &unsigned]);
    let signature =
        "gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ==\n -----END PGP SIGNATURE-----\n\n";
    let signed = format!("{}\n", text.replacen("\n\n", &format!("\n{signature}"), 1));
    std::fs::write(repository.root.join(".git/signed"), signed).unwrap();
    let signed = repository.git(&["hash-object", "-t", "commit", "-w", ".git/signed"]);
    repository.git(&["update-ref", "HEAD", &signed]);

    let keys = [
        "core.fsmonitor",
        "core.pager",
        "pager.log",
        "pager.blame",
        "core.editor",
        "core.sshCommand",
        "core.askPass",
        "core.gitProxy",
        "diff.external",
        "diff.evil.textconv",
        "diff.evil.command",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "gpg.program",
        "credential.helper",
        "uploadpack.packObjectsHook",
    ];
    for key in keys {
        repository.git(&["config", key, &trap(&repository, key)]);
    }
    repository.git(&[
        "config",
        "alias.log",
        &format!("!{}", trap(&repository, "alias")),
    ]);
    repository.git(&["config", "log.showSignature", "true"]);
    for hook in [
        "post-index-change",
        "reference-transaction",
        "post-checkout",
        "pre-auto-gc",
    ] {
        let hook = trap(&repository, hook);
        let hooks = Path::new(&hook)
            .parent()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        repository.git(&["config", "core.hooksPath", &hooks]);
    }
    // The traps are sound: an ordinary look falls into them.
    for plain in [
        &["log", "-p", "--ext-diff", "--", "f"][..],
        &["blame", "--", "f"],
        &["status"],
        &[
            "-c",
            "diff.external=",
            "-c",
            "diff.evil.command=",
            "log",
            "-p",
            "--",
            "f",
        ],
    ] {
        git(&repository.root, plain);
    }
    let sprung = marks(&repository);
    for name in [
        "core.fsmonitor",
        "gpg.program",
        "diff.evil.textconv",
        "filter.evil.process",
    ] {
        assert!(
            sprung.contains(name),
            "{name} was not run by plain git: {sprung:?}"
        );
    }

    let history = repository.ask("f", Some((1, 3))).await.unwrap();
    assert_eq!(subjects(&history), ["Second", "Begin"]);
    assert_eq!((history.lines.len(), history.owners[0].lines), (2, 3));
    assert_eq!(marks(&repository), BTreeSet::new());
}

#[tokio::test]
async fn s26_what_a_partial_clone_lacks_is_not_fetched() {
    let repository = Repository::new();
    repository.write("f", "a\nb\n");
    repository.commit("Ann", "Begin");
    repository.write("f", "a\nb\nc\n");
    repository.commit("Ann", "Second");
    let lost = repository.git(&["rev-parse", "HEAD~1:f"]);
    let (folder, file) = lost.split_at(2);
    std::fs::remove_file(repository.root.join(".git/objects").join(folder).join(file)).unwrap();
    let url = format!("ext::{} x", trap(&repository, "fetched"));
    for (key, value) in [
        ("core.repositoryFormatVersion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", &url),
        ("protocol.ext.allow", "always"),
        ("protocol.allow", "always"),
    ] {
        repository.git(&["config", key, value]);
    }
    git(&repository.root, &["blame", "--", "f"]);
    assert_eq!(marks(&repository), BTreeSet::from(["fetched".to_owned()]));
    let history = repository.ask("f", Some((1, 3))).await.unwrap();
    assert_eq!(subjects(&history), ["Second", "Begin"]);
    assert!(
        history.gaps[0].starts_with("who wrote which lines is not known"),
        "{:?}",
        history.gaps
    );
    assert_eq!(marks(&repository), BTreeSet::new());
}
