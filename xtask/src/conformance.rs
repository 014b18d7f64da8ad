//! What others wrote to test such programs, against the gateway of the real one: OpenAI's own client, schemathesis, and
//! the cases of Autobahn's WebSocket suite. `docs/conformance.md` says what is run and what it came to.

use crate::{cargo, machine};
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Fixed, so that a failure is ours.
const PACKAGES: &[&str] = &["openai==3.57.0", "schemathesis==4.32.5"];
const SUITES: &[&str] = &["client", "schema", "websocket"];
const READY_WAIT_MAX: Duration = Duration::from_secs(60);
/// These two answer without an end, or with no HTTP.
const ENDLESS: &[&str] = &["/api/events", "/api/ws"];
/// For each operation and phase.
const CASES_MAX: &str = "100";

/// Runs `[SUITE…]`, without names all: a gateway for each, so that none finds what another left.
///
/// # Errors
/// When a suite fails, or can't be run here.
pub(crate) fn run(names: &[String]) -> Result<()> {
    if let Some(odd) = names.iter().find(|name| !SUITES.contains(&name.as_str())) {
        bail!("there is no suite {odd}; there are: {}", SUITES.join(", "));
    }
    cargo::run(cargo::cargo(&["build", "--package", "titanclaw"]))?;
    let python = Python::provide()?;
    let is_wanted = |suite: &&&str| names.is_empty() || names.iter().any(|name| name == **suite);
    let mut failed = Vec::new();
    for suite in SUITES.iter().filter(is_wanted) {
        let place = Place::start(&python)?;
        if let Err(error) = cargo::run(place.suite(&python, suite)) {
            eprintln!("{error:#}");
            failed.push(*suite);
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("these suites failed: {}", failed.join(", ")),
    }
}

fn scripts() -> PathBuf {
    cargo::root().join("xtask/conformance")
}

/// A Python with the packages, kept in the cache.
struct Python {
    programs: PathBuf,
}

impl Python {
    fn provide() -> Result<Self> {
        machine::provide_programs()?;
        let cache = machine::cache_directory().context("HOME is not set")?;
        let folder = cache.join("conformance");
        let programs = folder.join("bin");
        if !programs.join("python").exists() {
            let mut make = Command::new("python3");
            make.args(["-m", "venv"]).arg(&folder);
            cargo::run(make)?;
        }
        let mut install = Command::new(programs.join("python"));
        install.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        install.args(PACKAGES);
        cargo::run(install)?;
        Ok(Self { programs })
    }

    fn command(&self, program: &str) -> Command {
        Command::new(self.programs.join(program))
    }

    fn script(&self, name: &str) -> Command {
        let mut command = self.command("python");
        // Nothing is left beside the sources.
        command.arg("-B").arg(scripts().join(name));
        command
    }
}

/// A program in a home of its own, its gateway open, and a model behind it that is a script. Both end when it is dropped.
struct Place {
    folder: PathBuf,
    address: String,
    token: String,
    model: Child,
    program: Option<Child>,
}

impl Place {
    fn start(python: &Python) -> Result<Self> {
        let folder = cargo::target_directory().join("conformance");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("workspace"))?;
        fs::DirBuilder::new()
            .mode(0o700)
            .create(folder.join("home"))?;
        let mut model = python.script("server.py");
        let mut model = model.stdout(Stdio::piped()).spawn()?;
        let port = first_line(&mut model)?;
        let gateway = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut place = Self {
            folder,
            address: gateway.to_string(),
            token: String::new(),
            model,
            program: None,
        };
        place.write_config(&port, gateway.port())?;
        place.program = Some(place.spawn()?);
        place.wait_until_ready()?;
        let token = place.folder.join("home/gateway.token");
        place.token = fs::read_to_string(token)?.trim().to_owned();
        Ok(place)
    }

    fn write_config(&self, model_port: &str, port: u16) -> Result<()> {
        let workspace = self.folder.join("workspace");
        let config = format!(
            "[models]\nchat = \"script/scripted\"\n\n[[providers]]\nname = \"script\"\nkind = \"compatible\"\n\
             base_url = \"http://127.0.0.1:{model_port}/v1\"\nmodel = \"scripted\"\ncontext_tokens = 200000\n\n\
             [gateway]\nport = {port}\nworkspace = {workspace:?}\n"
        );
        let mut options = fs::OpenOptions::new();
        let mut file = (options.write(true).create_new(true).mode(0o600))
            .open(self.folder.join("home/config.toml"))?;
        Ok(file.write_all(config.as_bytes())?)
    }

    fn spawn(&self) -> Result<Child> {
        let binary = cargo::target_directory().join("debug/titanclaw");
        let log = fs::File::create(self.folder.join("titanclaw.err"))?;
        let mut command = Command::new(&binary);
        command
            .args(["daemon", "run"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.folder)
            .env("TITANCLAW_HOME", self.folder.join("home"))
            .env("TITANCLAW_OFFLINE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let started = command.spawn();
        started.with_context(|| format!("starting {}", binary.display()))
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while !is_ready(&self.address) {
            let has_ended = match &mut self.program {
                Some(program) => program.try_wait()?.is_some(),
                None => true,
            };
            if has_ended || started.elapsed() > READY_WAIT_MAX {
                let said = fs::read_to_string(self.folder.join("titanclaw.err"))?;
                bail!("the gateway did not open: {said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn suite(&self, python: &Python, suite: &str) -> Command {
        let mut command = match suite {
            "schema" => return self.schemathesis(python),
            name => python.script(&format!("{name}.py")),
        };
        command.args([&self.address, &self.token]);
        command
    }

    fn schemathesis(&self, python: &Python) -> Command {
        let mut command = python.command("schemathesis");
        command
            .current_dir(&self.folder)
            .arg("run")
            .arg(format!("http://{}/api/openapi.json", self.address))
            .arg("--header")
            .arg(format!("Authorization: Bearer {}", self.token))
            .args(["--checks", "all", "--seed", "1", "--no-color"])
            .args(["--max-examples", CASES_MAX]);
        for path in ENDLESS {
            command.args(["--exclude-path", path]);
        }
        command
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for child in self.program.iter_mut().chain([&mut self.model]) {
            // Both fail only when it is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn first_line(child: &mut Child) -> Result<String> {
    let output = child.stdout.take().context("it says nothing")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    match line.trim() {
        "" => bail!("the scripted model did not start"),
        port => Ok(port.to_owned()),
    }
}

fn is_ready(address: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET /api/ready HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.split(' ').nth(1) == Some("200"))
}
