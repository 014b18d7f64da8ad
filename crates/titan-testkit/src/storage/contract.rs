//! What every storage backend must do, as sequences of asserts that read as sentences.
//!
//! Each suite uses fresh sessions, tables and collections, so it also runs on a store that already holds something, as
//! long as nobody else writes to it meanwhile. A suite panics at the first sentence that does not hold.

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use titan_protocol::{
    ApprovalId, BlobId, Blobs, BoxStream, CallId, CanvasAction, Change, Decision, Delivery,
    Document, Effect, Event, FileState, Journal, ModelError, NoticeLevel, Origin, PlanItem,
    PlanStatus, Query, QuestionId, Record, Records, Search, Seq, SessionId, StopReason, Stopped,
    StorageError, Surface, SurfaceKind, Taint, ToolCall, TurnId, TurnOutcome, UndoOutcome,
    UndoneFile, Usage, Verdict, Versioned,
};

/// More than any subscription holds.
const LAG_RECORDS: usize = 5_000;

fn text(text: &str) -> Event {
    Event::TextDelta { text: text.into() }
}

async fn all_of(journal: &dyn Journal, session: Option<SessionId>, after: Seq) -> Vec<Record> {
    let read = journal.read(session, after, usize::MAX).await;
    read.expect("a journal can be read")
}

async fn append(journal: &dyn Journal, session: SessionId, events: Vec<Event>) -> Vec<Record> {
    let appended = journal.append(session, None, events).await;
    appended.expect("a journal takes events")
}

/// What every [`Journal`] must do.
pub async fn journal_contract(journal: &dyn Journal) {
    appended_records_are_read_back(journal).await;
    every_kind_of_event_comes_back_unchanged(journal).await;
    sessions_are_kept_apart(journal).await;
    pages_join_without_gap_or_overlap(journal).await;
    concurrent_appends_get_places_of_their_own(journal).await;
    subscribers_see_what_is_appended_from_then_on(journal).await;
    a_subscriber_that_lags_can_read_on(journal).await;
    tombstones_replace_only_what_they_name(journal).await;
}

async fn appended_records_are_read_back(journal: &dyn Journal) {
    let session = SessionId::new();
    let turn = TurnId::new();
    let before = all_of(journal, Some(session), 0).await;
    assert!(before.is_empty(), "a session without events reads as empty");

    let events = vec![text("one"), text("two"), text("three")];
    let appended = journal.append(session, Some(turn), events.clone()).await;
    let appended = appended.expect("a journal takes events");
    assert_eq!(appended.len(), 3, "each event gives one record");
    assert!(appended[0].seq > 0, "positions begin above 0");
    assert!(
        appended.windows(2).all(|pair| pair[0].seq < pair[1].seq),
        "positions grow within an append"
    );
    for (record, event) in appended.iter().zip(&events) {
        assert_eq!(record.session, session, "a record names its session");
        assert_eq!(record.turn, Some(turn), "a record names its turn");
        assert_eq!(&record.event, event, "events keep their order");
    }
    assert_eq!(
        all_of(journal, Some(session), 0).await,
        appended,
        "what was appended is read at once, before any sync"
    );
    journal.sync().await.expect("a journal can be synced");
    assert_eq!(
        all_of(journal, Some(session), 0).await,
        appended,
        "a sync changes nothing that is read"
    );
    journal.sync().await.expect("a sync can be repeated");

    let none = append(journal, session, Vec::new()).await;
    assert!(none.is_empty(), "appending nothing gives no record");
    let later = append(journal, session, vec![text("four")]).await;
    assert!(
        later[0].seq > appended[2].seq,
        "positions grow from append to append"
    );
    assert_eq!(later[0].turn, None, "an event need not belong to a turn");
    let joined = [appended, later].concat();
    assert_eq!(
        all_of(journal, Some(session), 0).await,
        joined,
        "what is durable and what is not yet are read as one"
    );
}

async fn every_kind_of_event_comes_back_unchanged(journal: &dyn Journal) {
    let session = SessionId::new();
    let appended = append(journal, session, sample_events()).await;
    assert_eq!(
        all_of(journal, Some(session), 0).await,
        appended,
        "every kind of event is read back before a sync"
    );
    journal.sync().await.expect("a journal can be synced");
    assert_eq!(
        all_of(journal, Some(session), 0).await,
        appended,
        "every kind of event is read back after a sync"
    );
}

async fn sessions_are_kept_apart(journal: &dyn Journal) {
    let (ours, theirs) = (SessionId::new(), SessionId::new());
    let start = append(journal, ours, vec![text("start")]).await[0].seq;
    let mut expected = Vec::new();
    for round in 0..10 {
        let session = if round % 3 == 0 { theirs } else { ours };
        let event = text(&format!("round {round}"));
        expected.extend(append(journal, session, vec![event]).await);
        if round == 5 {
            journal.sync().await.expect("a journal can be synced");
        }
    }
    let of = |session| {
        let own = |record: &&Record| record.session == session;
        expected.iter().filter(own).cloned().collect::<Vec<_>>()
    };
    let (read_ours, read_theirs) = (
        all_of(journal, Some(ours), start).await,
        all_of(journal, Some(theirs), start).await,
    );
    assert_eq!(read_ours, of(ours), "a session reads its own events");
    assert_eq!(read_theirs, of(theirs), "and the other reads its own");
    assert_eq!(
        all_of(journal, None, start).await,
        expected,
        "all sessions together are read in the order of the journal"
    );
    journal.sync().await.expect("a journal can be synced");
    assert_eq!(
        all_of(journal, None, start).await,
        expected,
        "and so they are once all is durable"
    );
}

