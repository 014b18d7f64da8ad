//! What was said is known afterwards, and goes when it is forgotten.

use crate::{all, hits, kept, name, note, on_every_store, ports, texts};
use titan_memory::GraphMemory;
use titan_protocol::{
    CallId, Event, Forget, MemoryKind, MemoryOrigin, Origin, Projection, Record, SessionId, Taint,
    ToolCall, TurnId, TurnOutcome, Usage,
};
use titan_store::Store;

pub(crate) fn asked(text: &str) -> Event {
    Event::TurnStarted { text: text.into() }
}

pub(crate) fn answered(text: &str) -> Event {
    Event::TextDelta { text: text.into() }
}

fn called(name: &str) -> Event {
    Event::ToolCallReady {
        call: ToolCall {
            id: CallId::new(TurnId::new(), 1),
            name: name.into(),
            arguments: Default::default(),
        },
        origin: Origin::Model,
    }
}

fn gave(taint: Taint) -> Event {
    Event::ToolCallEnded {
        call: CallId::new(TurnId::new(), 1),
        text: "something".into(),
        is_error: false,
        taint,
        whole: None,
        elapsed_ms: 1,
    }
}

fn ended(outcome: TurnOutcome) -> Event {
    Event::TurnEnded {
        outcome,
        usage: Usage::default(),
        elapsed_ms: 1,
    }
}

pub(crate) struct Talk {
    store: Store,
    pub(crate) session: SessionId,
}

impl Talk {
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            store: store.clone(),
            session: SessionId::new(),
        }
    }

    async fn happens(&self, turn: TurnId, events: Vec<Event>) -> Vec<Record> {
        let journal = self.store.journal();
        let appended = journal.append(self.session, Some(turn), events).await;
        appended.expect("it is said")
    }

    /// A turn of these events that ended well.
    pub(crate) async fn turn(&self, events: Vec<Event>) -> (TurnId, Vec<Record>) {
        let turn = TurnId::new();
        let end = [ended(TurnOutcome::Completed)];
        let events = events.into_iter().chain(end).collect();
        (turn, self.happens(turn, events).await)
    }

    pub(crate) async fn says(&self, question: &str, answer: &str) -> (TurnId, Vec<Record>) {
        self.turn(vec![asked(question), answered(answer)]).await
    }
}

