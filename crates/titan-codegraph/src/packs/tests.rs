//! Open files and their packs, on real folders and on ports that are told what to say.

use super::{OpenFiles, PackPorts};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use titan_protocol::{
    CodeFile, CodeGraph, CodeSymbol, CodeUseKind, Commit, FileHistory, Memory, MemoryDraft,
    MemoryOrigin, OPEN_FILES_MAX, PACK_BYTES_MAX, Pack, PackKind, Packs, Presence, SessionId,
    TurnId, UnixMillis, Workbench, WorkbenchError,
};
use titan_sandbox::{HostConfig, HostWorkbench};
use titan_testkit::code::ToldCode;
use titan_testkit::history::ToldHistory;
use titan_testkit::memory::ListedMemory;

const WAIT: Duration = Duration::from_secs(60);

/// A folder with a repository's mark, and what is told of its files.
struct Rig {
    folder: tempfile::TempDir,
    root: PathBuf,
    memory: ListedMemory,
    code: ToldCode,
    history: FileHistory,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("work");
        std::fs::create_dir_all(root.join(".git")).unwrap();
        std::fs::create_dir(root.join("src")).unwrap();
        std::fs::write(root.join("src/lib.rs"), "fn parse_all() {}\n").unwrap();
        let symbol = CodeSymbol {
            name: "parse_all".into(),
            kind: "function".into(),
            path: "src/lib.rs".into(),
            line: 1,
            end_line: 1,
            signature: "fn parse_all()".into(),
            doc: String::new(),
            is_test: false,
        };
        let file = CodeFile {
            summary: "Parses all.".into(),
            tags: vec!["parse".into(), "all in one".into()],
            symbols: vec![symbol],
            users: Vec::new(),
            unsettled: 0,
        };
        let commit = Commit {
            hash: "a".repeat(40),
            author: "Ann".into(),
            at: 1_767_323_045_000,
            subject: "Fix\u{1b}[31m the end".into(),
            why: "It was lost.".into(),
            mends: true,
            ..Commit::default()
        };
        let other = Commit {
            subject: "Begin".into(),
            mends: false,
            ..commit.clone()
        };
        Self {
            code: ToldCode {
                file,
                ..ToldCode::none()
            },
            history: FileHistory {
                commits: vec![commit, other],
                is_whole: true,
                ..FileHistory::default()
            },
            memory: ListedMemory::new(),
            folder,
            root,
        }
    }

    fn file(&self) -> PathBuf {
        self.root.join("src/lib.rs")
    }

    fn start(&self) -> OpenFiles {
        self.start_at(|| 7)
    }

    fn start_at(&self, clock: fn() -> UnixMillis) -> OpenFiles {
        let home = self.folder.path().join("home");
        let history = ToldHistory::none().file(self.file().to_str().unwrap(), self.history.clone());
        let open_workbench = move |folder: &Path| {
            let variables =
                ["PATH", "HOME"].map(|name| (name.to_owned(), std::env::var(name).unwrap()));
            let config = HostConfig {
                home: home.clone(),
                environment: BTreeMap::from(variables),
            };
            let opened = HostWorkbench::open(folder, config);
            let opened = opened.map_err(|error| WorkbenchError::Failed(error.to_string()))?;
            Ok(Arc::new(opened) as Arc<dyn Workbench>)
        };
        OpenFiles::start(PackPorts {
            code: Arc::new(self.code.clone()),
            history: Arc::new(history),
            memory: Arc::new(self.memory.clone()),
            open_workbench: Arc::new(open_workbench),
            clock,
        })
    }
}