async fn pages_join_without_gap_or_overlap(journal: &dyn Journal) {
    let (session, other) = (SessionId::new(), SessionId::new());
    let start = append(journal, session, vec![text("start")]).await[0].seq;
    let mut whole = Vec::new();
    for round in 0..20 {
        whole.extend(append(journal, session, vec![text("a"), text("b"), text("c")]).await);
        append(journal, other, vec![text("beside")]).await;
        if round == 13 {
            journal.sync().await.expect("a journal can be synced");
        }
    }
    for limit in [1, 2, 7, 59, 60, 61] {
        let mut pages = Vec::new();
        let mut after = start;
        loop {
            let page = journal.read(Some(session), after, limit).await;
            let page = page.expect("a journal can be read");
            assert!(page.len() <= limit, "a page is not longer than asked");
            let Some(last) = page.last() else { break };
            after = last.seq;
            pages.extend(page);
        }
        assert_eq!(pages, whole, "pages of {limit} join to the whole");
    }
    let none = journal.read(Some(session), start, 0).await;
    assert!(
        none.expect("a journal can be read").is_empty(),
        "a limit of 0 reads nothing"
    );
    assert!(
        all_of(journal, None, u64::MAX).await.is_empty(),
        "there is nothing after the last position"
    );
}

async fn concurrent_appends_get_places_of_their_own(journal: &dyn Journal) {
    let sessions: Vec<SessionId> = (0..16).map(|_| SessionId::new()).collect();
    let appends = sessions.iter().map(|session| async move {
        let mut own = Vec::new();
        for n in 0..50 {
            own.extend(append(journal, *session, vec![text(&n.to_string())]).await);
            if n % 10 == 0 {
                journal.sync().await.expect("a journal can be synced");
            }
        }
        own
    });
    let by_session = join_all(appends).await;
    let places: BTreeSet<Seq> = by_session
        .iter()
        .flatten()
        .map(|record| record.seq)
        .collect();
    assert_eq!(places.len(), 16 * 50, "no two records share a place");
    for (session, own) in sessions.iter().zip(by_session) {
        assert_eq!(
            all_of(journal, Some(*session), 0).await,
            own,
            "each session keeps the order in which it appended"
        );
    }
}

async fn subscribers_see_what_is_appended_from_then_on(journal: &dyn Journal) {
    let (ours, theirs) = (SessionId::new(), SessionId::new());
    append(journal, ours, vec![text("before")]).await;
    let mut of_ours = journal.subscribe(Some(ours));
    let mut of_all = journal.subscribe(None);
    let first = append(journal, ours, vec![text("one"), text("two")]).await;
    let beside = append(journal, theirs, vec![text("beside")]).await;
    let last = append(journal, ours, vec![text("three")]).await;

    let own: Vec<Record> = [first.clone(), last.clone()].concat();
    for record in own {
        assert_eq!(
            of_ours.next().await,
            Some(Delivery::Record(record)),
            "a session's subscriber sees that session, from the subscription on"
        );
    }
    for record in [first, beside, last].concat() {
        assert_eq!(
            of_all.next().await,
            Some(Delivery::Record(record)),
            "a subscriber to all sees all sessions in the journal's order"
        );
    }
    drop(of_ours);
    append(journal, ours, vec![text("nobody listens")]).await;
}

async fn a_subscriber_that_lags_can_read_on(journal: &dyn Journal) {
    let session = SessionId::new();
    let mut subscription = journal.subscribe(Some(session));
    let mut appended = Vec::new();
    for _ in 0..LAG_RECORDS / 100 {
        appended.extend(append(journal, session, vec![text("tick"); 100]).await);
    }
    let end = append(journal, session, vec![text("end")]).await.remove(0);
    appended.push(end.clone());

    let mut seen: Vec<Record> = Vec::new();
    let lags = follow_to(journal, session, &mut subscription, &mut seen, &end).await;
    assert!(lags > 0, "{LAG_RECORDS} records do not wait in memory");
    assert_eq!(seen, appended, "what was missed is read from the journal");

    let next = append(journal, session, vec![text("next")]).await.remove(0);
    appended.push(next.clone());
    follow_to(journal, session, &mut subscription, &mut seen, &next).await;
    assert_eq!(seen, appended, "after a lag later records follow");
}

