//! The shipped binary in a home of its own: as a command, or as a running daemon.

use crate::control;
use anyhow::{Context, Result, bail};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use titan_protocol::{Op, SessionId, TurnId, TurnOptions};
use titan_testkit::server::{ScriptServer, Wire};

/// A daemon that is not there after this long will not come.
const READY_WAIT_MAX: Duration = Duration::from_secs(30);
/// How often a waiting driver looks again; the error that it adds to a measured wait.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// Who answers in a home.
#[derive(Clone, Copy)]
pub(crate) enum Answers<'a> {
    /// A script behind OpenAI's wire.
    Script(&'a ScriptServer),
    /// The model inside the binary, its file from the person's own cache.
    LocalModel,
    /// Whoever stands in the home's configuration.
    Configured,
    /// Nobody is asked.
    Nobody,
}

/// A home that holds nothing but what the binary puts there, and that knows one model: the script.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    /// A fresh home with a workspace of one small file.
    pub(crate) fn fresh() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("workspace"))?;
        std::fs::write(folder.path().join("workspace/note.txt"), "a small file\n")?;
        Ok(Self { folder })
    }

    /// Writes a configuration by which this server answers over its wire, and programs run unasked.
    pub(crate) fn configure(&self, server: &ScriptServer, wire: Wire) -> Result<()> {
        let (kind, path) = match wire {
            Wire::Anthropic => ("anthropic", ""),
            Wire::Chat => ("compatible", "/v1"),
            Wire::Responses => ("responses", "/v1"),
            Wire::Ollama => ("ollama", ""),
        };
        let url = server.base_url();
        let config = format!(
            "[models]\nchat = \"script/scripted\"\n\n[policy]\nrun = \"allow\"\n\n[[providers]]\nname = \"script\"\n\
             kind = \"{kind}\"\nbase_url = \"{url}{path}\"\nmodel = \"scripted\"\ncontext_tokens = 200000\n"
        );
        let home = self.folder.path().join("home");
        std::fs::create_dir_all(&home)?;
        std::fs::set_permissions(&home, PermissionsExt::from_mode(0o700))?;
        let file = home.join("config.toml");
        std::fs::write(&file, config)?;
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600))?;
        Ok(())
    }

    /// Adds a gateway at this port, whose turns work where others do, to the configuration.
    pub(crate) fn add_gateway(&self, port: u16) -> Result<()> {
        let workspace = self.workspace();
        self.add(&format!(
            "\n[gateway]\nport = {port}\nworkspace = {workspace:?}\n"
        ))
    }

    /// Adds a section to the configuration.
    pub(crate) fn add(&self, section: &str) -> Result<()> {
        let file = self.folder.path().join("home/config.toml");
        let config = std::fs::read_to_string(&file)?;
        Ok(std::fs::write(&file, config + section)?)
    }

    /// Where turns work.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("home/control.sock")
    }

    /// The binary with this home, and nothing of the person's own surroundings.
    pub(crate) fn command(&self, binary: &Path, answers: Answers<'_>) -> Command {
        let mut command = Command::new(binary);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("TITANCLAW_HOME", self.folder.path().join("home"))
            .env("TITANCLAW_OFFLINE", "1")
            .current_dir(self.workspace());
        match answers {
            Answers::Script(server) => {
                command
                    .env("OPENAI_API_KEY", "scripted")
                    .env("OPENAI_BASE_URL", format!("{}/v1", server.base_url()))
                    .env("TITANCLAW_MODEL", "compatible/scripted");
            }
            Answers::LocalModel => {
                let model = std::env::var_os("TITAN_BENCH_MODEL");
                command
                    .env("XDG_CACHE_HOME", cache_home())
                    .env("TITANCLAW_MODEL", model.unwrap_or_else(|| "local".into()));
            }
            Answers::Configured | Answers::Nobody => {}
        }
        command
    }
}

/// The person's own cache, where models are.
fn cache_home() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").unwrap_or_default();
    cache.unwrap_or_else(|| Path::new(&home).join(".cache"))
}

/// A running daemon. Ended when dropped.
pub(crate) struct Daemon {
    process: std::process::Child,
    home: Home,
    /// The process that owns the home.
    pub(crate) pid: u32,
    /// When it was started.
    pub(crate) started: Instant,
    /// From then until it answered.
    pub(crate) ready_after: Duration,
}

impl Daemon {
    /// Starts one and waits until it answers.
    pub(crate) async fn start(binary: &Path, home: Home, answers: Answers<'_>) -> Result<Self> {
        // A file, since a pipe that nobody reads would hold up a daemon that has much to say.
        let words = home.folder.path().join("daemon.err");
        let mut command = home.command(binary, answers);
        command
            .args(["daemon", "run"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&words)?);
        let started = Instant::now();
        let mut process = command.spawn().context("starting the daemon")?;
        let status = loop {
            if let Ok(status) = control::status(&home.socket()).await {
                break status;
            }
            if process.try_wait()?.is_some() {
                let said = std::fs::read_to_string(&words)?;
                bail!("the daemon ended at once: {said}");
            }
            if started.elapsed() > READY_WAIT_MAX {
                let _ = process.kill();
                bail!(
                    "the daemon was not ready after {} s",
                    READY_WAIT_MAX.as_secs()
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        Ok(Self {
            ready_after: started.elapsed(),
            started,
            pid: status.pid,
            process,
            home,
        })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home.socket()
    }

    /// Its home.
    pub(crate) fn home(&self) -> PathBuf {
        self.home.folder.path().join("home")
    }

    /// Puts a program into the workspace.
    pub(crate) fn put_program(&self, name: &str, content: &str) -> Result<()> {
        let path = self.home.workspace().join(name);
        std::fs::write(&path, content)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
        Ok(())
    }

    /// A first turn of a new session.
    pub(crate) fn turn(&self, text: &str) -> (TurnId, Op) {
        let turn = TurnId::new();
        let op = Op::UserTurn {
            session: SessionId::new(),
            turn,
            text: text.to_owned(),
            images: Vec::new(),
            options: TurnOptions {
                workspace: Some(self.home.workspace()),
                ..TurnOptions::default()
            },
        };
        (turn, op)
    }

    /// Ends it in an orderly way and gives the home back.
    pub(crate) async fn stop(mut self) -> Result<Home> {
        control::stop(&self.socket()).await?;
        let asked = Instant::now();
        while self.process.try_wait()?.is_none() {
            if asked.elapsed() > READY_WAIT_MAX {
                bail!("the daemon did not end");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let home = Home::fresh()?;
        Ok(std::mem::replace(&mut self.home, home))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
