//! `titanclaw doctor`: looks at everything an engine needs and says what to do about what is wrong.

mod mend;

use super::{Context, Exit, engine_runtime};
use crate::config::{Config, edit, load};
use crate::daemon::{SocketClient, is_served};
use crate::line::screen::Size;
use crate::wire;
use serde::Serialize;
use serde_json::json;
use std::io::{self, IsTerminal};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use titan_protocol::{Client, StorageError};
use titan_sandbox::{Confinement, Kept};
use titan_store::{Checked, Server};
use titan_tui::render;
use titan_tui::render::style::{Color, Line, Style};
use titan_tui::render::visible::clean;

/// Below this much free space a warning is given.
const FREE_BYTES_MIN: u64 = 2_000_000_000;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// First mend what can be mended: modes of files, a bad config, what a gone engine left
    #[arg(long)]
    fix: bool,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Fine,
    /// Nothing is wrong, but something may be missed.
    Note,
    Warning,
    Wrong,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    /// What was found, and what to do about it.
    text: String,
}

fn check(name: &'static str, verdict: Verdict, text: impl Into<String>) -> Check {
    Check {
        name,
        verdict,
        text: text.into(),
    }
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let mended = match arguments.fix {
        true => engine_runtime()?.block_on(mend::run(context))?,
        false => Vec::new(),
    };
    let (config, mut checks) = config_checks(context);
    let mended = mended
        .into_iter()
        .map(|text| check("mended", Verdict::Fine, text));
    checks.splice(
        0..0,
        mended
            .chain([home_check(context)])
            .chain(modes_check(context)),
    );
    checks.extend(engine_runtime()?.block_on(async {
        let mut checks = vec![engine_check(context).await];
        match wire::store_server(&config) {
            Ok(None) => checks.extend(journal_check(context)),
            Ok(Some(server)) => checks.extend(server_checks(&server).await),
            Err(error) => checks.push(check("store", Verdict::Wrong, format!("{error:#}"))),
        }
        checks.extend(model_checks(context, &config).await);
        checks
    }));
    checks.push(toolchain_check(context));
    checks.push(gateway_check(context, &config));
    checks.push(disk_check(context.home.path()));
    checks.push(machine_check());
    checks.push(files_check());
    checks.extend(kernel_checks());
    checks.push(terminal_check(context));
    let is_well = checks.iter().all(|check| check.verdict != Verdict::Wrong);
    let output = context.output();
    if arguments.json {
        output.json(&json!({ "is_well": is_well, "checks": checks }))?;
    } else {
        output.lines(&checks.iter().map(line).collect::<Vec<_>>())?;
    }
    Ok(if is_well {
        Exit::Completed
    } else {
        Exit::Failed
    })
}

fn line(check: &Check) -> Line {
    let (mark, style) = match check.verdict {
        Verdict::Fine => ("✓", Style::color(Color::Green)),
        Verdict::Note => ("·", Style::DIM),
        Verdict::Warning => ("!", Style::color(Color::Yellow)),
        Verdict::Wrong => ("✗", Style::color(Color::Red)),
    };
    let text = clean(&check.text).replace('\n', " ");
    Line::default()
        .with(style, format!("{mark} "))
        .with(Style::BOLD, format!("{:10}", check.name))
        .with(Style::PLAIN, text)
}

fn home_check(context: &Context) -> Check {
    let path = context.home.path();
    if !path.exists() {
        return check(
            "home",
            Verdict::Note,
            format!(
                "{} is not there yet; the first command makes it",
                path.display()
            ),
        );
    }
    match context.home.problem() {
        Ok(None) => check(
            "home",
            Verdict::Fine,
            format!("{}, closed to others", path.display()),
        ),
        Ok(Some(problem)) => check("home", Verdict::Wrong, problem),
        Err(error) => check(
            "home",
            Verdict::Wrong,
            format!("{} can't be looked at: {error}", path.display()),
        ),
    }
}

/// Files in the home that others could read if the home were open.
fn modes_check(context: &Context) -> Option<Check> {
    let open = mend::open_to_others(&context.home);
    let inside: Vec<String> = open
        .iter()
        .filter(|path| *path != context.home.path())
        .map(|path| path.display().to_string())
        .collect();
    (!inside.is_empty()).then(|| {
        let text = format!(
            "open to other users: {}. Close them: titanclaw doctor --fix",
            inside.join(", ")
        );
        check("modes", Verdict::Warning, text)
    })
}

fn config_checks(context: &Context) -> (Config, Vec<Check>) {
    let path = context.home.config();
    match load(&path) {
        Err(error) => (
            Config::default(),
            vec![check(
                "config",
                Verdict::Wrong,
                format!("{error:#}{}", way_back(&path)),
            )],
        ),
        Ok(loaded) if loaded.warnings.is_empty() => {
            let text = match path.exists() {
                true => format!("{} can be used", path.display()),
                false => "no config file; everything is at its default".to_owned(),
            };
            (loaded.config, vec![check("config", Verdict::Fine, text)])
        }
        Ok(loaded) => {
            let checks = loaded
                .warnings
                .into_iter()
                .map(|text| check("config", Verdict::Warning, text));
            (loaded.config, checks.collect())
        }
    }
}

