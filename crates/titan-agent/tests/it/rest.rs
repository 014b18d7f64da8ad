//! What is acknowledged and when, and what becomes of sessions that nothing happens in.

use crate::harness::{Rig, SESSION, Setup, is_end};
use async_trait::async_trait;
use futures::StreamExt;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use titan_protocol::{
    BoxStream, Change, Client, ClientError, Delivery, Event, Journal, Op, Record, Records, Seq,
    SessionId, StorageError, Task, TurnId, TurnOptions, Versioned,
};
use titan_testkit::gate::Gate;
use titan_testkit::storage::MemoryStore;

/// A store on a disk that flushes when the test lets it, and forgets at a power cut what it had not flushed.
pub(crate) struct Disk {
    memory: Arc<MemoryStore>,
    flush: Gate,
    is_broken: AtomicBool,
    is_unreadable: AtomicBool,
    durable_to: AtomicU64,
    committed: Mutex<Vec<Change>>,
    /// Sessions that were read back, one by one.
    read: Mutex<Vec<SessionId>>,
    /// What was read of this session the next time is handed over when the gate opens.
    held: Mutex<Option<(SessionId, Gate)>>,
}

impl Disk {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryStore::new(),
            flush: Gate::new(),
            is_broken: AtomicBool::new(false),
            is_unreadable: AtomicBool::new(false),
            durable_to: AtomicU64::new(0),
            committed: Mutex::default(),
            read: Mutex::default(),
            held: Mutex::default(),
        })
    }

    /// One that flushes at once.
    fn fast() -> Arc<Self> {
        let disk = Self::new();
        disk.flush.open();
        disk
    }

    fn times_read(&self, session: SessionId) -> usize {
        let read = self.read.lock();
        read.iter().filter(|other| **other == session).count()
    }

    /// What is there when the power is back.
    async fn after_power_cut(&self) -> Arc<MemoryStore> {
        let survivor = MemoryStore::new();
        let records = self.memory.read(None, 0, usize::MAX).await.expect("read");
        let durable_to = self.durable_to.load(Ordering::SeqCst);
        for record in records.into_iter().take_while(|it| it.seq <= durable_to) {
            let append = survivor.append(record.session, record.turn, vec![record.event]);
            append.await.expect("appended");
        }
        let committed = self.committed.lock().clone();
        survivor.commit(committed).await.expect("committed");
        survivor
    }
}

#[async_trait]
impl Journal for Disk {
    async fn append(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
        events: Vec<Event>,
    ) -> Result<Vec<Record>, StorageError> {
        self.memory.append(session, turn, events).await
    }

    async fn sync(&self) -> Result<(), StorageError> {
        let records = self.memory.read(None, 0, usize::MAX).await?;
        let last = records.last().map_or(0, |record| record.seq);
        self.flush.pass().await;
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(StorageError::Failed("the disk failed".to_owned()));
        }
        self.durable_to.fetch_max(last, Ordering::SeqCst);
        Ok(())
    }

    async fn read(
        &self,
        session: Option<SessionId>,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Record>, StorageError> {
        self.read.lock().extend(session);
        if self.is_unreadable.load(Ordering::SeqCst) {
            return Err(StorageError::Failed("the disk can't be read".to_owned()));
        }
        let records = self.memory.read(session, after, limit).await;
        let held = self.held.lock().take_if(|(held, _)| Some(*held) == session);
        if let Some((_, gate)) = held {
            gate.pass().await;
        }
        records
    }

    fn subscribe(&self, session: Option<SessionId>) -> BoxStream<Delivery> {
        self.memory.subscribe(session)
    }

    async fn tombstone(&self, session: SessionId, seqs: &[Seq]) -> Result<(), StorageError> {
        self.memory.tombstone(session, seqs).await
    }
}

#[async_trait]
impl Records for Disk {
    async fn get(&self, table: &str, key: &str) -> Result<Option<Versioned>, StorageError> {
        self.memory.get(table, key).await
    }

    async fn scan(
        &self,
        table: &str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Versioned)>, StorageError> {
        self.memory.scan(table, prefix, after, limit).await
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        self.flush.pass().await;
        self.memory.commit(changes.clone()).await?;
        self.committed.lock().extend(changes);
        Ok(())
    }
}

fn turn(session: SessionId, turn: u128, text: &str) -> Op {
    Op::UserTurn {
        session,
        turn: TurnId::from_u128(turn),
        text: text.to_owned(),
        images: Vec::new(),
        options: TurnOptions {
            workspace: Some("/workspace".into()),
            ..TurnOptions::default()
        },
    }
}

/// The same with somebody who looks on.
fn attended(session: SessionId, n: u128, text: &str) -> Op {
    match turn(session, n, text) {
        Op::UserTurn {
            session,
            turn,
            text,
            images,
            options,
        } => Op::UserTurn {
            session,
            turn,
            text,
            images,
            options: TurnOptions {
                is_attended: true,
                ..options
            },
        },
        other => other,
    }
}

