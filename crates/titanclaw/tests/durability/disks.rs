//! Disks that are full, that fail, and that lose power. They are made for the test and mounted, which needs root.

use crate::kills::{Random, count};
use crate::load::Load;
use crate::place::{Place, READY_MAX};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// How many power cuts there are, and how many without the variable.
const CUTS_VARIABLE: &str = "TITAN_POWER_CUTS";
const CUTS: usize = 3;
/// An engine works for less than this before the power goes.
const WORK_MAX_MS: u64 = 250;

/// A file system that is mounted for a test.
struct Mount(PathBuf);

impl Mount {
    /// Mounts; `None`, after it was said, where that can't be done here.
    fn new(need: &str, arguments: &[&str], point: &Path) -> Option<Self> {
        std::fs::create_dir_all(point).expect("a folder to mount on");
        let mounted = run(Command::new("mount").args(arguments).arg(point));
        match mounted {
            Ok(_) => Some(Self(point.to_owned())),
            Err(why) => {
                titan_testkit::skip(need, why);
                None
            }
        }
    }

    fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    /// Unmounts, when what a killed engine had started has ended too.
    fn take_off(&self) {
        const WAIT_MAX: Duration = Duration::from_secs(5);
        let started = Instant::now();
        while let Err(why) = run(Command::new("umount").arg(&self.0)) {
            assert!(started.elapsed() < WAIT_MAX, "{why}");
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: whatever still has a file open there is a failing test's engine, about to be killed.
        if let Err(why) = run(Command::new("umount").arg("--lazy").arg(&self.0)) {
            eprintln!("{why}");
        }
    }
}

/// Runs a program of the system to its end.
fn run(command: &mut Command) -> Result<Output, String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(output),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

fn ext(kind: &str, image: &Path, mib: u64) -> Result<(), String> {
    let file = std::fs::File::create(image).map_err(|error| error.to_string())?;
    file.set_len(mib << 20).map_err(|error| error.to_string())?;
    let program = format!("mkfs.{kind}");
    run(Command::new(program).args(["-q", "-m", "0"]).arg(image)).map(drop)
}

/// Fills a file system to its last byte.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).expect("a file");
    for piece in [vec![0; 64 << 10], vec![0; 512]] {
        while file.write_all(&piece).is_ok() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_on_a_full_disk_says_so_reads_on_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let point = folder.path().join("small");
    let tmpfs = ["-t", "tmpfs", "-o", "size=6m", "tmpfs"];
    let Some(disk) = Mount::new("kernel:mount", &tmpfs, &point) else {
        return;
    };
    let filler = disk.0.join("filler");
    let place = Place::with_home(folder, disk.home());
    let mut load = Load::default();
    tokio::task::block_in_place(|| {
        fails_and_recovers(
            &place,
            &mut load,
            "free space",
            || fill(&filler),
            || {
                std::fs::remove_file(&filler).expect("there is room again");
            },
        );
    });
    let found = load.check(&place).await;
    println!("full disk: {found}");
    drop(place);
    drop(disk);
}

/// The disk's own storage is a sparse file on a tmpfs that is full: what the file system takes fails when it is flushed.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_whose_disk_fails_to_flush_says_so_and_goes_on_when_it_works_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let under = folder.path().join("under");
    let tmpfs = ["-t", "tmpfs", "-o", "size=12m", "tmpfs"];
    let Some(storage) = Mount::new("kernel:mount", &tmpfs, &under) else {
        return;
    };
    let image = storage.0.join("image");
    if let Err(why) = ext("ext2", &image, 64) {
        return titan_testkit::skip("program:mkfs.ext2", why);
    }
    let point = folder.path().join("disk");
    let image = image.to_string_lossy().into_owned();
    let options = ["-o", "loop,errors=continue", &image];
    let Some(disk) = Mount::new("kernel:loop", &options, &point) else {
        return;
    };
    let filler = storage.0.join("filler");
    let place = Place::with_home(folder, disk.home());
    let mut load = Load::default();
    tokio::task::block_in_place(|| {
        fails_and_recovers(
            &place,
            &mut load,
            "disk",
            || fill(&filler),
            || {
                std::fs::remove_file(&filler).expect("the disk works again");
            },
        );
    });
    let found = load.check(&place).await;
    println!("failing flush: {found}");
    drop(place);
    drop(disk);
    drop(storage);
}