/// The first pack of the workspace that fits.
async fn ready(files: &OpenFiles, workspace: &Path, fits: impl Fn(&Pack) -> bool) -> Arc<Pack> {
    let found = async {
        loop {
            if let Some(pack) = files.ready(workspace).into_iter().find(|pack| fits(pack)) {
                return pack;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found)
        .await
        .unwrap()
}

fn lines(pack: &Pack, kind: PackKind) -> Vec<String> {
    let parts = pack.parts.iter().filter(|part| part.kind == kind);
    let lines = parts.flat_map(|part| &part.lines);
    lines
        .map(|line| format!("{} <{}>", line.text, line.source))
        .collect()
}

fn note(text: &str, origin: MemoryOrigin) -> MemoryDraft {
    MemoryDraft {
        text: text.into(),
        origin,
        ..MemoryDraft::default()
    }
}

#[tokio::test]
async fn an_open_file_has_its_pack_ready_with_sources_and_only_in_its_workspace() {
    let rig = Rig::new();
    let turn = MemoryOrigin::Turn {
        session: SessionId::from_u128(1),
        turn: TurnId::from_u128(2),
    };
    for draft in [
        note("We keep parse_all in one pass.", turn),
        note("src/lib.rs is read by everybody.", MemoryOrigin::Person),
        note(
            "The other parse_all_of is about lib.rs2.",
            MemoryOrigin::Person,
        ),
    ] {
        rig.memory.keep(draft).await.unwrap();
    }
    let files = rig.start();
    assert_eq!(files.ready(&rig.root).len(), 0);
    files.open(rig.file(), "vscode".into()).await.unwrap();
    let pack = ready(&files, &rig.root, |_| true).await;
    assert_eq!(
        (&pack.path, &pack.folder, pack.made_at),
        (&rig.file(), &rig.root, 7)
    );
    assert_eq!(
        lines(&pack, PackKind::About),
        [
            "Parses all. <src/lib.rs:1>",
            "tags: parse, all in one <src/lib.rs:1>"
        ]
    );
    assert_eq!(
        lines(&pack, PackKind::Outline),
        ["fn parse_all() <src/lib.rs:1>"]
    );
    let fix = "2026-01-02 Ann: Fix[31m the end (It was lost.) <commit aaaaaaaaaa>";
    let begin = "2026-01-02 Ann: Begin (It was lost.) <commit aaaaaaaaaa>";
    assert_eq!(lines(&pack, PackKind::History), [fix, begin]);
    assert_eq!(lines(&pack, PackKind::Bugs), [fix]);
    let decisions = lines(&pack, PackKind::Decisions);
    assert!(
        decisions.len() == 1 && decisions[0].starts_with("We keep parse_all"),
        "{decisions:?}"
    );
    let notes = lines(&pack, PackKind::Notes);
    assert!(
        notes.len() == 1 && notes[0].starts_with("src/lib.rs is read"),
        "{notes:?}"
    );

    assert_eq!(
        files
            .ready(rig.folder.path().join("elsewhere").as_path())
            .len(),
        0
    );
    let listed = files.list().await.unwrap();
    assert_eq!(
        (listed[0].by.as_str(), listed[0].is_ready),
        ("vscode", true)
    );
    assert_eq!(files.pack(rig.file()).await.unwrap(), *pack);
    files.close(rig.file()).await.unwrap();
    assert_eq!(
        (
            files.ready(&rig.root).len(),
            files.list().await.unwrap().len()
        ),
        (0, 0)
    );
}

#[tokio::test]
async fn what_a_file_defines_is_told_in_order_with_who_uses_it_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let a = "def first():\n    return second()\n\n\ndef second():\n    return 1\n";
    std::fs::write(folder.path().join("a.py"), a).unwrap();
    let b = "from a import first\n\n\ndef user():\n    return first()\n";
    std::fs::write(folder.path().join("b.py"), b).unwrap();
    let code = crate::CodeFolders::new(None, Vec::new());
    let file = code.file(folder.path(), "a.py", 50).await.unwrap();
    let names: Vec<_> = file.symbols.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["first", "second"]);
    let calls: Vec<_> = file
        .users
        .iter()
        .filter(|it| it.by.kind == CodeUseKind::Calls)
        .map(|it| (it.of.as_str(), it.by.symbol.name.as_str(), it.by.line))
        .collect();
    assert_eq!(calls, [("first", "user", 5)]);
    assert!(file.users.iter().all(|it| it.by.path == "b.py"));
    assert_eq!(
        code.file(folder.path(), "none.py", 50).await.unwrap(),
        CodeFile::default()
    );
}

