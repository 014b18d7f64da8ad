//! What calls cost, and the ceilings that stop them.
//!
//! Before a call the most that it may cost is reserved; after it the actual cost is booked instead. The reservation
//! and the check are one step under one lock, so spenders in parallel cannot pass a ceiling together. A call that
//! does not fit is first shortened: its answer may be as long as half of the rest of the money allows.

use crate::prices::{ASSUMED, Prices};
use async_trait::async_trait;
use futures::{StreamExt, future, stream};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use titan_protocol::{
    Content, ModelError, ModelEvent, ModelInfo, ModelRequest, ModelStream, Price, Provider,
    SessionId, TurnId, UnixMillis, Usage,
};

/// Turns and sessions that are remembered at once; the one that was quiet longest is forgotten first.
const ACCOUNTS_MAX: usize = 4096;
/// A call is not worth making for fewer tokens of answer.
const ANSWER_TOKENS_MIN: u32 = 256;
const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// What may be spent, in millionths of a US dollar; `None` is no limit. Models that cost nothing are never stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceilings {
    /// By one turn, its sub-tasks included.
    pub turn_usd_micros: Option<u64>,
    /// By one session.
    pub session_usd_micros: Option<u64>,
    /// By everything on one day, UTC.
    pub day_usd_micros: Option<u64>,
}

/// Whom a call is for, so that its turn's and session's ceilings hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpendScope {
    /// The session.
    pub session: SessionId,
    /// The turn.
    pub turn: TurnId,
    /// What the session had cost before this turn, in millionths of a US dollar. Counts when the session was not
    /// heard of since the start of the process.
    pub session_spent_usd_micros: u64,
}

/// What was spent and what is reserved.
pub(crate) struct Ledger {
    ceilings: Ceilings,
    books: Mutex<Books>,
    now: Box<dyn Fn() -> UnixMillis + Send + Sync>,
}

#[derive(Default)]
struct Books {
    day_number: u64,
    day: Account,
    sessions: HashMap<SessionId, Account>,
    turns: HashMap<TurnId, Account>,
    /// Counts the reservations, to tell which account was quiet longest.
    clock: u64,
}

#[derive(Clone, Copy, Default)]
struct Account {
    spent: u64,
    reserved: u64,
    used_at: u64,
}

impl Account {
    fn taken(self) -> u64 {
        self.spent.saturating_add(self.reserved)
    }

    fn room(self, ceiling: Option<u64>) -> u64 {
        ceiling.map_or(u64::MAX, |ceiling| ceiling.saturating_sub(self.taken()))
    }

    fn settle(&mut self, reserved: u64, spent: u64) {
        self.reserved = self.reserved.saturating_sub(reserved);
        self.spent = self.spent.saturating_add(spent);
    }
}

/// A ceiling that leaves too little room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    what: &'static str,
    ceiling: u64,
    taken: u64,
}

/// Money set aside for one call. Given back when dropped unsettled.
pub(crate) struct Hold {
    ledger: Arc<Ledger>,
    scope: Option<SpendScope>,
    day_number: u64,
    reserved: u64,
}

impl Ledger {
    /// A ledger that knows what today has cost so far.
    pub(crate) fn open(ceilings: Ceilings, day_spent_usd_micros: u64) -> Self {
        Self::with_clock(ceilings, day_spent_usd_micros, Box::new(system_millis))
    }

    fn with_clock(
        ceilings: Ceilings,
        day_spent_usd_micros: u64,
        now: Box<dyn Fn() -> UnixMillis + Send + Sync>,
    ) -> Self {
        let books = Books {
            day_number: now() / DAY_MILLIS,
            day: Account {
                spent: day_spent_usd_micros,
                ..Account::default()
            },
            ..Books::default()
        };
        Self {
            ceilings,
            books: Mutex::new(books),
            now,
        }
    }

