//! Chooses the next token by its likelihood.

/// Candidates that are weighed when a temperature is given.
const CANDIDATES_MAX: usize = 40;
/// The likeliest candidates that together have this share are drawn from.
const SHARE: f32 = 0.95;
/// The longest pattern whose repetition is noticed, in tokens.
const PATTERN_TOKENS_MAX: usize = 160;
/// How many tokens a pattern must fill, at least, and how often it must come, to count as stuck.
const STUCK_TOKENS: usize = 96;
const STUCK_TIMES: usize = 3;

/// How tokens are chosen: the likeliest, or drawn.
#[derive(Debug)]
pub(crate) struct Sampler {
    temperature: f32,
    state: u64,
    candidates: Vec<(u32, f32)>,
}

impl Sampler {
    /// Draws at this temperature; at 0 the likeliest is taken. The same seed draws the same tokens.
    pub(crate) fn new(temperature: f32, seed: u64) -> Self {
        Self {
            temperature: if temperature.is_finite() {
                temperature.clamp(0.0, 2.0)
            } else {
                0.0
            },
            state: seed,
            candidates: Vec::new(),
        }
    }

    /// One of the tokens that `allowed` names; of all when it is `None`.
    pub(crate) fn choose(&mut self, logits: &[f32], allowed: Option<&[u32]>) -> u32 {
        if self.temperature <= 0.0 {
            return match allowed {
                Some(ids) => likeliest(ids.iter().map(|id| (*id, logit(logits, *id)))),
                None => likeliest((0..).zip(logits.iter().copied())),
            };
        }
        self.candidates.clear();
        match allowed {
            Some(ids) => self
                .candidates
                .extend(ids.iter().map(|id| (*id, logit(logits, *id)))),
            None => self.candidates.extend((0..).zip(logits.iter().copied())),
        }
        self.draw()
    }

    fn draw(&mut self) -> u32 {
        let all = &mut self.candidates;
        if all.len() > CANDIDATES_MAX {
            all.select_nth_unstable_by(CANDIDATES_MAX, |a, b| b.1.total_cmp(&a.1));
            all.truncate(CANDIDATES_MAX);
        }
        all.sort_unstable_by(|a, b| b.1.total_cmp(&a.1));
        let Some(&(first, largest)) = all.first() else {
            return 0;
        };
        for candidate in all.iter_mut() {
            candidate.1 = ((candidate.1 - largest) / self.temperature).exp();
        }
        let total: f32 = all.iter().map(|c| c.1).sum();
        let mut kept = 0.0;
        let count = all
            .iter()
            .take_while(|c| {
                let wanted = kept < total * SHARE;
                kept += c.1;
                wanted
            })
            .count();
        let all = &self.candidates[..count.max(1)];
        let total: f32 = all.iter().map(|c| c.1).sum();
        let mut left = unit(&mut self.state) * total;
        for (id, weight) in all {
            left -= weight;
            if left <= 0.0 {
                return *id;
            }
        }
        first
    }
}

fn logit(logits: &[f32], id: u32) -> f32 {
    logits
        .get(id as usize)
        .copied()
        .unwrap_or(f32::NEG_INFINITY)
}

fn likeliest(all: impl Iterator<Item = (u32, f32)>) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, logit) in all {
        if logit > best.1 {
            best = (id, logit);
        }
    }
    best.0
}

/// The next number of 0 to 1 (SplitMix64).
fn unit(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1_u64 << 24) as f32
}

/// Whether the end of what was written says the same over and over.
pub(crate) fn is_stuck(written: &[u32]) -> bool {
    (1..=PATTERN_TOKENS_MAX).any(|length| {
        let span = (length * STUCK_TIMES).max(STUCK_TOKENS);
        written.len() >= span && {
            let tail = &written[written.len() - span..];
            tail.iter().zip(&tail[length..]).all(|(a, b)| a == b)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_temperature_the_likeliest_allowed_is_taken() {
        let mut sampler = Sampler::new(0.0, 1);
        assert_eq!(sampler.choose(&[0.1, 3.0, 2.0], None), 1);
        assert_eq!(sampler.choose(&[0.1, 3.0, 2.0], Some(&[0, 2])), 2);
    }

    #[test]
    fn draws_follow_the_likelihood() {
        let mut sampler = Sampler::new(1.0, 7);
        let logits = [0.0, 2.0, -30.0];
        let mut counts = [0; 3];
        for _ in 0..2000 {
            counts[sampler.choose(&logits, None) as usize] += 1;
        }
        assert!((1650..1850).contains(&counts[1]), "{counts:?}");
        assert_eq!(counts[2], 0);
    }

    #[test]
    fn a_repeated_pattern_is_noticed_and_a_list_is_not() {
        let stuck: Vec<u32> = (0..200)
            .map(|i| if i < 50 { i } else { 900 + i % 7 })
            .collect();
        assert!(is_stuck(&stuck));
        let list: Vec<u32> = (0..200)
            .map(|i| if i % 5 == 0 { i } else { i % 5 })
            .collect();
        assert!(!is_stuck(&list));
    }
}
