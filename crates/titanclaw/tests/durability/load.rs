//! Clients that keep an engine busy, and what must hold of a home afterwards.

use crate::place::{Place, submit, wait_for};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use titan_protocol::{CallId, Event, Op, SessionId, TurnId, TurnOptions, TurnOutcome};

/// Sessions that are spoken in at once.
const CLIENTS: usize = 3;
/// After so many engines each session is left and another begun.
const SESSION_ENGINES: usize = 16;

/// What clients did over many engines.
#[derive(Default)]
pub(crate) struct Load {
    sessions: Vec<SessionId>,
    n_engines: usize,
    next_name: Arc<AtomicUsize>,
    /// Turns that were acknowledged.
    acknowledged: Vec<TurnId>,
}

/// Clients of one engine.
pub(crate) struct Clients(Vec<JoinHandle<Vec<TurnId>>>);

/// What was found in a home.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) acknowledged: usize,
    pub(crate) turns: usize,
    pub(crate) cut_short: usize,
    pub(crate) lines: usize,
    pub(crate) unknown: usize,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            acknowledged,
            turns,
            cut_short,
            lines,
            unknown,
        } = self;
        write!(
            f,
            "{acknowledged} turns acknowledged, 0 lost, of {turns} that began; {cut_short} cut short; {lines} lines \
             appended, 0 twice; {unknown} calls of unknown outcome"
        )
    }
}

impl Load {
    /// Lets clients talk to an engine until it is gone.
    pub(crate) fn begin(&mut self, socket: &Path, work: &Path) -> Clients {
        if self.n_engines.is_multiple_of(SESSION_ENGINES) {
            self.sessions = (0..CLIENTS).map(|_| SessionId::new()).collect();
        }
        self.n_engines += 1;
        let talk = |session: &SessionId| {
            let (session, names) = (*session, Arc::clone(&self.next_name));
            let (socket, work) = (socket.to_owned(), work.to_owned());
            std::thread::spawn(move || talk(session, &names, &socket, &work))
        };
        Clients(self.sessions.iter().map(talk).collect())
    }

    /// Takes what the clients noted, when their engine is gone.
    pub(crate) fn end(&mut self, clients: Clients) {
        for client in clients.0 {
            self.acknowledged
                .extend(client.join().expect("a client ends"));
        }
    }

    /// Says one thing and waits for the end of its turn.
    pub(crate) fn say(&mut self, socket: &Path, work: &Path) -> Result<String, String> {
        let op = next(SessionId::new(), &self.next_name, work);
        submit(socket, &op).map_err(|error| error.to_string())??;
        self.acknowledged.push(turn_of(&op));
        let ended = wait_for(socket, &op, "turn_ended").map_err(|error| error.to_string())?;
        Ok(ended["outcome"].to_string())
    }

    /// Checks a home that no engine owns.
    pub(crate) async fn check(&self, place: &Place) -> Found {
        let checked = titan_store::check(&place.home).expect("the database can be read");
        assert_eq!(checked.wrong, None, "the journal is whole");
        let journal = read(&place.home).await;
        let lines = lines(&place.work);

        for turn in &self.acknowledged {
            assert!(
                journal.ends.contains_key(turn),
                "{turn} was acknowledged and is lost"
            );
        }
        for (turn, n_ends) in &journal.ends {
            assert_eq!(*n_ends, 1, "{turn} ends once");
        }
        let once: BTreeSet<&String> = lines.iter().collect();
        assert_eq!(once.len(), lines.len(), "a line was appended twice");
        for line in &lines {
            assert!(
                journal.called.contains(line),
                "{line} was appended and the journal knows nothing of it"
            );
        }
        for line in &journal.done {
            assert!(
                once.contains(line),
                "the journal says that {line} was appended"
            );
        }
        assert!(
            journal.open.is_empty(),
            "calls without an end: {:?}",
            journal.open
        );
        Found {
            acknowledged: self.acknowledged.len(),
            turns: journal.ends.len(),
            cut_short: journal.cut_short,
            lines: lines.len(),
            unknown: journal.unknown,
        }
    }
}

/// Says one thing after the other until the engine is gone, and gives the turns that it acknowledged.
fn talk(session: SessionId, names: &AtomicUsize, socket: &Path, work: &Path) -> Vec<TurnId> {
    let mut acknowledged = Vec::new();
    loop {
        let op = next(session, names, work);
        match submit(socket, &op) {
            Ok(Ok(())) => acknowledged.push(turn_of(&op)),
            Ok(Err(refused)) => panic!("a healthy engine refused: {refused}"),
            Err(_gone) => return acknowledged,
        }
        if wait_for(socket, &op, "turn_ended").is_err() {
            return acknowledged;
        }
    }
}

fn next(session: SessionId, names: &AtomicUsize, work: &Path) -> Op {
    let name = names.fetch_add(1, Ordering::Relaxed);
    Op::UserTurn {
        session,
        turn: TurnId::new(),
        text: format!("append line-{name}-"),
        images: Vec::new(),
        options: TurnOptions {
            workspace: Some(work.to_owned()),
            ..TurnOptions::default()
        },
    }
}

fn turn_of(op: &Op) -> TurnId {
    match op {
        Op::UserTurn { turn, .. } => *turn,
        _ => panic!("only turns are said"),
    }
}

/// What the journal of a home says.
#[derive(Default)]
struct Told {
    /// How often each turn that began has ended.
    ends: BTreeMap<TurnId, usize>,
    /// Turns that a later engine ended.
    cut_short: usize,
    /// Lines that a call was to append, and that one did.
    called: BTreeSet<String>,
    done: BTreeSet<String>,
    /// Calls that have not ended.
    open: BTreeMap<CallId, (Option<TurnId>, String)>,
    /// Calls of which nobody knows what they did.
    unknown: usize,
}

async fn read(home: &Path) -> Told {
    let store = titan_store::open(&titan_store::StoreConfig::new(home)).await;
    let store = store.expect("the home opens");
    let records = store.journal().read(None, 0, usize::MAX).await;
    let mut told = Told::default();
    for record in records.expect("the journal can be read") {
        let turn = record.turn;
        match record.event {
            Event::TurnStarted { .. } => {
                told.ends.entry(turn.expect("a turn")).or_default();
            }
            Event::TurnEnded { outcome, .. } => {
                *told.ends.entry(turn.expect("a turn")).or_default() += 1;
                let is_cut = |error: &str| error.starts_with("The engine stopped while");
                let was_cut = matches!(&outcome, TurnOutcome::Failed { error } if is_cut(error));
                told.cut_short += usize::from(was_cut);
                if !was_cut {
                    // A turn that the store's failure ended says so itself.
                    told.open.retain(|_, (of, _)| *of != turn);
                }
            }
            Event::ToolCallReady { call, .. } => {
                let script = call.arguments["script"].as_str().expect("a script");
                let line = script.split(' ').nth(1).expect("a line").to_owned();
                told.called.insert(line.clone());
                told.open.insert(call.id, (turn, line));
            }
            Event::ToolCallEnded {
                call,
                text,
                is_error,
                ..
            } => {
                let (_, line) = told.open.remove(&call).expect("it began");
                told.unknown += usize::from(text.starts_with("Outcome unknown"));
                if !is_error && text.contains(&line) {
                    told.done.insert(line);
                }
            }
            _ => {}
        }
    }
    told
}

fn lines(work: &Path) -> Vec<String> {
    let path: PathBuf = work.join("lines");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
