//! What toolchains write outside of a workspace: their caches of downloads, and where `cargo` puts what it builds.
//!
//! A command that downloads is of no use without its cache, so both are claimed together and one answer serves. What is
//! claimed here only widens a command's claims: a command that is not known keeps those that it has.

use super::words::{Argument, Kind};
use Fills::{Always, Downloading};

/// A folder that a toolchain fills.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cache {
    /// The variable that moves it, and the path below that variable's folder.
    pub(super) moved_by: Option<(&'static str, &'static str)>,
    /// Where it is else, as a path below the person's home.
    pub(super) usual: &'static str,
}

const fn cache(moved_by: Option<(&'static str, &'static str)>, usual: &'static str) -> Cache {
    Cache { moved_by, usual }
}

/// When a toolchain fills its caches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fills {
    /// Only with commands that may download.
    Downloading,
    /// Whatever it does.
    Always,
}

/// A toolchain by the names of its programs.
struct Toolchain {
    programs: &'static [&'static str],
    fills: Fills,
    caches: &'static [Cache],
}

const CARGO: &[Cache] = &[
    cache(Some(("CARGO_HOME", "registry")), "~/.cargo/registry"),
    cache(Some(("CARGO_HOME", "git")), "~/.cargo/git"),
];
const CARGO_HOME: &[Cache] = &[cache(Some(("CARGO_HOME", "")), "~/.cargo")];
const NPM: &[Cache] = &[cache(None, "~/.npm")];
const PNPM: &[Cache] = &[
    cache(Some(("XDG_DATA_HOME", "pnpm")), "~/.local/share/pnpm"),
    cache(Some(("XDG_CACHE_HOME", "pnpm")), "~/.cache/pnpm"),
];
const YARN: &[Cache] = &[
    cache(Some(("XDG_CACHE_HOME", "yarn")), "~/.cache/yarn"),
    cache(None, "~/.yarn"),
];
const BUN: &[Cache] = &[cache(None, "~/.bun/install/cache")];
const PIP: &[Cache] = &[cache(Some(("XDG_CACHE_HOME", "pip")), "~/.cache/pip")];
const UV: &[Cache] = &[
    cache(Some(("XDG_CACHE_HOME", "uv")), "~/.cache/uv"),
    cache(Some(("XDG_DATA_HOME", "uv")), "~/.local/share/uv"),
];
const GO: &[Cache] = &[
    cache(Some(("XDG_CACHE_HOME", "go-build")), "~/.cache/go-build"),
    cache(Some(("GOPATH", "pkg")), "~/go/pkg"),
];
const GO_BIN: &[Cache] = &[cache(Some(("GOPATH", "bin")), "~/go/bin")];

#[rustfmt::skip] // A table.
const TOOLCHAINS: &[Toolchain] = &[
    Toolchain { programs: &["npm", "npx"], fills: Always, caches: NPM },
    Toolchain { programs: &["pnpm", "pnpx"], fills: Always, caches: PNPM },
    Toolchain { programs: &["yarn"], fills: Always, caches: YARN },
    Toolchain { programs: &["bun", "bunx"], fills: Always, caches: BUN },
    Toolchain { programs: &["pip", "pip3", "pipx"], fills: Downloading, caches: PIP },
    Toolchain { programs: &["uv", "uvx"], fills: Always, caches: UV },
    Toolchain { programs: &["go"], fills: Always, caches: GO },
];

/// What one command needs outside of the workspace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) has_network: bool,
    pub(super) caches: Vec<&'static Cache>,
}

/// The needs of a command that is not `cargo`'s, by the last part of its program's name: `.venv/bin/pip` is `pip`.
pub(super) fn needs(words: &[Argument]) -> Needs {
    let mut known = words.iter().map(|word| word.as_known().unwrap_or_default());
    let program = known.next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    let arguments: Vec<&str> = known.collect();
    let (name, arguments) = match (is_python(name), arguments.as_slice()) {
        (true, ["-m", module, rest @ ..]) => (*module, rest),
        (_, all) => (name, all),
    };
    let Some(toolchain) = TOOLCHAINS
        .iter()
        .find(|toolchain| toolchain.programs.contains(&name))
    else {
        return Needs::default();
    };
    let has_network = downloads(name, arguments);
    let fills = toolchain.fills == Always || has_network;
    let mut caches: Vec<&Cache> = toolchain.caches.iter().filter(|_| fills).collect();
    if name == "go" && matches!(arguments, ["install" | "get", ..]) {
        caches.extend(GO_BIN);
    }
    Needs {
        has_network,
        caches,
    }
}

fn is_python(name: &str) -> bool {
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    matches!(name, "python" | "py" | "pypy")
}

