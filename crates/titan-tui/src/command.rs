//! What can be typed at the prompt: one table for line mode, the live terminal and its palette.

use titan_protocol::TurnId;

/// Letters of an id that name a turn; fewer could be a number that no turn has.
const ID_LETTERS_MIN: usize = 4;

/// A command that begins with a slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, with the slash.
    pub name: &'static str,
    /// What may follow; empty when nothing may.
    pub arguments: &'static str,
    /// What it does.
    pub about: &'static str,
}

impl Entry {
    const fn new(name: &'static str, arguments: &'static str, about: &'static str) -> Self {
        Self {
            name,
            arguments,
            about,
        }
    }

    /// The name with what may follow.
    pub fn usage(&self) -> String {
        format!("{} {}", self.name, self.arguments)
            .trim_end()
            .to_owned()
    }
}

/// The commands, in the order in which they are listed.
pub const TABLE: &[Entry] = &[
    Entry::new("/help", "", "this"),
    Entry::new(
        "/model",
        "[NAME]",
        "show or choose the model of this conversation, as provider/model",
    ),
    Entry::new("/sessions", "", "list sessions and go on with one"),
    Entry::new("/new", "", "begin a new session"),
    Entry::new(
        "/branch",
        "[TURN]",
        "go back to an earlier turn and go on from there in a session of its own",
    ),
    Entry::new("/image", "[FILE]", "give an image with what you say next"),
    Entry::new(
        "/compact",
        "",
        "shorten what the model is shown of this session; the log keeps all",
    ),
    Entry::new(
        "/diff",
        "[TURN]",
        "show what a turn changed in files; the last one, or by number or id",
    ),
    Entry::new(
        "/undo",
        "[TURN] [force]",
        "put the files that a turn changed back; force: also what was changed since",
    ),
    Entry::new(
        "/forget",
        "[all]",
        "delete the last turn, or the whole session, for good",
    ),
    Entry::new(
        "/again",
        "",
        "ask the model what was said last, whatever reflex answered it",
    ),
    Entry::new("/never", "", "end the reflex that answered last"),
    Entry::new(
        "/memory",
        "[WORDS]",
        "what is remembered over sessions; with words, what holds them all",
    ),
    Entry::new("/jobs", "", "what runs now, in all sessions"),
    Entry::new("/cost", "", "what this session used"),
    Entry::new("/quit", "", "leave (or Ctrl-D)"),
];

/// What is no command of the table but can be typed all the same.
const BESIDES: &str = "\
!COMMAND              run a command by hand; the model reads of it later

A line that ends with \\ goes on in the next. What is typed while the model works steers it. Ctrl-C stops the turn.";

/// The table and what else can be typed, as text.
pub fn help() -> String {
    let lines: String = TABLE
        .iter()
        .map(|entry| format!("{:<20}  {}\n", entry.usage(), entry.about))
        .collect();
    lines + BESIDES
}

