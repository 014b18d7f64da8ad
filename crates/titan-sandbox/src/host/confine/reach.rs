//! Which files a program may reach without asking: the system's, the toolchains', never anybody's secrets.

use super::super::path;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The system's own folders and files. What is not there is left out.
const SYSTEM: [&str; 23] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix",
    "/gnu",
    "/snap",
    "/sys",
    "/proc",
    "/var/lib/dpkg",
    "/var/lib/alternatives",
    "/var/cache/fontconfig",
    "/run/current-system",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/etc/resolv.conf",
    "/home/linuxbrew",
    "/selinux",
];

/// Devices that hold nothing of anybody's.
pub(super) const DEVICES: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/shm",
];

/// Toolchains, their caches and their harmless settings, in the person's home.
const TOOLS: [&str; 36] = [
    ".asdf",
    ".bun",
    ".cache/go-build",
    ".cache/node",
    ".cache/pip",
    ".cache/pnpm",
    ".cache/pre-commit",
    ".cache/uv",
    ".cache/yarn",
    ".cargo",
    ".config/git/attributes",
    ".config/git/config",
    ".config/git/ignore",
    ".deno",
    ".gem",
    ".gitconfig",
    ".gitignore",
    ".gitignore_global",
    ".gradle/caches",
    ".gradle/wrapper",
    ".local/bin",
    ".local/lib",
    ".local/share/mise",
    ".local/share/pnpm",
    ".local/share/uv",
    ".m2/repository",
    ".npm",
    ".nvm",
    ".pyenv",
    ".rbenv",
    ".rustup",
    ".sdkman",
    ".volta",
    ".yarn",
    "go",
    "bin",
];