#[tokio::test]
async fn a_file_that_changes_gets_another_pack_and_one_that_goes_is_closed() {
    let rig = Rig::new();
    let files = rig.start();
    files.worked_on(vec![rig.file()]);
    let first = ready(&files, &rig.root, |_| true).await;
    std::fs::write(rig.file(), "fn parse_all() { /* longer */ }\n").unwrap();
    let is_another = |pack: &Pack| !std::ptr::eq(pack, first.as_ref());
    let second = ready(&files, &rig.root, is_another).await;
    assert_eq!(*second, *first);
    std::fs::remove_file(rig.file()).unwrap();
    let gone = async {
        while !files.list().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_a_session_changed_is_open_for_half_an_hour_and_an_editors_files_till_it_says_so() {
    static NOW: AtomicU64 = AtomicU64::new(0);
    let rig = Rig::new();
    let files = rig.start_at(|| NOW.load(Relaxed));
    files.open(rig.file(), "vscode".into()).await.unwrap();
    let changed: Vec<PathBuf> = (0..20).map(|at| rig.root.join(format!("f{at}"))).collect();
    for path in &changed {
        std::fs::write(path, "x").unwrap();
    }
    files.worked_on(changed.clone());
    assert_eq!(files.list().await.unwrap().len(), 9);
    ready(&files, &rig.root, |pack| pack.path == changed[0]).await;
    NOW.store(30 * 60 * 1_000, Relaxed);
    let left = async {
        loop {
            let listed = files.list().await.unwrap();
            if listed.len() < 9 {
                return listed;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let left = tokio::time::timeout(Duration::from_secs(30), left)
        .await
        .unwrap();
    assert_eq!((left.len(), &left[0].path), (1, &rig.file()));
}

#[tokio::test]
async fn what_may_not_be_read_has_no_pack() {
    let rig = Rig::new();
    let home = rig.folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("key"), "secret").unwrap();
    std::fs::write(rig.root.join("link-target"), "x").unwrap();
    std::os::unix::fs::symlink(home.join("key"), rig.root.join("link")).unwrap();
    let files = rig.start();
    for path in [
        home.join("key"),
        rig.root.join("link"),
        rig.root.clone(),
        rig.root.join("missing"),
        "src/lib.rs".into(),
    ] {
        let refused = files.open(path.clone(), "vscode".into()).await;
        assert!(refused.is_err(), "{}", path.display());
        assert!(files.pack(path).await.is_err());
    }
    assert!(files.open(rig.file(), " ".into()).await.is_err());
    assert!(files.open(rig.file(), "x".repeat(61)).await.is_err());
    assert_eq!(files.list().await.unwrap().len(), 0);
}

#[tokio::test]
async fn files_and_packs_are_bounded() {
    let mut rig = Rig::new();
    let many = rig.code.file.symbols[0].clone();
    rig.code.file.symbols = (0..200)
        .map(|at| CodeSymbol {
            signature: format!("{at} {}", "x".repeat(900)),
            ..many.clone()
        })
        .collect();
    let files = rig.start();
    for at in 0..=OPEN_FILES_MAX {
        let path = rig.root.join(format!("f{at}"));
        std::fs::write(&path, "x").unwrap();
        files.open(path, "vscode".into()).await.unwrap();
    }
    let listed = files.list().await.unwrap();
    assert_eq!(listed.len(), OPEN_FILES_MAX);
    assert_eq!(listed[0].path, rig.root.join(format!("f{OPEN_FILES_MAX}")));
    let pack = files.pack(listed[0].path.clone()).await.unwrap();
    let line = |line: &titan_protocol::PackLine| line.text.len() + line.source.len();
    let bytes: usize = pack
        .parts
        .iter()
        .flat_map(|part| &part.lines)
        .map(line)
        .sum();
    assert!(
        (PACK_BYTES_MAX / 2..=PACK_BYTES_MAX).contains(&bytes),
        "{bytes}"
    );
}

#[tokio::test]
async fn what_a_question_names_is_told_without_being_open() {
    let mut rig = Rig::new();
    rig.code.uses.of.clone_from(&rig.code.file.symbols);
    for text in ["parse_all is slow on Windows.", "Tidy lib.rs some day."] {
        let draft = note(text, MemoryOrigin::Person);
        rig.memory.keep(draft).await.unwrap();
    }
    let files = rig.start();
    let named = async |asked: &str| files.named(&rig.root, asked, WAIT).await;
    let of_code = &named("Who calls `parse_all`?").await[0];
    assert_eq!(
        lines(of_code, PackKind::Outline),
        ["fn parse_all() <src/lib.rs:1>"]
    );
    assert_eq!(lines(of_code, PackKind::Notes).len(), 1);
    assert_eq!(lines(of_code, PackKind::History), [""; 0]);
    let of_file = &named("What changed in src/lib.rs?").await[0];
    assert_eq!(of_file.path, rig.file());
    assert_eq!(lines(of_file, PackKind::History).len(), 2);
    let notes = lines(of_file, PackKind::Notes);
    assert!(notes[0].starts_with("Tidy lib.rs"), "{notes:?}");
    assert_eq!(named("Who calls it?").await.len(), 0);
    assert_eq!(files.list().await.unwrap().len(), 0);
}

#[tokio::test]
async fn where_there_is_no_repository_nothing_is_read_for_a_word() {
    let mut rig = Rig::new();
    rig.code.uses.of.clone_from(&rig.code.file.symbols);
    std::fs::remove_dir(rig.root.join(".git")).unwrap();
    let files = rig.start();
    assert_eq!(
        files
            .named(&rig.root, "Who calls parse_all?", WAIT)
            .await
            .len(),
        0
    );
    let of_file = files.named(&rig.root, "src/lib.rs", WAIT).await;
    assert_eq!(of_file.len(), 1);
}

#[tokio::test]
async fn a_file_outside_the_workspace_is_not_looked_at_for_a_word() {
    let rig = Rig::new();
    let outside = rig.folder.path().canonicalize().unwrap().join("own.rs");
    std::fs::write(&outside, "fn own() {}").unwrap();
    std::os::unix::fs::symlink(&outside, rig.root.join("link.rs")).unwrap();
    let files = rig.start();
    let asked = format!("../own.rs link.rs {}", outside.display());
    assert_eq!(files.named(&rig.root, &asked, WAIT).await.len(), 0);
}

#[tokio::test]
async fn a_name_that_stands_for_much_tells_nothing_unless_its_file_is_named() {
    let mut rig = Rig::new();
    rig.code.uses.of = vec![rig.code.file.symbols[0].clone(); 5];
    let files = rig.start();
    assert_eq!(files.named(&rig.root, "parse_all", WAIT).await.len(), 0);
    rig.code.uses.of[2].path = "src/other.rs".into();
    let files = rig.start();
    let asked = "What does parse_all in src/other.rs do?";
    let named = files.named(&rig.root, asked, WAIT).await;
    assert_eq!(
        lines(&named[0], PackKind::Outline),
        ["fn parse_all() <src/other.rs:1>"]
    );
}
