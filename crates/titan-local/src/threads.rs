//! How many threads the model gets.

/// A small model gains nothing beyond these: it waits for memory.
const THREADS_MAX: usize = 16;

/// As many threads as cores are idle now, and at least half of those that this process may use (its affinity mask and
/// control group are heeded).
pub(crate) fn idle() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    count(cores, load().unwrap_or(0.0))
}

fn count(cores: usize, load: f64) -> usize {
    let busy = load.max(0.0) as usize;
    cores
        .saturating_sub(busy)
        .max(cores.div_ceil(2))
        .min(THREADS_MAX)
}

/// Threads that wanted to run during the last minute, on average.
fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_cores_are_left_to_others() {
        for (cores, load, expected) in [
            (1, 5.0, 1),
            (2, 0.4, 2),
            (2, 3.0, 1),
            (8, 2.5, 6),
            (8, 20.0, 4),
            (64, 0.0, 16),
        ] {
            assert_eq!(count(cores, load), expected, "{cores} cores at load {load}");
        }
    }
}