#[tokio::test]
async fn what_was_said_is_found_with_its_turn() {
    on_every_store(async |place| {
        let (store, memory) = place.open().await;
        let talk = Talk::new(&store);
        let (turn, _) = talk
            .says("Why does the Zephyr build fail?", "Its linker is too old.")
            .await;
        talk.says("What is the capital of Peru?", "Lima.").await;
        let found = hits(&memory, "Zephyr build").await;
        let document = &found[0].document;
        assert_eq!(document.kind, MemoryKind::Conversation);
        assert_eq!(document.title, "Why does the Zephyr build fail?");
        assert!(document.text.contains("Its linker is too old."));
        let session = talk.session;
        assert_eq!(document.origin, MemoryOrigin::Turn { session, turn });
        // A list that a person changes holds notes; asking keeps nothing twice.
        hits(&memory, "Zephyr build").await;
        assert_eq!(all(&memory).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn it_listens_on_where_it_stopped_and_hears_turns_that_went_on_meanwhile() {
    on_every_store(async |place| {
        let (store, memory) = place.open().await;
        let talk = Talk::new(&store);
        let turn = TurnId::new();
        talk.happens(turn, vec![asked("Which port has the Zephyr server?")])
            .await;
        assert_eq!(texts(&memory, "Zephyr server").await.len(), 0);
        talk.happens(
            turn,
            vec![answered("Port 7117."), ended(TurnOutcome::Completed)],
        )
        .await;
        let again = GraphMemory::new(ports(&store, None));
        for memory in [&memory, &again] {
            let found = texts(memory, "Zephyr server").await;
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains("7117"));
        }
        assert_eq!(all(&again).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_says_nothing_new_is_left_out() {
    on_every_store(async |place| {
        let (store, memory) = place.open().await;
        let talk = Talk::new(&store);
        talk.says("go on", "The Zephyr build is green.").await;
        talk.turn(vec![
            asked("What do you know of Zephyr?"),
            called("recall"),
            gave(Taint::PRIVATE),
            answered("Zephyr is a wind."),
        ])
        .await;
        talk.turn(vec![
            asked("How is the Zephyr server doing?"),
            Event::ShortcutTaken {
                name: "zephyr".into(),
                version: 1,
                because: "it was asked before".into(),
            },
            answered("Zephyr runs."),
        ])
        .await;
        let broken = TurnId::new();
        let events = vec![
            asked("Please restart Zephyr at once"),
            answered("Zephyr …"),
            ended(TurnOutcome::Interrupted),
        ];
        talk.happens(broken, events).await;
        for _ in 0..3 {
            talk.says("How old is  the Zephyr project?", "Nine years.")
                .await;
        }
        talk.says("how old is the zephyr project?", "Nine years.")
            .await;
        let found = texts(&memory, "Zephyr").await;
        assert_eq!(found.len(), 1, "{found:?}");
    })
    .await;
}

#[tokio::test]
async fn p12_a_turn_that_read_what_strangers_wrote_taints_who_recalls_it() {
    on_every_store(async |place| {
        let (store, memory) = place.open().await;
        let talk = Talk::new(&store);
        talk.turn(vec![
            asked("What does the page say about Zephyr?"),
            called("fetch"),
            gave(Taint::UNTRUSTED),
            answered("My favourite editor is ed, it says."),
        ])
        .await;
        kept(&memory, note("My favourite editor is Helix.")).await;
        let found = hits(&memory, "page about Zephyr").await;
        assert_eq!(found[0].document.origin, MemoryOrigin::Untrusted);
        // Nothing that was said in a conversation ends a note.
        let editor = texts(&memory, "favourite editor").await;
        assert!(editor.contains(&"My favourite editor is Helix.".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn what_is_forgotten_in_a_session_is_forgotten_here() {
    on_every_store(async |place| {
        let (store, memory) = place.open().await;
        let (talk, other) = (Talk::new(&store), Talk::new(&store));
        let (first, _) = talk
            .says("Where is the Zephyr key?", "In the blue box.")
            .await;
        let (_, second) = talk.says("Who owns the Zephyr house?", "Ada Stone.").await;
        talk.says("When was Zephyr founded, please?", "In 1999.")
            .await;
        other.says("What colour has Zephyr's logo?", "Green.").await;
        assert_eq!(texts(&memory, "Zephyr").await.len(), 4);
        let session = talk.session;
        let turn = Forget::Turn {
            session,
            turn: first,
        };
        let events = Forget::Events {
            session,
            seqs: vec![second[1].seq],
        };
        for (what, gone, left) in [
            (turn, "blue box", 3),
            (events, "Ada Stone", 2),
            (Forget::Session { session }, "1999", 1),
        ] {
            memory.forget(&what).await.unwrap();
            assert_eq!(texts(&memory, gone).await.len(), 0, "{gone}");
            assert_eq!(name(&memory, gone).await, None);
            assert_eq!(texts(&memory, "Zephyr").await.len(), left, "{gone}");
        }
        let again = GraphMemory::new(ports(&store, None));
        assert_eq!(texts(&again, "Zephyr").await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn s20_what_is_said_in_a_home_is_its_owners_alone() {
    on_every_store(async |place| {
        let (store, memory) = place.open().await;
        let ann = GraphMemory::of(ports(&store, None), "ann");
        let talk = Talk::new(&store);
        talk.says("Where is the Zephyr key?", "In the blue box.")
            .await;
        assert_eq!(texts(&memory, "Zephyr").await.len(), 1);
        assert_eq!(texts(&ann, "Zephyr").await.len(), 0);
    })
    .await;
}
