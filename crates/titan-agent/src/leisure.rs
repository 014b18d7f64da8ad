//! What is done while nobody waits for anything: a small model adds to what is known, a question at a time.
//!
//! No question is put before the engine was calm for a while, one that is being answered is broken off when a turn
//! begins, and a day has only so many of them.

use crate::utility::{self, Aside, Heard};
use std::sync::Arc;
use std::time::Duration;
use titan_protocol::{
    Enrichment, EnrichmentAnswer, EnrichmentQuestion, Provider, Task, UnixMillis,
};
use tokio::sync::watch;

/// How long no turn must have run: whoever has just got an answer may have another question.
const CALM_MIN: Duration = Duration::from_secs(20);
/// How long is waited where there is nothing to do, or it can't be done now.
const REST: Duration = Duration::from_secs(60);
const DAY_MS: u64 = 86_400_000;

/// What an engine does at leisure.
#[derive(Clone)]
pub struct Leisure {
    /// The model that is asked.
    pub model: Arc<dyn Provider>,
    /// Whether it may be asked now. One that lies on the disk is not read for this.
    pub is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// What is added to, each in its turn.
    pub enrichments: Vec<Arc<dyn Enrichment>>,
    /// Questions of one day at most, by UTC.
    pub daily_max: u32,
}

/// Works until the engine ends. Dropping the future breaks off the question that is being answered.
pub(crate) async fn work(
    mut turns: watch::Receiver<usize>,
    now: fn() -> UnixMillis,
    leisure: Leisure,
) {
    let mut worker = Worker {
        leisure,
        now,
        first: 0,
        day: 0,
        asked: 0,
    };
    while calm(&mut turns).await.is_ok() {
        loop {
            tokio::select! {
                biased;
                // What is broken off is asked again.
                _begun = turns.changed() => break,
                (at, answer) = worker.ask() => worker.hand_in(at, answer).await,
            }
        }
    }
}

/// Returns when no turn has run for a while.
///
/// # Errors
/// When the engine has ended.
async fn calm(turns: &mut watch::Receiver<usize>) -> Result<(), watch::error::RecvError> {
    loop {
        turns.wait_for(|running| *running == 0).await?;
        match tokio::time::timeout(CALM_MIN, turns.changed()).await {
            Err(_elapsed) => return Ok(()),
            Ok(changed) => changed?,
        }
    }
}

struct Worker {
    leisure: Leisure,
    now: fn() -> UnixMillis,
    /// The enrichment that is asked first for a question.
    first: usize,
    /// The day in which so many questions were asked.
    day: UnixMillis,
    asked: u32,
}

impl Worker {
    /// The answer to the next question, and whose question it was. Waits until there is one.
    async fn ask(&mut self) -> (usize, EnrichmentAnswer) {
        loop {
            if self.may_ask()
                && let Some((at, question)) = self.question().await
            {
                self.asked += 1;
                self.first = at + 1;
                return (at, self.put(question).await);
            }
            tokio::time::sleep(REST).await;
        }
    }

    fn may_ask(&mut self) -> bool {
        let day = (self.now)() / DAY_MS;
        if day != self.day {
            (self.day, self.asked) = (day, 0);
        }
        self.asked < self.leisure.daily_max && (self.leisure.is_ready)()
    }

