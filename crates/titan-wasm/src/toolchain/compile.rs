//! From a tool's source to its component, with a compiler that reaches nothing of this machine but itself.

use super::{Order, Ready, TARGET, Toolchain, refuse, run};
use crate::bindings::second::Spec;
use crate::prelude;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;
use titan_protocol::{Care, Closed, Draft, Exit, MakeError};
use tokio::sync::Semaphore;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The world of generated tools.
const WIT: &str = include_str!("../../../../wit/0.2.0/tool.wit");
/// Bytes of a tool's source.
const SOURCE_BYTES_MAX: usize = 64 << 10;
/// Errors that are told, and their bytes.
const ERRORS_MAX: usize = 5;
const ERROR_BYTES_MAX: usize = 1200;
/// How long a compiler may run, and what it may take.
const COMPILE_MAX: Duration = Duration::from_secs(30);
const COMPILE_SECONDS_MAX: u64 = 20;
const ADDRESS_BYTES_MAX: u64 = 3 << 30;
/// Bytes of a core module: more than a component may have, since its debugging names are left out of that.
const MODULE_BYTES_MAX: u64 = 16 << 20;

/// Where folders lie in memory.
const MEMORY: &str = "/dev/shm";
/// What the names of jobs' folders begin with; the number of the process follows.
const JOB: &str = "titanclaw-tool-";
/// No job takes so long.
const JOB_AGE_MIN: Duration = Duration::from_secs(120);

/// Compilers at once: as many as there are processors.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new(processors)
});

/// Compiles tools with a toolchain that is ready. Cheap to clone.
#[derive(Clone)]
pub struct Compiler {
    toolchain: Toolchain,
    ready: Ready,
}

impl Compiler {
    /// With this toolchain.
    pub fn new(toolchain: Toolchain, ready: Ready) -> Self {
        Self { toolchain, ready }
    }

    /// A tool's component. Dropping the future ends the compiler, and nothing of it is left.
    ///
    /// # Errors
    /// `Wrong` with each error's line and column, `Failed` when the compiler could not be run.
    pub async fn compile(&self, draft: &Draft, care: Care) -> Result<Vec<u8>, MakeError> {
        read(draft)?;
        self.compile_unread(draft, care).await
    }

    /// As [`Compiler::compile`], of a source that nothing has looked at: the confinement alone holds it.
    pub(super) async fn compile_unread(
        &self,
        draft: &Draft,
        care: Care,
    ) -> Result<Vec<u8>, MakeError> {
        let level = match care {
            Care::Once => "-Copt-level=0",
            Care::Kept => "-Copt-level=s",
        };
        let linker = format!("-Clinker={}", self.ready.linker.display());
        let arguments = [
            level,
            &linker,
            "-Clink-arg=-zstack-size=131072",
            "-Clink-arg=--initial-memory=1048576",
            "-otool.wasm",
        ];
        let job = self.run(draft, &arguments).await?;
        let failed = |error: String| {
            MakeError::Failed(format!("the tool was compiled but can't be used: {error}"))
        };
        let path = job.path().join("tool.wasm");
        let found = std::fs::metadata(&path).map_err(|error| failed(error.to_string()))?;
        if found.len() > MODULE_BYTES_MAX {
            return Err(MakeError::Wrong(format!(
                "the tool has {} bytes when it is compiled, which is too much",
                found.len()
            )));
        }
        let module = std::fs::read(&path).map_err(|error| failed(error.to_string()))?;
        encode(module).map_err(failed)
    }

