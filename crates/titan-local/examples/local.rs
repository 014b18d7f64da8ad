//! Tries the local model by hand.
//!
//! `cargo run --release -p titan-local --example local -- measure|check|ask|pull MODEL [THREADS] [QUESTION]`, where
//! MODEL is a file or a name of the catalogue. `pull` fetches into the folder given after MODEL, with the hub out of reach.

use futures::StreamExt;
use serde_json::json;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use titan_local::{LocalConfig, LocalProvider, check_tools};
use titan_protocol::{Egress, Message, ModelEvent, ModelRequest, Provider, Task, ToolSpec};
use titan_testkit::egress::ScriptedEgress;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [command, model, rest @ ..] = arguments.as_slice() else {
        return Err("give measure|check|ask MODEL [THREADS] [QUESTION]".into());
    };
    let home = std::env::home_dir().ok_or("no home")?;
    let mut config = LocalConfig::new(home.join(".cache/titanclaw/models"));
    config.model.clone_from(model);
    if command != "pull" {
        config.threads = rest.first().map(|text| text.parse()).transpose()?;
    }
    config.prefix_cache_dir = Some(home.join(".cache/titanclaw/prefixes"));
    let provider = LocalProvider::open(config);
    match command.as_str() {
        "measure" => println!("{:#?}", provider.measure().await?),
        "check" => {
            let start = Instant::now();
            println!(
                "{:#?}\nin {:?}",
                check_tools(&provider).await?,
                start.elapsed()
            );
        }
        "ask" => ask(&provider, rest.get(1).ok_or("no question")?).await?,
        "pull" => pull_packages(model, rest.first().ok_or("no folder")?).await?,
        other => return Err(format!("{other} is no command").into()),
    }
    Ok(())
}

async fn pull_packages(model: &str, folder: &str) -> Result<(), Box<dyn Error>> {
    let model = titan_local::find(model).ok_or("no such model")?;
    let start = Instant::now();
    let mut told = None;
    let mut progress = |progress: titan_local::Progress| {
        let percent = progress.bytes_done * 100 / progress.bytes_total;
        if told.replace(percent) != Some(percent) {
            println!("{percent} % from {}", progress.source);
        }
    };
    let unreachable: Arc<dyn Egress> = Arc::new(ScriptedEgress::new());
    let fetched =
        titan_local::pull(model, Path::new(folder), Some(unreachable), &mut progress).await?;
    println!("{fetched:?} in {:?}", start.elapsed());
    Ok(())
}

async fn ask(provider: &LocalProvider, question: &str) -> Result<(), Box<dyn Error>> {
    let tool = |name: &str, description: &str, argument: &str| ToolSpec {
        name: name.into(),
        description: description.into(),
        input_schema: json!({
            "type": "object",
            "properties": {argument: {"type": "string"}},
            "required": [argument],
            "additionalProperties": false,
        }),
    };
    let system = "You are Titan, an assistant at work in the user's project folder. Be brief.";
    let mut request = ModelRequest::new(Task::Chat, system, vec![Message::user(question)]);
    request.tools = [
        tool("read", "Reads a file.", "path"),
        tool("list", "Lists the files in a folder.", "path"),
        tool("shell", "Runs a command in a shell.", "command"),
        tool("write", "Writes a file.", "path"),
        tool("search", "Searches the text of all files.", "pattern"),
        tool("remember", "Stores a fact in the notes.", "text"),
    ]
    .into();
    request.output_tokens_max = 200;
    for _ in 0..2 {
        let start = Instant::now();
        let mut first = None;
        let mut events = provider.stream(request.clone());
        while let Some(event) = events.next().await {
            match event? {
                ModelEvent::Route { .. } => {}
                ModelEvent::TextDelta { text } => {
                    first.get_or_insert_with(|| start.elapsed());
                    print!("{text}");
                }
                other => {
                    first.get_or_insert_with(|| start.elapsed());
                    println!("{other:?}");
                }
            }
            std::io::stdout().flush()?;
        }
        println!("first event after {first:?}, all in {:?}", start.elapsed());
    }
    Ok(())
}