async fn rig(disk: &Arc<Disk>, replies: impl IntoIterator<Item = &'static str>) -> Rig {
    let mut setup = Setup::new(replies);
    setup.store = disk.memory.clone();
    setup.disk = Some(disk.clone());
    setup.open().await
}

/// Runs a turn to its end, looking at the log of all sessions.
async fn run(rig: &Rig, op: Op) {
    let mut records = rig.engine.follow(None, rig.last().await);
    rig.engine.submit(op).await.expect("it is accepted");
    while !is_end(
        &records
            .next()
            .await
            .expect("the log goes on")
            .expect("read")
            .event,
    ) {}
}

#[tokio::test]
async fn a_turn_runs_while_it_is_made_durable_and_is_accepted_only_then() {
    let disk = Disk::new();
    let rig = rig(&disk, ["gate model"]).await;
    let engine = rig.engine.clone();
    let accepting = tokio::spawn(async move { engine.submit(turn(SESSION, 1, "hi")).await });
    rig.gate("model").reached().await;
    disk.flush.reached().await;
    assert!(!accepting.is_finished(), "nothing is durable yet");
    assert!(disk.committed.lock().is_empty());

    disk.flush.open();
    let accepted = accepting.await.expect("no panic");
    accepted.expect("it is durable now");
    assert!(disk.durable_to.load(Ordering::SeqCst) >= 2);
}

#[tokio::test]
async fn a_turn_that_cannot_be_made_durable_is_not_accepted() {
    let disk = Disk::fast();
    disk.is_broken.store(true, Ordering::SeqCst);
    let rig = rig(&disk, ["hello"]).await;
    let refused = rig.engine.submit(turn(SESSION, 1, "hi")).await;
    let failed = ClientError::Storage("the disk failed".to_owned());
    assert_eq!(refused, Err(failed));
}

#[tokio::test]
async fn what_was_accepted_is_in_log_and_lists_after_a_power_cut() {
    let disk = Disk::fast();
    let rig = rig(&disk, ["gate never"]).await;
    let op = turn(SESSION, 1, "remember the milk");
    rig.engine.submit(op).await.expect("it is accepted");
    let mut setup = Setup::new(["milk"]);
    setup.store = disk.after_power_cut().await;
    drop(rig);

    let rig = setup.open().await;
    let listed = rig.engine.sessions(10).await.expect("listed");
    let [session] = listed.as_slice() else {
        panic!("one session was accepted, not {listed:?}");
    };
    assert_eq!(session.title, "remember the milk");
    assert!(!session.is_running, "the turn was ended at the start");
    run(&rig, turn(SESSION, 2, "what was it?")).await;
    let request = rig.requests().remove(0);
    assert!(request.messages[0].text().contains("remember the milk"));
}

#[tokio::test]
async fn an_idle_session_that_made_room_comes_back_as_it_was() {
    const SESSIONS: u128 = 24;
    let disk = Disk::fast();
    let rig = rig(&disk, ["hello"; 26]).await;
    let session = |n: u128| SessionId::from_u128(100 + n);
    for n in 0..SESSIONS {
        run(&rig, turn(session(n), n, &format!("this is {n}"))).await;
    }
    run(&rig, turn(session(0), 100, "who am I?")).await;
    assert_eq!(disk.times_read(session(0)), 2, "it had made room");
    let shown = rig.requests().pop().expect("it was asked");
    let said: Vec<String> = shown.messages.iter().map(|it| it.text()).collect();
    assert!(said[0].ends_with("this is 0"), "{said:?}");
    assert_eq!(said[1..].join("|"), "hello\n|who am I?");

    run(&rig, turn(session(SESSIONS - 1), 101, "and I?")).await;
    assert_eq!(disk.times_read(session(SESSIONS - 1)), 1, "it was kept");
    let turns = rig.engine.sessions(100).await.expect("listed");
    assert_eq!(turns.iter().map(|it| it.turns).sum::<u32>(), 26);
}

