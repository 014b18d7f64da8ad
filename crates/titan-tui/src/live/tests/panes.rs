//! Panes, the palette, search and what is being typed.

use super::super::{NoteChange, Query, Reply};
use super::*;
use crate::render::moment;
use expect_test::expect;
use titan_protocol::{
    CostLine, FileDiff, Job, JobCall, JobStage, MemoryDocument, MemoryDraft, MemoryKind,
    MemoryOrigin, Op, SessionSummary, TurnChanges,
};

fn asked(app: &mut App, command: &str, reply: Reply) {
    let actions = type_in(app, command);
    let is_query = |action: &Action| matches!(action, Action::Ask(_));
    assert!(actions.iter().any(is_query), "{actions:?}");
    app.reply(reply);
}

fn changes() -> TurnChanges {
    TurnChanges {
        turn: TurnId::from_u128(1),
        files: vec![FileDiff {
            path: "/w/src/a.rs".into(),
            what: "changed".into(),
            notes: vec!["changed again since".into()],
            diff: "@@ -1,2 +1,2 @@\n-old \u{1b}[2J\n+\tnew\n same\n".into(),
        }],
        notes: vec!["1 file is left out".into()],
    }
}

fn sessions() -> Vec<SessionSummary> {
    let session = |n: u128, title: &str, is_running| SessionSummary {
        session: SessionId::from_u128(n),
        title: title.into(),
        workspace: "/w".into(),
        started_at: 0,
        active_at: 0,
        turns: 3,
        is_running,
        usage: usage(),
        branch_of: None,
    };
    vec![
        session(0xaaaa_0001, "a first one", false),
        session(0xaaaa_0002, "\u{1b}]0;x\u{7}another", true),
    ]
}

