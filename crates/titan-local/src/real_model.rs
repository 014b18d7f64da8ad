//! Tests with published models. Each is skipped, and says so, where its model's file is not on the machine.

use crate::catalogue::{self, CatalogueModel, DEFAULT_MODEL};
use crate::gguf::Gguf;
use crate::prompt::{Frame, render};
use crate::tokenizer::Tokenizer;
use crate::{LocalConfig, LocalProvider};
use futures::StreamExt;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use titan_protocol::{Message, ModelEvent, ModelRequest, Provider, StopReason, Task, ToolSpec};

const SMALL_MODEL: &str = "qwen2.5-coder-0.5b";

fn models_dir() -> PathBuf {
    std::env::var_os("TITAN_MODELS_DIR").map_or_else(
        || {
            std::env::home_dir()
                .unwrap_or_default()
                .join(".cache/titanclaw/models")
        },
        PathBuf::from,
    )
}

/// A model's file, or a line that says why the test is skipped.
fn file(id: &str) -> Option<PathBuf> {
    let model: &CatalogueModel = catalogue::find(id).unwrap();
    let found = catalogue::find_on_machine(model, &models_dir());
    if found.is_none() {
        let why = format!("{} is not in {}", model.file, models_dir().display());
        titan_testkit::skip(&format!("model:{id}"), why);
    }
    found
}

fn provider(id: &str) -> LocalProvider {
    LocalProvider::open(LocalConfig {
        model: id.into(),
        ..LocalConfig::new(models_dir())
    })
}

fn tool(name: &str, description: &str, arguments: &[&str]) -> ToolSpec {
    let properties: serde_json::Map<_, _> = arguments
        .iter()
        .map(|name| ((*name).to_owned(), json!({"type": "string"})))
        .collect();
    ToolSpec {
        name: name.into(),
        description: description.into(),
        input_schema: json!({
            "type": "object",
            "properties": properties,
            "required": arguments,
            "additionalProperties": false,
        }),
    }
}

fn six_tools() -> Vec<ToolSpec> {
    vec![
        tool(
            "shell",
            "Runs a command in the workspace and gives its output.",
            &["command", "directory"],
        ),
        tool(
            "read",
            "Reads a file, or a part of it by line numbers.",
            &["path", "from", "to"],
        ),
        tool(
            "edit",
            "Replaces one piece of text in a file by another.",
            &["path", "old", "new"],
        ),
        tool(
            "list",
            "Lists files and folders below a folder.",
            &["path", "depth"],
        ),
        tool(
            "grep",
            "Searches the text of files for a pattern.",
            &["pattern", "path", "glob"],
        ),
        tool(
            "remember",
            "Stores a note that later sessions can recall.",
            &["text", "tags"],
        ),
    ]
}

#[test]
fn tokens_are_those_of_the_reference() {
    let Some(path) = file(SMALL_MODEL) else {
        return;
    };
    let tokenizer = Tokenizer::load(&Gguf::open(&path).unwrap()).unwrap();
    // As llama.cpp gives them for the same file.
    let expected: [(&str, &[u32]); 4] = [
        (
            "Hello, world! It's 2024: 12345",
            &[
                9707, 11, 1879, 0, 1084, 594, 220, 17, 15, 17, 19, 25, 220, 16, 17, 18, 19, 20,
            ],
        ),
        ("  a   b\tc", &[220, 264, 256, 293, 1444]),
        (
            "你好，世界 🦀 naïve",
            &[108386, 3837, 99489, 11162, 99, 222, 94880, 586],
        ),
        (
            "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"",
            &[
                750, 75698, 1445, 982, 262, 4210, 5598, 279, 308, 7563, 79683, 1372, 74000,
            ],
        ),
    ];
    for (text, ids) in expected {
        assert_eq!(tokenizer.encode(text), ids, "{text:?}");
        let back: Vec<u8> = ids
            .iter()
            .flat_map(|id| tokenizer.bytes(*id).to_vec())
            .collect();
        assert_eq!(back, text.as_bytes());
    }
}

