//! `titanclaw onboard`: sets up a model, step by step. Nothing is uploaded, and it can be run again at any time.

use super::{Context, Exit, engine_runtime, prompt};
use crate::config::choose::{ANTHROPIC_MODEL, Found, LOCAL, OPENAI_MODEL, is_loopback};
use crate::config::{Config, ProviderKind, edit};
use crate::wire;
use anyhow::{Context as _, bail};
use secrecy::ExposeSecret;
use titan_tui::render;
use toml_edit::DocumentMut;
use url::Url;

/// Set up a model, step by step; nothing is uploaded
///
/// Without a terminal, or with --yes, nothing is asked: --model says what is wanted.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The model: local, local/NAME, or provider/model
    #[arg(long)]
    model: Option<String>,
    /// The address of a server with OpenAI's API
    #[arg(long, value_name = "URL", requires = "model")]
    url: Option<String>,
    /// Read a key from standard input and seal it
    #[arg(long, requires = "model")]
    key: bool,
    /// Ask nothing
    #[arg(long, short)]
    yes: bool,
}

/// What is to be set up.
#[derive(Clone, Debug, PartialEq)]
struct Plan {
    /// As `provider/model`, `local` or `local/NAME`.
    model: String,
    /// A `[[providers]]` entry to write.
    server: Option<Server>,
    /// The name and the host of a key that is needed.
    key: Option<(String, String)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Server {
    name: String,
    kind: &'static str,
    base_url: String,
}

pub(super) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    context.home.prepare()?;
    let config = context.config()?;
    let runtime = engine_runtime()?;
    let is_asking = !arguments.yes && prompt::is_possible() && arguments.model.is_none();
    let plan = if is_asking {
        let found = runtime.block_on(wire::look_around(context, config))?;
        ask(context, config, &found)?
    } else {
        planned(&arguments)?
    };
    if let Some((name, host)) = &plan.key {
        runtime.block_on(wire::can_seal(context))?;
        let key = prompt::secret(&format!(
            "The key for {name} (not shown, sealed on this machine)"
        ))?;
        if key.expose_secret().is_empty() {
            bail!("no key was entered; nothing was changed");
        }
        runtime.block_on(wire::seal_key(context, name, key, host))?;
        context.say(&format!("the key is sealed and goes to {host} only"));
    }
    if let Some(name) = local_name(&plan.model) {
        let told = runtime.block_on(wire::pull(context, config, name))?;
        context.say(&told);
    }
    let path = context.home.config();
    let mut document = edit::read(&path)?;
    write(&mut document, &plan)?;
    edit::write(&path, &document)?;
    context.say(&format!(
        "{} answers from now on. Try it: titanclaw ask \"What is in this folder?\"",
        plan.model
    ));
    Ok(Exit::Completed)
}

/// The catalogue's name of a local model; `Some(None)` for its default.
fn local_name(model: &str) -> Option<Option<&str>> {
    match model.strip_prefix("local/") {
        Some(name) => Some(Some(name)),
        None => (model == LOCAL).then_some(None),
    }
}

fn write(document: &mut DocumentMut, plan: &Plan) -> anyhow::Result<()> {
    edit::set(document, "models.chat", &plan.model)?;
    if let Some(server) = &plan.server {
        edit::put_provider(document, &server.name, server.kind, Some(&server.base_url));
    }
    Ok(())
}

/// What the flags ask for.
fn planned(arguments: &Arguments) -> anyhow::Result<Plan> {
    let model = arguments.model.clone().unwrap_or_else(|| LOCAL.to_owned());
    let provider = model.split('/').next().unwrap_or_default().to_owned();
    if local_name(&model).is_none() && !model.contains('/') {
        bail!("--model {model:?} is not written as provider/model, and is not local");
    }
    let host = match (&arguments.url, provider.as_str()) {
        (Some(url), _) => Some(host_of(url)?),
        (None, "anthropic") => Some("api.anthropic.com".to_owned()),
        (None, "openai") => Some("api.openai.com".to_owned()),
        _ => None,
    };
    let key = match (arguments.key, host) {
        (false, _) => None,
        (true, Some(host)) => Some((provider.clone(), host)),
        (true, None) => bail!(
            "--key needs to know where the key may go: add --url, or name anthropic or openai"
        ),
    };
    let server = arguments.url.clone().map(|base_url| Server {
        name: provider,
        kind: "compatible",
        base_url,
    });
    Ok(Plan { model, server, key })
}