fn way_back(config: &Path) -> &'static str {
    match edit::last_good(config).exists() {
        true => ". Or go back to the last that could be used: titanclaw doctor --fix",
        false => "",
    }
}

async fn engine_check(context: &Context) -> Check {
    let socket = context.home.socket();
    if is_served(&socket).await {
        return match SocketClient::new(&socket).status().await {
            Ok(status) => check(
                "engine",
                Verdict::Fine,
                format!("process {} owns the home and answers", status.pid),
            ),
            Err(error) => check("engine", Verdict::Wrong, error.to_string()),
        };
    }
    if !context.home.path().exists() {
        return check("engine", Verdict::Note, "none runs");
    }
    match wire::try_store(context).await {
        Ok(n_keys) => check(
            "engine",
            Verdict::Fine,
            format!("none runs; the store opens, {n_keys} keys are sealed in it"),
        ),
        Err(error) => check("engine", Verdict::Wrong, format!("{error:#}")),
    }
}

/// Whether the gateway could be opened as the config says.
/// Whether tools can be compiled. Starts nothing: a compiler is asked by `titanclaw toolchain`.
fn toolchain_check(context: &Context) -> Check {
    let ready = wire::forge::toolchain(context).map(|toolchain| toolchain.ready());
    match ready {
        Err(error) => check(
            "toolchain",
            Verdict::Note,
            format!("it can't be looked at: {error:#}"),
        ),
        Ok(Some(ready)) => {
            let text = format!(
                "tools are compiled with {} {}",
                ready.rustc.display(),
                ready.version
            );
            check("toolchain", Verdict::Fine, text)
        }
        Ok(None) => check(
            "toolchain",
            Verdict::Note,
            "no tools are written here, nor code for what reflexes compute, for want of a compiler that was prepared; see: titanclaw toolchain status",
        ),
    }
}

fn gateway_check(context: &Context, config: &Config) -> Check {
    let Some(settings) = &config.gateway else {
        let text =
            "opened by `titanclaw web` alone; a section [gateway] in the config keeps it open";
        return check("gateway", Verdict::Note, text);
    };
    let token = context.home.gateway_token();
    let usable = token.exists().then(|| titan_web::Access::open(&token));
    match (settings.address.parse::<IpAddr>(), usable) {
        (Err(error), _) => {
            let text = format!(
                "gateway.address {:?} can't be used: {error}",
                settings.address
            );
            check("gateway", Verdict::Wrong, text)
        }
        (_, Some(Err(error))) => check("gateway", Verdict::Wrong, error.to_string()),
        (Ok(ip), _) if !ip.is_loopback() => {
            let (verdict, text) = match settings.is_exposed {
                true => (
                    Verdict::Warning,
                    format!("other machines reach it at {ip}, and nothing is encrypted"),
                ),
                false => (
                    Verdict::Wrong,
                    format!(
                        "{ip} is reached from other machines; if that is meant, set gateway.expose = true"
                    ),
                ),
            };
            check("gateway", verdict, text)
        }
        (Ok(ip), _) => {
            let address = SocketAddr::new(ip, settings.port);
            check(
                "gateway",
                Verdict::Fine,
                format!("served at {address} by an engine in the background"),
            )
        }
    }
}

/// The database's pages and the chain over all that happened. An engine may run meanwhile.
fn journal_check(context: &Context) -> Option<Check> {
    if !context.home.database().exists() {
        return None;
    }
    Some(told_of_journal(titan_store::check(context.home.path())))
}

fn told_of_journal(checked: Result<Checked, StorageError>) -> Check {
    match checked {
        Err(error) => check("journal", Verdict::Wrong, error.to_string()),
        Ok(checked) => match checked.wrong {
            Some(wrong) => check("journal", Verdict::Wrong, wrong),
            None => {
                let links = render::count(checked.links);
                let newest: String = checked.newest.chars().take(12).collect();
                let text = format!("whole: {links} links, the newest is {newest}");
                check("journal", Verdict::Fine, text)
            }
        },
    }
}

/// The server that holds what is stored, and the chain in it. Engines may run meanwhile.
async fn server_checks(server: &Server) -> Vec<Check> {
    let looked = match titan_store::look_at(server).await {
        Err(error) => return vec![check("store", Verdict::Wrong, error.to_string())],
        Ok(looked) => looked,
    };
    let vectors = match &looked.vectors {
        Some(version) => format!("pgvector {version}"),
        None => "no pgvector, so vectors are compared one by one".to_owned(),
    };
    let text = format!(
        "{server}: version {}, {vectors}; {} engines use it now",
        looked.version, looked.n_engines
    );
    let store = match looked.is_durable {
        true => check("store", Verdict::Fine, text),
        false => {
            let lost = "but it does not flush to its disk (fsync is off): a power cut there loses what was said";
            check("store", Verdict::Warning, format!("{text}, {lost}"))
        }
    };
    vec![
        store,
        told_of_journal(titan_store::check_server(server).await),
    ]
}