/// What was typed at the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Words for the model.
    Say(&'a str),
    /// A script to be run by hand.
    Shell(&'a str),
    /// What can be typed.
    Help,
    /// The model that answers, or another one from now on.
    Model(Option<&'a str>),
    /// The list of sessions.
    Sessions,
    /// Another session.
    New,
    /// Go on from an earlier turn, by number or id, in a session of its own; the turns to choose from when `None`.
    Branch(Option<&'a str>),
    /// An image for what is said next; none of those that were given when `None`.
    Image(Option<&'a str>),
    /// Show the model less of this session.
    Compact,
    /// What a turn changed in files.
    Diff(Option<&'a str>),
    /// Put files back.
    Undo {
        /// Which turn, by number or id; the last one when `None`.
        turn: Option<&'a str>,
        /// Whether files that were changed since are put back too.
        is_forced: bool,
    },
    /// Delete for good.
    Forget {
        /// The whole session, not the last turn alone.
        all: bool,
    },
    /// Ask the model what was said last.
    Again,
    /// End the reflex that answered last.
    Never,
    /// What is remembered and holds these words; all of it when `None`.
    Memory(Option<&'a str>),
    /// What runs now.
    Jobs,
    /// What this session used.
    Cost,
    /// Leave.
    Quit,
    /// A slash and a name that there is not.
    Unknown(&'a str),
}

/// Understands what was typed. Nothing is refused: what is no command is said.
pub fn parse(line: &str) -> Command<'_> {
    let line = line.trim();
    if let Some(command) = line
        .strip_prefix('!')
        .filter(|command| !command.trim().is_empty())
    {
        return Command::Shell(command.trim());
    }
    let Some(command) = line.strip_prefix('/') else {
        return Command::Say(line);
    };
    let (name, rest) = command
        .split_once(char::is_whitespace)
        .unwrap_or((command, ""));
    let rest = rest.trim();
    match (name, rest) {
        ("help" | "?", "") => Command::Help,
        ("model", "") => Command::Model(None),
        ("model", name) => Command::Model(Some(name)),
        ("sessions", "") => Command::Sessions,
        ("new", "") => Command::New,
        ("branch", "") => Command::Branch(None),
        ("branch", turn) => Command::Branch(Some(turn)),
        ("image", "") => Command::Image(None),
        ("image", path) => Command::Image(Some(path)),
        ("compact", "") => Command::Compact,
        ("diff", "") => Command::Diff(None),
        ("diff", turn) => Command::Diff(Some(turn)),
        ("undo", rest) => undo_typed(rest),
        ("forget", "") => Command::Forget { all: false },
        ("forget", "all") => Command::Forget { all: true },
        ("again", "") => Command::Again,
        ("never", "") => Command::Never,
        ("memory", "") => Command::Memory(None),
        ("memory", words) => Command::Memory(Some(words)),
        ("jobs", "") => Command::Jobs,
        ("cost", "") => Command::Cost,
        ("quit" | "exit" | "q", "") => Command::Quit,
        // A path or anything else with a slash is something to say.
        (name, _) if name.contains('/') || name.is_empty() => Command::Say(line),
        (name, _) => Command::Unknown(name),
    }
}

/// Whether a line does more than say something.
pub fn is_command(line: &str) -> bool {
    !matches!(parse(line), Command::Say(_))
}

/// `/undo`, with a turn or `force` or both.
fn undo_typed(rest: &str) -> Command<'_> {
    let (turn, is_forced) = match rest.strip_suffix("force") {
        Some(turn) => (turn.trim_end_matches("--").trim(), true),
        None => (rest, false),
    };
    Command::Undo {
        turn: (!turn.is_empty()).then_some(turn),
        is_forced,
    }
}

/// The turn of this number, counted from 1, or of this id or its end; an undo by its id alone.
///
/// # Errors
/// When none or several fit; the text says how to name one.
pub fn turn_named(turns: &[TurnId], undos: &[TurnId], named: &str) -> Result<TurnId, String> {
    let number = named.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    if let Some(turn) = number.and_then(|idx| turns.get(idx)) {
        return Ok(*turn);
    }
    let wanted = named.to_lowercase();
    let is_long = wanted.len() >= ID_LETTERS_MIN;
    let mut fitting = turns
        .iter()
        .chain(undos)
        .filter(|turn| is_long && turn.to_string().ends_with(&wanted));
    match (fitting.next(), fitting.next()) {
        (Some(turn), None) => Ok(*turn),
        (Some(_), Some(_)) => Err(format!("Several turns fit {named:?}; give more of the id.")),
        (None, _) => Err(format!(
            "There is no turn {named:?}: name one by its number, 1 to {}, or by its id.",
            turns.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_begins_a_command_unless_it_is_a_path() {
        let undo = |turn, is_forced| Command::Undo { turn, is_forced };
        let cases = [
            ("hello", Command::Say("hello")),
            (" /help ", Command::Help),
            ("/model", Command::Model(None)),
            ("/model a/b", Command::Model(Some("a/b"))),
            ("/forget all", Command::Forget { all: true }),
            ("/diff", Command::Diff(None)),
            ("/diff 2", Command::Diff(Some("2"))),
            ("/image a b.png", Command::Image(Some("a b.png"))),
            ("/branch", Command::Branch(None)),
            ("/branch 2", Command::Branch(Some("2"))),
            ("/memory", Command::Memory(None)),
            ("/memory cat food", Command::Memory(Some("cat food"))),
            ("/jobs", Command::Jobs),
            ("/undo", undo(None, false)),
            ("/undo force", undo(None, true)),
            ("/undo 3 --force", undo(Some("3"), true)),
            ("/undo ab12", undo(Some("ab12"), false)),
            ("!ls -la", Command::Shell("ls -la")),
            ("!", Command::Say("!")),
            ("/usr/bin is what?", Command::Say("/usr/bin is what?")),
            ("/ or not", Command::Say("/ or not")),
            ("/nonsense x", Command::Unknown("nonsense")),
            ("/quit", Command::Quit),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), expected);
        }
    }

    #[test]
    fn p15_a_command_that_was_typed_ahead_is_not_obeyed_unseen() {
        for line in ["!touch x", " !touch x", "/forget all", "/quit", "/nonsense"] {
            assert!(is_command(line), "{line}");
        }
        for line in ["hello", "what is !x", "/usr/bin is what?", "one\n!touch x"] {
            assert!(!is_command(line), "{line}");
        }
    }

    #[test]
    fn every_command_of_the_table_is_understood_and_told() {
        for entry in TABLE {
            let parsed = parse(entry.name);
            assert!(!matches!(parsed, Command::Unknown(_) | Command::Say(_)));
            assert!(help().contains(&entry.usage()), "{}", entry.name);
        }
    }

    #[test]
    fn a_turn_is_named_by_its_number_or_the_end_of_its_id() {
        let id = TurnId::from_u128;
        let (turns, undos) = ([id(0xa1), id(0xb1)], [id(0xa2)]);
        let named = |name: &str| turn_named(&turns, &undos, name).ok();
        assert_eq!(named("1"), Some(id(0xa1)));
        assert_eq!(named("2"), Some(id(0xb1)));
        assert_eq!(named("00a2"), Some(id(0xa2)));
        assert_eq!(named("00B1"), Some(id(0xb1)));
        assert_eq!(named("9"), None);
    }
}