/// Reads a subscription up to a record as every follower does, and counts how often it lagged.
async fn follow_to(
    journal: &dyn Journal,
    session: SessionId,
    subscription: &mut BoxStream<Delivery>,
    seen: &mut Vec<Record>,
    end: &Record,
) -> usize {
    let mut lags = 0;
    while seen.last() != Some(end) {
        let last = seen.last().map_or(0, |record| record.seq);
        match subscription.next().await.expect("the journal goes on") {
            Delivery::Record(record) if record.seq <= last => {}
            Delivery::Record(record) => seen.push(record),
            Delivery::Lagged { after } => {
                lags += 1;
                assert!(after <= last, "no more is called delivered than was");
                seen.extend(all_of(journal, Some(session), last).await);
            }
        }
    }
    lags
}

async fn tombstones_replace_only_what_they_name(journal: &dyn Journal) {
    let (ours, theirs) = (SessionId::new(), SessionId::new());
    let turn = Some(TurnId::new());
    let events = vec![text("keep"), text("forget durable"), text("keep too")];
    let durable = journal.append(ours, turn, events).await;
    let durable = durable.expect("a journal takes events");
    let beside = append(journal, theirs, vec![text("beside")]).await;
    journal.sync().await.expect("a journal can be synced");
    let fresh = append(journal, ours, vec![text("forget fresh"), text("keep")]).await;

    let named = [durable[1].seq, fresh[0].seq, beside[0].seq, Seq::MAX];
    for _ in 0..2 {
        let done = journal.tombstone(ours, &named).await;
        done.expect("records can be forgotten, also twice, and unknown ones are passed over");
        let mut expected = [durable.clone(), fresh.clone()].concat();
        expected[1].event = Event::Forgotten;
        expected[3].event = Event::Forgotten;
        assert_eq!(
            all_of(journal, Some(ours), 0).await,
            expected,
            "a forgotten record keeps its place, time and turn; its neighbours keep all"
        );
        assert_eq!(
            all_of(journal, Some(theirs), 0).await,
            beside,
            "another session's record is not touched"
        );
    }
    let nothing = journal.tombstone(ours, &[]).await;
    nothing.expect("forgetting nothing is fine");
}

/// One event of every kind, with text that is hard on encoders.
fn sample_events() -> Vec<Event> {
    let call = CallId::new(TurnId::from_u128(7), 1);
    let nasty = "nul \0, quote \", \\, line\r\n\u{2028}, emoji 🦀, RTL \u{202e}";
    let arguments = serde_json::json!({"z": [1, -2.5, null], "a": nasty});
    let tool_call = ToolCall {
        id: call.clone(),
        name: "shell".into(),
        arguments: arguments.as_object().cloned().unwrap_or_default(),
    };
    let usage = Usage {
        input_tokens: u64::MAX >> 1,
        cost_usd_micros: Some(3),
        ..Usage::default()
    };
    let approval = ApprovalId::from_u128(5);
    let question = QuestionId::from_u128(6);
    vec![
        Event::SessionStarted {
            workspace: PathBuf::from("/home/person/ work"),
        },
        Event::SessionTitled {
            title: nasty.into(),
        },
        Event::TurnStarted {
            text: "x".repeat(300_000),
        },
        Event::Steered {
            text: String::new(),
            turn: TurnId::from_u128(77),
        },
        Event::ContextAssembled {
            tokens_estimated: 1,
            messages: 2,
            instructions: vec!["AGENTS.md".into()],
            taint: Taint::NONE,
        },
        Event::ModelCallStarted {
            provider: "local".into(),
            model: "m".into(),
            reason: None,
        },
        text(nasty),
        Event::ThinkingDelta { text: nasty.into() },
        Event::ThinkingSealed {
            signature: "c2VhbA==".into(),
        },
        Event::ToolCallStarted {
            call: call.clone(),
            name: "shell".into(),
        },
        Event::ToolArgumentsDelta {
            call: call.clone(),
            json: "{\"z\":[1,".into(),
        },
        Event::ToolCallReady {
            call: tool_call.clone(),
            origin: Origin::Model,
        },
        Event::StepDecided {
            call: call.clone(),
            step: 0,
            verdict: Verdict::Ask {
                reason: "runs a program".into(),
                effects: vec![Effect::Remember],
            },
            lasting: vec![Effect::Remember],
        },
        Event::ApprovalRequested {
            approval,
            call: tool_call,
            effects: vec![Effect::Network {
                host: "example.org".into(),
                port: 443,
            }],
            reason: "asks the network".into(),
            expires_at: 9,
        },
        Event::ApprovalDecided {
            approval,
            decision: Decision::Exact,
            by: "person".into(),
        },
        Event::ToolOutputDelta {
            call: call.clone(),
            text: nasty.into(),
        },
        Event::ValidatorFinding {
            call: call.clone(),
            rule: "build".into(),
            text: nasty.into(),
            stopped: Stopped::Model,
        },
        Event::ToolCallEnded {
            call,
            text: nasty.into(),
            is_error: true,
            taint: Taint::BOTH,
            whole: Some(BlobId::of(b"whole")),
            elapsed_ms: 12,
        },
        Event::PlanUpdated {
            items: vec![PlanItem {
                text: "first".into(),
                status: PlanStatus::InProgress,
            }],
        },
        Event::CanvasDrawn {
            surface: Surface {
                name: "sizes".into(),
                title: nasty.into(),
                kind: SurfaceKind::Table,
                language: String::new(),
                content: nasty.into(),
            },
        },
        Event::ShortcutTaken {
            name: "lines_of".into(),
            version: 3,
            because: nasty.into(),
        },
        Event::ShortcutResumed,
        Event::ShortcutDeclined {
            name: "lines_of".into(),
            why: nasty.into(),
        },
        Event::CanvasRemoved {
            name: "sizes".into(),
        },
        Event::CanvasActed {
            act: CanvasAction {
                surface: "sizes".into(),
                action: "submit".into(),
                values: serde_json::Map::from_iter([("city".into(), nasty.into())]),
            },
        },
        Event::QuestionAsked {
            question,
            text: "which?".into(),
            choices: vec!["a".into(), "b".into()],
        },
        Event::QuestionAnswered {
            question,
            text: None,
        },
        Event::ModelCallEnded {
            usage,
            stop: StopReason::ToolCalls,
        },
        Event::ModelCallFailed {
            error: ModelError::Limited {
                provider: "p".into(),
                detail: "slow down".into(),
                retry_after_ms: Some(1_000),
            },
        },
        Event::Notice {
            level: NoticeLevel::Warning,
            text: "careful".into(),
        },
        Event::Compacted {
            summary: "so far".into(),
            kept_after: 3,
            tokens_before: 10,
            tokens_after: 5,
        },
        Event::TurnEnded {
            outcome: TurnOutcome::Limited {
                limit: "model calls: 20".into(),
            },
            usage,
            elapsed_ms: 5,
        },
        Event::FileChanged {
            path: "/w/a".into(),
            before: FileState::File {
                content: BlobId::of(b"old"),
                mode: Some(0o644),
            },
            after: FileState::NotKept { why: nasty.into() },
        },
        Event::UndoStarted {
            of: TurnId::from_u128(4),
            is_forced: true,
        },
        Event::UndoEnded {
            of: TurnId::from_u128(4),
            files: vec![UndoneFile {
                path: "/w/a".into(),
                outcome: UndoOutcome::Refused { why: nasty.into() },
            }],
            beyond: vec![nasty.into()],
        },
        Event::Forgotten,
    ]
}

