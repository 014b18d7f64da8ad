//! What models cost.
//!
//! A table of well-known models, by name. Vendors change prices, so the configuration may name others; a model that
//! is in neither has no price, and says so.

use std::collections::BTreeMap;
use titan_protocol::Price;

/// Prices in US cents per million tokens: read, written, read from the cache, written to the cache.
type Row = (&'static str, u64, u64, f64, f64);

const TABLE: &[Row] = &[
    ("claude-opus-4-7", 500, 2500, 50.0, 625.0),
    ("claude-opus-4-6", 500, 2500, 50.0, 625.0),
    ("claude-opus-4-5", 500, 2500, 50.0, 625.0),
    ("claude-opus-4-1", 1500, 7500, 150.0, 1875.0),
    ("claude-opus-4", 1500, 7500, 150.0, 1875.0),
    ("claude-sonnet-4-6", 300, 1500, 30.0, 375.0),
    ("claude-sonnet-4-5", 300, 1500, 30.0, 375.0),
    ("claude-sonnet-4", 300, 1500, 30.0, 375.0),
    ("claude-3-7-sonnet", 300, 1500, 30.0, 375.0),
    ("claude-3-5-sonnet", 300, 1500, 30.0, 375.0),
    ("claude-haiku-4-5", 100, 500, 10.0, 125.0),
    ("claude-3-5-haiku", 80, 400, 8.0, 100.0),
    ("claude-3-haiku", 25, 125, 3.0, 30.0),
    ("gpt-5-2", 175, 1400, 17.5, 175.0),
    ("gpt-5-1", 125, 1000, 12.5, 125.0),
    ("gpt-5", 125, 1000, 12.5, 125.0),
    ("gpt-5-codex", 125, 1000, 12.5, 125.0),
    ("gpt-5-1-codex", 125, 1000, 12.5, 125.0),
    ("gpt-5-mini", 25, 200, 2.5, 25.0),
    ("gpt-5-nano", 5, 40, 0.5, 5.0),
    ("gpt-4-1", 200, 800, 50.0, 200.0),
    ("gpt-4-1-mini", 40, 160, 10.0, 40.0),
    ("gpt-4-1-nano", 10, 40, 2.5, 10.0),
    ("gpt-4o", 250, 1000, 125.0, 250.0),
    ("gpt-4o-mini", 15, 60, 7.5, 15.0),
    ("o1", 1500, 6000, 750.0, 1500.0),
    ("o3", 200, 800, 50.0, 200.0),
    ("o3-mini", 110, 440, 55.0, 110.0),
    ("o4-mini", 110, 440, 27.5, 110.0),
    ("deepseek-chat", 28, 42, 2.8, 28.0),
    ("deepseek-reasoner", 28, 42, 2.8, 28.0),
    ("gemini-2-5-pro", 125, 1000, 31.25, 125.0),
    ("gemini-2-5-flash", 30, 250, 7.5, 30.0),
    ("gemini-2-5-flash-lite", 10, 40, 2.5, 10.0),
];

/// What a model costs that runs on one's own machine.
pub(crate) const FREE: Price = Price {
    input: 0,
    output: 0,
    cache_read: 0,
    cache_write: 0,
};

/// What a model of unknown price is taken to cost when a ceiling must hold: the dearest of the table.
pub(crate) const ASSUMED: Price = price(1500, 7500, 150.0, 1875.0);

/// Micros of a dollar per million tokens from cents per million tokens.
const fn price(input: u64, output: u64, cache_read: f64, cache_write: f64) -> Price {
    Price {
        input: input * 10_000,
        output: output * 10_000,
        cache_read: (cache_read * 10_000.0) as u64,
        cache_write: (cache_write * 10_000.0) as u64,
    }
}

/// Prices by model; the configuration's win over the table's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prices {
    own: BTreeMap<String, Price>,
}

impl Prices {
    /// `own` is by `provider/model` or `model`.
    pub(crate) fn new(own: BTreeMap<String, Price>) -> Self {
        Self { own }
    }

    /// The price, if it is known. A model on one's own machine that no table knows costs nothing.
    pub(crate) fn of(&self, provider: &str, model: &str, is_own_machine: bool) -> Option<Price> {
        self.own
            .get(&format!("{provider}/{model}"))
            .or_else(|| self.own.get(model))
            .copied()
            .or_else(|| known(model))
            .or(is_own_machine.then_some(FREE))
    }
}

fn known(model: &str) -> Option<Price> {
    let name = model
        .rsplit('/')
        .next()
        .unwrap_or(model)
        .to_lowercase()
        .replace(['.', '@'], "-");
    let (_, input, output, cache_read, cache_write) = TABLE
        .iter()
        .find(|row| name.strip_prefix(row.0).is_some_and(is_only_a_date))?;
    Some(price(*input, *output, *cache_read, *cache_write))
}

/// Nothing, `-latest`, or a date: the rest of a name that does not make it another model.
fn is_only_a_date(rest: &str) -> bool {
    rest.is_empty()
        || rest == "-latest"
        || (rest.len() >= 9
            && rest.starts_with('-')
            && rest.bytes().all(|b| b == b'-' || b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_date_is_the_same_model_and_with_a_word_another() {
        let input = |model| known(model).map(|it| it.input);
        for (model, expected) in [
            ("gpt-4o", Some(2_500_000)),
            ("gpt-4o-2024-08-06", Some(2_500_000)),
            ("gpt-4o-mini-2024-07-18", Some(150_000)),
            ("gpt-4o-audio", None),
            ("openai/gpt-5.1", Some(1_250_000)),
            ("claude-sonnet-4-5-20250929", Some(3_000_000)),
            ("claude-opus-4-20250514", Some(15_000_000)),
            ("claude-opus-4-9", None),
            ("anthropic/claude-haiku-4.5", Some(1_000_000)),
            ("claude-3-5-haiku-latest", Some(800_000)),
            ("qwen2.5-coder:1.5b", None),
        ] {
            assert_eq!(input(model), expected, "{model}");
        }
    }

    #[test]
    fn own_prices_win_and_own_machines_cost_nothing() {
        let own = Price { input: 7, ..FREE };
        let prices = Prices::new(BTreeMap::from([("acme/gpt-4o".to_owned(), own)]));
        assert_eq!(prices.of("acme", "gpt-4o", false), Some(own));
        assert_eq!(
            prices.of("openai", "gpt-4o", false).map(|it| it.input),
            Some(2_500_000)
        );
        assert_eq!(prices.of("vllm", "qwen", true), Some(FREE));
        assert_eq!(prices.of("cloud", "qwen", false), None);
    }
}
