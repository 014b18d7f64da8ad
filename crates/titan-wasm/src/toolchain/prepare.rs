//! Makes a toolchain ready, once: the standard library where the compiler came without, what tools are written against, and a
//! tool that compiles and gives what it should. It is built beside its place and put there whole.

use super::compile::Compiler;
use super::{Candidate, Class, Order, READY, Ready, TARGET, Toolchain, run, stamp};
use crate::artefacts::own_folder;
use crate::host::WasmHost;
use crate::prelude::ARCHIVE;
use bytes::Bytes;
use flate2::read::GzDecoder;
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{Care, Closed, Draft, Example, ToolSpec, Workbench};

/// How long one build may take.
const BUILD_MAX: Duration = Duration::from_secs(3600);
/// Bytes of what is unpacked.
const UNPACKED_MAX: u64 = 64 << 20;
/// Crates that the standard library is, and that tools are written against, so that progress can be told.
const STD_CRATES: u64 = 16;
const PRELUDE_CRATES: u64 = 24;
/// What every build has: nothing of this machine's paths in what comes of it.
const RELEASE: [&str; 5] = [
    "profile.release.panic=\"abort\"",
    "profile.release.opt-level=\"s\"",
    "profile.release.codegen-units=1",
    "profile.release.debug=0",
    "profile.release.incremental=false",
];

/// How far the work is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub what: &'static str,
    /// How much of it is done.
    pub done: u64,
    /// How much there is.
    pub all: u64,
}

/// Why a toolchain could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// There is none that could be.
    #[error("{0}")]
    Missing(String),
    /// Somebody else is at it.
    #[error("another process prepares the toolchain already; wait until it is done")]
    Busy,
    /// The folder can't be used.
    #[error("{folder} can't be used: {source}")]
    Folder {
        /// Which.
        folder: String,
        /// Why.
        source: io::Error,
    },
    /// A step failed.
    #[error("{rustc}: {what} failed: {why}")]
    Step {
        /// With which compiler.
        rustc: String,
        /// What was done.
        what: &'static str,
        /// What it said.
        why: String,
    },
}

/// What names the shipped archive.
pub(super) fn archive_key() -> String {
    let hash = blake3::hash(ARCHIVE);
    hash.to_hex().as_str()[..8].to_owned()
}

impl Toolchain {
    /// Makes the best compiler of this machine ready, and says how far it is. What is ready already is proved again. Dropping
    /// the future ends it and leaves what was before.
    ///
    /// # Errors
    /// See [`PrepareError`].
    pub async fn prepare(
        &self,
        host: &WasmHost,
        mut progress: impl FnMut(Progress),
    ) -> Result<Ready, PrepareError> {
        own_folder(&self.folder).map_err(|source| self.unusable(source))?;
        let _lock = self.lock()?;
        let found = self.find().await;
        let mut failed = None;
        for candidate in found.iter().filter(|one| one.class != Class::Missing) {
            match self.prepare_one(candidate, host, &mut progress).await {
                Ok(ready) => return Ok(ready),
                Err(error) => {
                    tracing::warn!(%error, "a compiler could not be made ready");
                    failed.get_or_insert(error);
                }
            }
        }
        Err(failed.unwrap_or_else(|| PrepareError::Missing(self.missing(&found))))
    }

