//! What makes an order of documents, whatever database they are in: words, vectors, and the fusion of two rankings.

use std::collections::{BTreeMap, HashMap};
use titan_protocol::{Query, StorageError};

/// The constant of reciprocal rank fusion.
const FUSION_K: f32 = 60.0;
/// How far down each ranking fusion looks, at least.
pub(crate) const FUSION_DEPTH: usize = 200;
/// Hits that one query may ask for.
const LIMIT_MAX: usize = 1_000;
/// Different words of a query that are looked up; the rest is passed over.
pub(crate) const WORDS_MAX: usize = 64;
/// Attributes that one query may filter by.
const FILTERS_MAX: usize = 16;

/// Places of documents with their scores, best first.
pub(crate) type Ranking = Vec<(i64, f32)>;

/// How many hits a query gets.
pub(crate) fn limit(query: &Query) -> usize {
    query.limit.clamp(1, LIMIT_MAX)
}

/// Refuses a filter that is too long.
pub(crate) fn check_filter(filter: &BTreeMap<String, String>) -> Result<(), StorageError> {
    if filter.len() <= FILTERS_MAX {
        return Ok(());
    }
    Err(StorageError::Failed(format!(
        "a search filters by at most {FILTERS_MAX} attributes, not {}",
        filter.len()
    )))
}

/// The different words of a query, as they stand there: letters and digits.
pub(crate) fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        if !word.is_empty() && words.len() < WORDS_MAX && !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

pub(crate) fn fuse(rankings: &[Ranking]) -> Ranking {
    let mut scores: HashMap<i64, f32> = HashMap::new();
    for ranking in rankings {
        for (rank, (place, _)) in (1_u16..).zip(ranking) {
            *scores.entry(*place).or_default() += 1.0 / (FUSION_K + f32::from(rank));
        }
    }
    let mut fused: Ranking = scores.into_iter().collect();
    sort_best_first(&mut fused);
    fused
}

/// Ties by place, so that answers repeat.
pub(crate) fn sort_best_first(ranking: &mut Ranking) {
    ranking.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
}

/// In eight lanes, which compilers turn into vector instructions; one running sum they must leave in order.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_lanes, a_rest) = a.as_chunks::<8>();
    let (b_lanes, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// A vector that others are compared with.
pub(crate) struct Near<'a> {
    wanted: &'a [f32],
    length: f32,
}

impl<'a> Near<'a> {
    pub(crate) fn new(wanted: &'a [f32]) -> Self {
        let length = dot(wanted, wanted).sqrt();
        Self { wanted, length }
    }

    /// The cosine with a vector as it is stored.
    pub(crate) fn cosine(&self, stored: &[u8]) -> Result<f32, StorageError> {
        check_dimensions(stored.len() / 4, self.wanted.len())?;
        let vector = decode_vector(stored);
        let lengths = self.length * dot(&vector, &vector).sqrt();
        Ok(dot(&vector, self.wanted) / lengths.max(f32::MIN_POSITIVE))
    }
}

pub(crate) fn check_dimensions(held: usize, given: usize) -> Result<(), StorageError> {
    if held == given {
        return Ok(());
    }
    Err(StorageError::Failed(format!(
        "the vectors of this collection have {held} dimensions, this one has {given}: embed with the same model"
    )))
}

pub(crate) fn encode_vector(vector: &[f32]) -> Vec<u8> {
    vector
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

pub(crate) fn decode_vector(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<4>();
    values
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect()
}

pub(crate) fn encode_attributes(
    attributes: &BTreeMap<String, String>,
) -> Result<String, StorageError> {
    serde_json::to_string(attributes)
        .map_err(|error| StorageError::Failed(format!("attributes can't be written: {error}")))
}

pub(crate) fn decode_attributes(text: &str) -> Result<BTreeMap<String, String>, StorageError> {
    serde_json::from_str(text).map_err(|error| {
        StorageError::Incompatible(format!(
            "a document's attributes can't be read ({error}): the store is damaged, restore a backup"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_product_counts_every_lane_and_the_rest() {
        let ones = |n| vec![1.0_f32; n];
        for n in [0, 1, 7, 8, 9, 384, 385] {
            assert_eq!(dot(&ones(n), &ones(n)), n as f32);
        }
    }

    #[test]
    fn vectors_are_stored_bit_for_bit() {
        let vector = [0.1, -0.0, f32::MIN_POSITIVE, f32::MAX];
        let back = decode_vector(&encode_vector(&vector));
        assert_eq!(back.map_bits(), vector.to_vec().map_bits());
    }

    trait Bits {
        fn map_bits(&self) -> Vec<u32>;
    }

    impl Bits for Vec<f32> {
        fn map_bits(&self) -> Vec<u32> {
            self.iter().map(|value| value.to_bits()).collect()
        }
    }
}
