//! A person at a terminal: what is drawn, typed, approved and steered.

use crate::Place;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::json;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use titan_testkit::gate::Gate;
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

/// The longest wait for something to be shown.
const SHOWN_WAIT_MAX: Duration = Duration::from_secs(20);

/// The program at a terminal of 60 columns.
struct Terminal {
    child: Child,
    ours: OwnedFd,
    shown: String,
}

impl Terminal {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        // Ours alone: a program that held it too would never hear of its end.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).expect("a terminal");
        grantpt(&ours).expect("a terminal");
        unlockpt(&ours).expect("a terminal");
        let size = Winsize {
            ws_row: 24,
            ws_col: 60,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&ours, size).expect("a size");
        let name = ptsname(&ours, Vec::new()).expect("a name");
        let theirs = || {
            let opened = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
            Stdio::from(opened.expect("the other end"))
        };
        let mut command = place.command(arguments);
        command
            .env("TERM", "xterm-256color")
            .stdin(theirs())
            .stdout(theirs())
            .stderr(theirs());
        Self {
            child: command.spawn().expect("the program starts"),
            ours,
            shown: String::new(),
        }
    }

    fn type_in(&self, text: &str) {
        let written =
            rustix::io::write(&self.ours, text.as_bytes()).expect("the terminal takes it");
        assert_eq!(written, text.len());
    }

    /// What the terminal does on Ctrl-C.
    fn interrupt(&self) {
        let child = Pid::from_child(&self.child);
        kill_process(child, Signal::INT).expect("the program runs");
    }

    /// Waits until the text is shown, and forgets what was shown up to its end.
    fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + SHOWN_WAIT_MAX;
        loop {
            if let Some(start) = self.shown.find(text) {
                self.shown.drain(..start + text.len());
                return;
            }
            assert!(
                Instant::now() < until,
                "{text:?} is not shown: {:?}",
                self.shown
            );
            self.read();
        }
    }

    /// Presses a key again and again until the text is shown: a key that comes too soon is not taken as meant.
    fn insist(&mut self, key: &str, text: &str) {
        let until = Instant::now() + SHOWN_WAIT_MAX;
        while !self.shown.contains(text) {
            assert!(
                Instant::now() < until,
                "{text:?} is not shown: {:?}",
                self.shown
            );
            self.type_in(key);
            self.read();
        }
    }

    fn read(&mut self) {
        let mut ready = [PollFd::new(&self.ours, PollFlags::IN)];
        let a_while = Timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        if poll(&mut ready, Some(&a_while)).expect("polling") == 0 {
            return;
        }
        let mut bytes = [0; 4096];
        // The terminal gives an error when the program has closed it.
        if let Ok(n_bytes) = rustix::io::read(&self.ours, &mut bytes) {
            self.shown
                .push_str(&String::from_utf8_lossy(&bytes[..n_bytes]));
        }
    }

    fn end(mut self) -> Option<i32> {
        let until = Instant::now() + SHOWN_WAIT_MAX;
        loop {
            if let Some(status) = self.child.try_wait().expect("the program's status") {
                return status.code();
            }
            assert!(
                Instant::now() < until,
                "the program does not end: {:?}",
                self.shown
            );
            self.read();
        }
    }
}

fn place_and_server(replies: impl IntoIterator<Item = Reply>) -> (Place, ScriptServer) {
    let replies: Vec<Reply> = replies.into_iter().collect();
    let server = ScriptServer::start(Wire::Chat, Script::replies(replies)).expect("a server");
    let place = Place::new();
    let config = format!(
        "[models]\nchat = \"scripted/m\"\n[[providers]]\nname = \"scripted\"\nkind = \"compatible\"\nbase_url = \"{}/v1\"\n",
        server.base_url()
    );
    place.write("home/config.toml", &config);
    (place, server)
}

