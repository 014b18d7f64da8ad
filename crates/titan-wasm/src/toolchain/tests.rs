//! Compilers that really run, confined as they are for everybody.

use super::compile::Compiler;
use super::*;
use crate::host::WasmHost;
use crate::tests::compiler;
use titan_protocol::{Care, Draft, MakeError, ToolSpec};
use titan_sandbox::{HostWorkbench, open_closed};

/// Time on a processor that compilers get here: tests don't wait as long as people do.
const SECONDS_MAX: u64 = 3;

/// A compiler that is ready, and a host; `None`, and the test is skipped, where there is none.
async fn prepared() -> Option<(Toolchain, Ready, WasmHost, tempfile::TempDir)> {
    let (toolchain, ready) = compiler::prepared().await?;
    let folder = tempfile::tempdir().unwrap();
    let host = compiler::host(folder.path());
    Some((toolchain, ready, host, folder))
}

fn draft(source: &str) -> Draft {
    Draft {
        spec: ToolSpec {
            name: "tried".to_owned(),
            description: "Is tried.".to_owned(),
            input_schema: serde_json::json!({"type": "object", "additionalProperties": false}),
        },
        source: source.to_owned(),
        capabilities: Vec::new(),
        examples: Vec::new(),
    }
}

/// A tool that gives what an expression says.
fn gives(expression: &str) -> Draft {
    draft(&format!(
        "fn run(_: &str) -> Result<String> {{\n    Ok({expression})\n}}\n"
    ))
}

fn given(host: &WasmHost, component: &[u8]) -> Result<String, String> {
    let ready = host
        .load_once(component)
        .map_err(|error| error.to_string())?;
    ready
        .call("{}", &Arc::default())
        .result
        .map_err(|error| error.to_string())?
}

