//! Which compilers there are, and what each can do. Nothing here is believed: that is for [`super::prepare`] to prove.

use super::{LIBRARIES, Order, TARGET, Toolchain, run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use titan_protocol::Closed;

/// The first version of Rust that knows what tools are written in.
const VERSION_MIN: (u32, u32) = (1, 85);
/// Compilers that are looked at.
const CANDIDATES_MAX: usize = 12;
const ASK_MAX: Duration = Duration::from_secs(20);
/// The linkers of distributions, newest first.
const LINKERS: [&str; 11] = [
    "wasm-ld",
    "rust-lld",
    "wasm-ld-22",
    "wasm-ld-21",
    "wasm-ld-20",
    "wasm-ld-19",
    "wasm-ld-18",
    "wasm-ld-17",
    "wasm-ld-16",
    "wasm-ld-15",
    "wasm-ld-14",
];

/// What a compiler can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It has the standard library for WebAssembly.
    Ready,
    /// It has that library's source, and a package manager of its version.
    Buildable,
    /// It has neither, is too old, or there is nothing that links.
    Missing,
}

/// A compiler that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is.
    pub rustc: PathBuf,
    /// Its version, as `1.96.0`.
    pub version: String,
    /// What it can do.
    pub class: Class,
    /// What it lacks, in a few words, if it lacks something.
    pub lacks: Option<String>,
    /// All that it says of its version.
    pub(super) about: String,
    pub(super) cargo: PathBuf,
    pub(super) linker: Option<PathBuf>,
    pub(super) sysroot: PathBuf,
    pub(super) reads: Vec<PathBuf>,
}

impl Candidate {
    /// The packages that the distribution's standard library is built of, where its source brings them.
    pub(super) fn vendor(&self) -> Option<PathBuf> {
        let vendor = self.library().join("vendor");
        vendor.is_dir().then_some(vendor)
    }

    fn library(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust/library")
    }
}

impl Toolchain {
    /// The compilers of this machine, the best first. Each is asked what it is, in a place of its own. Safe to drop.
    pub async fn find(&self) -> Vec<Candidate> {
        let mut found = Vec::new();
        for rustc in self.compilers() {
            match self.ask(&rustc).await {
                Ok(candidate) => found.push(candidate),
                Err(why) => {
                    tracing::debug!(rustc = %rustc.display(), why, "this is no compiler that can be used")
                }
            }
        }
        found.sort_by_key(|candidate| candidate.class);
        found
    }

    /// Where compilers are, in order, each once.
    fn compilers(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = Vec::new();
        let named = self.named.iter().cloned();
        let wanted: Vec<PathBuf> = match &self.named {
            Some(_) => named.collect(),
            None => {
                let toolchains = self
                    .rustup
                    .iter()
                    .flat_map(|rustup| children(&rustup.join("toolchains")));
                let packaged = children(Path::new("/usr/lib"))
                    .into_iter()
                    .filter(|folder| {
                        folder
                            .file_name()
                            .is_some_and(|name| name.to_string_lossy().starts_with("rust-"))
                    })
                    .map(|folder| folder.join("bin"));
                let usual = ["/usr/bin", "/opt/homebrew/bin"].map(PathBuf::from);
                toolchains
                    .map(|toolchain| toolchain.join("bin"))
                    .chain(self.programs.iter().cloned())
                    .chain(usual)
                    .chain(packaged)
                    .map(|folder| folder.join("rustc"))
                    .collect()
            }
        };
        for rustc in wanted {
            let Ok(real) = std::fs::canonicalize(&rustc) else {
                continue;
            };
            // A proxy of rustup's would choose, and might install.
            let is_proxy = real.file_name().is_some_and(|name| name == "rustup");
            if !is_proxy && real.is_file() && !found.contains(&real) && found.len() < CANDIDATES_MAX
            {
                found.push(real);
            }
        }
        found
    }