/// Whether a command may download. Package managers may with nearly every one.
fn downloads(name: &str, arguments: &[&str]) -> bool {
    let first = arguments.first().copied().unwrap_or_default();
    match name {
        "go" => match first {
            "get" | "install" => true,
            "mod" => arguments
                .get(1)
                .is_some_and(|sub| matches!(*sub, "download" | "tidy" | "vendor")),
            "work" => arguments.get(1) == Some(&"sync"),
            // A package of a version is fetched before it is run.
            "run" => arguments.iter().any(|argument| argument.contains('@')),
            _ => false,
        },
        "pip" | "pip3" => !matches!(
            first,
            "list" | "show" | "freeze" | "check" | "uninstall" | "config" | "cache" | ""
        ),
        _ => true,
    }
}

/// What a `cargo` command that may download fills.
pub(super) fn cargo_caches(subcommand: &str) -> &'static [Cache] {
    match subcommand {
        "install" | "uninstall" => CARGO_HOME,
        _ => CARGO,
    }
}

/// Whether a `cargo` command writes what it builds into the folder for that.
pub(super) fn cargo_builds(subcommand: &str) -> bool {
    #[rustfmt::skip] // A table.
    const OTHERS: [&str; 24] = [
        "add", "config", "fetch", "fmt", "generate-lockfile", "help", "info", "init", "install", "locate-project", "login",
        "logout", "metadata", "new", "owner", "pkgid", "remove", "search", "tree", "uninstall", "update", "vendor", "version",
        "yank",
    ];
    !subcommand.starts_with(['-', '+']) && !OTHERS.contains(&subcommand)
}

/// The folder that a `cargo` command names itself, by `--target-dir`.
pub(super) fn named_target(arguments: &[Argument]) -> Option<Argument> {
    let mut rest = arguments.iter().take_while(|word| word.text != "--");
    while let Some(word) = rest.next() {
        match word.text.strip_prefix("--target-dir") {
            Some("") => return rest.next().cloned(),
            Some(attached) if attached.starts_with('=') => {
                return Some(below_home(&attached[1..], word.kind));
            }
            _ => {}
        }
    }
    None
}

/// A path in a word, `$HOME` understood: it is how everybody spells a folder for builds.
pub(super) fn below_home(text: &str, kind: Kind) -> Argument {
    let text = text.trim_matches('"');
    let inner = ["$HOME/", "${HOME}/", "~/"]
        .iter()
        .find_map(|start| text.strip_prefix(start));
    let is_plain = |inner: &str| !inner.contains(['$', '`', '*', '?', '[', '{', '"', '\'', '\\']);
    match inner {
        Some(inner) if is_plain(inner) => Argument {
            text: format!("~/{inner}"),
            kind: Kind::Home,
        },
        _ => Argument {
            text: text.to_owned(),
            kind,
        },
    }
}

/// The folder for builds that one of `cargo`'s settings files names, as it is written there.
///
/// Reads the two spellings that people use, a section and a dotted key, and no more of TOML than they need.
pub(super) fn configured_target(settings: &str) -> Option<String> {
    let mut section = "";
    for line in settings.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.split(']').next().unwrap_or_default().trim();
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let is_it = match key.trim() {
            "target-dir" => section == "build",
            "build.target-dir" => section.is_empty(),
            _ => false,
        };
        let value = value.trim();
        let mark = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        if let (true, Some(mark)) = (is_it, mark) {
            return value[1..].split(mark).next().map(str::to_owned);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_for_builds_is_read_from_both_spellings() {
        let table = [
            ("[build]\ntarget-dir = \"/t\"\n", Some("/t")),
            ("build.target-dir = '/t' # here\n", Some("/t")),
            ("[net]\ntarget-dir = \"/t\"\n", None),
            (
                "[build]\njobs = 2\n[ build ]\ntarget-dir=\"t u\"",
                Some("t u"),
            ),
            ("# target-dir = \"/t\"\n[build]\n", None),
        ];
        for (settings, wanted) in table {
            assert_eq!(configured_target(settings).as_deref(), wanted, "{settings}");
        }
    }

    #[test]
    fn package_managers_need_the_network_and_their_caches() {
        let words = |text: &str| text.split(' ').map(Argument::known).collect::<Vec<_>>();
        let usual = |text: &str| {
            let needs = needs(&words(text));
            let caches: Vec<&str> = needs.caches.iter().map(|cache| cache.usual).collect();
            (needs.has_network, caches)
        };
        let table: [(&str, bool, &[&str]); 8] = [
            ("pip install x", true, &["~/.cache/pip"]),
            (".venv/bin/pip install x", true, &["~/.cache/pip"]),
            ("python3.11 -m pip install x", true, &["~/.cache/pip"]),
            ("pip list", false, &[]),
            ("python3 x.py", false, &[]),
            ("go build ./...", false, &["~/.cache/go-build", "~/go/pkg"]),
            ("go mod download", true, &["~/.cache/go-build", "~/go/pkg"]),
            ("npm ci", true, &["~/.npm"]),
        ];
        for (text, has_network, caches) in table {
            assert_eq!(usual(text), (has_network, caches.to_vec()), "{text}");
        }
    }
}
