//! `kill -9` at random moments: while an engine starts, while it is accepting, calling, answering.

use crate::load::Load;
use crate::place::{Place, READY_MAX};
use std::time::{Duration, Instant};

/// How many kills there are, and how many without the variable.
const KILLS_VARIABLE: &str = "TITAN_KILLS";
const KILLS: usize = 20;
/// An engine works for less than this before it is killed.
const WORK_MAX_MS: u64 = 160;
/// Every so many kills one hits an engine that is starting, after less than this.
const STARTING: usize = 4;
const START_MAX_MS: u64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_acknowledged_and_double_nothing() {
    let n_kills = count(KILLS_VARIABLE, KILLS);
    let place = Place::new();
    let mut load = Load::default();
    let (mut slowest, mut told) = (Duration::ZERO, 0);
    let mut random = Random::seeded();
    tokio::task::block_in_place(|| {
        for n in 0..n_kills {
            if n % STARTING == STARTING - 1 {
                let engine = place.spawn();
                random.wait(START_MAX_MS);
                engine.kill();
            }
            let (engine, ready, status) = place.start();
            slowest = slowest.max(ready);
            told += usize::from(status.recovered.is_some());
            let clients = load.begin(engine.socket(), &place.work);
            random.wait(WORK_MAX_MS);
            engine.kill();
            load.end(clients);
        }
        let (engine, ready, status) = place.start();
        slowest = slowest.max(ready);
        told += usize::from(status.recovered.is_some());
        drop(engine);
        // That one had nothing to do; a kill of it leaves nothing to say.
        let (_engine, _, status) = place.start();
        assert_eq!(status.recovered, None, "what was recovered is told once");
    });
    let found = load.check(&place).await;
    println!(
        "{n_kills} kills (seed {}): {found}; {told} engines told what they recovered; ready after {} ms at most",
        random.seed,
        slowest.as_millis()
    );
    assert!(slowest < READY_MAX, "an engine was ready after {slowest:?}");
    assert!(
        found.acknowledged > n_kills / 2,
        "too little happened: {found:?}"
    );
    assert!(
        found.cut_short > 0 && told > 0,
        "no kill hit a turn: {found:?}"
    );
    let (is_well, said) = tokio::task::block_in_place(|| place.run(&["doctor"]));
    assert!(is_well && said.contains("links, the newest is"), "{said}");
}

/// How often something is done: what the variable says, or the small number.
pub(crate) fn count(variable: &str, otherwise: usize) -> usize {
    match std::env::var(variable) {
        Ok(value) => value.parse().expect("a number"),
        Err(_unset) => otherwise,
    }
}

/// Moments nobody can prepare for. The seed is printed; what it hits depends on the machine all the same.
pub(crate) struct Random {
    pub(crate) seed: u64,
    state: u64,
}

impl Random {
    pub(crate) fn seeded() -> Self {
        let seed = u64::from(std::process::id());
        Self { seed, state: seed }
    }

    /// Lets less than so much time go by: the test is about when the kill comes, and waits for nothing.
    pub(crate) fn wait(&mut self, ms_max: u64) {
        let until = Instant::now() + Duration::from_micros(self.next() % (ms_max * 1000));
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
