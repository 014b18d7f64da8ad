//! The built program, run as a person or a script would, each time in a home of its own.

mod ask;
mod attacks;
mod code;
mod daemon;
mod history;
mod leave;
mod manners;
mod memory;
mod presence;
mod store;
mod terminal;
mod tools;
mod undo;
mod web;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use titan_testkit::server::ScriptServer;

/// A home, a workspace, and nothing of the machine's own environment.
struct Place {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug, PartialEq)]
struct Done {
    exit: Option<i32>,
    out: String,
    err: String,
}

/// A place whose config names the server as the provider `scripted`.
fn place_with(server: &ScriptServer) -> Place {
    let place = Place::new();
    let config = format!(
        "[models]\nchat = \"scripted/m\"\n[[providers]]\nname = \"scripted\"\nkind = \"compatible\"\nbase_url = \"{}/v1\"\n",
        server.base_url()
    );
    place.write("home/config.toml", &config);
    place
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        std::fs::create_dir(folder.path().join("work")).expect("a workspace");
        Self {
            folder,
            variables: Vec::new(),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn workspace(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_titanclaw"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("TITANCLAW_HOME", self.home())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.workspace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Done {
        done(
            self.command(arguments)
                .output()
                .expect("the program starts"),
        )
    }

    /// What a command that fails says, one line.
    fn fails(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!((done.exit, done.out.as_str()), (Some(1), ""), "{done:?}");
        assert_eq!(done.err.lines().count(), 1, "{done:?}");
        done.err
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Done {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin
            .write_all(input.as_bytes())
            .expect("the input is read");
        drop(stdin);
        done(child.wait_with_output().expect("the program ends"))
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        close_home(&self.home());
        std::fs::write(path, text).expect("the file");
    }
}

fn close_home(home: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if home.exists() {
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(home, mode).expect("the home's mode");
    }
}

fn done(output: std::process::Output) -> Done {
    Done {
        exit: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}