/// What the person chooses.
fn ask(context: &Context, config: &Config, found: &[Found]) -> anyhow::Result<Plan> {
    prompt::put(&format!(
        "TitanClaw keeps everything in {} and uploads nothing.\nWhich model shall answer?\n",
        context.home.path().display()
    ))?;
    let mut plans = Vec::new();
    let mut texts = Vec::new();
    for server in found {
        for model in server.models.iter().take(3) {
            texts.push(format!(
                "{}/{model}, from the server at {}",
                server.name, server.base_url
            ));
            plans.push(Some(of_server(server, model)));
        }
    }
    for entry in wire::catalogue(context, config) {
        let place = if entry.path.is_some() {
            "here"
        } else {
            "downloaded once"
        };
        texts.push(format!(
            "local/{}, {} on this machine ({place}); {}",
            entry.name,
            render::bytes(entry.bytes),
            entry.about
        ));
        plans.push(Some(of_local(entry.name)));
    }
    if !context.is_offline {
        texts.push("Anthropic, with your key".to_owned());
        plans.push(Some(of_vendor(
            "anthropic",
            ANTHROPIC_MODEL,
            "api.anthropic.com",
            context.env.anthropic_key.is_some(),
        )));
        texts.push("OpenAI, with your key".to_owned());
        plans.push(Some(of_vendor(
            "openai",
            OPENAI_MODEL,
            "api.openai.com",
            context.env.openai_key.is_some(),
        )));
    }
    texts.push("another server with OpenAI's API, by its address".to_owned());
    plans.push(None);
    match plans.swap_remove(prompt::choice("Number", &texts)?) {
        Some(plan) if plan.key.is_some() => {
            let model = prompt::line(
                "Model",
                plan.model.split_once('/').map_or("", |(_, model)| model),
            )?;
            let provider = plan.model.split('/').next().unwrap_or_default().to_owned();
            Ok(Plan {
                model: format!("{provider}/{model}"),
                ..plan
            })
        }
        Some(plan) => Ok(plan),
        None => of_address(),
    }
}

fn of_server(server: &Found, model: &str) -> Plan {
    Plan {
        model: format!("{}/{model}", server.name),
        server: Some(Server {
            name: server.name.clone(),
            kind: match server.kind {
                ProviderKind::Ollama => "ollama",
                _ => "compatible",
            },
            base_url: server.base_url.clone(),
        }),
        key: None,
    }
}

fn of_local(name: &str) -> Plan {
    Plan {
        model: format!("local/{name}"),
        server: None,
        key: None,
    }
}

fn of_vendor(name: &str, model: &str, host: &str, has_key: bool) -> Plan {
    Plan {
        model: format!("{name}/{model}"),
        server: None,
        key: (!has_key).then(|| (name.to_owned(), host.to_owned())),
    }
}

fn of_address() -> anyhow::Result<Plan> {
    let base_url = prompt::line("Address, such as http://127.0.0.1:8000/v1", "")?;
    let host = host_of(&base_url)?;
    let name = prompt::line("A short name for it", "server")?;
    let model = prompt::line("Model", "")?;
    if name.contains('/') || name.is_empty() || model.is_empty() {
        bail!(
            "the name and the model must not be empty, and the name has no slash; nothing was changed"
        );
    }
    let needs_key = prompt::yes("Does it need a key?", !is_loopback(&base_url))?;
    Ok(Plan {
        model: format!("{name}/{model}"),
        key: needs_key.then(|| (name.clone(), host)),
        server: Some(Server {
            name,
            kind: "compatible",
            base_url,
        }),
    })
}

fn host_of(url: &str) -> anyhow::Result<String> {
    let parsed = Url::parse(url).with_context(|| {
        format!("{url:?} is no address; write it like http://127.0.0.1:8000/v1")
    })?;
    match parsed.host_str() {
        Some(host) => Ok(host.to_owned()),
        None => bail!("{url:?} names no host; write it like http://127.0.0.1:8000/v1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(model: Option<&str>, url: Option<&str>, key: bool) -> Arguments {
        Arguments {
            model: model.map(str::to_owned),
            url: url.map(str::to_owned),
            key,
            yes: true,
        }
    }

    #[test]
    fn flags_say_all_that_a_script_needs() {
        assert_eq!(planned(&flags(None, None, false)).unwrap().model, "local");
        let plan = planned(&flags(Some("anthropic/claude"), None, true)).unwrap();
        assert_eq!(
            plan.key,
            Some(("anthropic".into(), "api.anthropic.com".into()))
        );
        let plan = planned(&flags(Some("work/m"), Some("http://10.0.0.1:8/v1"), true)).unwrap();
        assert_eq!(plan.key, Some(("work".into(), "10.0.0.1".into())));
        assert_eq!(plan.server.map(|server| server.name), Some("work".into()));
        for bad in [
            flags(Some("work/m"), None, true),
            flags(Some("gpt"), None, false),
            flags(Some("a/b"), Some("x"), false),
        ] {
            assert!(planned(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn setting_up_twice_leaves_one_entry() {
        let mut document = DocumentMut::new();
        let plan = planned(&flags(Some("work/m"), Some("http://10.0.0.1:8/v1"), false)).unwrap();
        write(&mut document, &plan).unwrap();
        write(&mut document, &plan).unwrap();
        assert_eq!(
            document.to_string(),
            "[models]\nchat = \"work/m\"\n\n[[providers]]\nname = \"work\"\nkind = \"compatible\"\nbase_url = \"http://10.0.0.1:8/v1\"\n"
        );
    }
}