#[test]
fn whole_files_are_cut_and_merged_as_in_the_reference() {
    use tokenizers::models::bpe::{BPE, Vocab};
    use tokenizers::normalizers::unicode::NFC;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;
    use tokenizers::pre_tokenizers::sequence::Sequence;
    use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
    use tokenizers::tokenizer::SplitDelimiterBehavior;
    let Some(path) = file(SMALL_MODEL) else {
        return;
    };
    let model = Gguf::open(&path).unwrap();
    let tokens = model.texts("tokenizer.ggml.tokens").unwrap();
    let merges = model.texts("tokenizer.ggml.merges").unwrap().map(|pair| {
        let (left, right) = pair.split_once(' ').unwrap();
        (left.to_owned(), right.to_owned())
    });
    let vocabulary: Vocab = tokens.map(|token| token.into_owned()).zip(0..).collect();
    let bpe = BPE::builder().vocab_and_merges(vocabulary, merges.collect());
    let mut reference = tokenizers::Tokenizer::new(bpe.build().unwrap());
    reference.with_normalizer(Some(NFC)).unwrap();
    let pattern = SplitPattern::Regex(crate::tokenizer::SPLIT_QWEN2.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).unwrap();
    let bytes = ByteLevel::new(false, false, false);
    reference.with_pre_tokenizer(Some(Sequence::new(vec![split.into(), bytes.into()])));

    let tokenizer = Tokenizer::load(&model).unwrap();
    let long_word = "ab1é ".repeat(50) + &"=".repeat(3000) + &"xy".repeat(2000);
    let texts = [
        include_str!("real_model.rs"),
        include_str!("../../../README.md"),
        include_str!("../../../Cargo.lock"),
        "e\u{301}\u{fb01} \u{1100}\u{1161}\u{11a8} \u{1f980}\u{200d}\u{1f525}\r\n\t \u{a0}x  \n\n  y",
        &long_word,
    ];
    for text in texts {
        let expected = reference.encode_fast(text, false).unwrap();
        assert_eq!(tokenizer.encode(text), expected.get_ids());
    }
}

#[test]
fn the_fixed_prompt_with_six_tools_stays_small() {
    const TOKENS_MAX: usize = 700;
    let Some(path) = file(SMALL_MODEL) else {
        return;
    };
    let tokenizer = Tokenizer::load(&Gguf::open(&path).unwrap()).unwrap();
    let frame = Frame::of(&tokenizer).unwrap();
    let system = "You are Titan, a personal assistant that works in the user's project folder. Answer briefly.";
    let prompt = render(
        &tokenizer,
        frame,
        system,
        &six_tools(),
        &[Message::user("hi")],
    );
    println!("{} tokens", prompt.fixed);
    assert!(prompt.fixed <= TOKENS_MAX, "{} tokens", prompt.fixed);
}

#[tokio::test]
async fn a_small_model_answers_in_words() {
    if file(SMALL_MODEL).is_none() {
        return;
    }
    let question = "What is the capital of France? Answer with one word.";
    let mut request = ModelRequest::new(Task::Chat, "Be brief.", vec![Message::user(question)]);
    request.output_tokens_max = 12;
    let mut text = String::new();
    let mut events = provider(SMALL_MODEL).stream(request);
    while let Some(event) = events.next().await {
        if let ModelEvent::TextDelta { text: piece } = event.unwrap() {
            text.push_str(&piece);
        }
    }
    assert!(text.contains("Paris"), "{text:?}");
}

#[tokio::test]
async fn the_default_model_calls_the_right_tool_and_answers_a_greeting_in_words() {
    if file(DEFAULT_MODEL).is_none() {
        return;
    }
    let provider = provider(DEFAULT_MODEL);
    let mut request = ModelRequest::new(
        Task::Chat,
        "Be brief.",
        vec![Message::user("Show me the file Cargo.toml.")],
    );
    request.tools = six_tools().into();
    request.output_tokens_max = 48;
    let events: Vec<ModelEvent> = provider
        .stream(request.clone())
        .map(Result::unwrap)
        .collect()
        .await;
    assert!(
        events.contains(&ModelEvent::ToolCallBegin {
            index: 0,
            name: "read".into()
        }),
        "{events:?}"
    );
    assert_eq!(
        events.last(),
        Some(&ModelEvent::Done {
            stop: StopReason::ToolCalls
        })
    );
    request.messages = vec![Message::user("Good morning!")];
    request.output_tokens_max = 16;
    let events: Vec<ModelEvent> = provider.stream(request).map(Result::unwrap).collect().await;
    assert!(
        events
            .iter()
            .any(|e| matches!(e, ModelEvent::TextDelta { .. })),
        "{events:?}"
    );
    assert!(
        !events
            .iter()
            .any(|e| matches!(e, ModelEvent::ToolCallBegin { .. })),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_long_prompt_is_called_off_at_once() {
    /// The promise is 100 ms; the rest is for machines that are busy with other tests.
    const WAIT_MAX: Duration = Duration::from_millis(600);
    if file(SMALL_MODEL).is_none() {
        return;
    }
    let provider = provider(SMALL_MODEL);
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(400);
    let mut events = provider.stream(ModelRequest::new(Task::Chat, "", vec![Message::user(long)]));
    // The route is told when the model is loaded and begins to read.
    assert!(matches!(
        events.next().await,
        Some(Ok(ModelEvent::Route { .. }))
    ));
    let start = Instant::now();
    drop(events);
    let mut next = provider.stream(ModelRequest::new(Task::Chat, "", vec![Message::user("hi")]));
    assert!(matches!(
        next.next().await,
        Some(Ok(ModelEvent::Route { .. }))
    ));
    let waited = start.elapsed();
    println!("called off after {waited:?}");
    assert!(waited < WAIT_MAX, "{waited:?}");
}