/// Works, breaks the disk, sees clear refusals and reads, mends it, and sees the same engine go on.
fn fails_and_recovers(
    place: &Place,
    load: &mut Load,
    told: &str,
    break_it: impl FnOnce(),
    mend_it: impl FnOnce(),
) {
    const REFUSALS_MAX: usize = 200;
    let (engine, ..) = place.start();
    let say = |load: &mut Load| load.say(engine.socket(), &place.work);
    for _ in 0..5 {
        assert!(say(load).expect("accepted").contains("completed"));
    }
    break_it();
    // What is left in half-filled pages may take a few more.
    let refused = (0..REFUSALS_MAX).find_map(|_| say(load).err());
    let refused = refused.expect("a disk without room refuses in the end");
    assert!(refused.contains(told), "{refused}");
    let (is_read, sessions) = place.run(&["sessions", "list"]);
    assert!(is_read && sessions.lines().count() > 5, "{sessions}");
    mend_it();
    for _ in 0..3 {
        assert!(say(load).expect("accepted again").contains("completed"));
    }
    let mended = Instant::now();
    let mut status = engine.status().expect("the engine answers");
    // How the turns ended whose end could not be stored is stored by and by.
    while status.turns_running > 0 && mended.elapsed() < Duration::from_secs(5) {
        status = engine.status().expect("the engine answers");
    }
    assert_eq!(
        i64::from(status.pid),
        i64::from(engine.pid().as_raw_nonzero().get())
    );
    assert_eq!(status.turns_running, 0);
    let (_, logs) = place.run(&["logs", "-n", "100000"]);
    assert!(!logs.contains("panic"), "{logs}");
    engine.kill();
    let (engine, ready, _) = place.start();
    assert!(ready < READY_MAX, "ready after {ready:?}");
    engine.kill();
}

/// The engine is stopped, the disk's storage is copied as it is, and the next engine runs on the copy. The copy has what
/// the file system had written and nothing of what waited in memory. What a disk loses from a cache of its own, though
/// it was flushed, is not played.
#[tokio::test(flavor = "multi_thread")]
async fn power_cuts_lose_nothing_acknowledged() {
    let n_cuts = count(CUTS_VARIABLE, CUTS);
    let folder = tempfile::tempdir().expect("a folder");
    let image = |n: usize| folder.path().join(format!("disk-{n}"));
    if let Err(why) = ext("ext4", &image(0), 64) {
        return titan_testkit::skip("program:mkfs.ext4", why);
    }
    let point = folder.path().join("disk");
    let mount = |n: usize| {
        let image = image(n).to_string_lossy().into_owned();
        Mount::new("kernel:loop", &["-o", "loop", &image], &point)
    };
    let Some(mut disk) = mount(0) else {
        return;
    };
    let other = tempfile::tempdir().expect("a folder");
    let place = Place::with_home(other, disk.home());
    let mut load = Load::default();
    let mut random = Random::seeded();
    let mut slowest = Duration::ZERO;
    tokio::task::block_in_place(|| {
        run(&mut Command::new("sync")).expect("the config is on the disk");
        for n in 1..=n_cuts {
            let (engine, ready, _) = place.start();
            slowest = slowest.max(ready);
            let clients = load.begin(engine.socket(), &place.work);
            random.wait(WORK_MAX_MS);
            let stopped =
                rustix::process::kill_process(engine.pid(), rustix::process::Signal::STOP);
            stopped.expect("the engine is there");
            let copied = run(Command::new("cp")
                .arg("--sparse=always")
                .args([image(n - 1), image(n)]));
            copied.expect("the disk is copied");
            engine.kill();
            load.end(clients);
            disk.take_off();
            std::mem::forget(std::mem::replace(
                &mut disk,
                mount(n).expect("the copy is mounted"),
            ));
            std::fs::remove_file(image(n - 1)).expect("the old disk is thrown away");
        }
        let (engine, ready, _) = place.start();
        slowest = slowest.max(ready);
        engine.kill();
    });
    let found = load.check(&place).await;
    println!(
        "{n_cuts} power cuts (seed {}): {found}; ready after {} ms at most",
        random.seed,
        slowest.as_millis()
    );
    assert!(slowest < READY_MAX, "an engine was ready after {slowest:?}");
    assert!(
        found.acknowledged > n_cuts / 2,
        "too little happened: {found:?}"
    );
}