    fn lock(&self) -> Result<File, PrepareError> {
        let lock =
            File::create(self.folder.join("lock")).map_err(|source| self.unusable(source))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(lock),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(PrepareError::Busy),
            Err(error) => Err(self.unusable(error.into())),
        }
    }

    fn unusable(&self, source: io::Error) -> PrepareError {
        PrepareError::Folder {
            folder: self.folder.display().to_string(),
            source,
        }
    }

    async fn prepare_one(
        &self,
        candidate: &Candidate,
        host: &WasmHost,
        progress: &mut impl FnMut(Progress),
    ) -> Result<Ready, PrepareError> {
        let ready = self.described(candidate).ok_or_else(|| {
            let gone = io::Error::from(io::ErrorKind::NotFound);
            self.unusable(gone)
        })?;
        let place = self.folder.join(&ready.key);
        if !place.is_dir() {
            let building = tempfile::Builder::new()
                .prefix(".building-")
                .tempdir_in(&self.folder)
                .map_err(|source| self.unusable(source))?;
            let build = Build::new(self, candidate, building.path())?;
            build.all(&ready, progress).await?;
            std::fs::rename(building.path().join("made"), &place)
                .map_err(|source| self.unusable(source))?;
        }
        progress(Progress {
            what: "trying it",
            done: 0,
            all: 1,
        });
        self.prove(&ready, host).await.map_err(|why| {
            // What does not work is not found again.
            let removed = std::fs::remove_dir_all(&place);
            removed.unwrap_or_else(
                |error| tracing::warn!(%error, "what was prepared can't be removed"),
            );
            step(candidate, "the first tool", why)
        })?;
        self.write_down(&ready)
            .map_err(|source| self.unusable(source))?;
        self.sweep(&ready.key);
        progress(Progress {
            what: "trying it",
            done: 1,
            all: 1,
        });
        Ok(ready)
    }

    fn described(&self, candidate: &Candidate) -> Option<Ready> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(candidate.about.as_bytes());
        hasher.update(candidate.rustc.as_os_str().as_encoded_bytes());
        hasher.update(RELEASE.concat().as_bytes());
        let compiler = hasher.finalize().to_hex().as_str()[..16].to_owned();
        Some(Ready {
            stamp: stamp(&candidate.rustc)?,
            rustc: candidate.rustc.clone(),
            version: candidate.version.clone(),
            linker: candidate.linker.clone()?,
            reads: candidate.reads.clone(),
            key: format!("{compiler}-{}", archive_key()),
            has_sysroot: candidate.class == Class::Buildable,
        })
    }

    fn write_down(&self, ready: &Ready) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&serde_json::to_vec_pretty(ready)?)?;
        file.persist(self.folder.join(READY))?;
        Ok(())
    }

    /// Removes what was prepared for others, and what was broken off.
    fn sweep(&self, keep: &str) {
        let entries = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten();
        let old = entries.filter(|entry| {
            entry.path().is_dir() && entry.file_name().to_str().is_some_and(|name| name != keep)
        });
        for entry in old {
            if let Err(error) = std::fs::remove_dir_all(entry.path()) {
                tracing::warn!(%error, "what was prepared before can't be removed");
            }
        }
    }

    /// Whether a toolchain makes a tool that gives what it should: nothing else is believed. The error says what went wrong.
    ///
    /// # Errors
    /// When it does not.
    pub async fn prove(&self, ready: &Ready, host: &WasmHost) -> Result<(), String> {
        const SOURCE: &str = "fn run(input: Value) -> Result<String> {\n    Ok(json::text(&input, \"text\")?.to_uppercase())\n}\n";
        let schema = serde_json::json!({
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
            "additionalProperties": false
        });
        let draft = Draft {
            spec: ToolSpec {
                name: "probe".to_owned(),
                description: "Shows that tools can be made.".to_owned(),
                input_schema: schema,
            },
            source: SOURCE.to_owned(),
            capabilities: Vec::new(),
            examples: Vec::<Example>::new(),
        };
        let compiler = Compiler::new(self.clone(), ready.clone());
        let component = compiler
            .compile(&draft, Care::Once)
            .await
            .map_err(|error| error.to_string())?;
        let component = host
            .load_once(&component)
            .map_err(|error| error.to_string())?;
        let finished = component.call("{\"text\":\"it works\"}", &Arc::default());
        match finished.result {
            Ok(Ok(text)) if text == "IT WORKS" => Ok(()),
            other => Err(format!("it gave {other:?}")),
        }
    }
}

fn step(candidate: &Candidate, what: &'static str, why: String) -> PrepareError {
    PrepareError::Step {
        rustc: candidate.rustc.display().to_string(),
        what,
        why,
    }
}

/// One build, in a folder of its own.
struct Build<'a> {
    candidate: &'a Candidate,
    folder: &'a Path,
    bench: Arc<dyn Workbench>,
}

