//! `cargo xtask prelude`: the archive of what generated tools are compiled against, with the sources of all that it needs, so
//! that no registry is asked on the machine of whoever uses it. The same sources give the same bytes.
//!
//! The archive is a tar file, packed with gzip. What is left out of foreign crates: tests, benchmarks, examples, papers that
//! are no licence, and all code of those that are only named in the lock file and never compiled.

use crate::cargo;
use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Where the sources are, and what is made of them.
pub(crate) const SOURCES: &str = "crates/titan-wasm/prelude";
const ARCHIVE: &str = "crates/titan-wasm/prelude.tar.gz";
/// The crates of ours that are in it.
pub(crate) const CRATES: [&str; 3] = ["core", "html", "parking_lot"];
const TARGET: &str = "wasm32-unknown-unknown";
/// What the archive may have at most; it is a part of the binary.
const BYTES_MAX: usize = 4 << 20;

/// Where cargo finds the foreign crates in the archive.
const CONFIG: &str = "\
[source.crates-io]
replace-with = \"vendored\"

[source.vendored]
directory = \"vendor\"
";

/// Files by their path in the archive.
type Files = BTreeMap<String, Vec<u8>>;

/// Makes the archive, or with `--check` only says whether it is what would be made.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let is_check = match arguments {
        [] => false,
        [one] if one == "--check" => true,
        _ => bail!("usage: cargo xtask prelude [--check]"),
    };
    let root = cargo::root();
    let mut files = own(&root)?;
    files.extend(foreign(&root)?);
    let path = root.join(ARCHIVE);
    if is_check {
        let kept = unpacked(&fs::read(&path).with_context(|| format!("reading {ARCHIVE}"))?)?;
        return match difference(&kept, &files) {
            Some(file) => bail!("{ARCHIVE} is stale, first in {file}: cargo xtask prelude"),
            None => Ok(()),
        };
    }
    let packed = packed(&files)?;
    if packed.len() > BYTES_MAX {
        bail!(
            "{ARCHIVE} would have {} bytes; at most {BYTES_MAX} may be",
            packed.len()
        );
    }
    fs::write(&path, &packed)?;
    eprintln!("{ARCHIVE}: {} files, {} bytes", files.len(), packed.len());
    Ok(())
}

/// Whether what is ours in the archive is as it lies in the tree. What is foreign follows from the lock file.
pub(crate) fn tidy(root: &Path) -> Result<Vec<String>> {
    let packed = fs::read(root.join(ARCHIVE)).with_context(|| format!("reading {ARCHIVE}"))?;
    let mut kept = unpacked(&packed)?;
    kept.retain(|path, _| !path.starts_with("vendor/"));
    let complaint = |file| format!("{ARCHIVE} is stale, first in {file}: cargo xtask prelude");
    Ok(difference(&kept, &own(root)?)
        .map(complaint)
        .into_iter()
        .collect())
}

fn difference(kept: &Files, wanted: &Files) -> Option<String> {
    let all: BTreeSet<&String> = kept.keys().chain(wanted.keys()).collect();
    all.into_iter()
        .find(|path| kept.get(*path) != wanted.get(*path))
        .cloned()
}

fn own(root: &Path) -> Result<Files> {
    let folder = root.join(SOURCES);
    let mut files = Files::new();
    files.insert(".cargo/config.toml".to_owned(), CONFIG.as_bytes().to_vec());
    for paper in ["LICENSE-APACHE", "LICENSE-MIT"] {
        files.insert(paper.to_owned(), read(&root.join(paper))?);
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        files.insert(file.to_owned(), read(&folder.join(file))?);
    }
    for one in CRATES {
        add(&folder, &folder.join(one), &mut files)?;
    }
    Ok(files)
}

