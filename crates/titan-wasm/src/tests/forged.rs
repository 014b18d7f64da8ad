//! Tools that are written in Rust, honest ones and those that mean harm, through the compiler of this machine as it is really
//! started. Where there is none, these tests say that they did not run.

use super::compiler;
use crate::{Compiler, Config, LoadError, Toolchain, WasmHost};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{Care, Draft, MakeError, ToolSpec};

/// Time on a processor that a compiler gets for a tool.
const COMPILE_SECONDS_MAX: u64 = 6;

/// A compiler for tools and a host for what it makes.
struct Forge {
    toolchain: Toolchain,
    compiler: Compiler,
    host: WasmHost,
    _folder: tempfile::TempDir,
}

impl Forge {
    /// Prepared once for all tests and all runs of them. `None` where no compiler is.
    async fn open() -> Option<Self> {
        let (toolchain, ready) = compiler::prepared().await?;
        let folder = tempfile::tempdir().unwrap();
        let limits = crate::Limits {
            wall_clock_max: Duration::from_secs(2),
            ..crate::Limits::default()
        };
        let host = WasmHost::open(Config {
            limits,
            ..Config::new(folder.path().join("artefacts"), folder.path().join("tools"))
        });
        let host = host.unwrap();
        Some(Self {
            toolchain: toolchain.clone(),
            compiler: Compiler::new(compiler::hurried(toolchain, COMPILE_SECONDS_MAX), ready),
            host,
            _folder: folder,
        })
    }

    async fn compile(&self, draft: &Draft) -> Result<Vec<u8>, MakeError> {
        let made = self.compiler.compile(draft, Care::Once).await?;
        let told = machine(&self.toolchain)
            .into_iter()
            .find(|one| holds(&made, one));
        assert_eq!(
            told, None,
            "{} tells a path of this machine",
            draft.spec.name
        );
        Ok(made)
    }
}

/// What would tell whose machine a component was made on.
fn machine(toolchain: &Toolchain) -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let folder = toolchain.folder.display().to_string();
    let mut all = vec![folder, "/dev/shm/".to_owned(), "titanclaw-tool-".to_owned()];
    if home.len() > 1 {
        all.push(home);
    }
    all
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|piece| piece == text.as_bytes())
}

fn draft(name: &str, source: String) -> Draft {
    Draft {
        spec: ToolSpec {
            name: name.to_owned(),
            description: "Does what the test needs.".to_owned(),
            input_schema: json!({"type": "object", "properties": {}, "additionalProperties": false}),
        },
        source,
        capabilities: Vec::new(),
        examples: Vec::new(),
    }
}

fn test_data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("test_data")
        .join(name)
}

#[tokio::test]
async fn twenty_tools_as_a_model_writes_them_give_what_others_computed() {
    let Some(forge) = Forge::open().await else {
        return;
    };
    let folder = test_data("tools");
    let mut names: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.retain(|path| path.extension().is_some_and(|end| end == "rs"));
    names.sort();
    assert_eq!(names.len(), 20);
    for path in names {
        let told: Value =
            serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
        let text = |key: &str| told[key].as_str().unwrap().to_owned();
        let name = text("name");
        let mut draft = draft(&name, std::fs::read_to_string(&path).unwrap());
        draft.spec.description = text("description");
        draft.spec.input_schema = told["input_schema"].clone();
        let made = forge.compile(&draft).await.unwrap();
        let component = forge.host.load_once(&made).unwrap();
        assert_eq!(component.spec(), &draft.spec);
        let finished = component.call(&told["input"].to_string(), &Arc::default());
        assert_eq!(
            finished.result,
            Ok(Ok(text("output"))),
            "{name}: {}",
            finished.log
        );
    }
}