    /// Sets aside `most`; where the ceilings leave less, half of what they leave beyond `least`.
    fn reserve(
        self: &Arc<Self>,
        scope: Option<SpendScope>,
        least: u64,
        most: u64,
    ) -> Result<Hold, Breach> {
        let mut books = self.books.lock();
        let day_number = (self.now)() / DAY_MILLIS;
        if books.day_number != day_number {
            books.day_number = day_number;
            books.day = Account::default();
        }
        books.clock += 1;
        let clock = books.clock;
        let day = books.day;
        let mut accounts = vec![("today", day, self.ceilings.day_usd_micros)];
        if let Some(scope) = scope {
            let turn = account(&mut books.turns, scope.turn, 0, clock);
            accounts.push(("this turn", *turn, self.ceilings.turn_usd_micros));
            let before = scope.session_spent_usd_micros;
            let session = account(&mut books.sessions, scope.session, before, clock);
            accounts.push(("this session", *session, self.ceilings.session_usd_micros));
        }
        let mut room_min = u64::MAX;
        for (what, account, ceiling) in accounts {
            let room = account.room(ceiling);
            if room < least {
                return Err(Breach {
                    what,
                    ceiling: ceiling.unwrap_or(u64::MAX),
                    taken: account.taken(),
                });
            }
            room_min = room_min.min(room);
        }
        // Half of a rest that is too small for all is left for others who work at the same time.
        let reserved = if most <= room_min {
            most
        } else {
            least + (room_min - least) / 2
        };
        let hold = Hold {
            ledger: Arc::clone(self),
            scope,
            day_number,
            reserved,
        };
        hold.each_account(&mut books, |account| account.reserved += reserved);
        Ok(hold)
    }
}

impl Hold {
    /// Books what was spent in place of what was set aside.
    fn settle(mut self, spent: u64) {
        self.close(spent);
    }

    fn close(&mut self, spent: u64) {
        let reserved = std::mem::take(&mut self.reserved);
        let ledger = Arc::clone(&self.ledger);
        let mut books = ledger.books.lock();
        self.each_account(&mut books, |account| account.settle(reserved, spent));
    }

    fn each_account(&self, books: &mut Books, mut change: impl FnMut(&mut Account)) {
        // A call that ran over midnight is paid by the day that it began on, which nobody asks for any more.
        if books.day_number == self.day_number {
            change(&mut books.day);
        }
        let Some(scope) = self.scope else { return };
        if let Some(account) = books.sessions.get_mut(&scope.session) {
            change(account);
        }
        if let Some(account) = books.turns.get_mut(&scope.turn) {
            change(account);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.close(0);
    }
}

fn account<K: Eq + Hash + Copy>(
    accounts: &mut HashMap<K, Account>,
    key: K,
    spent_before: u64,
    clock: u64,
) -> &mut Account {
    if accounts.len() >= ACCOUNTS_MAX && !accounts.contains_key(&key) {
        let quietest = accounts
            .iter()
            .filter(|(_, account)| account.reserved == 0)
            .min_by_key(|(_, account)| account.used_at)
            .map(|(key, _)| *key);
        if let Some(key) = quietest {
            accounts.remove(&key);
        }
    }
    let account = accounts.entry(key).or_insert(Account {
        spent: spent_before,
        ..Account::default()
    });
    account.used_at = clock;
    account
}

fn system_millis() -> UnixMillis {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

impl Breach {
    fn error(&self, provider: &str, model: &str, is_price_known: bool) -> ModelError {
        let dollars = |micros: u64| format!("${:.4}", micros as f64 / 1e6);
        let mut detail = format!(
            "The ceiling for {} is {}, and {} of it is spent or set aside: too little is left to ask {provider}/{model}.",
            self.what,
            dollars(self.ceiling),
            dollars(self.taken),
        );
        if !is_price_known {
            detail.push_str(" Its price is not known and taken to be high; set it under `prices`.");
        }
        detail.push_str(" Raise the ceiling in the configuration, or use a local model.");
        ModelError::Budget { detail }
    }
}

/// One model whose calls are paid from a ledger and priced.
pub(crate) struct Metered {
    pub(crate) inner: Arc<dyn Provider>,
    pub(crate) model: String,
    pub(crate) price: Option<Price>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) scope: Option<SpendScope>,
}

impl Metered {
    /// Prices this provider's models by a table.
    pub(crate) fn priced(
        inner: Arc<dyn Provider>,
        model: String,
        is_own_machine: bool,
        prices: &Prices,
        ledger: Arc<Ledger>,
        scope: Option<SpendScope>,
    ) -> Self {
        let price = prices.of(inner.name(), &model, is_own_machine);
        Self {
            inner,
            model,
            price,
            ledger,
            scope,
        }
    }