/// The crates that the lock file names, without what nobody compiles.
fn foreign(root: &Path) -> Result<Files> {
    let scratch = cargo::target_directory().join("prelude-vendor");
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    let vendor = scratch.join("vendor");
    let manifest = root.join(SOURCES).join("Cargo.toml");
    let mut command = cargo::cargo(&["vendor", "--locked", "--quiet", "--manifest-path"]);
    command.arg(&manifest).arg(&vendor);
    let output = command.output()?;
    if !output.status.success() {
        bail!(
            "`cargo vendor` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let compiled = compiled(&manifest)?;
    let mut files = Files::new();
    for entry in fs::read_dir(&vendor)? {
        let folder = entry?.path();
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut of_crate = Files::new();
        add(&scratch, &folder, &mut of_crate)?;
        let inside = format!("vendor/{name}/");
        of_crate.retain(|path, _| path.strip_prefix(&inside).is_some_and(is_kept));
        if !compiled.contains(&name) {
            of_crate.retain(|path, _| !path.ends_with(".rs"));
            of_crate.insert(format!("{inside}src/lib.rs"), Vec::new());
            of_crate.insert(format!("{inside}build.rs"), b"fn main() {}\n".to_vec());
        }
        let sums = of_crate.get_mut(&format!("{inside}.cargo-checksum.json"));
        let sums = sums.with_context(|| format!("{name} has no checksum"))?;
        let mut of_package: serde_json::Value = serde_json::from_slice(sums)?;
        of_package["files"] = serde_json::json!({});
        *sums = of_package.to_string().into_bytes();
        files.extend(of_crate);
    }
    fs::remove_dir_all(&scratch)?;
    Ok(files)
}

/// The names of the crates that are compiled, for the target or to compile others.
fn compiled(manifest: &Path) -> Result<BTreeSet<String>> {
    let arguments = [
        "tree",
        "--locked",
        "--workspace",
        "--target",
        TARGET,
        "--edges",
        "normal,build",
        "--prefix",
        "none",
    ];
    let mut command = cargo::cargo(&arguments);
    let output = command
        .args(["--format", "{p}", "--manifest-path"])
        .arg(manifest)
        .output()?;
    if !output.status.success() {
        bail!(
            "`cargo tree` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = String::from_utf8(output.stdout)?;
    let names = text.lines().filter_map(|line| line.split(' ').next());
    Ok(names.map(str::to_owned).collect())
}

/// Whether a file of a foreign crate is of use to whoever compiles it, or has to go with it.
fn is_kept(path: &str) -> bool {
    let (first, name) = (
        path.split('/').next().unwrap_or(path),
        path.rsplit('/').next().unwrap_or(path),
    );
    let is_licence = ["LICENSE", "LICENCE", "COPYING", "UNLICENSE", "NOTICE"]
        .iter()
        .any(|one| name.starts_with(one));
    let is_aside =
        matches!(first, "tests" | "benches" | "examples" | "fuzz" | "scripts") && first != name;
    let is_test = path.contains("/tests/") || name == "tests.rs";
    match name.rsplit_once('.') {
        _ if is_licence || name == ".cargo-checksum.json" || name == "Cargo.toml" => true,
        _ if is_aside || path.starts_with('.') => false,
        Some((_, "rs")) => !is_test || !path.starts_with("src/"),
        Some((_, "txt" | "in")) => true,
        // A crate shows it as its own description.
        Some((_, "md")) => path == "README.md",
        _ => false,
    }
}

fn add(root: &Path, folder: &Path, files: &mut Files) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            add(root, &path, files)?;
        } else {
            let name = path
                .strip_prefix(root)?
                .to_string_lossy()
                .replace('\\', "/");
            files.insert(name, read(&path)?);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

fn packed(files: &Files) -> Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    for (path, bytes) in files {
        packer.write_all(&header(path, bytes.len())?)?;
        packer.write_all(bytes)?;
        packer.write_all(&vec![0; bytes.len().next_multiple_of(512) - bytes.len()])?;
    }
    packer.write_all(&[0; 1024])?;
    Ok(packer.finish()?)
}

/// A file's header in a tar file: no time, no owner, readable by all.
fn header(path: &str, bytes: usize) -> Result<[u8; 512]> {
    if path.len() > 100 {
        bail!("the path {path} is too long for the archive");
    }
    let mut header = [0; 512];
    header[..path.len()].copy_from_slice(path.as_bytes());
    let size = format!("{bytes:011o}");
    let fields: [(usize, &[u8]); 7] = [
        (100, b"0000644"),
        (108, b"0000000"),
        (116, b"0000000"),
        (124, size.as_bytes()),
        (136, b"00000000000"),
        (156, b"0"),
        (257, b"ustar\x0000"),
    ];
    for (at, field) in fields {
        header[at..at + field.len()].copy_from_slice(field);
    }
    // The sum is taken with blanks in its own place.
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

fn unpacked(packed: &[u8]) -> Result<Files> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes)?;
    let mut files = Files::new();
    let mut rest = bytes.as_slice();
    while let Some((header, more)) = rest
        .split_at_checked(512)
        .filter(|(header, _)| header[0] != 0)
    {
        let path = header.split(|byte| *byte == 0).next().unwrap_or_default();
        let size = usize::from_str_radix(std::str::from_utf8(&header[124..135])?, 8)?;
        let content = more.get(..size).context("the archive is cut off")?;
        files.insert(String::from_utf8(path.to_vec())?, content.to_vec());
        rest = more
            .get(size.next_multiple_of(512)..)
            .context("the archive is cut off")?;
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_make_the_same_bytes_and_come_back() {
        let mut files = Files::new();
        files.insert("b/c.rs".to_owned(), vec![b'x'; 513]);
        files.insert("a".to_owned(), Vec::new());
        let once = packed(&files).unwrap();
        assert_eq!(once, packed(&files).unwrap());
        let back = unpacked(&once).unwrap();
        assert_eq!(back, files);
        files.insert("b/c.rs".to_owned(), Vec::new());
        assert_eq!(difference(&back, &files), Some("b/c.rs".to_owned()));
    }

    #[test]
    fn of_foreign_crates_code_and_licences_are_kept() {
        for path in [
            "src/lib.rs",
            "build.rs",
            "Cargo.toml",
            "LICENSE-MIT",
            "interface/mod.rs",
            "entities.rs",
            "local_names.txt",
            ".cargo-checksum.json",
            "COPYING",
        ] {
            assert!(is_kept(path), "{path}");
        }
        for path in [
            "tests/a.rs",
            "benches/b.rs",
            "examples/x.rs",
            ".github/workflows/a.yml",
            "CHANGELOG.md",
            "Cargo.toml.orig",
            "src/tests.rs",
            ".vim/x.rs",
        ] {
            assert!(!is_kept(path), "{path}");
        }
    }
}
