//! The clean environment that programs get, and where programs are found.
//!
//! It is an allow-list: what is not named here stays with the engine, above all its keys. Variables that change what
//! another program loads or runs come neither from a model nor from the workspace.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};
use titan_protocol::WorkbenchError;

/// Variables that are passed on as they are.
const PASSED: [&str; 24] = [
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "COLORTERM",
    "GOPATH",
    "HOME",
    "JAVA_HOME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "NO_COLOR",
    "NVM_DIR",
    "PYENV_ROOT",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
];

/// Variables that are passed on unless a password stands in them.
const PROXIES: [&str; 8] = [
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Variables that are set whatever the engine has: no colours, no pagers, no questions on a terminal.
const FIXED: [(&str, &str); 4] = [
    ("TERM", "dumb"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
];

/// Names that no caller may set, for they change which code a program loads or runs.
const REFUSED: [&str; 22] = [
    "BASHOPTS",
    "BASH_ENV",
    "CDPATH",
    "CLASSPATH",
    "EDITOR",
    "ENV",
    "GCONV_PATH",
    "GLOBIGNORE",
    "HOME",
    "HOSTALIASES",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "LESSOPEN",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PAGER",
    "PATH",
    "PROMPT_COMMAND",
    "PS4",
    "SHELLOPTS",
    "VISUAL",
    "ZDOTDIR",
];

/// Beginnings of names that no caller may set, for the same reason.
const REFUSED_PREFIXES: [&str; 13] = [
    "BASH_FUNC_",
    "CARGO_",
    "DYLD_",
    "GIT_",
    "LD_",
    "MALLOC_",
    "NPM_CONFIG_",
    "PERL",
    "PYTHON",
    "RUBY",
    "RUST",
    "TITAN",
    "npm_config_",
];

/// Where programs are looked for when the engine has no `PATH`.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// Folders whose links are followed once in a process.
const FOLLOWED_MAX: usize = 512;

/// The clean set, made once.
#[derive(Debug)]
pub(super) struct Environment {
    variables: BTreeMap<String, String>,
    folders: Vec<PathBuf>,
    /// Whether no caller but the engine itself sets variables.
    is_closed: bool,
}

impl Environment {
    /// Takes what is harmless from the engine's own environment. Folders of `PATH` below one of `barred` are left
    /// out: a program in the workspace must not stand in for the system's.
    pub(super) fn from_engine(engine: &BTreeMap<String, String>, barred: &[&Path]) -> Self {
        let mut variables: BTreeMap<String, String> = engine
            .iter()
            .filter(|(name, value)| is_passed(name, value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for (name, value) in FIXED {
            variables.insert(name.to_owned(), value.to_owned());
        }
        let path = engine.get("PATH").map_or(PATH_DEFAULT, String::as_str);
        let folders = clean_path(path, barred);
        let shown: Vec<&str> = folders
            .iter()
            .filter_map(|folder| folder.to_str())
            .collect();
        variables.insert("PATH".to_owned(), shown.join(":"));
        Self {
            variables,
            folders,
            is_closed: false,
        }
    }

    /// Nothing at all. What a program gets besides, the engine itself says, for no model starts one here.
    pub(super) fn closed() -> Self {
        Self {
            variables: BTreeMap::new(),
            folders: Vec::new(),
            is_closed: true,
        }
    }

    /// The clean set with a command's own variables on top.
    ///
    /// # Errors
    /// `Denied` for a variable that would change which code a program runs.
    pub(super) fn with(
        &self,
        added: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, WorkbenchError> {
        let mut all = self.variables.clone();
        for (name, value) in added {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(WorkbenchError::Failed(format!(
                    "{name:?} is not the name of a variable, or its value holds NUL"
                )));
            }
            if is_refused(name) && !self.is_closed {
                return Err(WorkbenchError::Denied(format!(
                    "the variable {name} may not be set: it changes which code a program runs"
                )));
            }
            all.insert(name.clone(), value.clone());
        }
        Ok(all)
    }

    /// The value that a variable has for all programs.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    /// The folders of the clean `PATH`.
    pub(super) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Where a program would be found: by its path, seen from `directory`, or on the clean `PATH`.
    pub(super) fn which(&self, program: &str, directory: &Path) -> Option<PathBuf> {
        if program.is_empty() || program.contains('\0') {
            return None;
        }
        if program.contains('/') {
            let path = directory.join(program);
            return is_executable(&path).then_some(path);
        }
        let mut candidates = self.folders.iter().map(|folder| folder.join(program));
        candidates.find(|path| is_executable(path))
    }
}

fn is_passed(name: &str, value: &str) -> bool {
    let is_plain = PASSED.contains(&name) || name.starts_with("LC_");
    is_plain || (PROXIES.contains(&name) && !value.contains('@'))
}

fn is_refused(name: &str) -> bool {
    REFUSED.contains(&name)
        || REFUSED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

fn clean_path(path: &str, barred: &[&Path]) -> Vec<PathBuf> {
    let is_clean = |folder: &PathBuf| {
        // A link into the workspace is as bad as a folder in it.
        let real = real(folder);
        let is_barred = |real: &Path| barred.iter().any(|barred| real.starts_with(barred));
        folder.is_absolute() && !is_barred(folder) && !is_barred(&real)
    };
    std::env::split_paths(path).filter(is_clean).collect()
}

/// A folder with its links followed. The folders of `PATH` are the same for each workspace that an engine opens, so they
/// are followed once; a program can't turn one into a link afterwards, since those in a workspace don't count.
fn real(folder: &Path) -> PathBuf {
    static KNOWN: LazyLock<Mutex<BTreeMap<PathBuf, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().expect("nothing panics while it is held");
    if let Some(real) = known.get(folder) {
        return real.clone();
    }
    match std::fs::canonicalize(folder) {
        Ok(real) if known.len() < FOLLOWED_MAX => {
            known.insert(folder.to_owned(), real.clone());
            real
        }
        Ok(real) => real,
        // It may come.
        Err(_absent) => folder.to_owned(),
    }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    }

    #[test]
    fn x9_only_the_allow_list_reaches_programs() {
        let engine = engine(&[
            ("ANTHROPIC_API_KEY", "k"),
            ("OPENAI_API_KEY", "k"),
            ("LD_PRELOAD", "/x.so"),
            ("BASH_ENV", "/x"),
            ("AWS_SECRET_ACCESS_KEY", "k"),
            ("SSH_AUTH_SOCK", "/s"),
            ("HTTPS_PROXY", "http://user:word@proxy:3128"),
            ("NO_PROXY", "localhost"),
            ("HOME", "/home/p"),
            ("LC_ALL", "C"),
            ("TERM", "xterm-256color"),
            ("PATH", "/w/bin:relative::/usr/bin:/home/p/.titan/bin"),
        ]);
        let barred = [Path::new("/w"), Path::new("/home/p/.titan")];
        let clean = Environment::from_engine(&engine, &barred);
        let shown: Vec<String> = clean
            .variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            shown,
            [
                "GIT_PAGER=cat",
                "GIT_TERMINAL_PROMPT=0",
                "HOME=/home/p",
                "LC_ALL=C",
                "NO_PROXY=localhost",
                "PAGER=cat",
                "PATH=/usr/bin",
                "TERM=dumb",
            ]
        );
    }

    #[test]
    fn x9_a_command_can_not_set_what_changes_the_code_that_runs() {
        let clean = Environment::from_engine(&BTreeMap::new(), &[]);
        for name in [
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "DYLD_INSERT_LIBRARIES",
            "NODE_OPTIONS",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "PERL5OPT",
            "RUBYOPT",
            "GIT_SSH_COMMAND",
            "GIT_CONFIG_COUNT",
            "BASH_ENV",
            "BASH_FUNC_ls%%",
            "ENV",
            "IFS",
            "PATH",
            "RUSTC_WRAPPER",
            "CARGO_BUILD_RUSTC",
            "TITAN_PROCESS",
        ] {
            let added = engine(&[(name, "x")]);
            let refused = clean.with(&added);
            assert!(matches!(refused, Err(WorkbenchError::Denied(_))), "{name}");
        }
        assert!(clean.with(&engine(&[("GREETING", "hello")])).is_ok());
        assert!(clean.with(&engine(&[("A=B", "x")])).is_err());
    }
}