    /// The next question of whoever has one, from the first on.
    async fn question(&self) -> Option<(usize, EnrichmentQuestion)> {
        let all = &self.leisure.enrichments;
        for at in (self.first..self.first + all.len()).map(|at| at % all.len()) {
            match all[at].question().await {
                Ok(Some(question)) => return Some((at, question)),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "nothing can be added to what is known"),
            }
        }
        None
    }

    /// What the model said; nothing where it can't be asked this, so that the next is.
    async fn put(&self, question: EnrichmentQuestion) -> EnrichmentAnswer {
        let aside = Aside {
            task: Task::Utility,
            system: question.system,
            text: question.text,
            answer_schema: Some(question.schema),
            output_tokens_max: question.output_tokens_max,
        };
        let said = utility::put(self.leisure.model.as_ref(), aside).await;
        let heard = said.map(|said| said.heard()).unwrap_or_else(|error| {
            tracing::info!(%error, "the model added nothing to what is known");
            Heard::default()
        });
        EnrichmentAnswer {
            key: question.key,
            text: heard.text,
            model: heard.model,
        }
    }

    async fn hand_in(&self, at: usize, answer: EnrichmentAnswer) {
        if let Err(error) = self.leisure.enrichments[at].answer(answer).await {
            tracing::warn!(%error, "what a model added to what is known can't be kept");
            // Whatever is wrong there is not mended by the next answer.
            tokio::time::sleep(REST).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idle::Calm;
    use async_trait::async_trait;
    use parking_lot::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use titan_protocol::ClientError;
    use titan_testkit::model::ScriptedModel;

    /// Has one question for each of its texts that is not answered.
    #[derive(Default)]
    struct Texts {
        open: Mutex<Vec<&'static str>>,
        answered: Mutex<Vec<String>>,
    }

    impl Texts {
        fn of(open: &[&'static str]) -> Arc<Self> {
            Arc::new(Self {
                open: Mutex::new(open.to_vec()),
                ..Self::default()
            })
        }

        fn answered(&self) -> String {
            self.answered.lock().join(" ")
        }
    }

    #[async_trait]
    impl Enrichment for Texts {
        async fn question(&self) -> Result<Option<EnrichmentQuestion>, ClientError> {
            let next = self.open.lock().first().copied();
            Ok(next.map(|text| EnrichmentQuestion {
                key: text.to_owned(),
                system: "Be brief.".to_owned(),
                text: text.to_owned(),
                schema: serde_json::json!({"type": "object"}),
                output_tokens_max: 8,
            }))
        }

        async fn answer(&self, answer: EnrichmentAnswer) -> Result<(), ClientError> {
            self.open.lock().retain(|open| *open != answer.key);
            let EnrichmentAnswer { key, text, model } = answer;
            let told = format!("{key}={}/{model}", text.trim());
            self.answered.lock().push(told);
            Ok(())
        }
    }

    fn begin(
        model: &ScriptedModel,
        daily_max: u32,
        all: &[&Arc<Texts>],
    ) -> (Calm, Arc<AtomicBool>) {
        let calm = Calm::new(|| {});
        let is_ready = Arc::new(AtomicBool::new(true));
        let ready = is_ready.clone();
        let all = all.iter().map(|it| Arc::clone(it) as Arc<dyn Enrichment>);
        let leisure = Leisure {
            model: Arc::new(model.clone()),
            is_ready: Arc::new(move || ready.load(Ordering::SeqCst)),
            enrichments: all.collect(),
            daily_max,
        };
        tokio::spawn(work(calm.turns(), now, leisure));
        (calm, is_ready)
    }

    static NOW: AtomicU64 = AtomicU64::new(0);

    fn now() -> UnixMillis {
        NOW.load(Ordering::SeqCst)
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_is_asked_when_nothing_else_is_done_and_gives_way_to_turns() {
        let model = ScriptedModel::new([
            "one
gate half",
            "one",
            "two",
            "three",
        ]);
        let texts = Texts::of(&["a", "b", "c"]);
        let (calm, is_ready) = begin(&model, 9, &[&texts]);
        let turn = calm.enter();
        tokio::time::sleep(REST * 3).await;
        assert!(model.requests().is_empty(), "a turn runs");
        drop(turn);
        tokio::time::sleep(CALM_MIN / 2).await;
        assert!(model.requests().is_empty(), "it was calm for a moment only");
        tokio::time::sleep(CALM_MIN).await;
        assert_eq!(model.requests().len(), 1);
        let request = &model.requests()[0];
        assert_eq!(request.task, Task::Utility);
        assert!(request.answer_schema.is_some());
        // A turn begins before the answer is whole: it is broken off, and asked again after the turn.
        let turn = calm.enter();
        tokio::time::sleep(REST * 3).await;
        assert_eq!(
            (model.requests().len(), texts.answered()),
            (1, String::new())
        );
        is_ready.store(false, Ordering::SeqCst);
        drop(turn);
        tokio::time::sleep(REST * 3).await;
        assert_eq!(model.requests().len(), 1, "the model is not in memory");
        is_ready.store(true, Ordering::SeqCst);
        tokio::time::sleep(REST * 2).await;
        let expected = "a=one/script/scripted b=two/script/scripted c=three/script/scripted";
        assert_eq!(texts.answered(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn all_have_their_turn_and_a_day_has_so_many_questions() {
        let model = ScriptedModel::new(["1", "fail too_long it is", "3", "4"]);
        let (some, others) = (Texts::of(&["a", "b", "c"]), Texts::of(&["x"]));
        let (_calm, _) = begin(&model, 3, &[&some, &others]);
        tokio::time::sleep(REST * 5).await;
        // What can't be asked is passed over.
        assert_eq!(some.answered(), "a=1/script/scripted b=3/script/scripted");
        assert_eq!(others.answered(), "x=/");
        NOW.fetch_add(DAY_MS, Ordering::SeqCst);
        tokio::time::sleep(REST * 2).await;
        assert!(some.answered().ends_with("c=4/script/scripted"));
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_engine() {
        let calm = Calm::new(|| {});
        let leisure = Leisure {
            model: Arc::new(ScriptedModel::new(Vec::<String>::new())),
            is_ready: Arc::new(|| true),
            enrichments: Vec::new(),
            daily_max: 1,
        };
        let working = tokio::spawn(work(calm.turns(), now, leisure));
        tokio::time::sleep(REST * 2).await;
        assert!(!working.is_finished());
        drop(calm);
        tokio::time::timeout(REST, working)
            .await
            .expect("nobody is left to work for")
            .unwrap();
    }
}
