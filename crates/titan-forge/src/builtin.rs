//! What everybody asks an engine about itself, in plain words: reflexes that come with the program.
//!
//! They know whole phrases and nothing like them: "status" alone may mean a repository's.

use std::sync::Arc;
use titan_protocol::{ReflexCode, ReflexState, ReflexStep, ReflexSummary, Taken};

/// What an engine can be asked about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// How it is, and what runs.
    Status,
    /// What models cost.
    Cost,
    /// What was talked about.
    Sessions,
    /// What it answers without a model.
    Reflexes,
    /// What can be done with it.
    Help,
}

/// Tells what is asked about.
pub trait Facts: Send + Sync {
    /// A text for the person. Blocks for as long as the store takes.
    ///
    /// # Errors
    /// When it can't be told; the text says why.
    fn tell(&self, about: About) -> Result<String, String>;
}

/// A reflex that comes with the program.
pub(crate) struct Everyday {
    name: &'static str,
    about: About,
    /// Whether it knows its phrases only where nothing was said before that they could be about.
    is_first: bool,
    phrases: &'static [&'static str],
}

const ALL: &[Everyday] = &[
    Everyday {
        name: "everyday_status",
        about: About::Status,
        is_first: false,
        phrases: &[
            "engine status",
            "titanclaw status",
            "status of the engine",
            "what is the status of the engine",
            "what's the status of the engine",
            "how is the engine doing",
            "which model are you using",
            "which model do you use",
            "what model are you using",
            "which version of titanclaw is this",
        ],
    },
    Everyday {
        name: "everyday_jobs",
        about: About::Status,
        is_first: true,
        phrases: &[
            "which jobs are running",
            "what jobs are running",
            "are any jobs running",
            "which turns are running",
            "what is running",
        ],
    },
    Everyday {
        name: "everyday_cost",
        about: About::Cost,
        is_first: false,
        phrases: &[
            "what did you cost",
            "what did you cost today",
            "what did you cost me today",
            "how much did you cost today",
            "how much did i spend today",
            "how much have i spent today",
            "what have i spent today",
            "show my costs",
            "show me what you cost",
            "how many tokens did i use today",
        ],
    },
    Everyday {
        name: "everyday_sessions",
        about: About::Sessions,
        is_first: false,
        phrases: &[
            "list my sessions",
            "show my sessions",
            "show me my sessions",
            "which sessions do i have",
            "what sessions do i have",
            "what did we talk about recently",
            "what have we talked about recently",
        ],
    },
    Everyday {
        name: "everyday_reflexes",
        about: About::Reflexes,
        is_first: false,
        phrases: &[
            "list your reflexes",
            "show your reflexes",
            "show me your reflexes",
            "which reflexes do you have",
            "what reflexes do you have",
            "what can you answer without a model",
        ],
    },
    Everyday {
        name: "everyday_help",
        about: About::Help,
        is_first: true,
        phrases: &[
            "help",
            "titanclaw help",
            "how do i use titanclaw",
            "how does titanclaw work",
        ],
    },
];

/// The one that answers this.
pub(crate) fn find(text: &str, is_first: bool) -> Option<&'static Everyday> {
    let said = text
        .trim()
        .trim_end_matches(['?', '.', '!'])
        .to_lowercase()
        .replace('’', "'");
    let said = said.strip_prefix("please ").unwrap_or(&said);
    let said = said
        .strip_suffix(" please")
        .unwrap_or(said)
        .trim_end_matches(',');
    ALL.iter()
        .find(|everyday| (is_first || !everyday.is_first) && everyday.phrases.contains(&said))
}

pub(crate) fn is_name(name: &str) -> bool {
    ALL.iter().any(|everyday| everyday.name == name)
}

pub(crate) fn summaries() -> impl Iterator<Item = ReflexSummary> {
    ALL.iter().map(|everyday| ReflexSummary {
        name: everyday.name.to_owned(),
        version: 1,
        state: ReflexState::Promoted,
        because: "it comes with the program".to_owned(),
        is_built_in: true,
        workspace: None,
        wordings: everyday
            .phrases
            .iter()
            .map(|phrase| (*phrase).to_owned())
            .collect(),
        steps: vec![format!(
            "answer: what the engine knows about {:?}",
            everyday.about
        )],
        written: None,
        built_from: Vec::new(),
        agreements: 0,
        hits: 0,
        declined: 0,
        proof: Vec::new(),
        sessions: Vec::new(),
        saved_ms: 0,
    })
}

impl Everyday {
    pub(crate) fn taken(&self, facts: Arc<dyn Facts>) -> Taken {
        Taken {
            name: self.name.to_owned(),
            version: 1,
            because: "the engine knows this itself".to_owned(),
            code: Arc::new(Telling {
                facts,
                about: self.about,
            }),
        }
    }
}

struct Telling {
    facts: Arc<dyn Facts>,
    about: About,
}

impl ReflexCode for Telling {
    fn next(&self, _: &[String]) -> Result<ReflexStep, String> {
        self.facts.tell(self.about).map(ReflexStep::Answer)
    }
}