async fn model_checks(context: &Context, config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    for entry in wire::catalogue(context, config) {
        let Some(path) = &entry.path else { continue };
        let name = entry.name;
        checks.push(match wire::is_whole(name, path).await {
            Ok(true) => check(
                "model",
                Verdict::Fine,
                format!("local/{name} is here and whole: {}", path.display()),
            ),
            Ok(false) => {
                let text = format!(
                    "{} is damaged. Delete it and get it again: titanclaw models pull {name}",
                    path.display()
                );
                check("model", Verdict::Wrong, text)
            }
            Err(error) => check(
                "model",
                Verdict::Wrong,
                format!("{} can't be read: {error:#}", path.display()),
            ),
        });
    }
    match wire::list_models(context, config).await {
        Err(error) => checks.push(check("providers", Verdict::Wrong, format!("{error:#}"))),
        Ok(listed) => {
            for listed in listed {
                checks.push(match &listed.models {
                    Ok(models) => check(
                        "provider",
                        Verdict::Fine,
                        match models.len() {
                            1 => format!("{} answers with 1 model", listed.provider),
                            n => format!("{} answers with {n} models", listed.provider),
                        },
                    ),
                    Err(error) => check("provider", Verdict::Warning, error.clone()),
                });
                let too_wide = listed.too_wide(config).into_iter();
                checks.extend(too_wide.map(|text| check("context", Verdict::Warning, text)));
            }
        }
    }
    if checks.is_empty() {
        let text = "no model is here yet; the first question downloads the local one (or: titanclaw onboard)";
        checks.push(check("model", Verdict::Note, text));
    }
    checks
}

fn disk_check(home: &Path) -> Check {
    let existing = home
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(existing) {
        Err(error) => check(
            "disk",
            Verdict::Warning,
            format!("free space is not known: {error}"),
        ),
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let text = format!("{} free at {}", render::bytes(free), existing.display());
            let is_low = free < FREE_BYTES_MIN;
            check(
                "disk",
                if is_low {
                    Verdict::Warning
                } else {
                    Verdict::Fine
                },
                text,
            )
        }
    }
}

fn machine_check() -> Check {
    let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("MemAvailable:"))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        });
    let memory = memory.map_or_else(
        || "unknown memory".to_owned(),
        |kib| format!("{} of memory free", render::bytes(kib * 1024)),
    );
    check(
        "machine",
        Verdict::Fine,
        format!("{n_cores} cores, {memory}"),
    )
}

fn files_check() -> Check {
    let files_max = wire::open_files_max();
    match wire::too_few(files_max) {
        Some(text) => check("files", Verdict::Warning, text),
        None => check(
            "files",
            Verdict::Fine,
            format!("an engine may hold {} files open", render::count(files_max)),
        ),
    }
}

/// What programs that tools start are kept from, and by what. What is not kept is asked about, or said here.
fn kernel_checks() -> Vec<Check> {
    let confinement = Confinement::of_this_machine();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let parts = confinement.parts();
    let kept: Vec<&str> = parts
        .iter()
        .filter(|part| part.kept == Kept::Whole)
        .map(|part| part.name)
        .collect();
    let text = match kept.is_empty() {
        true => format!("{}; programs are not confined at all", release.trim()),
        false => format!("{}; confined: {}", release.trim(), kept.join(", ")),
    };
    let whole = check("kernel", Verdict::Fine, text);
    let lacking = parts.iter().filter_map(|part| match part.kept {
        Kept::Whole => None,
        Kept::Partly(how) => Some(check(
            "confined",
            Verdict::Note,
            format!("{}: in part only: {how}", part.name),
        )),
        Kept::Not(why) => Some(check(
            "confined",
            Verdict::Warning,
            format!("{}: not kept: {why}", part.name),
        )),
    });
    let asks = (!confinement.is_sound()).then(|| {
        check(
            "confined",
            Verdict::Warning,
            "so every program is asked about, those that only look too",
        )
    });
    std::iter::once(whole).chain(lacking).chain(asks).collect()
}

fn terminal_check(context: &Context) -> Check {
    if !io::stdout().is_terminal() {
        return check(
            "terminal",
            Verdict::Note,
            "standard output is no terminal; answers are plain text",
        );
    }
    let size = Size::of(io::stdout());
    let colour = if context.output().has_color {
        "colour"
    } else {
        "no colour"
    };
    let text = format!("{} columns, {} rows, {colour}", size.columns, size.rows);
    check(
        "terminal",
        if context.env.is_dumb_terminal {
            Verdict::Note
        } else {
            Verdict::Fine
        },
        text,
    )
}