/// Variables of the engine that name toolchains elsewhere.
const TOOL_VARIABLES: [&str; 8] = [
    "CARGO_HOME",
    "GOPATH",
    "JAVA_HOME",
    "NVM_DIR",
    "PYENV_ROOT",
    "RUSTUP_HOME",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

/// Keys, tokens and private lives in a home.
const SECRETS: [&str; 42] = [
    ".aws",
    ".azure",
    ".bash_history",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".config/BraveSoftware",
    ".config/chromium",
    ".config/doctl",
    ".config/gcloud",
    ".config/gh",
    ".config/git/credentials",
    ".config/google-chrome",
    ".config/hub",
    ".config/microsoft-edge",
    ".config/op",
    ".config/rclone",
    ".config/sops",
    ".docker",
    ".gem/credentials",
    ".git-credentials",
    ".gnupg",
    ".gradle/gradle.properties",
    ".kube",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".m2/settings.xml",
    ".mozilla",
    ".my.cnf",
    ".netrc",
    ".npmrc",
    ".password-store",
    ".pgpass",
    ".pki",
    ".pypirc",
    ".python_history",
    ".ssh",
    ".terraform.d",
    ".thunderbird",
    ".vault-token",
    ".yarnrc.yml",
    ".zsh_history",
    "snap",
];

/// Secrets of the system, which matter where the engine runs as root.
const SYSTEM_SECRETS: [&str; 12] = [
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssl/private",
    "/etc/ssh",
    "/etc/wireguard",
    "/etc/NetworkManager",
    "/etc/kubernetes",
    "/etc/docker",
];

/// Where homes are.
const HOMES: [&str; 2] = ["/home", "/root"];

/// The files within a program's reach, links resolved, everything there.
#[derive(Debug)]
pub(super) struct Reach {
    /// May be read and run.
    pub(super) readable: Vec<PathBuf>,
    /// Stays unreadable even inside of what may be read, unless a person names it.
    pub(super) secret: Vec<PathBuf>,
    /// Stays unreadable whatever anybody says: the engine's own state.
    pub(super) barred: Option<PathBuf>,
}

impl Reach {
    /// Looks once which of the places there are.
    pub(super) fn look(
        environment: &BTreeMap<String, String>,
        program_folders: &[PathBuf],
        engine_home: &Path,
    ) -> Self {
        let home = environment.get("HOME").map(PathBuf::from);
        let tools = home
            .iter()
            .flat_map(|home| TOOLS.map(|name| home.join(name)));
        let named = TOOL_VARIABLES
            .iter()
            .filter_map(|name| environment.get(*name))
            .map(PathBuf::from);
        let wanted = SYSTEM
            .iter()
            .map(PathBuf::from)
            .chain(tools)
            .chain(named)
            .chain(program_folders.iter().cloned());
        Self {
            readable: existing(wanted)
                .filter(|path| !is_too_wide(path, home.as_deref()))
                .collect(),
            secret: existing(secrets(home.as_deref())).collect(),
            barred: Some(engine_home.to_owned()),
        }
    }

    /// These places and nothing else.
    pub(super) fn only(readable: &[PathBuf]) -> Self {
        Self {
            readable: existing(readable.iter().cloned()).collect(),
            secret: Vec::new(),
            barred: None,
        }
    }
}

impl Reach {
    /// Whether a path may be read without anybody's leave.
    pub(super) fn opens(&self, path: &Path) -> bool {
        let Ok(path) = path::follow(path) else {
            return false;
        };
        let is_in = |places: &[PathBuf]| places.iter().any(|place| path.starts_with(place));
        is_in(&self.readable)
            && !is_in(&self.secret)
            && !self.barred.iter().any(|barred| path.starts_with(barred))
    }
}

/// Where keys, tokens and private lives are: in this home, in the system, and in the homes of everybody else. The home's
/// own links are followed, so that what is below a resolved folder is named as there.
pub(in crate::host) fn secrets(home: Option<&Path>) -> impl Iterator<Item = PathBuf> {
    let own = home.map(|home| path::follow(home).unwrap_or_else(|_| home.to_owned()));
    let in_home = own
        .into_iter()
        .flat_map(|home| SECRETS.map(|name| home.join(name)));
    let system = SYSTEM_SECRETS.map(PathBuf::from).into_iter();
    system.chain(in_home).chain(other_homes(home))
}

fn existing(paths: impl Iterator<Item = PathBuf>) -> impl Iterator<Item = PathBuf> {
    let followed = paths.filter_map(|path| path::follow(&path).ok());
    let mut seen = std::collections::BTreeSet::new();
    followed.filter(move |path| path.exists() && seen.insert(path.clone()))
}

/// A `PATH` or a variable that names the root or a whole home opens nothing.
fn is_too_wide(path: &Path, home: Option<&Path>) -> bool {
    let is_home = |of: &Path| of == path || of.starts_with(path);
    HOMES.iter().map(Path::new).chain(home).any(is_home)
}

/// The homes of everybody else.
fn other_homes(own: Option<&Path>) -> Vec<PathBuf> {
    let in_home = std::fs::read_dir("/home").into_iter().flatten().flatten();
    let homes = in_home
        .map(|entry| entry.path())
        .chain([PathBuf::from("/root")]);
    homes
        .filter(|home| own.is_none_or(|own| !own.starts_with(home)))
        .filter(|home| home.file_name().is_none_or(|name| name != "linuxbrew"))
        .collect()
}

/// What is left of a folder without some paths in it: itself, or its entries down to where those lie.
///
/// Where mounts can't cover what is hidden, only what is there now can be allowed; what comes later stays closed.
pub(super) fn without(folder: &Path, hidden: &[&Path]) -> Vec<PathBuf> {
    if hidden.iter().any(|hidden| folder.starts_with(hidden)) {
        return Vec::new();
    }
    if !hidden.iter().any(|hidden| hidden.starts_with(folder)) {
        return vec![folder.to_owned()];
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
        .flat_map(|entry| without(&entry.path(), hidden))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_cut_out_and_the_rest_stays() {
        let folder = tempfile::TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["a", "b/c", "b/secret/x"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        let secret = root.join("b/secret");
        let mut left = without(&root, &[&secret]);
        left.sort();
        assert_eq!(left, [root.join("a"), root.join("b/c")]);
        assert_eq!(without(&root.join("a"), &[&secret]), [root.join("a")]);
        assert!(without(&secret.join("x"), &[&secret]).is_empty());
    }

    #[test]
    fn a_variable_opens_no_home() {
        let folder = tempfile::TempDir::new().unwrap();
        let home = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(home.join(".cargo")).unwrap();
        std::fs::create_dir_all(home.join(".ssh")).unwrap();
        let shown = home.display().to_string();
        let environment = BTreeMap::from([
            ("HOME".to_owned(), shown.clone()),
            ("GOPATH".to_owned(), shown),
            ("JAVA_HOME".to_owned(), "/".to_owned()),
        ]);
        let reach = Reach::look(&environment, &[], Path::new("/nowhere"));
        assert!(reach.readable.contains(&home.join(".cargo")));
        assert!(reach.secret.contains(&home.join(".ssh")));
        for wide in [home.as_path(), Path::new("/")] {
            assert!(!reach.readable.iter().any(|path| path == wide));
        }
    }
}