fn put(table: &str, key: &str, value: &str, expected_version: Option<u64>) -> Change {
    Change {
        table: table.into(),
        key: key.into(),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        expected_version,
    }
}

fn delete(table: &str, key: &str, expected_version: Option<u64>) -> Change {
    Change {
        table: table.into(),
        key: key.into(),
        value: None,
        expected_version,
    }
}

async fn value_of(records: &dyn Records, table: &str, key: &str) -> Option<Versioned> {
    let got = records.get(table, key).await;
    got.expect("records can be read")
}

async fn commit(records: &dyn Records, changes: Vec<Change>) {
    let done = records.commit(changes).await;
    done.expect("records take changes");
}

/// What every [`Records`] must do.
pub async fn records_contract(records: &dyn Records) {
    values_come_back_with_growing_versions(records).await;
    a_commit_is_all_or_nothing(records).await;
    of_two_swaps_from_one_version_one_wins(records).await;
    scans_are_ordered_pages_of_a_prefix(records).await;
}

async fn values_come_back_with_growing_versions(records: &dyn Records) {
    let table = &format!("contract-{}", SessionId::new());
    assert_eq!(
        value_of(records, table, "k").await,
        None,
        "an unknown key has no value"
    );
    commit(records, vec![put(table, "k", "one", None)]).await;
    let one = value_of(records, table, "k").await;
    let one = one.expect("what was put is there when the commit returns");
    assert_eq!(&one.value[..], b"one", "the value is the one that was put");
    assert!(one.version >= 1, "versions begin at 1");

    commit(records, vec![put(table, "k", "two", Some(one.version))]).await;
    let two = value_of(records, table, "k").await.expect("it is there");
    assert_eq!(&two.value[..], b"two", "a value is replaced");
    assert!(two.version > one.version, "a change raises the version");
    assert_eq!(
        value_of(records, &format!("{table}-other"), "k").await,
        None,
        "tables are kept apart"
    );

    commit(records, vec![delete(table, "k", Some(two.version))]).await;
    assert_eq!(
        value_of(records, table, "k").await,
        None,
        "a deleted value is gone"
    );
    commit(records, vec![delete(table, "k", None)]).await;
    commit(records, vec![put(table, "k", "anew", Some(0))]).await;
    let anew = value_of(records, table, "k").await.expect("it is there");
    assert!(
        anew.version > two.version,
        "a key that was deleted and made anew does not repeat a version"
    );

    let bytes = Bytes::from((0..=255).collect::<Vec<u8>>());
    let odd = Change {
        value: Some(bytes.clone()),
        ..put(table, "Schlüssel/🦀", "", None)
    };
    commit(records, vec![odd, put(table, "empty", "", None)]).await;
    let odd = value_of(records, table, "Schlüssel/🦀").await;
    assert_eq!(
        odd.map(|found| found.value),
        Some(bytes),
        "any bytes and any key come back unchanged"
    );
    let empty = value_of(records, table, "empty").await;
    assert_eq!(
        empty.map(|found| found.value),
        Some(Bytes::new()),
        "an empty value is a value"
    );
    commit(records, Vec::new()).await;
}