impl<'a> Build<'a> {
    fn new(
        toolchain: &Toolchain,
        candidate: &'a Candidate,
        folder: &'a Path,
    ) -> Result<Self, PrepareError> {
        // Build scripts are programs for this machine: they need its compiler and linker.
        let mut reads = candidate.reads.clone();
        reads.extend(
            [
                "/usr",
                "/bin",
                "/etc/ld.so.cache",
                "/etc/ld.so.conf",
                "/proc/self",
                "/etc/alternatives",
            ]
            .map(PathBuf::from),
        );
        let closed = Closed {
            reads,
            address_bytes_max: 16 << 30,
            processor_seconds_max: 3600,
        };
        let bench = (toolchain.open)(folder, &closed)
            .map_err(|error| step(candidate, "a place for it", error.to_string()))?;
        Ok(Self {
            candidate,
            folder,
            bench,
        })
    }

    async fn all(
        &self,
        ready: &Ready,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), PrepareError> {
        let broken = |error: io::Error| step(self.candidate, "a folder for it", error.to_string());
        let made = self.folder.join("made");
        std::fs::create_dir_all(&made).map_err(broken)?;
        let mut flags = vec!["-Cembed-bitcode=no".to_owned()];
        if ready.has_sysroot {
            let sysroot = made.join("sysroot");
            self.standard_library(&sysroot, progress).await?;
            flags.push(format!("--sysroot={}", sysroot.display()));
        }
        let sources = self.folder.join("prelude");
        unpack(ARCHIVE, &sources).map_err(broken)?;
        flags.push(format!(
            "--remap-path-prefix={}=/prelude",
            sources.display()
        ));
        let told = ("what tools are written against", PRELUDE_CRATES);
        self.cargo(
            &sources,
            &["--offline", "--locked"],
            &flags,
            false,
            told,
            progress,
        )
        .await?;
        self.take_libraries(&sources, &made.join("prelude"))
            .map_err(broken)
    }

