//! What is ready about open files, and what fetching it takes: in this process, on the table that the engine reads.

use super::block_on;
use crate::Setup;
use crate::process::milliseconds;
use crate::report::Row;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use titan_codegraph::{CodeFolders, GitHistory, OpenFiles, PackPorts};
use titan_protocol::{OPEN_FILES_MAX, PackKind, Packs, Presence, Workbench, WorkbenchError};
use titan_sandbox::{HostConfig, HostWorkbench};
use titan_testkit::memory::ListedMemory;

const FETCHES: usize = 20_000;
/// What is to be told of each file, of which nobody noted anything.
const KINDS: [PackKind; 5] = [
    PackKind::About,
    PackKind::Outline,
    PackKind::Callers,
    PackKind::History,
    PackKind::Bugs,
];
/// How long the packs of all files may take to be made.
const READY_MAX: Duration = Duration::from_secs(120);

/// Fetching the packs of all files that may be open in a repository of 64 files, as a turn does, and the pack of one, as
/// an editor does; and how long making all of them takes, once.
pub(super) fn context_pack(_setup: &Setup) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().canonicalize()?.join("work");
    fs::create_dir(&root)?;
    for n in 0..OPEN_FILES_MAX {
        let next = (n + 1) % OPEN_FILES_MAX;
        let text =
            format!("from m{next} import f{next}\n\n\ndef f{n}(x):\n    return f{next}(x)\n");
        fs::write(root.join(format!("m{n}.py")), text)?;
    }
    for arguments in [
        &["init", "-q", "."][..],
        &["add", "."],
        &[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "commit",
            "-q",
            "-m",
            "Fix all (#1)",
        ],
    ] {
        let run = Command::new("git")
            .args(arguments)
            .current_dir(&root)
            .output()?;
        ensure!(run.status.success(), "git {arguments:?}: {run:?}");
    }
    block_on(measure(&root, &folder.path().join("home")))
}

async fn measure(root: &Path, home: &Path) -> Result<Vec<Row>> {
    let home = home.to_owned();
    let open_workbench = move |folder: &Path| {
        let variables =
            ["PATH", "HOME"].map(|name| (name.to_owned(), std::env::var(name).unwrap_or_default()));
        let config = HostConfig {
            home: home.clone(),
            environment: BTreeMap::from(variables),
        };
        let opened = HostWorkbench::open(folder, config);
        let opened = opened.map_err(|error| WorkbenchError::Failed(error.to_string()))?;
        Ok(Arc::new(opened) as Arc<dyn Workbench>)
    };
    let files = OpenFiles::start(PackPorts {
        code: Arc::new(CodeFolders::new(None, Vec::new())),
        history: Arc::new(GitHistory),
        memory: Arc::new(ListedMemory::new()),
        open_workbench: Arc::new(open_workbench),
        clock: || 0,
    });
    let began = Instant::now();
    let mut path = None;
    for n in 0..OPEN_FILES_MAX {
        let file = root.join(format!("m{n}.py"));
        files.open(file.clone(), "bench".to_owned()).await?;
        path = Some(file);
    }
    let path = path.context("no file is open")?;
    while files.ready(root).len() < OPEN_FILES_MAX {
        ensure!(began.elapsed() < READY_MAX, "the packs are not ready");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let made = milliseconds(began.elapsed());
    for pack in files.ready(root) {
        let kinds: Vec<PackKind> = pack.parts.iter().map(|part| part.kind).collect();
        ensure!(kinds == KINDS, "a pack lacks something: {pack:?}");
    }
    let mut all = Vec::with_capacity(FETCHES);
    let mut one = Vec::with_capacity(FETCHES);
    for _ in 0..FETCHES {
        let began = Instant::now();
        black_box(files.ready(root));
        all.push(milliseconds(began.elapsed()));
        let began = Instant::now();
        black_box(files.pack(path.clone()).await?);
        one.push(milliseconds(began.elapsed()));
    }
    Ok(vec![
        Row::new("context_pack", "of_64_files", "ms", all).goal(1.0, None),
        Row::new("context_pack", "of_one_file", "ms", one).goal(1.0, None),
        Row::new("context_pack", "all_64_made", "ms", vec![made]),
    ])
}
