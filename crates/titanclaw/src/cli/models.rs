//! `titanclaw models list|pull|use|test`.

use super::{Context, Exit, engine_runtime};
use crate::config::Config;
use crate::config::choose::{self, LOCAL};
use crate::config::edit;
use crate::wire::{self, CatalogueEntry, Opened};
use anyhow::bail;
use futures::StreamExt;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use titan_protocol::{Message, ModelEvent, ModelInfo, ModelRequest, Provider, Task};
use titan_tui::render::{self, table};

/// Tokens that the timed reply may have.
const REPLY_TOKENS_MAX: u32 = 128;
/// The longest wait for a piece of it.
const REPLY_WAIT_MAX: Duration = Duration::from_secs(180);

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List local models and those of every provider that answers
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Download a local model; a broken download goes on where it stopped
    Pull {
        /// Its name in the list [default: the catalogue's first choice]
        name: Option<String>,
    },
    /// Choose the model that answers from now on
    Use {
        /// As provider/model, or local, or local/NAME; auto goes back to finding one
        name: String,
    },
    /// Let a model choose tools, and measure it
    Test {
        /// As provider/model, or local [default: the model that would answer]
        name: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let config = context.config()?;
    let runtime = engine_runtime()?;
    match arguments.command {
        Command::List { json } => runtime.block_on(list(context, config, json))?,
        Command::Pull { name } => {
            let name = name
                .as_deref()
                .map(|name| name.strip_prefix("local/").unwrap_or(name));
            let told = runtime.block_on(wire::pull(context, config, name))?;
            context.say(&told);
        }
        Command::Use { name } => choose(context, config, &name)?,
        Command::Test { name, json } => {
            runtime.block_on(test(context, config, name.as_deref(), json))?
        }
    }
    Ok(Exit::Completed)
}

async fn list(context: &Context, config: &Config, is_json: bool) -> anyhow::Result<()> {
    let catalogue = wire::catalogue(context, config);
    let listed = wire::list_models(context, config).await?;
    let output = context.output();
    if is_json {
        let local: Vec<Value> = catalogue.iter().map(local_json).collect();
        let providers: Vec<Value> = listed
            .iter()
            .map(|listed| match &listed.models {
                Ok(models) => json!({ "provider": listed.provider, "models": models }),
                Err(error) => json!({ "provider": listed.provider, "error": error }),
            })
            .collect();
        return output.json(
            &json!({ "chosen": config.models.chat, "local": local, "providers": providers }),
        );
    }
    let chosen = config.models.chat.as_deref();
    let mut rows: Vec<Vec<String>> = catalogue
        .iter()
        .map(|entry| local_row(entry, chosen))
        .collect();
    for listed in &listed {
        match &listed.models {
            Ok(models) => rows.extend(models.iter().map(|model| row(model, chosen))),
            Err(error) => context.say(&format!("{}: {error}", listed.provider)),
        }
    }
    output.lines(&table::columns_of(
        &["", "model", "context", "tools", "about"],
        &rows,
        output.width(),
    ))?;
    if chosen.is_none() {
        context.say(
            "no model is chosen, so one is found by itself; choose one: titanclaw models use NAME",
        );
    }
    Ok(())
}

fn local_json(entry: &CatalogueEntry) -> Value {
    json!({
        "name": format!("local/{}", entry.name),
        "about": entry.about,
        "bytes": entry.bytes,
        "is_here": entry.path.is_some(),
        "is_default": entry.is_default,
    })
}

fn local_row(entry: &CatalogueEntry, chosen: Option<&str>) -> Vec<String> {
    let name = format!("local/{}", entry.name);
    let is_chosen = chosen == Some(&name) || (chosen == Some(LOCAL) && entry.is_default);
    let place = if entry.path.is_some() {
        "here"
    } else {
        "to be downloaded"
    };
    vec![
        mark(is_chosen),
        name,
        String::new(),
        "yes".to_owned(),
        format!("{}, {place}; {}", render::bytes(entry.bytes), entry.about),
    ]
}

fn row(model: &ModelInfo, chosen: Option<&str>) -> Vec<String> {
    let name = format!("{}/{}", model.provider, model.model);
    let tools = match model.native_tools {
        Some(true) => "yes",
        Some(false) => "by text",
        None => "?",
    };
    let price = match model.price {
        Some(price) if price.input > 0 => {
            format!(
                "${:.2} in, ${:.2} out per million tokens",
                dollars(price.input),
                dollars(price.output)
            )
        }
        Some(_) => "free of charge".to_owned(),
        None => String::new(),
    };
    vec![
        mark(chosen == Some(&name)),
        name,
        model
            .context_tokens_max
            .map_or_else(String::new, |tokens| render::count(u64::from(tokens))),
        tools.to_owned(),
        price,
    ]
}

fn dollars(usd_micros: u64) -> f64 {
    usd_micros as f64 / 1e6
}

fn mark(is_chosen: bool) -> String {
    if is_chosen {
        "*".to_owned()
    } else {
        String::new()
    }
}