fn shell(script: &str) -> Reply {
    Reply::call("shell", &json!({ "script": script }).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_in_the_terminal_with_its_cost() {
    let (place, _server) = place_and_server([Reply::text("# Title\n\nSome **bold** text.")]);
    tokio::task::block_in_place(|| {
        let mut terminal = Terminal::start(&place, &["ask", "hi"]);
        terminal.wait_for("\u{1b}[1;35mTitle\u{1b}[0m");
        terminal.wait_for("\u{1b}[1mbold\u{1b}[0m");
        terminal.wait_for("in · ");
        assert_eq!(terminal.end(), Some(0));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_given_with_a_key() {
    let (place, _server) = place_and_server([
        shell("touch made; echo \u{202e}x"),
        Reply::text("It is made."),
    ]);
    tokio::task::block_in_place(|| {
        let mut terminal = Terminal::start(&place, &["ask", "make it"]);
        terminal.wait_for("shell wants to run");
        terminal.wait_for("touch made; echo ⟨U+202E⟩x");
        terminal.wait_for("nce ");
        assert!(!place.workspace().join("made").exists());
        terminal.insist("o", "allowed once");
        terminal.wait_for("It is made.");
        assert_eq!(terminal.end(), Some(0));
    });
    assert!(place.workspace().join("made").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_while_the_model_writes_steers_it() {
    let gate = Gate::new();
    let first = Reply::text("Working ").and_gate(&gate).and_text("on.");
    let (place, server) = place_and_server([first, Reply::text("Steered.")]);
    tokio::task::block_in_place(|| {
        let mut terminal = Terminal::start(&place, &["ask", "go"]);
        terminal.wait_for("Working");
        terminal.type_in("use tabs\r");
        terminal.wait_for("› use tabs");
        gate.open();
        terminal.wait_for("Steered.");
        assert_eq!(terminal.end(), Some(0));
    });
    let sent = format!("{:?}", server.requests().last());
    assert!(sent.contains("use tabs"), "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_takes_lines_commands_and_ends() {
    let (place, server) = place_and_server([
        Reply::text("first"),
        Reply::text("A title"),
        Reply::text("second"),
    ]);
    tokio::task::block_in_place(|| {
        let mut terminal = Terminal::start(&place, &["--plain"]);
        terminal.wait_for("/help lists");
        terminal.wait_for("› ");
        terminal.type_in("hello \\\rthere\r");
        terminal.wait_for("first");
        terminal.wait_for("in · ");
        terminal.wait_for("› ");
        terminal.type_in("/cost\r");
        terminal.wait_for("out · ");
        terminal.wait_for("› ");
        terminal.type_in("!echo by hand\r");
        terminal.wait_for("by hand\r\n");
        terminal.wait_for("✓");
        terminal.wait_for("› ");
        terminal.type_in("/nonsense\r");
        terminal.wait_for("there is no /nonsense");
        terminal.wait_for("› ");
        terminal.type_in("/forget\r");
        terminal.wait_for("forgotten");
        terminal.wait_for("› ");
        terminal.type_in("\u{4}");
        assert_eq!(terminal.end(), Some(0));
    });
    let sent = format!("{:?}", server.requests()[0]);
    assert!(
        sent.contains("hello \\nthere") || sent.contains("hello \\\\nthere"),
        "{sent}"
    );
    let history = std::fs::read_to_string(place.home().join("history")).expect("a history");
    assert!(history.contains("/cost"), "{history}");
}

/// Cells that did not change are not written again, so that only single words can be waited for.
#[tokio::test(flavor = "multi_thread")]
async fn the_live_terminal_takes_words_and_approvals_and_gives_the_terminal_back() {
    let gate = Gate::new();
    let first = Reply::text("Thinking-aloud ")
        .and_gate(&gate)
        .and_text("further.");
    let (place, server) = place_and_server([
        first,
        shell("touch made"),
        Reply::text("It-is-made."),
        Reply::text("A title"),
    ]);
    tokio::task::block_in_place(|| {
        let mut terminal = Terminal::start(&place, &[]);
        terminal.wait_for("\u{1b}[?1049h");
        terminal.wait_for("TitanClaw");
        terminal.type_in("hello");
        terminal.wait_for("hello");
        terminal.type_in("\r");
        terminal.wait_for("Thinking-aloud");
        terminal.type_in("steer");
        terminal.wait_for("steer");
        terminal.type_in("\r");
        // Now it stands in the conversation.
        terminal.wait_for("steer");
        gate.open();
        terminal.wait_for("wants");
        assert!(!place.workspace().join("made").exists());
        terminal.insist("o", "It-is-made.");
        terminal.wait_for("F1");
        terminal.type_in("\u{15}");
        terminal.type_in("\u{4}");
        terminal.wait_for("\u{1b}[?1049l");
        assert_eq!(terminal.end(), Some(0));
    });
    assert!(place.workspace().join("made").exists());
    let sent = format!("{:?}", server.requests());
    assert!(sent.contains("hello") && sent.contains("steer"), "{sent}");
    let history = std::fs::read_to_string(place.home().join("history")).expect("a history");
    assert_eq!(history, "#V2\nhello\nsteer\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_terminal_ends_when_its_window_is_closed() {
    let (place, _server) = place_and_server([]);
    tokio::task::block_in_place(|| {
        let mut terminal = Terminal::start(&place, &[]);
        terminal.wait_for("TitanClaw");
        terminal.wait_for("F1");
        let Terminal {
            mut child, ours, ..
        } = terminal;
        // It is not the controlling terminal of anybody, so that no signal tells.
        drop(ours);
        let until = Instant::now() + SHOWN_WAIT_MAX;
        while child.try_wait().expect("the program's status").is_none() {
            assert!(Instant::now() < until, "the program does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simple_terminal_and_who_asks_for_it_get_line_mode() {
    let (place, _server) = place_and_server([]);
    let place = place.with("LC_ALL", "C");
    tokio::task::block_in_place(|| {
        for arguments in [&["chat"][..], &["chat", "--plain"]] {
            let mut terminal = Terminal::start(&place, arguments);
            terminal.wait_for("/help lists");
            terminal.wait_for("› ");
            terminal.type_in("\u{4}");
            assert_eq!(terminal.end(), Some(0));
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_shows_and_undoes_what_a_turn_changed() {
    let (place, _server) = place_and_server([
        Reply::call("write", r#"{"path":"a.txt","content":"new\n"}"#),
        Reply::text("Written."),
        Reply::text("A title"),
    ]);
    place.write("work/a.txt", "old\n");
    let text = || std::fs::read_to_string(place.workspace().join("a.txt")).expect("a.txt");
    tokio::task::block_in_place(|| {
        let mut terminal = Terminal::start(&place, &["--plain"]);
        terminal.wait_for("› ");
        terminal.type_in("/undo\r");
        terminal.wait_for("Nothing was done in this session");
        terminal.wait_for("› ");
        terminal.type_in("write it\r");
        terminal.wait_for("nce ");
        terminal.insist("o", "allowed once");
        terminal.wait_for("Written.");
        terminal.wait_for("in · ");
        terminal.wait_for("› ");
        assert_eq!(text(), "new\n");
        // Keys that were pressed once too often stand in the line by now; what was typed ahead is kept.
        terminal.type_in("\u{15}/diff 1\r");
        terminal.wait_for("-old");
        terminal.wait_for("+new");
        terminal.wait_for("› ");
        terminal.type_in("/undo\r");
        terminal.wait_for("a.txt: put back");
        terminal.wait_for("› ");
        terminal.type_in("\u{4}");
        assert_eq!(terminal.end(), Some(0));
    });
    assert_eq!(text(), "old\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_begun_during_a_turn_is_gone_on_with_at_the_prompt() {
    let gate = Gate::new();
    let first = Reply::text("Working ").and_gate(&gate).and_text("on.");
    let (place, server) = place_and_server([first, Reply::text("Well."), Reply::text("Well.")]);
    tokio::task::block_in_place(|| {
        let mut terminal = Terminal::start(&place, &["--plain"]);
        terminal.wait_for("/help lists");
        terminal.wait_for("› ");
        terminal.type_in("go\r");
        terminal.wait_for("Working");
        terminal.type_in("and th");
        terminal.wait_for("and th");
        gate.open();
        terminal.wait_for("in · ");
        terminal.wait_for("› and th");
        terminal.type_in("en what?\r");
        terminal.wait_for("Well.");
        terminal.wait_for("in · ");
        terminal.wait_for("› ");
        terminal.type_in("\u{4}");
        assert_eq!(terminal.end(), Some(0));
    });
    let sent = format!("{:?}", server.requests());
    assert!(sent.contains("and then what?"), "{sent}");
}

/// Keys that come at any moment around the end of a turn are answered by the same turn or the next one.
#[tokio::test(flavor = "multi_thread")]
async fn no_line_typed_around_the_end_of_a_turn_is_lost() {
    let gate = Gate::new();
    let first = Reply::text("Working ").and_gate(&gate).and_text("on.");
    let more = (0..12).map(|_| Reply::text("Noted."));
    let (place, server) = place_and_server(std::iter::once(first).chain(more));
    let words = ["alder", "birch", "cedar", "dogwood", "elm", "fir", "ginkgo"];
    tokio::task::block_in_place(|| {
        let mut terminal = Terminal::start(&place, &["--plain"]);
        terminal.wait_for("/help lists");
        terminal.wait_for("› ");
        terminal.type_in("go\r");
        terminal.wait_for("Working");
        gate.open();
        for word in words {
            terminal.type_in(&format!("{word}\r"));
            terminal.read();
        }
        let until = Instant::now() + SHOWN_WAIT_MAX;
        let missing = || {
            let sent = format!("{:?}", server.requests());
            let is_missing = |word: &&&str| !sent.contains(**word);
            words.iter().filter(is_missing).copied().collect::<Vec<_>>()
        };
        while !missing().is_empty() {
            let shown = &terminal.shown;
            assert!(Instant::now() < until, "{:?} is lost: {shown:?}", missing());
            terminal.read();
        }
        drop(terminal.child.kill());
        drop(terminal.child.wait());
    });
}

/// The rest of the paste comes when nobody reads the keyboard for the turn any more.
#[tokio::test(flavor = "multi_thread")]
async fn p15_a_paste_cut_by_the_end_of_a_turn_runs_nothing() {
    let gate = Gate::new();
    let first = Reply::text("Working ").and_gate(&gate).and_text("on.");
    let (place, server) = place_and_server([first, Reply::text("Well."), Reply::text("Well.")]);
    tokio::task::block_in_place(|| {
        let mut terminal = Terminal::start(&place, &["--plain"]);
        terminal.wait_for("/help lists");
        terminal.wait_for("› ");
        terminal.type_in("go\r");
        terminal.wait_for("Working");
        terminal.type_in("\u{1b}[200~it says\r");
        gate.open();
        for letter in "!touch made\r!touch made\r".chars() {
            terminal.type_in(&letter.to_string());
            terminal.read();
        }
        terminal.type_in("\u{1b}[201~");
        terminal.wait_for("in · ");
        terminal.wait_for("› it says");
        terminal.type_in("\r");
        terminal.wait_for("Well.");
        drop(terminal.child.kill());
        drop(terminal.child.wait());
    });
    assert!(!place.workspace().join("made").exists());
    let sent = format!("{:?}", server.requests());
    assert!(sent.contains("it says"), "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_a_paste_decides_no_approval_however_long_it_is() {
    let (place, _server) = place_and_server([shell("touch made"), Reply::text("Not made.")]);
    tokio::task::block_in_place(|| {
        let mut terminal = Terminal::start(&place, &["ask", "make it"]);
        terminal.wait_for("shell wants to run");
        terminal.wait_for("nce ");
        let text = "zzz say yes\r".repeat(70 * 1024 / 12);
        let paste = format!("\u{1b}[200~{text}\u{1b}[201~");
        for piece in paste.as_bytes().chunks(1000) {
            terminal.type_in(std::str::from_utf8(piece).expect("plain letters"));
            terminal.read();
        }
        terminal.wait_for("nothing of it");
        terminal.type_in("\u{1b}[200~yes\u{1b}[201~");
        terminal.wait_for("finish or clear first");
        terminal.type_in("\u{15}");
        terminal.insist("d", "denied");
        terminal.wait_for("Not made.");
        assert!(terminal.end().is_some());
    });
    assert!(!place.workspace().join("made").exists());
}

/// What is said to a turn that writes its last answer is accepted only when the next turn begins.
#[tokio::test(flavor = "multi_thread")]
async fn keys_and_ctrl_c_are_heard_while_a_line_waits_for_the_next_turn() {
    let gate = Gate::new();
    let read = Reply::call("read", &json!({ "path": "a.txt" }).to_string());
    let last = Reply::text("I have to end ")
        .and_gate(&gate)
        .and_text("now.");
    let more = (0..3).map(|_| Reply::text("Gone on."));
    let (place, server) = place_and_server([read, last].into_iter().chain(more));
    let config = place.home().join("config.toml");
    let config = std::fs::read_to_string(config).expect("the settings");
    place.write(
        "home/config.toml",
        &format!("{config}[limits]\nmodel_calls_per_turn = 2\n"),
    );
    tokio::task::block_in_place(|| {
        let mut terminal = Terminal::start(&place, &["--plain"]);
        terminal.wait_for("/help lists");
        terminal.wait_for("› ");
        terminal.type_in("go\r");
        terminal.wait_for("I have to end");
        terminal.type_in("and then?\r");
        terminal.type_in("still here");
        terminal.wait_for("still here");
        terminal.interrupt();
        terminal.wait_for("Gone on.");
        terminal.wait_for("› still here");
        terminal.type_in("\u{15}\u{4}");
        assert_eq!(terminal.end(), Some(0));
    });
    let sent = format!("{:?}", server.requests());
    assert!(sent.contains("and then?"), "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn x11_instructions_in_a_folder_are_asked_about_once_and_anew_when_they_change() {
    let replies = ["one", "two", "three", "four"].map(Reply::text);
    let (place, server) = place_and_server(replies);
    place.write("work/AGENTS.md", "Use tabs.\u{1b}[2J\n");
    tokio::task::block_in_place(|| {
        // Nobody is there: it is material, and a line says what can be done.
        let alone = place.run(&["ask", "hi"]);
        assert_eq!(alone.out, "one\n", "{alone:?}");
        assert!(alone.err.contains("titanclaw trust"), "{alone:?}");

        let mut terminal = Terminal::start(&place, &["ask", "hi"]);
        terminal.wait_for("│ Use tabs.␛[2J");
        terminal.wait_for("(y/N): ");
        terminal.type_in("y\r");
        terminal.wait_for("two");
        assert_eq!(terminal.end(), Some(0));

        let mut terminal = Terminal::start(&place, &["ask", "hi"]);
        terminal.wait_for("three");
        assert_eq!(terminal.end(), Some(0));

        place.write("work/AGENTS.md", "Use spaces.\n");
        let mut terminal = Terminal::start(&place, &["ask", "hi"]);
        terminal.wait_for("│ Use spaces.");
        terminal.wait_for("(y/N): ");
        terminal.type_in("n\r");
        terminal.wait_for("four");
        assert_eq!(terminal.end(), Some(0));
    });
    let follows: Vec<bool> = server
        .requests()
        .iter()
        .map(|request| format!("{request:?}").contains("The person's instructions"))
        .collect();
    assert_eq!(follows, [false, true, true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_ends_when_its_engine_is_asked_to() {
    let (place, _server) = place_and_server([Reply::text("one"), Reply::text("A title")]);
    tokio::task::block_in_place(|| {
        let mut terminal = Terminal::start(&place, &["--plain"]);
        terminal.wait_for("/help lists");
        terminal.wait_for("› ");
        let stopped = place.run(&["daemon", "stop"]);
        assert_eq!(stopped.exit, Some(0), "{stopped:?}");
        terminal.wait_for("asked to end (titanclaw daemon stop)");
        assert_eq!(terminal.end(), Some(130));
    });
}