    /// Sets money aside for a request and shortens its answer to what there is.
    fn reserve(&self, request: &mut ModelRequest) -> Result<Hold, ModelError> {
        let price = self.price.unwrap_or(ASSUMED);
        // More than most texts have, so that the bill rarely exceeds what was set aside.
        let input_tokens = request_bytes(request) / 3;
        let cost_of = |answer_tokens: u32| {
            price.cost_usd_micros(&Usage {
                input_tokens,
                output_tokens: u64::from(answer_tokens),
                ..Usage::default()
            })
        };
        let wanted = request.output_tokens_max;
        let least = cost_of(wanted.min(ANSWER_TOKENS_MIN));
        let hold = self
            .ledger
            .reserve(self.scope, least, cost_of(wanted))
            .map_err(|breach| breach.error(self.inner.name(), &self.model, self.price.is_some()))?;
        if let Some(affordable) = hold
            .reserved
            .saturating_sub(cost_of(0))
            .saturating_mul(1_000_000)
            .checked_div(price.output)
        {
            let affordable = u32::try_from(affordable).unwrap_or(u32::MAX);
            request.output_tokens_max = wanted.min(affordable.max(ANSWER_TOKENS_MIN));
        }
        Ok(hold)
    }
}

#[async_trait]
impl Provider for Metered {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn stream(&self, mut request: ModelRequest) -> ModelStream {
        let metered = Self {
            inner: Arc::clone(&self.inner),
            model: self.model.clone(),
            ledger: Arc::clone(&self.ledger),
            ..*self
        };
        // Nothing is set aside before the stream is polled.
        stream::once(async move {
            match metered.reserve(&mut request) {
                Ok(hold) => Spending::begin(&metered, request, hold),
                Err(error) => stream::once(future::ready(Err(error))).boxed(),
            }
        })
        .flatten()
        .boxed()
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        self.inner.models().await
    }
}

/// A call that is being paid for. Settles when it is dropped, so a cancelled one is paid too.
struct Spending {
    inner: ModelStream,
    price: Option<Price>,
    hold: Option<Hold>,
    usage: Option<Usage>,
    n_request_bytes: u64,
    n_answer_bytes: u64,
    /// It failed before anything came, which vendors do not charge for.
    is_free: bool,
    is_done: bool,
}

impl Spending {
    fn begin(metered: &Metered, request: ModelRequest, hold: Hold) -> ModelStream {
        let n_request_bytes = request_bytes(&request);
        let spending = Self {
            inner: metered.inner.stream(request),
            price: metered.price,
            hold: Some(hold),
            usage: None,
            n_request_bytes,
            n_answer_bytes: 0,
            is_free: false,
            is_done: false,
        };
        stream::unfold(spending, |mut spending| async move {
            spending.next().await.map(|item| (item, spending))
        })
        .boxed()
    }

    async fn next(&mut self) -> Option<Result<ModelEvent, ModelError>> {
        let item = self.inner.next().await?;
        Some(match item {
            Ok(ModelEvent::Usage(usage)) => {
                self.usage = Some(usage);
                Ok(ModelEvent::Usage(Usage {
                    cost_usd_micros: self.price.map(|price| price.cost_usd_micros(&usage)),
                    ..usage
                }))
            }
            Ok(event) => {
                self.n_answer_bytes += answer_bytes(&event);
                self.is_done |= matches!(event, ModelEvent::Done { .. });
                Ok(event)
            }
            Err(error) => {
                self.is_free = self.usage.is_none() && self.n_answer_bytes == 0;
                Err(error)
            }
        })
    }