async fn a_commit_is_all_or_nothing(records: &dyn Records) {
    let table = &format!("contract-{}", SessionId::new());
    commit(records, vec![put(table, "held", "old", None)]).await;
    let held = value_of(records, table, "held").await.expect("it is there");
    let stale = Some(held.version + 1_000);
    let refused = records
        .commit(vec![
            put(table, "fresh", "x", Some(0)),
            delete(table, "held", None),
            put(table, "held", "new", stale),
        ])
        .await;
    match refused {
        Err(StorageError::Conflict {
            table: in_table,
            key,
        }) => {
            assert_eq!(
                (&in_table, key.as_str()),
                (table, "held"),
                "a conflict names its place"
            );
        }
        other => panic!("a stale version is a conflict, not {other:?}"),
    }
    assert_eq!(
        value_of(records, table, "held").await,
        Some(held),
        "after a conflict the old value stands"
    );
    assert_eq!(
        value_of(records, table, "fresh").await,
        None,
        "after a conflict nothing of the commit is there"
    );
    let taken = records.commit(vec![put(table, "held", "x", Some(0))]).await;
    assert!(
        matches!(taken, Err(StorageError::Conflict { .. })),
        "version 0 means that nothing may be there"
    );
    let missing = records.commit(vec![delete(table, "none", Some(1))]).await;
    assert!(
        matches!(missing, Err(StorageError::Conflict { .. })),
        "what is not there does not have version 1"
    );
}

async fn of_two_swaps_from_one_version_one_wins(records: &dyn Records) {
    let table = &format!("contract-{}", SessionId::new());
    commit(records, vec![put(table, "n", "0", None)]).await;
    let add_one = || async {
        loop {
            let now = value_of(records, table, "n").await.expect("it is there");
            let n: u32 = String::from_utf8_lossy(&now.value)
                .parse()
                .expect("a number");
            let next = put(table, "n", &(n + 1).to_string(), Some(now.version));
            match records.commit(vec![next]).await {
                Ok(()) => break,
                Err(StorageError::Conflict { .. }) => {}
                Err(other) => panic!("a swap succeeds or conflicts, not {other}"),
            }
        }
    };
    join_all((0..20).map(|_| add_one())).await;
    let total = value_of(records, table, "n").await.expect("it is there");
    assert_eq!(
        &total.value[..],
        b"20",
        "twenty increments by compare-and-swap add up to twenty"
    );
}