    async fn ask(&self, rustc: &Path) -> Result<Candidate, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let home = home_of(rustc);
        let mut reads: Vec<PathBuf> = LIBRARIES.map(PathBuf::from).to_vec();
        reads.extend([home, rustc.to_owned()]);
        let closed = Closed {
            reads: reads.clone(),
            address_bytes_max: 4 << 30,
            processor_seconds_max: 10,
        };
        let bench = (self.open)(folder.path(), &closed).map_err(|error| error.to_string())?;
        let said = async |arguments: &[&str]| {
            let order = Order {
                program: rustc.to_owned(),
                arguments: arguments.iter().map(|one| (*one).to_owned()).collect(),
                directory: None,
                environment: BTreeMap::new(),
                wall_clock_max: ASK_MAX,
            };
            match run(&*bench, order, |_| {}).await {
                Ok(ran) if ran.is_well() => Ok(ran.out()),
                Ok(ran) => Err(ran.wrong()),
                Err(error) => Err(error.to_string()),
            }
        };
        let about = said(&["-vV"]).await?;
        let line = |name: &str| {
            about
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::to_owned)
        };
        let version = line("release: ").ok_or("it does not say which version it is")?;
        let host = line("host: ").ok_or("it does not say for which machine it is")?;
        let sysroot = PathBuf::from(said(&["--print", "sysroot"]).await?);
        let mut candidate = Candidate {
            cargo: rustc.with_file_name("cargo"),
            linker: self.linker(&sysroot, &host),
            rustc: rustc.to_owned(),
            class: Class::Missing,
            lacks: None,
            version,
            about,
            sysroot,
            reads,
        };
        (candidate.class, candidate.lacks) = classify(&candidate);
        if let Some(linker) = &candidate.linker {
            candidate.reads.push(linker.clone());
            // A toolchain's linker has its libraries in the toolchain.
            if linker.ends_with("bin/rust-lld") {
                candidate
                    .reads
                    .extend(linker.ancestors().nth(4).map(Path::to_owned));
            }
        }
        Ok(candidate)
    }

    fn linker(&self, sysroot: &Path, host: &str) -> Option<PathBuf> {
        let within = |sysroot: &Path| sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
        let others = self
            .rustup
            .iter()
            .flat_map(|rustup| children(&rustup.join("toolchains")));
        let usual = ["/usr/bin", "/opt/homebrew/bin"].map(PathBuf::from);
        let folders: Vec<PathBuf> = self.programs.iter().cloned().chain(usual).collect();
        let packaged = LINKERS
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        let mut all = std::iter::once(within(sysroot))
            .chain(packaged)
            .chain(others.map(|other| within(&other)));
        // Not followed: it looks at the name that it was called by.
        all.find(|linker| linker.is_file())
    }
}

fn classify(candidate: &Candidate) -> (Class, Option<String>) {
    let missing = |why: &str| (Class::Missing, Some(why.to_owned()));
    if number(&candidate.version) < VERSION_MIN {
        return missing("is too old; 1.85 is needed");
    }
    if candidate.linker.is_none() {
        return missing("has no linker for WebAssembly (lld)");
    }
    let library = candidate
        .sysroot
        .join("lib/rustlib")
        .join(TARGET)
        .join("lib");
    let is_core = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("libcore-"))
    };
    if !candidate.cargo.is_file() {
        return missing("has no cargo beside it");
    }
    if children(&library).iter().any(is_core) {
        return (Class::Ready, None);
    }
    match candidate.library().join("Cargo.lock").is_file() {
        true => (
            Class::Buildable,
            Some("comes with the source of the standard library alone".to_owned()),
        ),
        false => missing("has no standard library for WebAssembly"),
    }
}

fn number(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// The folder that a compiler and its libraries lie in: the toolchain's, or, for one of the system's, what belongs to it.
fn home_of(rustc: &Path) -> PathBuf {
    let home = rustc
        .parent()
        .and_then(Path::parent)
        .unwrap_or(Path::new("/"));
    match home == Path::new("/usr") || home == Path::new("/") || home == Path::new("/usr/local") {
        true => PathBuf::from("/usr/lib/rustlib"),
        false => home.to_owned(),
    }
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// What to install on this system.
pub(super) fn install_hint() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    hint(&text, cfg!(target_os = "macos"))
}

fn hint(os_release: &str, is_mac: bool) -> String {
    let value = |name: &str| {
        let line = os_release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    let like = format!("{} {}", value("ID"), value("ID_LIKE"));
    let is = |name: &str| like.split(' ').any(|one| one == name);
    let command = if is_mac {
        "brew install rust-wasm"
    } else if value("ID") == "debian" && value("VERSION_ID") == "12" {
        "apt install rustc-web cargo-web rust-web-src lld-22 gcc"
    } else if is("debian") || is("ubuntu") {
        "apt install rustc cargo lld libstd-rust-dev-wasm32"
    } else if is("fedora") {
        "dnf install rust cargo lld rust-std-static-wasm32-unknown-unknown"
    } else {
        return "install Rust 1.85 or newer with rustup and run rustup target add wasm32-unknown-unknown".to_owned();
    };
    format!(
        "{command} (or, where Rust comes from rustup: rustup target add wasm32-unknown-unknown)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_installed_is_said_for_the_system_that_it_is() {
        let said = |text: &str| hint(text, false);
        assert!(said("ID=debian\nVERSION_ID=\"12\"\n").starts_with("apt install rustc-web"));
        assert!(said("ID=debian\nVERSION_ID=\"13\"\n").contains("libstd-rust-dev-wasm32"));
        assert!(
            said("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n").contains("libstd-rust-dev-wasm32")
        );
        assert!(said("ID=fedora\n").starts_with("dnf install rust"));
        assert!(said("ID=arch\n").contains("rustup target add"));
        assert!(hint("", true).starts_with("brew"));
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(number("1.100.0") > number("1.85.0"));
        assert!(number("1.63.0") < VERSION_MIN);
        assert_eq!(number("what"), (0, 0));
    }
}