#[tokio::test]
async fn a_session_that_came_and_went_while_another_command_read_it_is_not_served_as_it_was() {
    const OTHERS: u128 = 17;
    /// In so many steps of everybody else a turn is over, unless it waits for the gate.
    const STEPS: usize = 10_000;
    let disk = Disk::fast();
    let rig = rig(&disk, ["hello"; 2 + OTHERS as usize]).await;
    let gate = Gate::new();
    *disk.held.lock() = Some((SESSION, gate.clone()));
    let submit = || {
        let engine = rig.engine.clone();
        tokio::spawn(async move { engine.submit(turn(SESSION, 1, "pay the rent")).await })
    };
    let slow = submit();
    gate.reached().await;
    let quick = submit();
    for _ in 0..STEPS {
        tokio::task::yield_now().await;
    }
    for n in 0..OTHERS {
        run(&rig, turn(SessionId::from_u128(100 + n), 100 + n, "hi")).await;
    }
    gate.open();
    for submitted in [slow, quick] {
        submitted.await.expect("no panic").expect("it is accepted");
    }
    let mut records = rig.engine.follow(Some(SESSION), 0);
    while !is_end(
        &records
            .next()
            .await
            .expect("it goes on")
            .expect("read")
            .event,
    ) {}
    for _ in 0..STEPS {
        tokio::task::yield_now().await;
    }
    let all = disk.memory.read(Some(SESSION), 0, usize::MAX).await;
    let all = all.expect("memory can be read");
    let starts = |record: &&Record| matches!(record.event, Event::TurnStarted { .. });
    assert_eq!(all.iter().filter(starts).count(), 1);
}

#[tokio::test]
async fn a_session_that_cannot_be_read_refuses_what_it_is_told() {
    let disk = Disk::fast();
    let rig = rig(&disk, ["hello"]).await;
    disk.is_unreadable.store(true, Ordering::SeqCst);
    let refused = rig.engine.submit(turn(SESSION, 1, "hi")).await;
    let failed = ClientError::Storage("the disk can't be read".to_owned());
    assert_eq!(refused, Err(failed));
    disk.is_unreadable.store(false, Ordering::SeqCst);
    run(&rig, turn(SESSION, 2, "hi again")).await;
}

/// Whoever waits longer for a title waits for one that does not come.
const TITLE_WAIT_MAX: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_session_that_nobody_attends_is_found_by_its_first_words_and_costs_no_title() {
    let mut setup = Setup::new(["hello", "hello", "A title"]);
    setup.are_titled = true;
    let rig = setup.open().await;
    let (alone, together) = (SessionId::from_u128(101), SessionId::from_u128(102));
    run(&rig, turn(alone, 1, "count the crates")).await;
    run(&rig, attended(together, 2, "hi")).await;
    let mut titles = rig.engine.follow(None, 0).filter(|record| {
        let is_title = record
            .as_ref()
            .is_ok_and(|record| matches!(record.event, Event::SessionTitled { .. }));
        std::future::ready(is_title)
    });
    let titled = tokio::time::timeout(TITLE_WAIT_MAX, titles.next()).await;
    let titled = titled
        .expect("a title comes")
        .expect("the log goes on")
        .expect("read");
    assert_eq!(titled.session, together);
    let asked = rig
        .requests()
        .iter()
        .filter(|it| it.task == Task::Utility)
        .count();
    assert_eq!(asked, 1);
    let listed = rig.engine.sessions(10).await.expect("memory can be read");
    let name = |session| {
        listed
            .iter()
            .find(|it| it.session == session)
            .map(|it| it.title.as_str())
    };
    assert_eq!(
        (name(alone), name(together)),
        (Some("count the crates"), Some("A title"))
    );
}

#[tokio::test]
async fn in_a_crowd_a_few_titles_are_thought_of_at_once_and_the_others_later() {
    const AT_ONCE: usize = 4;
    let replies = (0..AT_ONCE).flat_map(|_| ["hello", "gate title\nA title"]);
    let mut setup = Setup::new(replies.chain(["hello", "hello", "Late title"]));
    setup.are_titled = true;
    let rig = setup.open().await;
    let session = |n: usize| SessionId::from_u128(100 + n as u128);
    for n in 0..AT_ONCE {
        run(&rig, attended(session(n), n as u128, "hi")).await;
        let asked = async {
            while rig.requests().len() < 2 * (n + 1) {
                tokio::task::yield_now().await;
            }
        };
        let asked = tokio::time::timeout(TITLE_WAIT_MAX, asked).await;
        asked.expect("a title is asked for");
    }
    run(&rig, attended(session(AT_ONCE), 50, "hi")).await;
    rig.gate("title").open();
    let titled = |record: &Record| matches!(record.event, Event::SessionTitled { .. });
    let mut titles = rig.engine.follow(None, 0).filter(|record| {
        let is_title = record.as_ref().is_ok_and(titled);
        std::future::ready(is_title)
    });
    for _ in 0..AT_ONCE {
        titles.next().await;
    }
    let asked = |rig: &Rig| {
        let requests = rig.requests();
        let titles = requests.iter().filter(|it| it.task == Task::Utility);
        titles.count()
    };
    assert_eq!(asked(&rig), AT_ONCE, "the last one went without");

    run(&rig, attended(session(AT_ONCE), 51, "hi again")).await;
    let late = titles.next().await.expect("the log goes on").expect("read");
    assert_eq!(late.session, session(AT_ONCE));
    assert_eq!(asked(&rig), AT_ONCE + 1);
}
