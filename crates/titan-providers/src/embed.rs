//! Vectors from a server: OpenAI's `/v1/embeddings` and Ollama's `/api/embed`.

use crate::failure::Vendor;
use crate::http::Endpoint;
use crate::retry::RetryPolicy;
use async_trait::async_trait;
use serde_json::{Value, json};
use titan_protocol::{Embedder, ModelError};

/// Texts that are sent in one request.
const TEXTS_MAX: usize = 64;

/// An embedding model behind an egress.
pub(crate) struct HttpEmbedder {
    pub(crate) endpoint: Endpoint,
    pub(crate) vendor: Vendor,
    pub(crate) retry: RetryPolicy,
    pub(crate) is_ollama: bool,
    /// `provider/model`.
    pub(crate) space: String,
}

impl HttpEmbedder {
    async fn ask(&self, texts: &[String]) -> Result<Value, ModelError> {
        let body = json!({"model": self.vendor.model, "input": texts});
        let path = if self.is_ollama {
            "api/embed"
        } else {
            "embeddings"
        };
        let mut attempts = 0;
        loop {
            let answer = self
                .endpoint
                .json(&self.vendor, path, &[], Some(&body))
                .await;
            attempts += 1;
            let failure = match answer {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            match self.retry.wait(&failure, attempts, rand::random::<f64>()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(failure.error),
            }
        }
    }

    fn read(&self, answer: &Value, n_texts: usize) -> Result<Vec<Vec<f32>>, ModelError> {
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            return Err(self.vendor.error_object(error).error);
        }
        let vectors: Vec<&Value> = if self.is_ollama {
            answer["embeddings"]
                .as_array()
                .into_iter()
                .flatten()
                .collect()
        } else {
            let mut items: Vec<&Value> = answer["data"].as_array().into_iter().flatten().collect();
            items.sort_by_key(|item| item["index"].as_u64());
            items.into_iter().map(|item| &item["embedding"]).collect()
        };
        if vectors.len() != n_texts {
            return Err(self
                .vendor
                .malformed(format!("{} vectors for {n_texts} texts", vectors.len())));
        }
        vectors
            .into_iter()
            .map(|it| unit(it).ok_or_else(|| self.vendor.malformed("a vector without a length")))
            .collect()
    }
}

#[async_trait]
impl Embedder for HttpEmbedder {
    fn space(&self) -> &str {
        &self.space
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let mut all: Vec<Vec<f32>> = Vec::with_capacity(texts.len());
        for part in texts.chunks(TEXTS_MAX) {
            let answer = self.ask(part).await?;
            all.extend(self.read(&answer, part.len())?);
        }
        if all.windows(2).any(|pair| pair[0].len() != pair[1].len()) {
            return Err(self.vendor.malformed("vectors of different lengths"));
        }
        Ok(all)
    }
}

/// A vector of length one; `None` for what has no direction.
fn unit(value: &Value) -> Option<Vec<f32>> {
    let numbers: Option<Vec<f64>> = value.as_array()?.iter().map(Value::as_f64).collect();
    let numbers = numbers?;
    let length = numbers.iter().map(|it| it * it).sum::<f64>().sqrt();
    if !length.is_finite() || length == 0.0 {
        return None;
    }
    Some(numbers.iter().map(|it| (it / length) as f32).collect())
}