#[tokio::test]
async fn s24_a_source_that_means_harm_ends_as_it_has_to_and_the_host_goes_on() {
    let Some(forge) = Forge::open().await else {
        return;
    };
    let corpus = std::fs::read_to_string(test_data("hostile/corpus.txt")).unwrap();
    let cases = cases(&corpus);
    assert!(cases.len() >= 100, "{}", cases.len());
    let mut wrong = Vec::new();
    for (name, end, source) in cases {
        let came = forge.end(&name, source).await;
        if !came.is(&end) {
            wrong.push(format!("{name}: has to be {end:?}, came to {came:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let honest = draft(
        "honest",
        "fn run(input: Value) -> Result<String> { json::text(&input, \"a\") }".to_owned(),
    );
    let honest = forge
        .host
        .load_once(&forge.compile(&honest).await.unwrap())
        .unwrap();
    assert_eq!(
        honest.call(r#"{"a":"b"}"#, &Arc::default()).result,
        Ok(Ok("b".to_owned()))
    );
}

/// What became of a source.
#[derive(Debug)]
enum Came {
    Refused(String),
    Failed(String),
    Unloaded(LoadError),
    Halted(String, String),
    Said(String),
    Gave(String),
}

impl Forge {
    async fn end(&self, name: &str, source: String) -> Came {
        let made = match self.compile(&draft(name, source)).await {
            Ok(made) => made,
            Err(MakeError::Wrong(told)) => return Came::Refused(told),
            Err(other) => return Came::Failed(other.to_string()),
        };
        let component = match self.host.load_once(&made) {
            Ok(component) => component,
            Err(error) => return Came::Unloaded(error),
        };
        let finished = component.call("{}", &Arc::default());
        // What it says of itself is what its host wrote, whatever stands in its source.
        assert_eq!(component.spec().name, name);
        match finished.result {
            Err(halted) => Came::Halted(halted.to_string(), finished.log),
            Ok(Err(said)) => Came::Said(said),
            Ok(Ok(gave)) => Came::Gave(gave),
        }
    }
}

impl Came {
    fn is(&self, end: &str) -> bool {
        let (kind, what) = end.split_once(' ').unwrap_or((end, ""));
        match (kind, self) {
            ("refused", Self::Refused(told)) => {
                let (line, text) = what.split_once(' ').unwrap_or((what, ""));
                told.contains(&format!("tool.rs:{line}:")) && told.contains(text)
            }
            ("wrong", Self::Refused(told)) => told.contains(what),
            ("stopped", Self::Refused(told)) => told.contains("the compiler was stopped"),
            ("failed", Self::Failed(told)) => told.contains(what),
            ("unloaded", Self::Unloaded(error)) => error.to_string().contains(what),
            ("halts", Self::Halted(why, log)) => {
                let (text, logged) = what.split_once(" > ").unwrap_or((what, ""));
                why.contains(text) && log.contains(logged)
            }
            ("says", Self::Said(said)) => said.contains(what),
            ("gives", Self::Gave(gave)) => gave == what,
            ("contained", _) => true,
            _ => false,
        }
    }
}

/// The name, the end and the source of each.
fn cases(corpus: &str) -> Vec<(String, String, String)> {
    let parts = corpus.split("//- ").skip(1);
    let case = |part: &str| {
        let (head, source) = part.split_once('\n').unwrap();
        let (name, end) = head.split_once(" | ").unwrap();
        (name.to_owned(), end.to_owned(), repeated(source))
    };
    parts.map(case).collect()
}

/// A source with its repetitions written out.
fn repeated(source: &str) -> String {
    let mut given = String::new();
    let mut rest = source;
    while let Some((before, after)) = rest.split_once('⟦') {
        let (inside, after) = after.split_once('⟧').unwrap();
        let (n, piece) = inside.split_once('|').unwrap();
        given.push_str(before);
        (0..n.parse::<usize>().unwrap())
            .for_each(|i| given.push_str(&piece.replace('#', &i.to_string())));
        rest = after;
    }
    given + rest
}

#[test]
fn repetitions_are_written_out() {
    assert_eq!(repeated("a⟦3|f# ⟧b⟦2|(⟧"), "af0 f1 f2 b((");
}