async fn scans_are_ordered_pages_of_a_prefix(records: &dyn Records) {
    let table = &format!("contract-{}", SessionId::new());
    let keys = [
        "a", "b/1", "b/10", "b/2", "b/%", "b/_", "b", "c", "b/é", "B/1",
    ];
    let changes = keys.iter().map(|key| put(table, key, key, None)).collect();
    commit(records, changes).await;
    let scan = async |prefix: &str, after: &str, limit: usize| {
        let found = records.scan(table, prefix, after, limit).await;
        let found = found.expect("records can be scanned");
        found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(
        scan("b/", "", 100).await,
        ["b/%", "b/1", "b/10", "b/2", "b/_", "b/é"],
        "a prefix is taken literally and keys come in byte order"
    );
    assert_eq!(
        scan("b/", "b/10", 2).await,
        ["b/2", "b/_"],
        "a scan goes on after a key, up to the limit"
    );
    let mut all: Vec<&str> = keys.to_vec();
    all.sort_unstable();
    assert_eq!(
        scan("", "", 100).await,
        all,
        "an empty prefix means all keys"
    );
    assert!(
        scan("b/", "c", 9).await.is_empty(),
        "nothing follows the last"
    );
    assert!(
        scan("x", "", 9).await.is_empty(),
        "a prefix may match nothing"
    );
    assert!(
        scan("", "", 0).await.is_empty(),
        "a limit of 0 finds nothing"
    );
    let with_value = records.scan(table, "c", "", 1).await;
    let with_value = with_value.expect("records can be scanned");
    assert_eq!(
        Some(with_value[0].1.clone()),
        value_of(records, table, "c").await,
        "a scan gives the same value and version as a get"
    );
}

fn document(id: &str, text: &str) -> Document {
    Document {
        id: id.into(),
        text: text.into(),
        ..Document::default()
    }
}

fn words(text: &str) -> Query {
    Query {
        text: Some(text.into()),
        limit: 10,
        ..Query::default()
    }
}

fn near(vector: &[f32]) -> Query {
    Query {
        vector: Some(vector.to_vec()),
        limit: 10,
        ..Query::default()
    }
}

async fn find(search: &dyn Search, collection: &str, query: Query) -> Vec<String> {
    let hits = search.query(collection, query).await;
    let hits = hits.expect("a collection can be searched");
    assert!(
        hits.windows(2).all(|pair| pair[0].score >= pair[1].score),
        "scores do not grow from hit to hit"
    );
    hits.into_iter().map(|hit| hit.document.id).collect()
}

async fn upsert(search: &dyn Search, collection: &str, documents: Vec<Document>) {
    let done = search.upsert(collection, documents).await;
    done.expect("a collection takes documents");
}

/// What every [`Search`] must do.
pub async fn search_contract(search: &dyn Search) {
    words_find_texts(search).await;
    words_are_taken_literally(search).await;
    vectors_find_their_neighbours(search).await;
    two_rankings_are_joined(search).await;
    attributes_filter(search).await;
    documents_are_replaced_and_removed(search).await;
    documents_are_read_in_the_order_of_their_ids(search).await;
    changes_are_numbered(search).await;
}

async fn changes_are_numbered(search: &dyn Search) {
    let notes = &format!("contract-{}", SessionId::new());
    let other = &format!("{notes}-other");
    let last = async || search.last_change(notes).await.expect("it is told");
    let since = async |number, limit| {
        let found = search.stored_since(notes, number, limit).await;
        found.expect("documents can be read")
    };
    let names = |found: &[(u64, Document)]| {
        let ids = found.iter().map(|(_, document)| document.id.clone());
        ids.collect::<Vec<_>>()
    };
    let ids = async |after| {
        let found = search.ids(notes, after, 2).await;
        found.expect("ids can be read")
    };
    assert_eq!(last().await, 0, "nobody changed it");
    let stored = ["b", "c", "a"].map(|id| document(id, "words")).to_vec();
    let first = search.upsert(notes, stored).await.expect("they are stored");
    assert!(first.before == 0 && first.now > 0, "{first:?}");
    upsert(search, other, vec![document("x", "words")]).await;
    assert_eq!(last().await, first.now, "each collection for itself");
    let found = since(0, 10).await;
    assert_eq!(names(&found), ["b", "c", "a"], "as they were stored");
    assert_eq!(found[0].1, document("b", "words"), "each is whole");
    assert_eq!(names(&since(0, 2).await), ["b", "c"], "the limit holds");
    assert_eq!(names(&since(found[1].0, 2).await), ["a"], "and goes on");
    assert_eq!(since(first.now, 10).await, [], "nothing came later");

    let again = vec![document("c", "other words")];
    let second = search.upsert(notes, again).await.expect("it is stored");
    assert_eq!(second.before, first.now, "nobody changed it in between");
    assert!(second.now > first.now, "numbers grow");
    let found = since(first.now, 10).await;
    assert_eq!(names(&found), ["c"], "what was stored again came later");
    assert_eq!(ids("").await, ["a", "b"], "ids are read in their order");
    assert_eq!(ids("b").await, ["c"], "from there on");
    let removed = search.remove(notes, &["c".into()]).await;
    let third = removed.expect("it is removed");
    assert_eq!((third.before, last().await), (second.now, third.now));
    assert_eq!(since(first.now, 10).await, [], "what is gone is not read");
    assert_eq!(ids("b").await, Vec::<String>::new());
    // The newest is stored anew in the place of what was the newest.
    upsert(search, notes, vec![document("c", "words")]).await;
    assert_eq!(names(&since(third.now, 10).await), ["c"]);
}

async fn documents_are_read_in_the_order_of_their_ids(search: &dyn Search) {
    let notes = &format!("contract-{}", SessionId::new());
    let stored = ["b", "d", "a", "c"].map(|id| document(id, "words"));
    upsert(search, notes, stored.to_vec()).await;
    upsert(
        search,
        &format!("{notes}-other"),
        vec![document("bb", "words")],
    )
    .await;
    let scan = async |after, limit| {
        let found = search.scan(notes, after, limit).await;
        let found = found.expect("documents can be read");
        found.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    assert_eq!(scan("", 10).await, ["a", "b", "c", "d"], "all, by id");
    assert_eq!(scan("", 2).await, ["a", "b"], "the limit holds");
    assert_eq!(scan("b", 2).await, ["c", "d"], "and goes on from there");
    assert_eq!(scan("d", 2).await, Vec::<String>::new(), "until the end");
}

async fn words_find_texts(search: &dyn Search) {
    let notes = &format!("contract-{}", SessionId::new());
    assert!(
        find(search, notes, words("crab")).await.is_empty(),
        "an unknown collection holds nothing"
    );
    let fish = Document {
        attributes: BTreeMap::from([("kind".into(), "Fisch \"x\"".into())]),
        vector: Some(vec![0.6, 0.8]),
        ..document("fish", "The fish swims below the boats")
    };
    upsert(
        search,
        notes,
        vec![
            document("crab", "A crab is a crab, and walks sideways"),
            document("long", "Somewhere in a long text about beaches, sand, wind, dunes, shells and gulls, a crab"),
            fish.clone(),
        ],
    )
    .await;
    upsert(
        search,
        &format!("{notes}-other"),
        vec![document("crab", "crab")],
    )
    .await;
    assert_eq!(
        find(search, notes, words("crab")).await,
        ["crab", "long"],
        "more and denser matches come first, other collections stay out"
    );
    assert_eq!(
        find(search, notes, words("BOAT")).await,
        ["fish"],
        "case and plural do not matter"
    );
    assert_eq!(
        find(search, notes, words("boat crab")).await.len(),
        3,
        "any of the words is enough"
    );
    let hits = search.query(notes, words("boats")).await;
    assert_eq!(
        hits.expect("a collection can be searched")[0].document,
        fish,
        "a hit carries the whole document"
    );
    let one = Query {
        limit: 1,
        ..words("crab")
    };
    assert_eq!(find(search, notes, one).await, ["crab"], "the limit holds");
    assert!(
        find(search, notes, words("zebra")).await.is_empty(),
        "a word that is nowhere finds nothing"
    );
}

async fn words_are_taken_literally(search: &dyn Search) {
    let notes = &format!("contract-{}", SessionId::new());
    let texts = vec![document("a", "alpha beta"), document("n", "near and not")];
    upsert(search, notes, texts).await;
    for hostile in [
        "alpha AND zebra",
        "alpha NOT alpha",
        "\"alpha",
        "alpha\"",
        "alpha*",
        "(alpha",
        "^alpha",
        "text:alpha",
        "alpha + ",
        "{alpha}",
        "-alpha",
        "'; alpha --",
    ] {
        let found = find(search, notes, words(hostile)).await;
        assert!(
            found.contains(&"a".to_owned()),
            "{hostile:?} is words, not a query language"
        );
    }
    for nothing in ["", "  ", "\"", "*", "() - :", "\0"] {
        assert!(
            find(search, notes, words(nothing)).await.is_empty(),
            "{nothing:?} has no words and finds nothing"
        );
    }
    let endless = "alpha ".repeat(5_000);
    assert_eq!(
        find(search, notes, words(&endless)).await,
        ["a"],
        "a very long query is answered too"
    );
}

async fn vectors_find_their_neighbours(search: &dyn Search) {
    let notes = &format!("contract-{}", SessionId::new());
    let at = |id: &str, vector: &[f32]| Document {
        vector: Some(vector.to_vec()),
        ..document(id, "same text")
    };
    upsert(
        search,
        notes,
        vec![
            at("east", &[1.0, 0.0]),
            at("north", &[0.0, 1.0]),
            at("north-east", &[0.6, 0.8]),
            document("nowhere", "same text"),
        ],
    )
    .await;
    assert_eq!(
        find(search, notes, near(&[0.0, 1.0])).await,
        ["north", "north-east", "east"],
        "neighbours come nearest first; what has no vector stays out"
    );
    let exact = search.query(notes, near(&[0.6, 0.8])).await;
    let exact = exact.expect("a collection can be searched");
    assert!(
        (exact[0].score - 1.0).abs() < 1e-5,
        "a vector's cosine with itself is 1"
    );
    assert!(
        search.query(notes, near(&[1.0, 0.0, 0.0])).await.is_err(),
        "a query of another length is refused"
    );
    let odd = search
        .upsert(notes, vec![at("odd", &[1.0, 0.0, 0.0])])
        .await;
    assert!(odd.is_err(), "a vector of another length is refused");
    let mixed = vec![at("fine", &[1.0, 0.0]), at("odd", &[1.0])];
    assert!(
        search.upsert(notes, mixed).await.is_err(),
        "one wrong vector refuses the whole upsert"
    );
    assert_eq!(
        find(search, notes, near(&[1.0, 0.0])).await.len(),
        3,
        "a refused upsert changes nothing"
    );
}

async fn two_rankings_are_joined(search: &dyn Search) {
    let notes = &format!("contract-{}", SessionId::new());
    let with = |id: &str, text: &str, vector: [f32; 2]| Document {
        vector: Some(vector.to_vec()),
        ..document(id, text)
    };
    upsert(
        search,
        notes,
        vec![
            with("both", "the crab by the sea", [0.8, 0.6]),
            with("words", "the crab", [-1.0, 0.0]),
            with("vector", "something else", [1.0, 0.0]),
            with("neither", "something else again", [-0.6, -0.8]),
        ],
    )
    .await;
    let query = Query {
        vector: Some(vec![1.0, 0.0]),
        ..words("crab")
    };
    let found = find(search, notes, query).await;
    // Ranks: by text words 1, both 2; by vector: vector 1, both 2, neither 3, words 4. 1/62+1/62 > 1/61+1/64 > 1/61.
    assert_eq!(
        found,
        ["both", "words", "vector", "neither"],
        "what is good in both rankings comes first"
    );
}

async fn attributes_filter(search: &dyn Search) {
    let notes = &format!("contract-{}", SessionId::new());
    let of = |id: &str, pairs: &[(&str, &str)]| Document {
        attributes: pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        vector: Some(vec![1.0, 0.0]),
        ..document(id, "crab")
    };
    upsert(
        search,
        notes,
        vec![
            of("a", &[("kind", "note"), ("by", "me")]),
            of("b", &[("kind", "note")]),
            of("c", &[("kind", "mail"), ("a.b\"$['", "x")]),
        ],
    )
    .await;
    let filter = |pairs: &[(&str, &str)]| of("", pairs).attributes;
    for base in [
        words("crab"),
        near(&[1.0, 0.0]),
        Query {
            limit: 10,
            ..Query::default()
        },
    ] {
        let with = |pairs: &[(&str, &str)]| Query {
            filter: filter(pairs),
            ..base.clone()
        };
        let mut notes_found = find(search, notes, with(&[("kind", "note")])).await;
        notes_found.sort();
        assert_eq!(notes_found, ["a", "b"], "an attribute filters");
        let both = with(&[("kind", "note"), ("by", "me")]);
        assert_eq!(
            find(search, notes, both).await,
            ["a"],
            "all attributes must be equal"
        );
        let odd = with(&[("a.b\"$['", "x")]);
        assert_eq!(
            find(search, notes, odd).await,
            ["c"],
            "names are taken literally"
        );
        let none = with(&[("kind", "x")]);
        assert!(
            find(search, notes, none).await.is_empty(),
            "no match, no hit"
        );
    }
}

async fn documents_are_replaced_and_removed(search: &dyn Search) {
    let notes = &format!("contract-{}", SessionId::new());
    let all = || Query {
        limit: 10,
        ..Query::default()
    };
    let three = ["one", "two", "three"].map(|id| document(id, "old words"));
    upsert(search, notes, three.to_vec()).await;
    assert_eq!(
        find(search, notes, all()).await,
        ["three", "two", "one"],
        "without words or vector the newest come first"
    );
    upsert(search, notes, vec![document("one", "new phrase")]).await;
    assert_eq!(
        find(search, notes, all()).await,
        ["one", "three", "two"],
        "a replaced document counts as new, and is there once"
    );
    assert_eq!(
        find(search, notes, words("phrase")).await,
        ["one"],
        "a replaced text is found by its new words"
    );
    let get = async |id| search.get(notes, id).await.expect("a document can be read");
    assert_eq!(get("one").await, Some(document("one", "new phrase")));
    assert_eq!(get("unknown").await, None);
    let elsewhere = search.get("another", "one").await;
    assert_eq!(elsewhere.expect("any collection can be read"), None);
    assert_eq!(
        find(search, notes, words("old")).await.len(),
        2,
        "and no longer by its old ones"
    );
    let gone = ["two".to_owned(), "unknown".to_owned()];
    search
        .remove(notes, &gone)
        .await
        .expect("documents can be removed");
    search
        .remove(notes, &gone)
        .await
        .expect("unknown ids are passed over");
    assert_eq!(
        find(search, notes, all()).await,
        ["one", "three"],
        "a removed document is gone"
    );
    assert_eq!(get("two").await, None);
    assert_eq!(
        find(search, notes, words("old")).await,
        ["three"],
        "and not found by its words"
    );
}

/// What every [`Blobs`] must do.
pub async fn blobs_contract(blobs: &dyn Blobs) {
    let seed = SessionId::new().to_string();
    for size in [0, 1, 65_535, 65_536, 65_537, 1_500_000] {
        let bytes: Bytes = seed.bytes().cycle().take(size).collect();
        let id = BlobId::of(&bytes);
        let put = blobs.put(bytes.clone()).await.expect("blobs are taken");
        assert_eq!(put, id, "{size} bytes are stored under their hash");
        let again = blobs.put(bytes.clone()).await.expect("and taken again");
        assert_eq!(again, id, "the same bytes have the same id");
        let got = blobs.get(&id).await.expect("blobs can be read");
        assert!(
            got.as_ref() == Some(&bytes),
            "{size} bytes come back unchanged"
        );
        blobs.delete(&id).await.expect("blobs can be deleted");
        let gone = blobs.get(&id).await.expect("a lookup does not fail");
        assert!(gone.is_none(), "deleted bytes are gone");
        blobs
            .delete(&id)
            .await
            .expect("what is gone can be deleted");
        blobs
            .put(bytes.clone())
            .await
            .expect("deleted bytes can return");
        let back = blobs.get(&id).await.expect("blobs can be read");
        assert!(back.as_ref() == Some(&bytes), "and are read again");
    }
    let unknown = blobs.get(&BlobId::of(b"never stored")).await;
    assert!(
        unknown.expect("a lookup does not fail").is_none(),
        "an unknown id has no bytes"
    );
    let same = Bytes::from(format!("{seed} at once").repeat(3_000));
    let puts = join_all((0..8).map(|_| blobs.put(same.clone()))).await;
    assert!(
        puts.into_iter()
            .all(|id| id.is_ok_and(|id| id == BlobId::of(&same))),
        "the same bytes put at once by many are one blob"
    );
}