    /// Runs the compiler in a folder of its own, which lives as long as what is given back.
    async fn run(&self, draft: &Draft, more: &[&str]) -> Result<tempfile::TempDir, MakeError> {
        let failed =
            |error: String| MakeError::Failed(format!("the compiler can't be run: {error}"));
        let _place = PLACES
            .acquire()
            .await
            .map_err(|error| failed(error.to_string()))?;
        let job = job_folder().map_err(|error| failed(error.to_string()))?;
        let root = prelude::root(&spec(draft), &draft.source);
        for (name, text) in [("main.rs", root.as_str()), (prelude::SOURCE, &draft.source)] {
            std::fs::write(job.path().join(name), text)
                .map_err(|error| failed(error.to_string()))?;
        }
        let mut reads = self.ready.reads.clone();
        reads.push(self.prepared());
        let closed = Closed {
            reads,
            address_bytes_max: ADDRESS_BYTES_MAX,
            processor_seconds_max: COMPILE_SECONDS_MAX,
        };
        let bench = (self.toolchain.open)(job.path(), &closed)
            .map_err(|error| failed(error.to_string()))?;
        let mut arguments = self.arguments(draft).map_err(failed)?;
        arguments.extend(more.iter().map(|one| (*one).to_owned()));
        let order = Order {
            program: self.ready.rustc.clone(),
            arguments,
            directory: None,
            environment: BTreeMap::new(),
            wall_clock_max: COMPILE_MAX,
        };
        let ran = run(&*bench, order, |_| {})
            .await
            .map_err(|error| failed(error.to_string()))?;
        let said = String::from_utf8_lossy(&ran.err);
        let told = errors(&said, job.path(), true);
        match (ran.exit, told.is_empty()) {
            (Exit::Status(0), _) => Ok(job),
            (Exit::Status(_), false) => Err(MakeError::Wrong(told)),
            (Exit::TimedOut | Exit::OutputExceeded, _) => Err(MakeError::Wrong(
                "the compiler was stopped, since it took too long: something in the source has no end when it is compiled"
                    .to_owned(),
            )),
            // A limit of the system's: time on a processor, or memory.
            (Exit::Signal(_), _) => Err(MakeError::Wrong(
                "the compiler was stopped, since it took too much time or memory: something in the source has no end when it \
                 is compiled"
                    .to_owned(),
            )),
            (Exit::Status(_), true) => Err(failed(match errors(&said, job.path(), false) {
                told if told.is_empty() => ran.wrong(),
                told => told,
            })),
        }
    }

    fn prepared(&self) -> PathBuf {
        self.toolchain.folder.join(&self.ready.key)
    }

    fn arguments(&self, draft: &Draft) -> Result<Vec<String>, String> {
        let prelude = self.prepared().join("prelude");
        let library = |name: &str| -> Result<String, String> {
            let start = format!("lib{name}-");
            let entries = std::fs::read_dir(&prelude)
                .map_err(|error| error.to_string())?
                .flatten();
            let mut found =
                entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&start));
            let found = found.next().ok_or_else(|| {
                format!(
                    "{name} is missing in {}; run titanclaw toolchain prepare",
                    prelude.display()
                )
            })?;
            Ok(format!("{name}={}", found.path().display()))
        };
        let mut arguments: Vec<String> = [
            "--edition=2024",
            "--crate-name=tool",
            "--crate-type=cdylib",
            "--target",
            TARGET,
            "--error-format=json",
            "-Cpanic=abort",
            "-Cdebuginfo=0",
            "-Cstrip=debuginfo",
            "-Cdebug-assertions=off",
            "-Coverflow-checks=on",
            "main.rs",
        ]
        .map(str::to_owned)
        .to_vec();
        if self.ready.has_sysroot {
            arguments.push(format!(
                "--sysroot={}",
                self.prepared().join("sysroot").display()
            ));
        }
        arguments.push(format!("-Ldependency={}", prelude.display()));
        let mut crates = vec!["titan_prelude"];
        if prelude::uses_html(&draft.source) {
            crates.push("titan_html");
        }
        for name in crates {
            arguments.push("--extern".to_owned());
            arguments.push(library(name)?);
        }
        Ok(arguments)
    }
}

/// # Errors
/// When a source is too long, or names what none may name.
fn read(draft: &Draft) -> Result<(), MakeError> {
    if draft.source.len() > SOURCE_BYTES_MAX {
        let what = format!("the source has more than {SOURCE_BYTES_MAX} bytes");
        return Err(MakeError::Wrong(what));
    }
    refuse::check(&draft.source).map_err(MakeError::Wrong)
}

/// What a component says of itself. `log` is always there: what a panic says comes that way.
fn spec(draft: &Draft) -> Spec {
    let mut capabilities = draft.capabilities.clone();
    if !capabilities.iter().any(|one| one == "log") {
        capabilities.push("log".to_owned());
    }
    Spec {
        name: draft.spec.name.clone(),
        description: draft.spec.description.clone(),
        input_schema: draft.spec.input_schema.to_string(),
        capabilities,
        hosts: Vec::new(),
        tools: Vec::new(),
    }
}