#[tokio::test]
async fn a_tool_is_compiled_and_gives_what_it_should_with_either_care() {
    let Some((toolchain, ready, host, _folder)) = prepared().await else {
        return;
    };
    let compiler = Compiler::new(toolchain, ready);
    let draft = gives("format!(\"{}\", [3, 1, 2].iter().sum::<i32>())");
    for care in [Care::Once, Care::Kept] {
        let component = compiler.compile(&draft, care).await.unwrap();
        assert_eq!(given(&host, &component), Ok("6".to_owned()), "{care:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_line_and_column() {
    let Some((toolchain, ready, ..)) = prepared().await else {
        return;
    };
    let compiler = Compiler::new(toolchain, ready);
    let wrong = compiler
        .compile(&gives("1 + true"), Care::Once)
        .await
        .unwrap_err();
    let MakeError::Wrong(text) = wrong else {
        panic!("{wrong:?}")
    };
    assert!(
        text.contains("tool.rs:2:") && text.contains("1 + true"),
        "{text}"
    );
    assert!(
        !text.contains("titanclaw-tool-"),
        "no path of this machine: {text}"
    );
}

/// The second wall is looked at alone here: nothing has looked at these sources before the compiler does.
#[tokio::test]
async fn s24_a_hostile_source_gets_nothing_of_this_machine_into_a_component() {
    let Some((toolchain, ready, host, folder)) = prepared().await else {
        return;
    };
    let secret = folder.path().join("secret.txt");
    std::fs::write(&secret, "\"what nobody may read\"").unwrap();
    let compiler = Compiler::new(toolchain, ready);
    let files = [
        "/etc/passwd".to_owned(),
        "/etc/hostname".to_owned(),
        "/proc/self/environ".to_owned(),
        "/proc/self/maps".to_owned(),
        "/sys/class/dmi/id/product_name".to_owned(),
        secret.display().to_string(),
    ];
    for file in &files {
        for with in [
            "include_str!({})",
            "String::from_utf8_lossy(include_bytes!({}))",
            "include!({})",
        ] {
            let source = gives(&format!(
                "{}.to_string()",
                with.replace("{}", &format!("{file:?}"))
            ));
            assert_refused(&compiler, &source).await;
        }
        let module = draft(&format!(
            "#[path = {file:?}] mod a;\nfn run(_: &str) -> Result<String> {{ fail(\"\") }}"
        ));
        assert_refused(&compiler, &module).await;
    }
    for name in [
        "HOME",
        "PATH",
        "USER",
        "OPENAI_API_KEY",
        "CARGO_MANIFEST_DIR",
    ] {
        assert_refused(&compiler, &gives(&format!("env!({name:?}).to_owned()"))).await;
        let asked = gives(&format!("format!(\"{{:?}}\", option_env!({name:?}))"));
        let component = compiler.compile_unread(&asked, Care::Once).await.unwrap();
        assert_eq!(given(&host, &component), Ok("None".to_owned()), "{name}");
    }
}

async fn assert_refused(compiler: &Compiler, draft: &Draft) {
    let compiled = compiler.compile_unread(draft, Care::Once).await;
    assert!(
        matches!(compiled, Err(MakeError::Wrong(_))),
        "{}: {compiled:?}",
        draft.source
    );
}

#[tokio::test]
async fn s24_a_source_that_keeps_the_compiler_busy_is_given_up() {
    let Some((toolchain, ready, ..)) = prepared().await else {
        return;
    };
    let compiler = Compiler::new(compiler::hurried(toolchain, SECONDS_MAX), ready);
    for source in [
        "#[allow(long_running_const_eval)] const N: u64 = { let mut n = 0u64; loop { n = n.wrapping_add(1); if n == u64::MAX { break n } } };\nfn run(_: &str) -> Result<String> { Ok(N.to_string()) }",
        "macro_rules! m { ($($t:tt)*) => { m!($($t)* $($t)*) } }\nm!(a a);\nfn run(_: &str) -> Result<String> { fail(\"\") }",
        "static S: [u8; 1 << 34] = [1; 1 << 34];\nfn run(_: &str) -> Result<String> { Ok(S.len().to_string()) }",
    ] {
        let compiled = compiler.compile(&draft(source), Care::Once).await;
        assert!(
            matches!(compiled, Err(MakeError::Wrong(_))),
            "{source}: {compiled:?}"
        );
    }
}

#[tokio::test]
async fn s24_a_component_names_no_place_of_this_machine() {
    let Some((toolchain, ready, ..)) = prepared().await else {
        return;
    };
    let place = toolchain.folder.display().to_string();
    let compiler = Compiler::new(toolchain, ready);
    let draft = gives("html::parse(\"<p>a\").first(\"p\")?.map(|p| p.text()).unwrap_or_default()");
    let component = compiler.compile(&draft, Care::Once).await.unwrap();
    let text = String::from_utf8_lossy(&component);
    let home = std::env::var("HOME").unwrap();
    for what in [
        place.as_str(),
        "titanclaw-tool-",
        "/dev/shm",
        ".building-",
        &format!("{home}/"),
    ] {
        assert!(!text.contains(what), "{what} is in the component");
    }
}

#[tokio::test]
async fn s25_nothing_is_left_of_a_compiler_that_was_not_waited_for() {
    let Some((toolchain, ready, ..)) = prepared().await else {
        return;
    };
    let compiler = Compiler::new(toolchain, ready);
    let jobs = || {
        let entries = std::fs::read_dir("/dev/shm")
            .into_iter()
            .flatten()
            .flatten();
        let mark = format!("titanclaw-tool-{}-", std::process::id());
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&mark))
            .count()
    };
    let draft = gives("\"a\".to_owned()");
    let mut compiling = Box::pin(compiler.compile(&draft, Care::Once));
    while jobs() == 0 {
        assert!(futures::poll!(compiling.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    drop(compiling);
    assert!(HostWorkbench::programs_ended().await);
    assert_eq!(jobs(), 0);
}

#[tokio::test]
async fn a_machine_without_a_compiler_says_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let toolchain = Toolchain {
        folder: folder.path().join("jit"),
        named: Some(folder.path().join("rustc")),
        rustup: Vec::new(),
        programs: Vec::new(),
        open: Arc::new(open_closed),
    };
    assert_eq!(toolchain.ready(), None);
    let found = toolchain.find().await;
    assert_eq!(found, []);
    let missing = toolchain.missing(&found);
    assert!(
        missing.starts_with("No compiler from Rust to WebAssembly was found"),
        "{missing}"
    );
    assert!(missing.contains("titanclaw toolchain prepare"), "{missing}");
    let host = compiler::host(folder.path());
    let prepared = toolchain.prepare(&host, |_| {}).await;
    assert!(
        matches!(prepared, Err(PrepareError::Missing(_))),
        "{prepared:?}"
    );
}
