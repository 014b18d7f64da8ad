//! A home with a daemon, and its control socket as a client sees it.

use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use titan_protocol::{EngineStatus, Op};
use titan_testkit::server::{Reply, Request, Script, ScriptServer, Wire};

/// How soon an engine must answer, whatever happened before.
pub(crate) const READY_MAX: Duration = Duration::from_secs(2);
/// How long it is waited for before the test gives up.
const WAIT_MAX: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// Folders for a home and a workspace, and the model that answers there.
pub(crate) struct Place {
    _folder: tempfile::TempDir,
    pub(crate) home: PathBuf,
    pub(crate) work: PathBuf,
    _server: ScriptServer,
}

impl Place {
    /// A place whose model has the shell append what the person says to `lines`, and then says that it is done.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let home = folder.path().join("home");
        Self::with_home(folder, home)
    }

    /// The same with the home elsewhere.
    pub(crate) fn with_home(folder: tempfile::TempDir, home: PathBuf) -> Self {
        Self::with_script(folder, home, Script::choose(answer))
    }

    /// A place whose model answers by this script.
    pub(crate) fn answering(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let home = folder.path().join("home");
        Self::with_script(folder, home, Script::choose(answer))
    }

    fn with_script(folder: tempfile::TempDir, home: PathBuf, script: Script) -> Self {
        let server = ScriptServer::start(Wire::Chat, script).expect("a server");
        let work = folder.path().join("work");
        std::fs::create_dir(&work).expect("a workspace");
        let mut private = std::fs::DirBuilder::new();
        private.mode(0o700).create(&home).expect("a home");
        let config = format!(
            "[models]\nchat = \"scripted/m\"\n[policy]\nrun = \"allow\"\nwrite = \"allow\"\n\
             [[providers]]\nname = \"scripted\"\nkind = \"compatible\"\nbase_url = \"{}/v1\"\n",
            server.base_url()
        );
        std::fs::write(home.join("config.toml"), config).expect("the config");
        Self {
            _folder: folder,
            home,
            work,
            _server: server,
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_titanclaw"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.work)
            .env("TITANCLAW_HOME", &self.home)
            .current_dir(&self.work)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end: whether it succeeded, and all that it said.
    pub(crate) fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output = self
            .command(arguments)
            .output()
            .expect("the program starts");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).expect("text");
        (output.status.success(), said)
    }

    /// Starts an engine without waiting for it.
    pub(crate) fn spawn(&self) -> Engine {
        let started = Instant::now();
        let child = self
            .command(&["daemon", "run"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        Engine {
            child,
            socket: self.home.join("control.sock"),
            started,
        }
    }

    /// Starts an engine; gives also how long it took until it answered, and its first status.
    pub(crate) fn start(&self) -> (Engine, Duration, EngineStatus) {
        let mut engine = self.spawn();
        loop {
            if let Ok(status) = engine.status() {
                // A socket that the killed engine left answers nobody.
                let elapsed = engine.started.elapsed();
                assert_eq!(status.pid, engine.child.id());
                return (engine, elapsed, status);
            }
            if let Some(status) = engine.child.try_wait().expect("a child") {
                let mut said = String::new();
                let words = engine.child.stderr.take().expect("a pipe");
                let mut words = BufReader::new(words);
                words.read_to_string(&mut said).expect("text");
                panic!("the engine ended at once: {status}: {said}");
            }
            assert!(
                engine.started.elapsed() < WAIT_MAX,
                "the engine never answered"
            );
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

/// What the model says: the shell call for what the person said last, then a word.
fn answer(request: &Request) -> Reply {
    let said = request.last_user_text();
    // What was said before an engine stopped stands before it in the same message.
    let after = said.rsplit_once("append ");
    let Some(name) = after.and_then(|(_, after)| after.split_whitespace().next()) else {
        return Reply::text("Well.");
    };
    let is_done = request
        .tool_results()
        .iter()
        .any(|result| result.contains(name));
    match is_done || request.tool_names().is_empty() {
        true => Reply::text("It is appended."),
        false => Reply::call(
            "shell",
            &json!({ "script": format!("echo {name} | tee -a lines") }).to_string(),
        ),
    }
}

/// A daemon that is killed with the test, however that ends.
pub(crate) struct Engine {
    child: Child,
    socket: PathBuf,
    started: Instant,
}

impl Engine {
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn status(&self) -> io::Result<EngineStatus> {
        let reply = ask(&self.socket, &json!("status"))?;
        serde_json::from_value(reply["status"].clone()).map_err(io::Error::other)
    }

    /// Ends it as nothing can prepare for.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // One that has ended already can't be killed; that is for the test to notice.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end();
    }
}

/// Hands in a command. `Ok(Ok)` is an acknowledgement, `Ok(Err)` a refusal with its text.
pub(crate) fn submit(socket: &Path, op: &Op) -> io::Result<Result<(), String>> {
    let reply = ask(socket, &json!({ "submit": op }))?;
    Ok(match reply == json!("done") {
        true => Ok(()),
        false => Err(reply.to_string()),
    })
}

/// Follows a session until a record of this turn has the event.
pub(crate) fn wait_for(socket: &Path, op: &Op, event: &str) -> io::Result<Value> {
    let Op::UserTurn { session, turn, .. } = op else {
        panic!("only turns are waited for");
    };
    let question = json!({ "follow": { "session": session, "after": 0 } });
    for line in BufReader::new(connect(socket, &question)?).lines() {
        let mut reply: Value = serde_json::from_str(&line?).map_err(io::Error::other)?;
        let record = reply["record"].take();
        if record["turn"] == json!(turn) && record["event"]["event"] == event {
            return Ok(record["event"].clone());
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn ask(socket: &Path, question: &Value) -> io::Result<Value> {
    let mut line = String::new();
    let n_read = BufReader::new(connect(socket, question)?).read_line(&mut line)?;
    match n_read {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => serde_json::from_str(&line).map_err(io::Error::other),
    }
}

fn connect(socket: &Path, question: &Value) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    let request = json!({ "version": env!("CARGO_PKG_VERSION"), "ask": question });
    stream.set_read_timeout(Some(WAIT_MAX))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    Ok(stream)
}
