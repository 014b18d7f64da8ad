//! What a small model adds to what is known, when nobody waits for it.

use crate::ClientError;
use async_trait::async_trait;
use serde_json::Value;

/// Something known that a small model can add to. Whoever does the work asks for a question, puts it to a model when nothing
/// else is to be done, and hands back what it said.
#[async_trait]
pub trait Enrichment: Send + Sync {
    /// What is to be asked next; `None` while nothing is left to be added. As long as nothing else becomes known, it is the
    /// same question until it was answered.
    ///
    /// # Errors
    /// When what is known can't be read.
    async fn question(&self) -> Result<Option<EnrichmentQuestion>, ClientError>;

    /// Takes an answer. One that is no good, or that comes when what it is about has changed, adds nothing, and the same is
    /// not asked again. Not cancel-safe.
    ///
    /// # Errors
    /// When what it adds can't be kept.
    async fn answer(&self, answer: EnrichmentAnswer) -> Result<(), ClientError>;
}

/// A question for a small model.
#[derive(Clone, Debug, PartialEq)]
pub struct EnrichmentQuestion {
    /// What it is about; comes back with the answer.
    pub key: String,
    /// The fixed part of the prompt.
    pub system: String,
    /// What is asked.
    pub text: String,
    /// What the answer has to look like, as a JSON schema.
    pub schema: Value,
    /// Upper bound of tokens to write.
    pub output_tokens_max: u32,
}

/// What a model said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrichmentAnswer {
    /// That of the question.
    pub key: String,
    /// JSON after the schema, unless the model was cut short.
    pub text: String,
    /// The provider and the model.
    pub model: String,
}
