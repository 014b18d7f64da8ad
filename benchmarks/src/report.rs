//! Samples in, a line of a table or of JSON out.

use serde_json::{Value, json};

/// One measured quantity.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    bench: &'static str,
    metric: &'static str,
    unit: &'static str,
    samples: Vec<f64>,
    load: f64,
    goal: Option<f64>,
    limit: Option<f64>,
}

impl Row {
    /// A quantity with its samples, at least one, in any order.
    pub(crate) fn new(
        bench: &'static str,
        metric: &'static str,
        unit: &'static str,
        mut samples: Vec<f64>,
    ) -> Self {
        samples.sort_by(f64::total_cmp);
        Self {
            bench,
            metric,
            unit,
            samples,
            load: load(),
            goal: None,
            limit: None,
        }
    }

    /// What it should be at most, and what it may be at most.
    pub(crate) fn goal(mut self, goal: f64, limit: Option<f64>) -> Self {
        self.goal = Some(goal);
        self.limit = limit;
        self
    }

    /// One object: `bench, metric, unit, p50, p95, p99, min, n, load, goal, limit`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "bench": self.bench,
            "metric": self.metric,
            "unit": self.unit,
            "p50": round(self.percentile(50)),
            "p95": round(self.percentile(95)),
            "p99": round(self.percentile(99)),
            "min": round(self.percentile(0)),
            "n": self.samples.len(),
            "load": self.load,
            "goal": self.goal,
            "limit": self.limit,
        })
    }

    /// One line under [`TABLE_HEAD`].
    pub(crate) fn to_line(&self) -> String {
        let number = |value: f64| format!("{}", round(value));
        let bound = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
        format!(
            "{:<18} {:<22} {:<6} {:>9} {:>9} {:>9} {:>9} {:>5} {:>5} {:>7} {:>7}",
            self.bench,
            self.metric,
            self.unit,
            number(self.percentile(50)),
            number(self.percentile(95)),
            number(self.percentile(99)),
            number(self.percentile(0)),
            self.samples.len(),
            self.load,
            bound(self.goal),
            bound(self.limit),
        )
    }

    /// The nearest rank: a value that was really measured.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.samples.len() * percent).div_ceil(100).max(1);
        self.samples.get(rank - 1).copied().unwrap_or(f64::NAN)
    }
}

/// The table's first line.
pub(crate) const TABLE_HEAD: &str = "\
bench              metric                 unit         p50       p95       p99       min     n  load    goal   limit";

/// Three digits after the point: microseconds of a millisecond.
fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// What else the machine is doing: processes that ran or waited over the last minute.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().unwrap_or_default();
    first.parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let row = Row::new("b", "m", "ms", (1..=200).rev().map(f64::from).collect());
        let found = [0, 50, 95, 99, 100].map(|percent| row.percentile(percent));
        assert_eq!(found, [1.0, 100.0, 190.0, 198.0, 200.0]);
        let single = Row::new("b", "m", "ms", vec![7.0]);
        assert_eq!(
            [0, 50, 99].map(|percent| single.percentile(percent)),
            [7.0; 3]
        );
    }

    #[test]
    fn a_line_of_json_has_the_promised_fields_in_order() {
        let row = Row::new("b", "m", "ms", vec![1.23456]).goal(2.0, Some(3.0));
        let json = row.to_json();
        let fields: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        let promised = [
            "bench", "metric", "unit", "p50", "p95", "p99", "min", "n", "load", "goal", "limit",
        ];
        assert_eq!(fields, promised);
        assert_eq!((&json["p50"], &json["limit"]), (&json!(1.235), &json!(3.0)));
    }
}
