//! The host as a place to work: the contract, and what only a real file system and real processes can show.

use super::{HostConfig, HostError, HostWorkbench};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use titan_protocol::{
    Closed, Command, EntryKind, Exit, ProcessEvent, WalkOptions, Workbench, WorkbenchError,
};
use titan_testkit::workbench::workbench_contract;

/// A workspace, an engine's home and the rest of a machine, in a temporary folder.
struct Machine {
    folder: TempDir,
    workbench: HostWorkbench,
}

fn engine_environment(person_home: &Path) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("HOME".to_owned(), person_home.display().to_string()),
        ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("ANTHROPIC_API_KEY".to_owned(), "sk-secret".to_owned()),
        ("LD_PRELOAD".to_owned(), "/tmp/evil.so".to_owned()),
    ])
}

impl Machine {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["work", "person/.titan", "outside"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let config = HostConfig {
            home: folder.path().join("person/.titan"),
            environment: engine_environment(&folder.path().join("person")),
        };
        let workbench = HostWorkbench::open(&folder.path().join("work"), config).unwrap();
        Self { folder, workbench }
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(inner)
    }

    fn put(&self, inner: &str, content: &str) -> PathBuf {
        let path = self.path(inner);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

fn shell(script: &str) -> Command {
    Command {
        program: "sh".to_owned(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        directory: None,
        environment: BTreeMap::new(),
        wall_clock_max: Duration::from_secs(60),
        output_bytes_max: 10_000_000,
    }
}

/// Standard output and the exit.
async fn run(workbench: &HostWorkbench, command: Command) -> (String, Exit) {
    let mut output = Vec::new();
    let mut events = workbench.run(command);
    while let Some(event) = events.next().await {
        match event.unwrap() {
            ProcessEvent::Stdout(bytes) => output.extend_from_slice(&bytes),
            ProcessEvent::Stderr(_) => {}
            ProcessEvent::Exited(exit) => {
                return (String::from_utf8(output).unwrap(), exit);
            }
        }
    }
    panic!("no exit");
}

#[tokio::test]
async fn the_host_keeps_the_contract() {
    let machine = Machine::new();
    workbench_contract(&machine.workbench).await;
}

#[tokio::test]
async fn s19_links_are_followed_before_anything_is_decided() {
    let machine = Machine::new();
    machine.put("work/real/file", "");
    symlink("../outside", machine.path("work/out")).unwrap();
    symlink("real", machine.path("work/inner")).unwrap();
    symlink(
        machine.path("outside/not-yet"),
        machine.path("work/dangling"),
    )
    .unwrap();
    symlink("ring-b", machine.path("work/ring-a")).unwrap();
    symlink("ring-a", machine.path("work/ring-b")).unwrap();
    symlink(machine.path("work"), machine.path("outside/back")).unwrap();
    let table = [
        ("inner/file", "work/real/file", true),
        ("inner/../real/new", "work/real/new", true),
        ("out", "outside", false),
        ("out/secret", "outside/secret", false),
        ("out/../person", "person", false),
        ("dangling", "outside/not-yet", false),
        ("out/back/x", "work/x", true),
        ("~", "person", false),
        ("~/x", "person/x", false),
        ("~x", "work/~x", true),
    ];
    for (text, expected, in_workspace) in table {
        let resolved = machine.workbench.resolve(text).await.unwrap();
        let expected = machine.path(expected);
        assert_eq!(
            (resolved.path, resolved.in_workspace),
            (expected, in_workspace),
            "{text}"
        );
    }
    let ring = machine.workbench.resolve("ring-a/x").await;
    assert!(matches!(ring, Err(WorkbenchError::Failed(_))));
    // The process's own view of the root is only another name for it.
    let proc = machine.workbench.resolve("/proc/self/root/etc").await;
    assert_eq!(proc.unwrap().path, Path::new("/etc"));
}

#[tokio::test]
async fn s19_a_folder_swapped_for_a_link_after_the_decision_leads_nowhere() {
    let machine = Machine::new();
    machine.put("work/d/file", "mine");
    let theirs = machine.put("outside/file", "theirs");
    let judged = machine.workbench.resolve("d/file").await.unwrap().path;
    std::fs::rename(machine.path("work/d"), machine.path("work/moved")).unwrap();
    symlink(machine.path("outside"), machine.path("work/d")).unwrap();
    assert!(machine.workbench.read(&judged, 0, 100).await.is_err());
    assert!(machine.workbench.write(&judged, b"x").await.is_err());
    assert!(machine.workbench.remove(&judged).await.is_err());
    assert!(machine.workbench.metadata(&judged).await.is_err());
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "theirs");
}

#[tokio::test]
async fn s19_a_file_swapped_for_a_link_is_neither_read_nor_written() {
    let machine = Machine::new();
    let theirs = machine.put("outside/file", "theirs");
    let judged = machine.workbench.resolve("file").await.unwrap().path;
    symlink(&theirs, &judged).unwrap();
    assert!(machine.workbench.read(&judged, 0, 100).await.is_err());
    assert!(machine.workbench.write(&judged, b"x").await.is_err());
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "theirs");
    let found = machine.workbench.metadata(&judged).await.unwrap().unwrap();
    assert_eq!(found.kind, EntryKind::Other);
}

/// For a moment a link that leads outside stands where the workspace's own file or folder is.
fn swap(path: &Path, aside: &Path, outside: &Path) {
    // What is written or removed meanwhile may get in the way.
    while std::fs::rename(path, aside).is_err() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "mine").unwrap();
    }
    while symlink(outside, path).is_err() {
        clear(path);
    }
    std::thread::yield_now();
    clear(path);
    while std::fs::rename(aside, path).is_err() {
        clear(path);
    }
}