#[test]
fn the_differences_of_a_turn_are_shown() {
    let mut app = told([started("x"), completed()]);
    asked(&mut app, "/diff 1\n", Reply::Changes(changes()));
    check(
        &mut app,
        60,
        14,
        expect![[r#"
        1 file changed                                           Esc
        changed src/a.rs
        (changed again since)
        @@ -1,2 +1,2 @@
        -old ␛[2J
        +    new
         same
        1 file is left out



        ────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]],
    );
    app.key(Key::Escape);
    assert!(shown(&mut app, 60, 14).starts_with("› x"));
}

#[test]
fn sessions_are_listed_and_one_is_gone_on_with() {
    let mut app = told([started("x"), completed()]);
    asked(&mut app, "/sessions\n", Reply::Sessions(sessions()));
    let text = shown(&mut app, 70, 12).replace(&moment(0), "1970-01-01 00:00");
    expect![[r#"
        Sessions                                     Enter opens · n new · Esc
           id        active            turns  cost     title
        ▸  aaaa0001  1970-01-01 00:00  3      $0.0123  a first one
           aaaa0002  1970-01-01 00:00  3      $0.0123  ⠿ another





        ──────────────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]]
    .assert_eq(&text);
    app.key(Key::Down);
    let chosen = SessionId::from_u128(0xaaaa_0002);
    assert_eq!(app.key(Key::Enter), [Action::Follow(chosen)]);
    assert_eq!(app.session(), chosen);
    assert!(shown(&mut app, 70, 12).contains("TitanClaw"));
    asked(&mut app, "/sessions\n", Reply::Sessions(Vec::new()));
    assert!(matches!(app.key(Key::Char('n'))[..], [Action::Follow(id)] if id != chosen));
}

#[test]
fn costs_are_shown_by_day() {
    let cost = |day: &str, calls| CostLine {
        day: day.into(),
        provider: "local".into(),
        model: "qwen".into(),
        calls,
        usage: usage(),
    };
    let mut app = told([started("x"), model_ended(), completed()]);
    let costs = vec![cost("2026-11-01", 3), cost("2026-11-02", 1_000)];
    asked(&mut app, "/cost\n", Reply::Costs(costs));
    check(
        &mut app,
        70,
        14,
        expect![[r#"
        Cost, last 30 days                                                 Esc
        this session  1,200 in · 34 out · $0.0123

        day         model       calls  in     out  cost
        2026-11-01  local/qwen  3      1,200  34   $0.0123
        2026-11-02  local/qwen  1,000  1,200  34   $0.0123
        total                   1,003  2,400  68   $0.0246




        ──────────────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys                    $0.0123 · 1,200 in 34 out
    "#]],
    );
}

#[test]
fn the_keys_are_explained() {
    let mut app = app();
    app.key(Key::Help);
    check(
        &mut app,
        80,
        24,
        expect![[r#"
            Keys and commands                                             arrows, PgDn · Esc
            Enter              say it; while the model works, it steers it
            Alt-Enter          another line (also Shift-Enter, Ctrl-J, or \ at the end)
            Up, Down           what was typed before
            Tab                complete a command or a path after @
            Ctrl-C             stop the turn; twice at rest leaves
            Ctrl-P             everything that can be done
            Ctrl-F             search the conversation
            Ctrl-G             go back to an earlier turn, and on from there
            Ctrl-O, click      open or fold a call
            Ctrl-T             open or fold the model's thinking
            Ctrl-Y             copy the last answer
            PgUp, PgDn, wheel  look back; Esc or Ctrl-End goes to the end
            Shift-Up, -Down    by a row
            Ctrl-L             draw the screen anew
            Ctrl-D             leave, when nothing is typed

            A request to run something is answered with o (once), s (for this session),
            e (whenever it is exactly this) or d (deny), when you have seen it to its end.
            Hold Shift to select text with the mouse.

            ────────────────────────────────────────────────────────────────────────────────
            ›
            Ctrl-P commands · F1 keys
        "#]],
    );
}

#[test]
fn the_palette_finds_what_can_be_done() {
    let mut app = told([started("x"), text("An answer."), completed()]);
    app.key(Key::Ctrl('p'));
    check(
        &mut app,
        80,
        24,
        expect![[r#"
            › ╭──────────────────────────────────────────────────────────────────────────╮
              │›                                                                         │
            An│▸ /help                 this                                              │
              │  /model [NAME]         show or choose the model of this conversation, a… │
            1,│  /sessions             list sessions and go on with one                  │
              │  /new                  begin a new session                               │
              │  /branch [TURN]        go back to an earlier turn and go on from there … │
              │  /image [FILE]         give an image with what you say next              │
              │  /compact              shorten what the model is shown of this session;… │
              │  /diff [TURN]          show what a turn changed in files; the last one,… │
              │  /undo [TURN] [force]  put the files that a turn changed back; force: a… │
              │  /forget [all]         delete the last turn, or the whole session, for … │
              │  /again                ask the model what was said last, whatever refle… │
              │  /never                end the reflex that answered last                 │
              │  /memory [WORDS]       what is remembered over sessions; with words, wh… │
              │  /jobs                 what runs now, in all sessions                    │
              │  /cost                 what this session used                            │
              │  /quit                 leave (or Ctrl-D)                                 │
              │  stop the turn                                                     Ctrl-C│
              │  search the conversation                                           Ctrl-F│
              │  what the last turn changed in files                                     │
            ──│  go back to an earlier turn and go on from there                   Ctrl-G│──
            › │  what models cost, by day                                                │
            Ct╰──────────────────────────────────────────────────────────────────────────╯
        "#]],
    );
    type_in(&mut app, "copy");
    check(
        &mut app,
        50,
        12,
        expect![[r#"
        › x

        ╭────────────────────────────────────────────────╮
        │› copy                                          │
        │▸ copy the last answer                    Ctrl-Y│
        ╰────────────────────────────────────────────────╯



        ──────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]],
    );
    assert_eq!(app.key(Key::Enter), [Action::Copy("An answer.".into())]);
    app.key(Key::Ctrl('p'));
    assert_eq!(type_in(&mut app, "undo\n"), []);
    assert!(shown(&mut app, 50, 12).contains("› /undo"));
    app.key(Key::Ctrl('u'));
    app.key(Key::Ctrl('p'));
    let actions = type_in(&mut app, "sessions\n");
    assert_eq!(actions, [Action::Ask(Query::Sessions)]);
}

#[test]
fn words_are_found_in_the_conversation_and_in_what_is_folded() {
    let mut events = vec![started("first the needle"), ready("c1", "ls")];
    let lines: String = (0..300).map(|n| format!("line {n}\n")).collect();
    events.extend([
        output("c1", &format!("a Needle here\n{lines}")),
        ended("c1", "", false),
    ]);
    events.extend((0..30).map(|n| text(&format!("paragraph {n}\n\n"))));
    events.push(completed());
    let mut app = told(events);
    shown(&mut app, 50, 12);
    app.key(Key::Ctrl('f'));
    type_in(&mut app, "needle");
    check(
        &mut app,
        50,
        12,
        expect![[r#"

            ▾ ✓ shell ls  1.2s
              ✎ script: ls
              │ a Needle here
              │ line 0
              │ line 1
              │ line 2
              │ line 3
              │ line 4
            ──────────────────────────────────────────────────
            search › needle
            Enter older · Down newer · Esc
        "#]],
    );
    app.key(Key::Enter);
    check(
        &mut app,
        50,
        12,
        expect![[r#"
            › first the needle

            ▾ ✓ shell ls  1.2s
              ✎ script: ls
              │ a Needle here
              │ line 0
              │ line 1
              │ line 2
              │ line 3
            ──────────────────────────────────────────────────
            search › needle
            Enter older · Down newer · Esc
        "#]],
    );
    app.key(Key::Enter);
    assert!(shown(&mut app, 50, 12).contains("no more of it that way"));
    app.key(Key::Escape);
    app.key(Key::Escape);
    assert!(shown(&mut app, 50, 12).contains("paragraph 29"));
}

#[test]
fn several_lines_and_a_long_paste_are_written() {
    let mut app = app();
    type_in(&mut app, "look at this:");
    app.key(Key::NewLine);
    app.key(Key::Paste("line\n".repeat(120)));
    type_in(&mut app, " and tell");
    check(
        &mut app,
        40,
        12,
        expect![[r#"
            TitanClaw
            works in /w
            qwen (local): the only one here

            Ask something, or say what is to be
            done.
            Ctrl-P lists what can be done, F1 the
            keys, @ names a file,
            ────────────────────────────────────────
            › look at this:
              [pasted 120 lines] and tell
            Ctrl-P commands · F1 keys
        "#]],
    );
    let actions = app.key(Key::Enter);
    let sent = format!("look at this:\n{} and tell", "line\n".repeat(120));
    assert_eq!(actions[0], Action::Remember(sent.clone()));
    check(
        &mut app,
        40,
        12,
        expect![[r#"
            TitanClaw
            works in /w
            qwen (local): the only one here

            Ask something, or say what is to be
            done.
            Ctrl-P lists what can be done, F1 the
            keys, @ names a file,
            › look at this: line line lin… · on its…
            ────────────────────────────────────────
            ›
            Ctrl-P commands · F1 keys
        "#]],
    );
    tell(&mut app, [started(&sent)]);
}

#[test]
fn commands_and_paths_are_completed() {
    let mut app = app();
    type_in(&mut app, "/s");
    check(
        &mut app,
        60,
        12,
        expect![[r#"
            TitanClaw
            works in /w
            qwen (local): the only one here

            Ask something, or say what is to be done.
            Ctrl-P lists what can be done, F1 the keys, @ names a file,
            !COMMAND runs a command by hand, Ctrl-D leaves.

            ▸ /sessions     list sessions and go on with one
            ────────────────────────────────────────────────────────────
            › /s
            Ctrl-P commands · F1 keys
        "#]],
    );
    app.key(Key::Tab);
    assert_eq!(app.composer.text(), "/sessions ");
    app.key(Key::Ctrl('u'));
    assert_eq!(
        type_in(&mut app, "read @s").last(),
        Some(&Action::Files("s".into()))
    );
    app.reply(Reply::Files {
        prefix: "s".into(),
        paths: vec!["src/".into(), "su\u{1b}[2Jm".into(), "sum".into()],
    });
    check(
        &mut app,
        60,
        12,
        expect![[r#"
            TitanClaw
            works in /w
            qwen (local): the only one here

            Ask something, or say what is to be done.
            Ctrl-P lists what can be done, F1 the keys, @ names a file,
            !COMMAND runs a command by hand, Ctrl-D leaves.
            ▸ src/
              sum
            ────────────────────────────────────────────────────────────
            › read @s
            Ctrl-P commands · F1 keys
        "#]],
    );
    assert_eq!(app.key(Key::Tab), [Action::Files("src/".into())]);
    assert_eq!(app.composer.text(), "read @src/");
}

/// A turn that began and ended under this number.
fn turn(n: u128, words: &str) -> [Record; 2] {
    let of_turn = |event: Event| Record {
        turn: Some(TurnId::from_u128(n)),
        ..record(event)
    };
    [of_turn(started(words)), of_turn(completed())]
}

#[test]
fn a_turn_is_chosen_and_gone_on_from_in_a_session_of_its_own() {
    let mut app = app();
    assert!(app.key(Key::Ctrl('g')).is_empty());
    assert!(shown(&mut app, 60, 10).contains("there is no turn to go back to"));
    for (n, words) in [
        (1, "look at it"),
        (2, "\n change it\nall"),
        (3, "and test it"),
    ] {
        turn(n, words).iter().for_each(|record| app.apply(record));
    }
    app.key(Key::Ctrl('g'));
    app.key(Key::Up);
    check(
        &mut app,
        60,
        10,
        expect![[r#"
        Go on after which turn?       Enter goes on from there · Esc
            1  look at it
        ▸   2  change it
            3  and test it



        ────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]],
    );
    let branch = |actions: Vec<Action>| match &actions[..] {
        [
            Action::Submit(
                op @ Op::Branch {
                    session,
                    after,
                    into,
                },
            ),
        ] => {
            assert_eq!((*session, *after), (SESSION, TurnId::from_u128(2)));
            (op.clone(), *into)
        }
        other => panic!("{other:?}"),
    };
    let (op, into) = branch(app.key(Key::Enter));
    assert_eq!(app.submitted(&op, Ok(())), [Action::Follow(into)]);
    assert_eq!(app.session(), into);
    // What it shares is told first, then that it begins; what its origin cost is not its own.
    let mut told = turn(1, "look at it").to_vec();
    told.insert(1, record(model_ended()));
    told.push(record(Event::SessionBranched {
        workspace: "/w".into(),
        past: Vec::new(),
    }));
    for record in told {
        app.apply(&Record {
            session: into,
            ..record
        });
    }
    check(
        &mut app,
        60,
        12,
        expect![[r#"
        › look at it

        1,200 in · 34 out · $0.0123 · 3.4s
        ↳ a branch begins here: what is above is shared; files are
          as they are now, not as they were then




        ────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]],
    );
}

#[test]
fn a_branch_in_the_list_says_what_it_came_from() {
    let mut app = told([started("x"), completed()]);
    let mut listed = sessions();
    listed[1].branch_of = Some(titan_protocol::SharedPast {
        session: listed[0].session,
        until: 7,
    });
    asked(&mut app, "/sessions\n", Reply::Sessions(listed));
    let text = shown(&mut app, 80, 12);
    assert!(text.contains("↳ aaaa0001 · another"), "{text}");
}

fn note(n: u8, text: &str, tags: &[&str], origin: MemoryOrigin) -> MemoryDocument {
    MemoryDocument {
        id: format!("note {n}"),
        kind: MemoryKind::Note,
        text: text.into(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        origin,
        at: 0,
        changed_at: None,
        title: String::new(),
        source: None,
        valid_until: None,
        superseded_by: None,
        read_in: None,
        reading: None,
    }
}

fn notes() -> Vec<MemoryDocument> {
    let kept = MemoryOrigin::Turn {
        session: SessionId::from_u128(0xaaaa_0001),
        turn: TurnId::from_u128(1),
    };
    vec![
        note(1, "The cat is called Minka.\nShe is old.", &["cat"], kept),
        note(2, "tea, not \u{1b}[2Jcoffee", &[], MemoryOrigin::Person),
    ]
}

fn found(words: &str, documents: Vec<MemoryDocument>, kept: Option<&str>) -> Reply {
    Reply::Notes {
        words: words.into(),
        documents,
        kept: kept.map(str::to_owned),
    }
}

fn recall(words: &str, change: Option<NoteChange>) -> Action {
    let words = words.into();
    Action::Recall { words, change }
}

/// An app with the pane of what is remembered, in which these are.
fn remembering(documents: Vec<MemoryDocument>) -> App {
    let mut app = told([started("x"), completed()]);
    let actions = type_in(&mut app, "/memory\n");
    assert_eq!(actions.last(), Some(&recall("", None)));
    app.reply(found("", documents, None));
    app
}

fn shown_at(app: &mut App, width: u16, height: u16) -> String {
    shown(app, width, height).replace(&moment(0), "1970-01-01 00:00")
}

#[test]
fn what_is_remembered_is_listed_and_the_chosen_note_is_whole() {
    let mut app = remembering(notes());
    expect![[r#"
        Memory · 2 notes              / search · a add · e edit · d delete · Esc
        ▸ 1970-01-01 00:00  #cat The cat is called Minka.
          1970-01-01 00:00  tea, not coffee
        ────────────────────────────────────────────────────────────────────────
        The cat is called Minka.
        She is old.
        a tool kept it in session aaaa0001 (o shows it), 1970-01-01 00:00






        ────────────────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]]
    .assert_eq(&shown_at(&mut app, 72, 16));
    app.key(Key::Down);
    let text = shown_at(&mut app, 72, 16);
    assert!(
        text.contains("▸ 1970-01-01 00:00  tea, not coffee"),
        "{text}"
    );
    assert!(text.contains("you wrote it, 1970"), "{text}");
    assert!(!text.contains("She is old"), "{text}");
    // The session that a note came from is shown.
    app.key(Key::Up);
    let from = SessionId::from_u128(0xaaaa_0001);
    assert_eq!(app.key(Key::Char('o')), [Action::Follow(from)]);
}

#[test]
fn nothing_that_is_remembered_is_said() {
    let mut app = remembering(Vec::new());
    expect![[r#"
        Memory · 0 notes                      / search · a add · Esc
        Nothing is remembered yet. The agent notes what it is told
        to remember; a adds a note of yours.




        ────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]]
    .assert_eq(&shown_at(&mut app, 60, 10));
    for key in ['e', 'd', 'o', 'y'] {
        assert_eq!(app.key(Key::Char(key)), []);
    }
    assert!(shown_at(&mut app, 60, 10).contains("Nothing is remembered yet"));
}

#[test]
fn notes_are_searched() {
    let mut app = remembering(notes());
    type_in(&mut app, "/cat food");
    expect![[r#"
        Memory · 2 notes                        Enter searches · Esc
        search › cat food
        ▸ 1970-01-01 00:00  #cat The cat is called Minka.
          1970-01-01 00:00  tea, not coffee
        ────────────────────────────────────────────────────────────
        The cat is called Minka.
        She is old.
        a tool kept it in session aaaa0001 (o shows it), 1970-01-01
        00:00
        ────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]]
    .assert_eq(&shown_at(&mut app, 60, 12));
    assert_eq!(app.key(Key::Enter), [recall("cat food", None)]);
    app.reply(found("cat food", Vec::new(), None));
    expect![[r#"
        Memory · 0 notes with “cat food”      / search · a add · Esc
        No note holds all these words; / and Enter with nothing
        shows all.




        ────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]]
    .assert_eq(&shown_at(&mut app, 60, 10));
    // With words after the command it is searched at once.
    app.key(Key::Escape);
    let actions = type_in(&mut app, "/memory tea\n");
    assert_eq!(actions.last(), Some(&recall("tea", None)));
}

#[test]
fn a_note_is_added_and_stays_in_the_form_until_it_is_kept() {
    let mut app = remembering(notes());
    type_in(&mut app, "a");
    assert_eq!(app.key(Key::Enter), [], "a note without a text");
    type_in(&mut app, "The key is under");
    app.key(Key::NewLine);
    type_in(&mut app, "the mat");
    app.key(Key::Tab);
    type_in(&mut app, "home, , door ");
    expect![[r#"
        Memory · 2 notes             Enter keeps it · Tab tags · Esc
        A new note · Alt-Enter begins a line
        › The key is under
          the mat

        tags › home, , door



        ────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]]
    .assert_eq(&shown_at(&mut app, 60, 12));
    let draft = MemoryDraft {
        text: "The key is under\nthe mat".into(),
        tags: vec!["home".into(), "door".into()],
        replaces: None,
        ..MemoryDraft::default()
    };
    let keep = recall("", Some(NoteChange::Keep(draft)));
    assert_eq!(app.key(Key::Enter), std::slice::from_ref(&keep));
    // Nothing goes out twice while it is on its way, and nothing is lost when it is refused.
    assert_eq!(app.key(Key::Enter), []);
    app.reply(Reply::NotesFailed("the disk is full".into()));
    let text = shown_at(&mut app, 60, 12);
    assert!(
        text.contains("the disk is full") && text.contains("the mat"),
        "{text}"
    );
    assert_eq!(app.key(Key::Enter), [keep]);
    let more = [notes(), vec![note(3, "The key", &[], MemoryOrigin::Person)]].concat();
    app.reply(found("", more, Some("note 3")));
    let text = shown_at(&mut app, 60, 16);
    assert!(text.contains("▸ 1970-01-01 00:00  The key"), "{text}");
}

#[test]
fn a_note_is_changed_in_its_place() {
    let mut app = remembering(notes());
    type_in(&mut app, "e");
    expect![[r#"
        Memory · 2 notes             Enter keeps it · Tab tags · Esc
        The old text will be deleted for good · Alt-Enter begins a …
        › The cat is called Minka.
          She is old.

        tags › cat



        ────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]]
    .assert_eq(&shown_at(&mut app, 60, 12));
    type_in(&mut app, "!");
    let draft = MemoryDraft {
        text: "The cat is called Minka.\nShe is old.!".into(),
        tags: vec!["cat".into()],
        replaces: Some("note 1".into()),
        ..MemoryDraft::default()
    };
    let keep = recall("", Some(NoteChange::Keep(draft)));
    assert_eq!(app.key(Key::Enter), [keep]);
    // What is thought better of is left as it was.
    app.reply(found("", notes(), Some("note 1")));
    type_in(&mut app, "exxx");
    app.key(Key::Escape);
    assert!(!shown_at(&mut app, 60, 12).contains("xxx"));
}

#[test]
fn a_note_is_deleted_when_it_is_said_twice_by_keys_that_were_pressed() {
    let mut app = remembering(notes());
    type_in(&mut app, "d");
    expect![[r#"
        Memory · 2 notes                               y deletes it for good · n
        Delete this note for good? y deletes it, any other key does not
        ▸ 1970-01-01 00:00  #cat The cat is called Minka.
          1970-01-01 00:00  tea, not coffee
        ────────────────────────────────────────────────────────────────────────
        The cat is called Minka.
        She is old.
        a tool kept it in session aaaa0001 (o shows it), 1970-01-01 00:00

        ────────────────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]]
    .assert_eq(&shown_at(&mut app, 72, 12));
    assert_eq!(type_in(&mut app, "n"), []);
    // What comes in one piece was pasted.
    assert_eq!(app.keys(&[Key::Char('d'), Key::Char('y')]), []);
    type_in(&mut app, "d");
    assert_eq!(app.key(Key::Paste("y".into())), []);
    let discard = recall("", Some(NoteChange::Discard("note 1".into())));
    assert_eq!(type_in(&mut app, "y"), [discard]);
    assert!(
        !shown_at(&mut app, 72, 12).contains("deleted"),
        "it is not yet"
    );
    app.reply(found("", notes().split_off(1), None));
    let text = shown_at(&mut app, 72, 12);
    assert!(text.contains("deleted for good"), "{text}");
    assert!(
        text.starts_with("Memory · 1 note ") && !text.contains("Minka"),
        "{text}"
    );
}

#[test]
fn notes_are_chosen_by_the_mouse_and_many_are_scrolled() {
    let many = (0..100).map(|n| note(n, &format!("note number {n}"), &[], MemoryOrigin::Person));
    let mut app = remembering(many.collect());
    shown_at(&mut app, 60, 24);
    app.key(Key::End);
    let text = shown_at(&mut app, 60, 24);
    assert!(
        text.contains("▸ 1970-01-01 00:00  note number 99"),
        "{text}"
    );
    assert!(!text.contains("note number 2\n"), "{text}");
    app.key(Key::Home);
    shown_at(&mut app, 60, 24);
    app.key(Key::Click(10, 4));
    assert!(shown_at(&mut app, 60, 24).contains("▸ 1970-01-01 00:00  note number 3\n"));
}

fn job(n: u128, title: &str, calls: Vec<JobCall>) -> Job {
    Job {
        session: SessionId::from_u128(n),
        turn: TurnId::from_u128(n),
        title: title.into(),
        text: "do it \u{1b}[2Jnow".into(),
        workspace: "/w".into(),
        started_at: START - 65_000,
        calls,
    }
}

fn job_call(about: &str, stage: JobStage) -> JobCall {
    JobCall {
        call: "c1".into(),
        tool: "shell".into(),
        about: about.into(),
        started_at: START - 3_500,
        stage,
    }
}

fn running() -> Vec<Job> {
    let building = vec![
        job_call("cargo build --release", JobStage::Running),
        job_call("rm -r \u{1b}]0;x\u{7}old", JobStage::Asked),
        job_call("", JobStage::Written),
    ];
    vec![
        job(0xaaaa_0001, "build everything", building),
        job(0x5e55, "a talk", Vec::new()),
    ]
}

#[test]
fn what_runs_in_all_sessions_is_shown_gone_to_and_stopped() {
    let mut app = told([started("x"), completed()]);
    asked(&mut app, "/jobs\n", Reply::Jobs(running()));
    check(
        &mut app,
        72,
        14,
        expect![[r#"
        Running now · 2 turns                  Enter shows it · x stops it · Esc
        ▸ ⠋ build everything · 1m 05s
              › do it now
              shell cargo build --release · runs, 3s
              shell rm -r old · waits for a yes or no, 3s
              shell … · is being written, 3s
          ⠋ a talk · 1m 05s · shown here
              › do it now
              waits for the model


        ────────────────────────────────────────────────────────────────────────
        ›
        Ctrl-P commands · F1 keys
    "#]],
    );
    // Stopped by a key that was pressed, and by no paste.
    assert_eq!(app.keys(&[Key::Char('x'), Key::Down, Key::Up]), []);
    assert_eq!(app.key(Key::Paste("x".into())), []);
    let stop = Op::Interrupt {
        session: SessionId::from_u128(0xaaaa_0001),
    };
    assert_eq!(app.key(Key::Char('x')), [Action::Submit(stop)]);
    assert!(shown(&mut app, 72, 14).contains("build everything · 1m 05s · is being stopped"));
    // It ends, and the other is chosen.
    app.reply(Reply::Jobs(running().split_off(1)));
    let text = shown(&mut app, 72, 14);
    assert!(text.contains("▸ ⠋ a talk · 1m 05s · shown here"), "{text}");
    app.reply(Reply::Jobs(Vec::new()));
    assert!(shown(&mut app, 72, 14).contains("no turn runs, in no session"));
    app.reply(Reply::Jobs(running()));
    let gone_to = SessionId::from_u128(0xaaaa_0001);
    app.key(Key::Up);
    assert_eq!(app.key(Key::Enter), [Action::Follow(gone_to)]);
}

#[test]
fn what_runs_is_asked_for_again_each_second_while_it_is_looked_at() {
    let mut app = told([started("x"), completed()]);
    assert!(!app.is_moving());
    type_in(&mut app, "/jobs\n");
    assert!(app.is_moving(), "times run in it");
    let again = [Action::Ask(Query::Jobs)];
    app.at(START + 5_000);
    assert_eq!(app.due(), [], "the first is not answered yet");
    app.reply(Reply::Jobs(running()));
    assert_eq!(app.due(), again);
    assert_eq!(app.due(), []);
    app.reply(Reply::Jobs(running()));
    app.at(START + 5_999);
    assert_eq!(app.due(), []);
    app.at(START + 6_000);
    assert_eq!(app.due(), again);
    // An engine that is gone answers no more; the next one is asked.
    app.reply(Reply::Disconnected("gone.".into()));
    app.at(START + 60_000);
    assert_eq!(app.due(), []);
    app.reply(Reply::Connected);
    assert_eq!(app.due(), again);
    app.key(Key::Escape);
    app.at(START + 90_000);
    assert_eq!((app.due(), app.is_moving()), (Vec::new(), false));
}

#[test]
fn a_chosen_job_is_in_sight_however_many_there_are() {
    let jobs = (1..=50).map(|n| {
        job(
            n,
            &format!("job {n}."),
            vec![job_call("make", JobStage::Running)],
        )
    });
    let mut app = told([started("x"), completed()]);
    asked(&mut app, "/jobs\n", Reply::Jobs(jobs.collect()));
    for key in [Key::End, Key::Up, Key::PageUp, Key::Home] {
        app.key(key.clone());
        let text = shown(&mut app, 60, 16);
        assert!(text.contains("▸ ⠋ job "), "{key:?}\n{text}");
    }
    app.key(Key::Click(5, 4));
    assert!(shown(&mut app, 60, 16).contains("▸ ⠋ job 2."));
}

#[test]
fn the_palette_uses_the_screen_and_goes_round() {
    let mut app = app();
    app.key(Key::Ctrl('p'));
    let all = shown(&mut app, 80, 50);
    assert!(
        all.contains("/quit") && all.contains("another theme"),
        "{all}"
    );
    app.key(Key::Up);
    let last = shown(&mut app, 80, 24);
    assert!(last.contains("▸ another theme"), "{last}");
    app.key(Key::Down);
    assert!(shown(&mut app, 80, 24).contains("▸ /help"));
    app.key(Key::PageDown);
    let page = shown(&mut app, 80, 24);
    assert!(!page.contains("/help") && page.contains('▸'), "{page}");
}