fn choose(context: &Context, config: &Config, name: &str) -> anyhow::Result<()> {
    let is_plain = !name.contains('/') && name != LOCAL && name != "auto";
    if is_plain {
        bail!("{name:?} is not written as provider/model. `titanclaw models list` shows the names");
    }
    let provider = name.split('/').next().unwrap_or(name);
    let is_known = [LOCAL, "auto"].contains(&provider)
        || config.providers.iter().any(|known| known.name == provider)
        || choose::implied_provider(name, config, &context.env).is_some();
    if !is_known {
        let configured: String = config
            .providers
            .iter()
            .map(|known| format!(", {}", known.name))
            .collect();
        bail!(
            "there is no provider {provider:?}. There are local, anthropic, openai, ollama{configured}; `titanclaw onboard` adds another server"
        );
    }
    context.home.prepare()?;
    let path = context.home.config();
    let mut document = edit::read(&path)?;
    match name {
        "auto" => edit::unset(&mut document, "models.chat")?,
        name => edit::set(&mut document, "models.chat", name)?,
    }
    edit::write(&path, &document)?;
    let then = if context.home.socket().exists() {
        "; the engine that runs now hears of it when it starts again (titanclaw daemon stop)"
    } else {
        ""
    };
    match name {
        "auto" => context.say(&format!("a model is found by itself from now on{then}")),
        name => context.say(&format!("{name} answers from now on{then}")),
    }
    Ok(())
}

/// One reply, timed.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Timed {
    first_token: Duration,
    /// `None` where the reply was too short to tell.
    tokens_per_second: Option<f64>,
}

async fn test(
    context: &Context,
    config: &Config,
    asked: Option<&str>,
    is_json: bool,
) -> anyhow::Result<()> {
    let Opened {
        model,
        local,
        provider,
        too_wide,
    } = wire::open_model(context, config, asked).await?;
    if let Some(text) = &too_wide {
        context.say(text);
    }
    context.say(&format!(
        "testing {model}; this takes a while on a small machine"
    ));
    let tools = titan_local::check_tools(provider.as_ref()).await?;
    let timed = timed_reply(provider.as_ref()).await?;
    let measured = match local {
        Some(local) => Some(local.measure().await?),
        None => None,
    };
    let output = context.output();
    if is_json {
        return output.json(&json!({
            "model": model,
            "tools_asked": tools.asked,
            "tools_right": tools.right_tool,
            "arguments_right": tools.right_argument,
            "wrong": tools.wrong,
            "context": too_wide,
            "first_token_ms": millis(timed.first_token),
            "tokens_per_second": timed.tokens_per_second,
            "local": measured.as_ref().map(|measured| json!({
                "read_tokens_per_second": measured.read_tokens_per_second,
                "write_tokens_per_second": measured.write_tokens_per_second,
                "warm_first_token_ms": millis(measured.first_token),
                "resident_bytes": measured.resident_bytes,
                "threads": measured.threads,
                "instructions": measured.instructions,
            })),
        }));
    }
    let mut rows = vec![
        ("model", model),
        (
            "right tool",
            format!("{} of {}", tools.right_tool, tools.asked),
        ),
        (
            "right argument",
            format!("{} of {}", tools.right_argument, tools.asked),
        ),
        ("first token", render::duration(timed.first_token)),
    ];
    rows.extend(
        timed
            .tokens_per_second
            .map(|rate| ("writes", format!("{rate:.1} tokens/s"))),
    );
    if let Some(measured) = measured {
        rows.push((
            "reads, measured",
            format!("{:.1} tokens/s", measured.read_tokens_per_second),
        ));
        rows.push((
            "writes, measured",
            format!("{:.1} tokens/s", measured.write_tokens_per_second),
        ));
        rows.push(("first token, warm", render::duration(measured.first_token)));
        rows.extend(
            measured
                .resident_bytes
                .map(|held| ("memory", render::bytes(held))),
        );
        rows.push((
            "runs on",
            format!("{} threads, {}", measured.threads, measured.instructions),
        ));
    }
    for wrong in &tools.wrong {
        context.say(&format!("wrong: {wrong}"));
    }
    let text: String = rows
        .iter()
        .map(|(name, value)| format!("{name:18} {value}\n"))
        .collect();
    Ok(output.text(&text)?)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A short plain reply, to see how fast the model is in use.
async fn timed_reply(provider: &dyn Provider) -> anyhow::Result<Timed> {
    let request = ModelRequest {
        output_tokens_max: REPLY_TOKENS_MAX,
        ..ModelRequest::new(
            Task::Chat,
            "Answer in plain text.",
            vec![Message::user("Count from one to forty in words.")],
        )
    };
    let started = Instant::now();
    let mut first = None;
    let mut n_tokens = 0;
    let mut events = provider.stream(request);
    loop {
        match tokio::time::timeout(REPLY_WAIT_MAX, events.next()).await {
            Ok(None) => break,
            Ok(Some(Ok(ModelEvent::TextDelta { .. } | ModelEvent::ThinkingDelta { .. }))) => {
                first.get_or_insert_with(|| started.elapsed());
            }
            Ok(Some(Ok(ModelEvent::Usage(usage)))) => n_tokens = usage.output_tokens,
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return Err(error.into()),
            Err(_) => bail!("the model said nothing for {} s", REPLY_WAIT_MAX.as_secs()),
        }
    }
    let whole = started.elapsed();
    let first_token = first.unwrap_or(whole);
    let writing = whole.saturating_sub(first_token).as_secs_f64();
    let is_long_enough = n_tokens > 1 && writing > 0.0;
    Ok(Timed {
        first_token,
        tokens_per_second: is_long_enough.then(|| (n_tokens - 1) as f64 / writing),
    })
}