fn clear(path: &Path) {
    // It is a link, a file or a folder; only the right one of these succeeds, and no link is followed.
    let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir_all(path));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_in_ten_thousand_swaps_no_path_leads_a_file_tool_outside() {
    const SWAPS: usize = 10_000;
    let machine = Machine::new();
    for place in ["work/p/d/file", "outside/d/file", "outside/file"] {
        let who = if place.starts_with("work") {
            "mine"
        } else {
            "theirs"
        };
        machine.put(place, who);
    }
    let workbench = &machine.workbench;
    let judged = workbench.resolve("p/d/file").await.unwrap().path;
    let paths: Vec<PathBuf> = ["p", "p/d", "p/d/file"]
        .map(|inner| machine.path("work").join(inner))
        .into();
    let aside = machine.path("aside");
    let outside = [
        machine.path("outside"),
        machine.path("outside"),
        machine.path("outside/file"),
    ];
    let has_raced = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (mut reads, mut refused) = (0, 0);
    let swapping = std::thread::spawn({
        let has_raced = has_raced.clone();
        move || {
            // On a busy machine the readers may hardly have begun by then.
            let goes_on = |n: &usize| *n < SWAPS || !has_raced.load(Ordering::Relaxed);
            for n in (0..100 * SWAPS).take_while(goes_on) {
                let at = n % paths.len();
                swap(&paths[at], &aside, &outside[at]);
            }
        }
    });
    while !swapping.is_finished() {
        match workbench.read(&judged, 0, 100).await {
            Ok(bytes) => {
                assert_ne!(bytes, "theirs", "a link was followed");
                reads += 1;
            }
            Err(_) => refused += 1,
        }
        if let Ok(titan_protocol::Captured::File { content, .. }) =
            workbench.capture(&judged, 100).await
        {
            assert_ne!(content, "theirs", "a link was followed");
        }
        // They may fail; where they lead is looked at below.
        let _ = workbench.metadata(&judged).await;
        let _ = workbench.write(&judged, b"mine").await;
        if reads % 16 == 0 {
            let _ = workbench.remove(&judged).await;
        }
        has_raced.store(reads > 100 && refused > 100, Ordering::Relaxed);
    }
    swapping.join().unwrap();
    println!("{SWAPS} swaps or more: {reads} reads, {refused} refused");
    for place in ["outside/d/file", "outside/file"] {
        let found = std::fs::read_to_string(machine.path(place)).unwrap();
        assert_eq!(found, "theirs", "{place}");
    }
    let outside = std::fs::read_dir(machine.path("outside")).unwrap();
    assert_eq!(outside.count(), 2, "nothing was made outside");
    assert!(reads > 100 && refused > 100, "hardly anything raced");
    // A descriptor of the folder outside, as this process itself could open it.
    let folder = std::fs::File::open(machine.path("outside")).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&folder);
    let root = format!("/proc/self/root{}", machine.path("outside").display());
    for lead in [
        root,
        format!("/dev/fd/{number}"),
        format!("/proc/self/fd/{number}"),
    ] {
        let path = format!("{lead}/file");
        let resolved = workbench.resolve(&path).await.unwrap();
        assert!(!resolved.in_workspace, "{path} is judged as outside");
        assert_eq!(resolved.path, machine.path("outside/file"), "{path}");
    }
}