    /// The reported tokens, or what can be told from what went over the wire.
    fn tokens(&self) -> Usage {
        let written = self.n_answer_bytes.div_ceil(4);
        match self.usage {
            Some(usage) if self.is_done => usage,
            // A vendor that reports at the beginning has not counted what it wrote since.
            Some(usage) => Usage {
                output_tokens: usage.output_tokens.max(written),
                ..usage
            },
            None => Usage {
                input_tokens: self.n_request_bytes / 4,
                output_tokens: written,
                ..Usage::default()
            },
        }
    }
}

impl Drop for Spending {
    fn drop(&mut self) {
        let Some(hold) = self.hold.take() else { return };
        let spent = if self.is_free {
            0
        } else {
            self.price
                .unwrap_or(ASSUMED)
                .cost_usd_micros(&self.tokens())
        };
        hold.settle(spent);
    }
}

/// The size of what a model is given to read.
fn request_bytes(request: &ModelRequest) -> u64 {
    let parts = request.messages.iter().flat_map(|it| &it.content);
    let thread: usize = parts.map(content_bytes).sum();
    let tools: usize = request
        .tools
        .iter()
        .map(|it| it.name.len() + it.description.len() + it.input_schema.to_string().len())
        .sum();
    (request.system.len() + thread + tools) as u64
}

fn content_bytes(part: &Content) -> usize {
    match part {
        Content::Text { text } | Content::ToolResult { text, .. } => text.len(),
        Content::Thinking { text, signature } => {
            text.len() + signature.as_ref().map_or(0, String::len)
        }
        Content::Image {
            image,
            base64: Some(_),
        } => image.tokens_estimated() as usize * 4,
        Content::Image { .. } => 0,
        Content::ToolCall(call) => {
            call.name.len() + serde_json::to_string(&call.arguments).map_or(0, |it| it.len())
        }
    }
}

fn answer_bytes(event: &ModelEvent) -> u64 {
    let bytes = match event {
        ModelEvent::TextDelta { text } | ModelEvent::ThinkingDelta { text } => text.len(),
        ModelEvent::ToolCallDelta { json, .. } => json.len(),
        ModelEvent::ToolCallBegin { name, .. } => name.len(),
        _ => 0,
    };
    bytes as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{render, scripted};
    use expect_test::expect;
    use std::sync::atomic::{AtomicU64, Ordering};
    use titan_protocol::{Message, Task};

    fn ceilings(turn: u64, session: u64, day: u64) -> Ceilings {
        Ceilings {
            turn_usd_micros: Some(turn),
            session_usd_micros: Some(session),
            day_usd_micros: Some(day),
        }
    }

    fn scope(session: u128, turn: u128) -> Option<SpendScope> {
        Some(SpendScope {
            session: SessionId::from_u128(session),
            turn: TurnId::from_u128(turn),
            session_spent_usd_micros: 0,
        })
    }

    fn breach(result: Result<Hold, Breach>) -> Option<&'static str> {
        result.err().map(|it| it.what)
    }

    #[test]
    fn each_ceiling_stops_what_it_covers() {
        let ledger = Arc::new(Ledger::open(ceilings(10, 15, 30), 0));
        ledger.reserve(scope(1, 1), 10, 10).unwrap().settle(10);
        assert_eq!(breach(ledger.reserve(scope(1, 1), 1, 1)), Some("this turn"));
        ledger.reserve(scope(1, 2), 5, 5).unwrap().settle(5);
        assert_eq!(
            breach(ledger.reserve(scope(1, 3), 1, 1)),
            Some("this session")
        );
        ledger.reserve(scope(2, 4), 10, 10).unwrap().settle(10);
        ledger.reserve(None, 5, 5).unwrap().settle(5);
        assert_eq!(breach(ledger.reserve(None, 1, 1)), Some("today"));
        assert!(ledger.reserve(scope(1, 1), 0, 0).is_ok(), "free is free");
    }

    #[test]
    fn what_was_spent_before_the_start_counts() {
        let ledger = Arc::new(Ledger::open(ceilings(100, 20, 30), 25));
        assert_eq!(breach(ledger.reserve(None, 6, 6)), Some("today"));
        let late = SpendScope {
            session_spent_usd_micros: 18,
            ..scope(1, 1).unwrap()
        };
        assert_eq!(
            breach(ledger.reserve(Some(late), 3, 3)),
            Some("this session")
        );
    }

    #[test]
    fn m17_a_hold_that_is_dropped_gives_its_money_back() {
        let ledger = Arc::new(Ledger::open(ceilings(10, 10, 10), 0));
        let hold = ledger.reserve(scope(1, 1), 10, 10).unwrap();
        assert!(ledger.reserve(scope(1, 1), 1, 1).is_err());
        drop(hold);
        assert!(ledger.reserve(scope(1, 1), 10, 10).is_ok());
    }

