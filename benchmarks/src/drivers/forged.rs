//! What it takes to write a tool: twenty of them, as models write them, through the compiler of this machine, confined as it
//! always is. The compiler is prepared once, where tests have it too, and tried before anything counts, so that its files are
//! in memory.

use super::block_on;
use crate::Setup;
use crate::report::Row;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use titan_protocol::{Care, Draft, MakeError, ToolSpec};
use titan_sandbox::open_closed;
use titan_wasm::{Compiler, Config, Toolchain, WasmHost};

/// Times that each tool is made; what counts of a tool is the middle.
const ROUNDS: usize = 5;
const REPAIRS: usize = 40;

/// From a tool's source to its first answer, and until nothing of it is left. Each sample is the middle of one tool's
/// rounds, so that p50 is the middle over the tools. `compile` is the compiler, its linker and the encoding of the component;
/// `compiler_cpu` is the processor time of all processes in it; `load` compiles the component to the machine's code and links
/// it; `call` is the first call, with the tool's own input; `destroy` gives all of it back. The driver fails if an answer is not
/// the one that was computed by other means.
pub(super) fn jit_tool(setup: &Setup) -> Result<Vec<Row>> {
    let tools = tools(&setup.workspace.join("crates/titan-wasm/test_data/tools"))?;
    let folder = tempfile::tempdir()?;
    let host = host(folder.path())?;
    block_on(async {
        let compiler = compiler(&host).await?;
        let mut stages = Stages::default();
        for tool in &tools {
            // The first counts too: only the compiler itself is warm.
            let mut rounds = Stages::default();
            for _ in 0..ROUNDS {
                rounds.run(&compiler, &host, tool).await?;
            }
            stages.add_middle_of(&rounds);
        }
        let row = |metric, samples| Row::new("jit_tool", metric, "ms", samples);
        Ok(vec![
            row("source_to_answer", stages.whole).goal(500.0, None),
            row("compile", stages.compile),
            row("compiler_cpu", stages.cpu),
            row("load", stages.load),
            row("call", stages.call),
            row("destroy", stages.destroy),
        ])
    })
}

/// From a source with a wrong type to the message that names its line.
pub(super) fn jit_repair(setup: &Setup) -> Result<Vec<Row>> {
    let tools = tools(&setup.workspace.join("crates/titan-wasm/test_data/tools"))?;
    let folder = tempfile::tempdir()?;
    let host = host(folder.path())?;
    block_on(async {
        let compiler = compiler(&host).await?;
        let mut samples = Vec::new();
        for tool in tools.iter().cycle().take(REPAIRS) {
            let mut draft = tool.draft.clone();
            let line = draft.source.lines().count() + 1;
            draft.source.push_str("fn wrong() -> u32 { \"text\" }\n");
            let started = Instant::now();
            let made = compiler.compile(&draft, Care::Once).await;
            samples.push(millis(started));
            match made {
                Err(MakeError::Wrong(told)) if told.contains(&format!("tool.rs:{line}:")) => {}
                other => bail!("{}: {:?}", draft.spec.name, other.err()),
            }
        }
        Ok(vec![
            Row::new("jit_repair", "error_to_message", "ms", samples).goal(100.0, None),
        ])
    })
}

struct Tool {
    draft: Draft,
    input: String,
    output: String,
}

/// What each stage took, in milliseconds.
#[derive(Default)]
struct Stages {
    whole: Vec<f64>,
    compile: Vec<f64>,
    cpu: Vec<f64>,
    load: Vec<f64>,
    call: Vec<f64>,
    destroy: Vec<f64>,
}

impl Stages {
    async fn run(&mut self, compiler: &Compiler, host: &WasmHost, tool: &Tool) -> Result<()> {
        let (started, cpu) = (Instant::now(), children_cpu()?);
        let made = compiler.compile(&tool.draft, Care::Once).await;
        let made = made.with_context(|| tool.draft.spec.name.clone())?;
        self.compile.push(millis(started));
        self.cpu.push((children_cpu()? - cpu).as_secs_f64() * 1e3);
        let loading = Instant::now();
        let component = host.load_once(&made)?;
        self.load.push(millis(loading));
        let calling = Instant::now();
        let finished = component.call(&tool.input, &Arc::default());
        self.call.push(millis(calling));
        self.whole.push(millis(started));
        let ending = Instant::now();
        drop((component, made));
        self.destroy.push(millis(ending));
        ensure!(
            finished.result == Ok(Ok(tool.output.clone())),
            "{}: {finished:?}",
            tool.draft.spec.name
        );
        Ok(())
    }

    fn add_middle_of(&mut self, rounds: &Self) {
        self.whole.push(middle(&rounds.whole));
        self.compile.push(middle(&rounds.compile));
        self.cpu.push(middle(&rounds.cpu));
        self.load.push(middle(&rounds.load));
        self.call.push(middle(&rounds.call));
        self.destroy.push(middle(&rounds.destroy));
    }
}

fn middle(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Processor time of all processes that have ended below this one.
fn children_cpu() -> Result<Duration> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills what it is given.
    let usage = unsafe {
        ensure!(libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) == 0);
        usage.assume_init()
    };
    let of = |time: libc::timeval| -> Result<Duration> {
        Ok(Duration::from_secs(time.tv_sec.try_into()?)
            + Duration::from_micros(time.tv_usec.try_into()?))
    };
    Ok(of(usage.ru_utime)? + of(usage.ru_stime)?)
}

fn tools(folder: &Path) -> Result<Vec<Tool>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        paths.push(entry?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|end| end == "rs"));
    paths.sort();
    paths.iter().map(|path| tool(path)).collect()
}

fn tool(path: &Path) -> Result<Tool> {
    let about: Value = serde_json::from_slice(&std::fs::read(path.with_extension("json"))?)?;
    let text = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
    Ok(Tool {
        draft: Draft {
            spec: ToolSpec {
                name: text("name"),
                description: text("description"),
                input_schema: about["input_schema"].clone(),
            },
            source: std::fs::read_to_string(path)?,
            capabilities: Vec::new(),
            examples: Vec::new(),
        },
        input: about["input"].to_string(),
        output: text("output"),
    })
}

fn host(folder: &Path) -> Result<WasmHost> {
    let config = Config::new(folder.join("artefacts"), folder.join("tools"));
    Ok(WasmHost::open(config)?)
}

async fn compiler(host: &WasmHost) -> Result<Compiler> {
    let toolchain = toolchain();
    let ready = match toolchain.ready() {
        Some(ready) => ready,
        None => toolchain.prepare(host, |_| {}).await?,
    };
    let proved = toolchain.prove(&ready, host).await;
    proved.map_err(anyhow::Error::msg)?;
    Ok(Compiler::new(toolchain, ready))
}

fn toolchain() -> Toolchain {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let path = std::env::var_os("PATH").unwrap_or_default();
    Toolchain {
        folder: home.join(".cache/titanclaw/jit"),
        named: None,
        rustup: vec![home.join(".rustup")],
        programs: std::env::split_paths(&path)
            .filter(|folder| folder.is_absolute())
            .collect(),
        open: Arc::new(open_closed),
    }
}