#[tokio::test]
async fn s19_writing_breaks_a_hard_link_instead_of_changing_the_other_name() {
    let machine = Machine::new();
    let theirs = machine.put("outside/file", "theirs");
    let mine = machine.path("work/file");
    std::fs::hard_link(&theirs, &mine).unwrap();
    machine.workbench.write(&mine, b"mine").await.unwrap();
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "theirs");
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
}

#[tokio::test]
async fn a_write_keeps_the_mode_and_leaves_nothing_behind() {
    let machine = Machine::new();
    let script = machine.put("work/run.sh", "old");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o750)).unwrap();
    machine.workbench.write(&script, b"new").await.unwrap();
    let mode = std::fs::metadata(&script).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o750);
    let folder = machine.path("work/folder");
    std::fs::create_dir(&folder).unwrap();
    assert!(machine.workbench.write(&folder, b"x").await.is_err());
    let names: Vec<_> = std::fs::read_dir(machine.path("work"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[tokio::test]
async fn readers_see_the_old_or_the_new_but_never_a_part() {
    let machine = Machine::new();
    let path = machine.path("work/file");
    let (old, new) = (vec![b'a'; 300_000], vec![b'b'; 500_000]);
    machine.workbench.write(&path, &old).await.unwrap();
    let reader = std::thread::spawn({
        let path = path.clone();
        move || {
            loop {
                let bytes = std::fs::read(&path).unwrap();
                assert!(bytes.iter().all(|byte| *byte == bytes[0]));
                match bytes.len() {
                    300_000 => {}
                    500_000 => return,
                    other => panic!("a part of {other} bytes"),
                }
            }
        }
    });
    machine.workbench.write(&path, &new).await.unwrap();
    reader.join().unwrap();
}

#[tokio::test]
async fn a_pipe_or_device_is_no_file_and_does_not_block() {
    let machine = Machine::new();
    let made = run(&machine.workbench, shell("mkfifo pipe")).await;
    assert_eq!(made.1, Exit::Status(0));
    for path in [machine.path("work/pipe"), PathBuf::from("/dev/zero")] {
        let read = machine.workbench.read(&path, 0, 10).await;
        assert!(matches!(read, Err(WorkbenchError::Failed(_))));
    }
}

#[tokio::test]
async fn x17_the_engines_home_is_out_of_reach() {
    let machine = Machine::new();
    let key = machine.put("person/.titan/key", "secret");
    symlink(machine.path("person/.titan"), machine.path("work/harmless")).unwrap();
    let workbench = &machine.workbench;
    let path = workbench.resolve("harmless/key").await.unwrap().path;
    assert_eq!(path, key);
    fn denied<T>(result: Result<T, WorkbenchError>) {
        assert!(matches!(result, Err(WorkbenchError::Denied(_))));
    }
    denied(workbench.read(&path, 0, 100).await);
    denied(workbench.write(&path, b"x").await);
    denied(workbench.remove(&path).await);
    denied(workbench.metadata(&path).await);
    let all = WalkOptions {
        include_ignored: true,
        ..WalkOptions::default()
    };
    denied(
        workbench
            .walk(path.parent().unwrap(), all)
            .next()
            .await
            .unwrap(),
    );
    let above: Vec<_> = workbench.walk(&machine.path("person"), all).collect().await;
    assert!(above.is_empty(), "{above:?}");
    let there = Command {
        directory: path.parent().map(Path::to_owned),
        ..shell("cat key")
    };
    denied(workbench.run(there).next().await.unwrap());
    // A name that was not resolved goes nowhere.
    let crooked = machine.path("work/../person/.titan/key");
    assert!(workbench.read(&crooked, 0, 100).await.is_err());
    assert_eq!(std::fs::read_to_string(&key).unwrap(), "secret");
}

#[tokio::test]
async fn s15_s19_the_engines_memory_and_environment_are_out_of_reach() {
    let machine = Machine::new();
    for text in ["/proc/self/environ", "/proc/self/mem", "/proc/1/environ"] {
        let path = machine.workbench.resolve(text).await.unwrap().path;
        let read = machine.workbench.read(&path, 0, 100).await;
        assert!(matches!(read, Err(WorkbenchError::Denied(_))), "{text}");
    }
    let unresolved = Path::new("/proc/self/environ");
    assert!(machine.workbench.read(unresolved, 0, 100).await.is_err());
    let harmless = Path::new("/proc/version");
    assert!(machine.workbench.read(harmless, 0, 100).await.is_ok());
}

#[test]
fn a_workspace_must_be_a_folder_outside_of_the_engines_home() {
    let folder = TempDir::new().unwrap();
    let home = folder.path().join("home");
    std::fs::create_dir_all(home.join("workspace")).unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let open = |root: &Path| {
        let config = HostConfig {
            home: home.clone(),
            environment: BTreeMap::new(),
        };
        HostWorkbench::open(root, config).map(drop)
    };
    assert!(matches!(
        open(&home.join("workspace")),
        Err(HostError::InHome { .. })
    ));
    assert!(matches!(
        open(&folder.path().join("file")),
        Err(HostError::NotAFolder { .. })
    ));
    assert!(matches!(
        open(&folder.path().join("none")),
        Err(HostError::Root { .. })
    ));
    assert!(open(folder.path()).is_ok());
}

#[tokio::test]
async fn a_walk_starts_before_it_has_seen_everything() {
    let machine = Machine::new();
    for n in 0..400 {
        machine.put(&format!("work/{n:03}/file"), "");
    }
    let walk = machine
        .workbench
        .walk(machine.workbench.root(), WalkOptions::default());
    let (first, rest) = walk.into_future().await;
    assert_eq!(first.unwrap().unwrap().path, machine.path("work/000/file"));
    // The walk is bounded: it cannot have run to its end while nobody read.
    std::fs::write(machine.path("work/399/late"), "").unwrap();
    let paths: Vec<_> = rest.map(|entry| entry.unwrap().path).collect().await;
    assert_eq!(paths.len(), 400);
    assert_eq!(paths.last(), Some(&machine.path("work/399/late")));
}

/// Walks and the reads of what they find share few threads: a walk holds none while its reader is busy.
#[test]
fn many_walks_whose_readers_read_do_not_lock_each_other_out() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let machine = Machine::new();
    for n in 0..600 {
        machine.put(&format!("work/{n}"), "x");
    }
    let walk = |workbench: HostWorkbench| async move {
        let mut entries = workbench.walk(workbench.root(), WalkOptions::default());
        let mut n_read = 0;
        while let Some(entry) = entries.next().await {
            let read = workbench.read(&entry.unwrap().path, 0, 10).await;
            n_read += read.unwrap().len();
        }
        n_read
    };
    let n_read = runtime.block_on(async {
        let walks = (0..20).map(|_| tokio::spawn(walk(machine.workbench.clone())));
        let all = futures::future::join_all(walks);
        let counts = tokio::time::timeout(Duration::from_secs(120), all).await;
        let counts = counts.expect("they lock each other out");
        counts.into_iter().map(Result::unwrap).sum::<usize>()
    });
    assert_eq!(n_read, 20 * 600);
}

#[tokio::test]
async fn s20_a_walk_shows_links_without_following_them() {
    let machine = Machine::new();
    machine.put("outside/secret", "x");
    symlink(machine.path("outside"), machine.path("work/out")).unwrap();
    symlink(".", machine.path("work/ring")).unwrap();
    let walk = machine
        .workbench
        .walk(machine.workbench.root(), WalkOptions::default());
    let entries: Vec<_> = walk.map(Result::unwrap).collect().await;
    let shown: Vec<_> = entries
        .iter()
        .map(|entry| (&entry.path, entry.kind))
        .collect();
    assert_eq!(
        shown,
        [
            (&machine.path("work/out"), EntryKind::Other),
            (&machine.path("work/ring"), EntryKind::Other)
        ]
    );
}

#[tokio::test]
async fn s20_keys_in_a_workspace_that_is_a_home_are_found_by_no_search_and_are_not_its_own() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for name in [
        "notes",
        ".ssh/id_ed25519",
        ".netrc",
        ".config/gh/hosts.yml",
        ".config/app",
    ] {
        std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        std::fs::write(root.join(name), "x").unwrap();
    }
    let config = HostConfig {
        home: root.join("none"),
        environment: engine_environment(&root),
    };
    let workbench = HostWorkbench::open(&root, config).unwrap();
    let everything = WalkOptions {
        include_ignored: true,
        ..WalkOptions::default()
    };
    let walked = |folder: PathBuf| {
        let walk = workbench.walk(&folder, everything);
        let names = walk.map(|entry| entry.unwrap().path.strip_prefix(&root).unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let shown = walked(root.clone()).await;
    assert_eq!(shown, [Path::new(".config/app"), Path::new("notes")]);
    // Whoever asks for it by name needs the leave for files elsewhere, and has it by then.
    assert_eq!(
        walked(root.join(".ssh")).await,
        [Path::new(".ssh/id_ed25519")]
    );
    for (name, is_own) in [
        ("notes", true),
        (".config/app", true),
        ("new", true),
        (".ssh/id_ed25519", false),
        (".ssh/new", false),
        (".config/../.netrc", false),
        ("~/.config/gh/hosts.yml", false),
    ] {
        let resolved = workbench.resolve(name).await.unwrap();
        assert_eq!(resolved.in_workspace, is_own, "{name}");
    }
}

#[tokio::test]
async fn x5_a_program_in_the_workspace_does_not_stand_in_for_the_systems() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let fake = root.join("bin/sh");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::write(&fake, "#!/bin/sh\necho fake\n").unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = HostConfig {
        home: root.join("none"),
        environment: BTreeMap::from([(
            "PATH".to_owned(),
            format!("{0}/bin:bin:.:/usr/bin:/bin", root.display()),
        )]),
    };
    let workbench = HostWorkbench::open(&root, config).unwrap();
    let found = workbench.which("sh").await.unwrap();
    assert!(!found.starts_with(&root), "{}", found.display());
    assert_eq!(
        workbench.which("./bin/sh").await,
        Some(root.join("./bin/sh"))
    );
    assert_eq!(workbench.which("./bin").await, None);
}

#[tokio::test]
async fn x9_p9_programs_see_no_key_of_the_engine() {
    let machine = Machine::new();
    let (output, _) = run(&machine.workbench, shell("env")).await;
    assert!(
        !output.contains("sk-secret") && !output.contains("evil.so"),
        "{output}"
    );
    let preload = Command {
        environment: BTreeMap::from([("LD_PRELOAD".to_owned(), "x.so".to_owned())]),
        ..shell("env")
    };
    let refused = machine.workbench.run(preload).next().await.unwrap();
    assert!(matches!(refused, Err(WorkbenchError::Denied(_))));
}

#[tokio::test]
async fn a_program_has_no_terminal() {
    let machine = Machine::new();
    let script = "if (: </dev/tty) 2>/dev/null; then echo terminal; else echo none; fi";
    let (output, _) = run(&machine.workbench, shell(script)).await;
    assert_eq!(output, "none\n");
}

#[tokio::test]
async fn output_arrives_while_the_program_runs() {
    let machine = Machine::new();
    // The program goes on only when it is told to, after its first output was seen here.
    let script = "mkfifo go; echo first; read line <go; echo $line";
    let mut events = machine.workbench.run(shell(script));
    let first = events.next().await.unwrap().unwrap();
    assert_eq!(first, ProcessEvent::Stdout("first\n".into()));
    let go = machine.path("work/go");
    tokio::task::spawn_blocking(move || std::fs::write(go, "second\n").unwrap());
    let second = events.next().await.unwrap().unwrap();
    assert_eq!(second, ProcessEvent::Stdout("second\n".into()));
}

#[tokio::test]
async fn a_slow_reader_loses_nothing() {
    let machine = Machine::new();
    let script = "i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done";
    let mut events = machine.workbench.run(shell(script));
    let mut bytes_seen = 0;
    while let Some(event) = events.next().await {
        tokio::task::yield_now().await;
        if let ProcessEvent::Stdout(bytes) = event.unwrap() {
            bytes_seen += bytes.len();
        }
    }
    assert_eq!(bytes_seen, 20_000 * 11);
}

/// Opens a pipe that the script holds open in all its processes; the end of the pipe is the end of them all.
async fn holders(machine: &Machine) -> tokio::task::JoinHandle<()> {
    let alive = machine.path("work/alive");
    let made = run(&machine.workbench, shell("mkfifo alive")).await;
    assert_eq!(made.1, Exit::Status(0));
    tokio::task::spawn_blocking(move || {
        let mut pipe = std::fs::File::open(alive).unwrap();
        pipe.read_to_end(&mut Vec::new()).unwrap();
    })
}

/// A job in the background, one in another session, a double fork, and one that ignores the polite signal.
const FAMILY: &str = "exec 9>alive; trap '' TERM
sleep 600 &
setsid sleep 600 &
(setsid sh -c 'trap \"\" TERM HUP; sleep 600 & sleep 600' &)
(env -i setsid sleep 600 & sleep 600) &
echo ready
wait";

#[tokio::test]
async fn x23_dropping_the_output_ends_the_whole_tree_at_once() {
    let machine = Machine::new();
    let gone = holders(&machine).await;
    let mut events = machine.workbench.run(shell(FAMILY));
    let first = events.next().await.unwrap().unwrap();
    assert_eq!(first, ProcessEvent::Stdout("ready\n".into()));
    let dropped = Instant::now();
    drop(events);
    gone.await.unwrap();
    assert!(
        dropped.elapsed() < Duration::from_secs(1),
        "{:?}",
        dropped.elapsed()
    );
}

#[tokio::test]
async fn x23_a_time_limit_ends_the_whole_tree() {
    let machine = Machine::new();
    let gone = holders(&machine).await;
    let command = Command {
        wall_clock_max: Duration::from_millis(300),
        ..shell(FAMILY)
    };
    let (output, exit) = run(&machine.workbench, command).await;
    assert_eq!((output.as_str(), exit), ("ready\n", Exit::TimedOut));
    gone.await.unwrap();
}

#[tokio::test]
async fn x23_what_a_program_leaves_behind_ends_with_it() {
    let machine = Machine::new();
    let gone = holders(&machine).await;
    let script = "exec 9>alive; sleep 600 & setsid sleep 600 >/dev/null 2>&1 & echo done";
    let (output, exit) = run(&machine.workbench, shell(script)).await;
    assert_eq!((output.as_str(), exit), ("done\n", Exit::Status(0)));
    gone.await.unwrap();
}

#[tokio::test]
async fn an_ended_program_leaves_no_zombie() {
    let machine = Machine::new();
    let mut events = machine.workbench.run(shell("echo up; sleep 600"));
    assert!(matches!(
        events.next().await,
        Some(Ok(ProcessEvent::Stdout(_)))
    ));
    assert!(!children().is_empty());
    drop(events);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !children().is_empty() {
        assert!(
            Instant::now() < deadline,
            "{:?} are still there",
            children()
        );
        tokio::task::yield_now().await;
    }
}

/// The children of this process, the dead that nobody has asked for too.
fn children() -> Vec<i32> {
    let own = std::process::id().to_string();
    let is_child = |process: &i32| {
        let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let fields = text.rsplit_once(')').map(|(_, fields)| fields.to_owned());
        fields.is_some_and(|fields| fields.split_whitespace().nth(1) == Some(own.as_str()))
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(is_child).collect()
}

#[tokio::test]
async fn a_signal_is_told_from_a_status() {
    let machine = Machine::new();
    let (_, exit) = run(&machine.workbench, shell("kill -9 $$")).await;
    assert_eq!(exit, Exit::Signal(9));
}

#[tokio::test]
async fn one_run_does_not_end_another() {
    let machine = Machine::new();
    let mut other = machine
        .workbench
        .run(shell("mkfifo go; echo up; read line <go; echo $line"));
    assert!(matches!(
        other.next().await,
        Some(Ok(ProcessEvent::Stdout(_)))
    ));
    let mut ended = machine.workbench.run(shell("echo up; sleep 600"));
    assert!(matches!(
        ended.next().await,
        Some(Ok(ProcessEvent::Stdout(_)))
    ));
    drop(ended);
    run(&machine.workbench, shell("true")).await;
    let go = machine.path("work/go");
    tokio::task::spawn_blocking(move || std::fs::write(go, "alive\n").unwrap());
    let next = other.next().await.unwrap().unwrap();
    assert_eq!(next, ProcessEvent::Stdout("alive\n".into()));
}

/// Part of a path, or what a link points to: names that exist, names that do not, ways up and ways out.
const PARTS: [&str; 8] = ["a", "b", "l", "m", "..", ".", "new", "a/b"];

fn paths() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    prop::collection::vec(prop::sample::select(&PARTS[..]), 1..7).prop_map(|parts| parts.join("/"))
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    #[test]
    fn a_path_leads_where_the_system_says_and_holds_no_link(
        text in paths(),
        links in proptest::collection::vec((paths(), proptest::bool::ANY), 4),
    ) {
        let machine = Machine::new();
        std::fs::create_dir_all(machine.path("work/a/b")).unwrap();
        std::fs::create_dir_all(machine.path("outside/a/b")).unwrap();
        let at = ["work/l", "work/m", "work/a/l", "outside/l"];
        for (link, (target, is_outside)) in at.iter().zip(links) {
            let target = match is_outside {
                true => machine.path("outside").join(target),
                false => PathBuf::from(target),
            };
            symlink(target, machine.path(link)).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let root = machine.workbench.root().to_owned();
        let Ok(resolved) = runtime.block_on(machine.workbench.resolve(&text)) else {
            // Only rings of links and files as folders are refused, and the system refuses them too.
            proptest::prop_assert!(std::fs::canonicalize(root.join(&text)).is_err());
            return Ok(());
        };
        if let Ok(real) = std::fs::canonicalize(root.join(&text)) {
            proptest::prop_assert_eq!(&resolved.path, &real);
        }
        let is_link = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
        proptest::prop_assert!(!resolved.path.ancestors().any(is_link));
        proptest::prop_assert_eq!(resolved.in_workspace, resolved.path.starts_with(&root));
        let again = runtime.block_on(machine.workbench.resolve(resolved.path.to_str().unwrap()));
        proptest::prop_assert_eq!(again.unwrap().path, resolved.path);
    }
}

#[tokio::test]
async fn s24_a_closed_place_reaches_what_is_named_and_nothing_else() {
    let machine = Machine::new();
    let named = machine.put("named/a.txt", "named");
    let other = machine.put("outside/b.txt", "other");
    let closed = |seconds: u64| {
        let reads = ["/bin", "/lib", "/lib64", "/usr/bin", "/usr/lib"].map(PathBuf::from);
        let closed = Closed {
            reads: [reads.to_vec(), vec![named.clone()]].concat(),
            address_bytes_max: 1 << 30,
            processor_seconds_max: seconds,
        };
        HostWorkbench::open_closed(&machine.path("work"), closed).unwrap()
    };
    let order = |script: String| Command {
        program: "/bin/sh".to_owned(),
        environment: BTreeMap::from([("RUSTC_BOOTSTRAP".to_owned(), "1".to_owned())]),
        ..shell(&script)
    };
    let read = |path: &Path| {
        format!(
            "while read -r line || [ -n \"$line\" ]; do echo \"$line\"; done < {}",
            path.display()
        )
    };
    let bench = closed(60);
    assert_eq!(
        run(&bench, order(read(&named))).await,
        ("named\n".to_owned(), Exit::Status(0))
    );
    for path in [
        other.as_path(),
        Path::new("/etc/passwd"),
        Path::new("/proc/self/environ"),
    ] {
        let (out, exit) = run(&bench, order(read(path))).await;
        assert_eq!(out, "", "{}", path.display());
        assert_ne!(exit, Exit::Status(0), "{}", path.display());
    }
    let (out, exit) = run(
        &bench,
        order("echo here > a && read -r a < a && echo $a".to_owned()),
    )
    .await;
    assert_eq!(
        (out.as_str(), exit),
        ("here\n", Exit::Status(0)),
        "the place itself is written"
    );
    let (out, _) = run(&bench, order("export -p".to_owned())).await;
    let names = ["HOME=", "ANTHROPIC_API_KEY=", "LD_PRELOAD=", "PATH="];
    assert!(
        out.contains("RUSTC_BOOTSTRAP") && !names.iter().any(|name| out.contains(name)),
        "{out}"
    );
    let (_, exit) = run(&closed(1), order("while :; do :; done".to_owned())).await;
    assert_ne!(exit, Exit::TimedOut, "time on a processor ends it first");
    assert_ne!(exit, Exit::Status(0));
}