    /// Compiles the standard library of the compiler's own source.
    async fn standard_library(
        &self,
        sysroot: &Path,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), PrepareError> {
        let broken = |error: io::Error| step(self.candidate, "a folder for it", error.to_string());
        let sources = self.folder.join("std");
        std::fs::create_dir_all(sources.join("src")).map_err(broken)?;
        std::fs::write(sources.join("src/lib.rs"), "").map_err(broken)?;
        let manifest =
            "[package]\nname = \"none\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
        std::fs::write(sources.join("Cargo.toml"), manifest).map_err(broken)?;
        let mut arguments = vec![
            "-Zbuild-std=core,alloc,std,panic_abort".to_owned(),
            "-Zbuild-std-features=".to_owned(),
            "--offline".to_owned(),
        ];
        if let Some(vendor) = self.candidate.vendor() {
            arguments.push("--config=source.crates-io.replace-with=\"vendor\"".to_owned());
            arguments.push(format!(
                "--config=source.vendor.directory={:?}",
                vendor.display().to_string()
            ));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let source = self.candidate.sysroot.join("lib/rustlib/src/rust");
        let real = std::fs::canonicalize(&source).unwrap_or(source.clone());
        let mut flags = vec![
            "-Zshare-generics=y".to_owned(),
            "-Cembed-bitcode=no".to_owned(),
        ];
        for source in [source, real] {
            flags.push(format!("--remap-path-prefix={}=/rust", source.display()));
        }
        let told = ("the standard library", STD_CRATES);
        self.cargo(&sources, &arguments, &flags, true, told, progress)
            .await?;
        let libraries = sysroot.join("lib/rustlib").join(TARGET).join("lib");
        self.take_libraries(&sources, &libraries).map_err(broken)
    }

    async fn cargo(
        &self,
        folder: &Path,
        more: &[&str],
        flags: &[String],
        is_std: bool,
        (what, all): (&'static str, u64),
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), PrepareError> {
        let mut arguments: Vec<String> = ["build", "--release", "--target", TARGET]
            .map(str::to_owned)
            .to_vec();
        arguments.extend(more.iter().map(|one| (*one).to_owned()));
        arguments.extend(RELEASE.iter().map(|one| format!("--config={one}")));
        let set = |name: &str, value: String| (name.to_owned(), value);
        let mut environment = BTreeMap::from([
            set("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            set("HOME", self.folder.display().to_string()),
            set(
                "CARGO_HOME",
                self.folder.join("cargo").display().to_string(),
            ),
            set("CARGO_TERM_COLOR", "never".to_owned()),
            set("RUSTC", self.candidate.rustc.display().to_string()),
            set("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")),
        ]);
        if is_std {
            environment.insert("RUSTC_BOOTSTRAP".to_owned(), "1".to_owned());
        }
        let mut done = 0;
        progress(Progress { what, done, all });
        let count = |bytes: &Bytes| {
            let text = String::from_utf8_lossy(bytes);
            done += text.matches("   Compiling ").count() as u64;
            progress(Progress {
                what,
                done: done.min(all),
                all,
            });
        };
        let order = Order {
            program: self.candidate.cargo.clone(),
            arguments,
            // cargo looks for settings from the folder that it runs in upwards.
            directory: Some(folder.to_owned()),
            environment,
            wall_clock_max: BUILD_MAX,
        };
        let ran = run(&*self.bench, order, count).await;
        match ran {
            Ok(ran) if ran.is_well() => Ok(()),
            Ok(ran) => Err(step(self.candidate, what, ran.wrong())),
            Err(error) => Err(step(self.candidate, what, error.to_string())),
        }
    }

    /// Takes the libraries of a build.
    fn take_libraries(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::create_dir_all(to)?;
        let built = from.join("target").join(TARGET).join("release/deps");
        for entry in std::fs::read_dir(built)? {
            let path = entry?.path();
            let Some(name) = path.file_name() else {
                continue;
            };
            let is_library = path.extension().is_some_and(|end| end == "rlib");
            if is_library && !name.to_string_lossy().starts_with("libnone-") {
                std::fs::copy(&path, to.join(name))?;
            }
        }
        Ok(())
    }
}

/// Unpacks a tar file that was packed with gzip and holds files alone.
fn unpack(archive: &[u8], folder: &Path) -> io::Result<()> {
    let mut bytes = Vec::new();
    GzDecoder::new(archive)
        .take(UNPACKED_MAX)
        .read_to_end(&mut bytes)?;
    let damaged = || io::Error::other("the archive of what tools are written against is damaged");
    let mut rest = &bytes[..];
    while let Some((header, more)) = rest
        .split_at_checked(512)
        .filter(|(header, _)| header[0] != 0)
    {
        let name = header[..100]
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        let name = Path::new(std::str::from_utf8(name).map_err(|_| damaged())?);
        let size = std::str::from_utf8(&header[124..135]).map_err(|_| damaged())?;
        let size = usize::from_str_radix(size.trim(), 8).map_err(|_| damaged())?;
        if !name
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(damaged());
        }
        let content = more.get(..size).ok_or_else(damaged)?;
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, content)?;
        rest = more.get(size.next_multiple_of(512)..).ok_or_else(damaged)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_holds_the_crates_and_all_that_they_need() {
        let folder = tempfile::tempdir().unwrap();
        unpack(ARCHIVE, folder.path()).unwrap();
        let has = |path: &str| folder.path().join(path).is_file();
        assert!(has("Cargo.lock") && has("core/src/lib.rs") && has("html/src/lib.rs"));
        assert!(has(".cargo/config.toml"), "it says where the others lie");
        assert!(folder.path().join("vendor").is_dir());
    }

    #[test]
    fn a_damaged_archive_is_refused_and_none_leaves_its_folder() {
        use flate2::{Compression, write::GzEncoder};
        let pack = |name: &str, size: &str| {
            let mut header = [0; 512];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[124..124 + size.len()].copy_from_slice(size.as_bytes());
            let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
            packer.write_all(&header).unwrap();
            packer.write_all(&[b'x'; 512]).unwrap();
            packer.finish().unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("in");
        assert!(unpack(&pack("a/b", "00000000003"), &inside).is_ok());
        assert_eq!(std::fs::read(inside.join("a/b")).unwrap(), b"xxx");
        for (name, size) in [
            ("../out", "00000000003"),
            ("/out", "00000000003"),
            ("a", "99999999999"),
            ("a", "00000007777"),
        ] {
            assert!(unpack(&pack(name, size), &inside).is_err(), "{name} {size}");
        }
        assert!(!folder.path().join("out").exists());
    }
}