/// A folder for one run: in memory where there is some for it, so that nothing of it ever lies on a disk.
fn job_folder() -> std::io::Result<tempfile::TempDir> {
    static SWEPT: std::sync::Once = std::sync::Once::new();
    SWEPT.call_once(|| sweep(Path::new(MEMORY), JOB_AGE_MIN));
    let with = |folder: &Path| {
        tempfile::Builder::new()
            .prefix(&format!("{JOB}{}-", std::process::id()))
            .tempdir_in(folder)
    };
    with(Path::new(MEMORY)).or_else(|_| with(&std::env::temp_dir()))
}

/// Removes the folders of engines that were killed.
fn sweep(memory: &Path, age_min: Duration) {
    let is_left = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        let name = name.to_str()?.strip_prefix(JOB)?;
        let process = Path::new("/proc").join(name.split_once('-')?.0);
        let age = entry.metadata().ok()?.modified().ok()?.elapsed().ok()?;
        (age >= age_min && !process.exists()).then_some(())
    };
    let entries = std::fs::read_dir(memory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_left(entry).is_some()) {
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            // Another account's.
            tracing::debug!(%error, "a folder that a compiler left can't be removed");
        }
    }
}

fn encode(mut module: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("tool.wit", WIT)
        .map_err(|error| error.to_string())?;
    let world = resolve
        .select_world(&[package], Some("tool"))
        .map_err(|error| error.to_string())?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(|error| format!("{error:#}"))?;
    // Whoever loads it validates it.
    let encoder = ComponentEncoder::default().validate(false).module(&module);
    encoder
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("{error:#}"))
}

/// The errors of a compiler, as much as whoever wrote the source can use, with nothing of this machine's paths.
///
/// `is_placed`: those in the source; else the others, such as a linker's.
fn errors(said: &str, job: &Path, is_placed: bool) -> String {
    let messages = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_error = |message: &Value| {
        let has_place = message["spans"]
            .as_array()
            .is_some_and(|spans| !spans.is_empty());
        message["level"] == "error" && has_place == is_placed
    };
    let rendered: Vec<String> = messages
        .filter(is_error)
        .filter_map(|message| message["rendered"].as_str().map(str::to_owned))
        .collect();
    let shown: Vec<String> = rendered
        .iter()
        .take(ERRORS_MAX)
        .map(|text| clipped(text.trim().replace(&job.display().to_string(), "")))
        .collect();
    let mut text = shown.join("\n\n");
    if rendered.len() > ERRORS_MAX {
        text.push_str(&format!("\n\n… and {} more", rendered.len() - ERRORS_MAX));
    }
    text
}

fn clipped(text: String) -> String {
    match text.len() <= ERROR_BYTES_MAX {
        true => text,
        false => format!("{}…", &text[..text.floor_char_boundary(ERROR_BYTES_MAX)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s25_what_a_killed_engine_left_in_memory_is_swept_and_what_is_used_stays() {
        let memory = tempfile::tempdir().unwrap();
        // No process has so high a number.
        let [left, used, other] = [
            format!("{JOB}99999999-a"),
            format!("{JOB}{}-a", std::process::id()),
            "titanclaw-else-99999999-a".to_owned(),
        ]
        .map(|name| memory.path().join(name));
        for folder in [&left, &used, &other] {
            std::fs::create_dir(folder).unwrap();
        }
        sweep(memory.path(), JOB_AGE_MIN);
        assert!(left.exists(), "it may be new");
        sweep(memory.path(), Duration::ZERO);
        assert!(!left.exists() && used.exists() && other.exists());
    }

    #[test]
    fn errors_are_told_with_their_lines_and_without_paths_and_no_more_than_can_be_used() {
        let one = |text: &str| {
            serde_json::json!({"level": "error", "spans": [{}], "rendered": text}).to_string()
        };
        let warning =
            serde_json::json!({"level": "warning", "spans": [{}], "rendered": "w"}).to_string();
        let summary =
            serde_json::json!({"level": "error", "spans": [], "rendered": "aborting"}).to_string();
        let said = [one("error: no\n --> /job/tool.rs:3:5\n"), warning, summary].join("\n");
        assert_eq!(
            errors(&said, Path::new("/job/"), true),
            "error: no\n --> tool.rs:3:5"
        );
        let many: Vec<String> = (0..9)
            .map(|n| one(&format!("error {n} {}", "x".repeat(2000))))
            .collect();
        let told = errors(&many.join("\n"), Path::new("/job"), true);
        assert!(
            told.ends_with("… and 4 more") && told.len() < 7000,
            "{}",
            told.len()
        );
        assert_eq!(errors("no JSON at all", Path::new("/job"), true), "");
    }
}