    #[test]
    fn a_new_day_begins_at_nothing() {
        let now = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&now);
        let ledger = Arc::new(Ledger::with_clock(
            Ceilings {
                day_usd_micros: Some(10),
                ..Ceilings::default()
            },
            10,
            Box::new(move || clock.load(Ordering::Relaxed)),
        ));
        assert!(ledger.reserve(None, 1, 1).is_err());
        now.store(DAY_MILLIS, Ordering::Relaxed);
        let overnight = ledger.reserve(None, 10, 10).unwrap();
        now.store(2 * DAY_MILLIS, Ordering::Relaxed);
        assert!(ledger.reserve(None, 10, 10).is_ok());
        overnight.settle(10);
        assert!(ledger.reserve(None, 10, 10).is_ok());
    }

    #[test]
    fn m17_parallel_spenders_never_pass_a_ceiling_together() {
        let ledger = Arc::new(Ledger::open(ceilings(1000, 1000, 1000), 0));
        let granted: u64 = std::thread::scope(|threads| {
            let spenders: Vec<_> = (0..8)
                .map(|_| {
                    threads.spawn(|| {
                        let mut spent = 0;
                        for _ in 0..200 {
                            if let Ok(hold) = ledger.reserve(scope(1, 1), 3, 7) {
                                spent += hold.reserved;
                                let all = hold.reserved;
                                hold.settle(all);
                            }
                        }
                        spent
                    })
                })
                .collect();
            spenders.into_iter().map(|it| it.join().unwrap()).sum()
        });
        assert!((998..=1000).contains(&granted), "{granted}");
    }

    #[test]
    fn m17_a_hundred_open_holds_stay_under_the_ceiling_and_each_gives_back_once() {
        let ledger = Arc::new(Ledger::open(ceilings(1000, 1000, 1000), 0));
        let all_hold = std::sync::Barrier::new(100);
        let spent: u64 = std::thread::scope(|threads| {
            let spenders: Vec<_> = (0..100)
                .map(|n| {
                    let (ledger, all_hold) = (&ledger, &all_hold);
                    threads.spawn(move || {
                        // 150 of these would fit, each alone; together not more than 1,000 are given.
                        let hold = ledger.reserve(scope(1, 1), 7, 15);
                        let reserved = hold.as_ref().map_or(0, |hold| hold.reserved);
                        all_hold.wait();
                        let is_full = ledger.reserve(scope(1, 1), 1_000, 1_000).is_err();
                        all_hold.wait();
                        assert!(is_full, "what is held can't be had twice");
                        let spent = match hold {
                            // A third is cut off, a third costs less, a third all of it.
                            Ok(hold) if n % 3 == 0 => {
                                drop(hold);
                                0
                            }
                            Ok(hold) if n % 3 == 1 => {
                                hold.settle(2);
                                2
                            }
                            Ok(hold) => {
                                hold.settle(reserved);
                                reserved
                            }
                            Err(_) => 0,
                        };
                        (reserved, spent)
                    })
                })
                .collect();
            let ended: Vec<(u64, u64)> =
                spenders.into_iter().map(|it| it.join().unwrap()).collect();
            let reserved: u64 = ended.iter().map(|(reserved, _)| reserved).sum();
            assert!((994..=1000).contains(&reserved), "{reserved} held at once");
            ended.iter().map(|(_, spent)| spent).sum()
        });
        // What was given back is there again, and no more.
        let left = 1000 - spent;
        assert!(ledger.reserve(scope(1, 1), left + 1, left + 1).is_err());
        assert!(ledger.reserve(scope(1, 1), left, left).is_ok());
    }

    #[test]
    fn m17_what_one_call_gives_back_leaves_what_others_hold() {
        let ledger = Arc::new(Ledger::open(ceilings(100, 100, 100), 0));
        let held = ledger.reserve(scope(1, 1), 40, 40).unwrap();
        ledger.reserve(scope(1, 1), 30, 30).unwrap().settle(5);
        drop(ledger.reserve(scope(1, 1), 30, 30).unwrap());
        assert!(
            ledger.reserve(scope(1, 1), 56, 56).is_err(),
            "40 are held and 5 spent"
        );
        drop(held);
        assert!(ledger.reserve(scope(1, 1), 95, 95).is_ok());
    }

    #[test]
    fn the_accounts_are_bounded() {
        let ledger = Arc::new(Ledger::open(ceilings(10, 10, 1_000_000), 0));
        for n in 0..ACCOUNTS_MAX as u128 + 10 {
            ledger.reserve(scope(n, n), 1, 1).unwrap().settle(1);
        }
        assert_eq!(ledger.books.lock().turns.len(), ACCOUNTS_MAX);
    }

    const PRICE: Price = Price {
        input: 1_000_000,
        output: 2_000_000,
        cache_read: 0,
        cache_write: 0,
    };

    fn metered(script: &str, price: Option<Price>, ledger: &Arc<Ledger>) -> Metered {
        Metered {
            inner: scripted(script),
            model: "m".to_owned(),
            price,
            ledger: Arc::clone(ledger),
            scope: scope(1, 1),
        }
    }

    fn request() -> ModelRequest {
        ModelRequest {
            output_tokens_max: 1000,
            ..ModelRequest::new(Task::Chat, "", vec![Message::user("x".repeat(300))])
        }
    }

    fn spent(ledger: &Ledger) -> (u64, u64) {
        let day = ledger.books.lock().day;
        (day.spent, day.reserved)
    }

    #[tokio::test]
    async fn usage_is_priced_and_booked() {
        let ledger = Arc::new(Ledger::open(Ceilings::default(), 0));
        let model = metered("hello\nusage 100 20", Some(PRICE), &ledger);
        expect![[r#"
            route script/scripted
            text "hello\n"
            usage 100 0 0 20 cost 140
            done end
        "#]]
        .assert_eq(&render(model.stream(request())).await);
        assert_eq!(spent(&ledger), (140, 0));
    }

    #[tokio::test]
    async fn m17_a_cancelled_call_is_booked_by_what_went_over_the_wire() {
        let ledger = Arc::new(Ledger::open(Ceilings::default(), 0));
        let mut stream = metered("hello there\ngate a", Some(PRICE), &ledger).stream(request());
        stream.next().await;
        assert_eq!(spent(&ledger), (0, 2100));
        stream.next().await;
        drop(stream);
        assert_eq!(spent(&ledger), (75 + 2 * 3, 0));
    }

    #[tokio::test]
    async fn a_call_that_fails_at_once_costs_nothing() {
        let ledger = Arc::new(Ledger::open(Ceilings::default(), 0));
        render(metered("fail unavailable x", Some(PRICE), &ledger).stream(request())).await;
        assert_eq!(spent(&ledger), (0, 0));
    }

    #[tokio::test]
    async fn an_answer_is_shortened_to_what_the_ceiling_leaves() {
        let ledger = Arc::new(Ledger::open(ceilings(1100, 9999, 9999), 0));
        let script = titan_testkit::model::ScriptedModel::new(["hello"]);
        let model = Metered {
            inner: Arc::new(script.clone()),
            ..metered("", Some(PRICE), &ledger)
        };
        render(model.stream(request())).await;
        assert_eq!(script.requests()[0].output_tokens_max, 378);
    }

    #[tokio::test]
    async fn a_ceiling_stops_a_call_before_it_is_made() {
        let ledger = Arc::new(Ledger::open(ceilings(600, 999_999, 999_999), 0));
        expect![[r#"
            error The ceiling for this turn is $0.0006, and $0.0000 of it is spent or set aside: too little is left to ask script/m. Raise the ceiling in the configuration, or use a local model.
        "#]]
        .assert_eq(&render(metered("never", Some(PRICE), &ledger).stream(request())).await);
    }

    #[tokio::test]
    async fn a_model_of_unknown_price_is_taken_to_be_dear() {
        let ledger = Arc::new(Ledger::open(ceilings(600, 999_999, 999_999), 0));
        expect![[r#"
            error The ceiling for this turn is $0.0006, and $0.0000 of it is spent or set aside: too little is left to ask script/m. Its price is not known and taken to be high; set it under `prices`. Raise the ceiling in the configuration, or use a local model.
        "#]]
        .assert_eq(&render(metered("never", None, &ledger).stream(request())).await);
    }
}
