//! Generic code of the standard library that tools use all the time, instantiated here once: the compiler links what a crate
//! below has already made.

use crate::{BTreeMap, BTreeSet, HashMap, HashSet, Value, VecDeque};

/// Nobody calls it; it is here to be compiled.
#[doc(hidden)]
pub fn all(text: &str, value: &Value) -> usize {
    maps(text) + more_maps(text) + lists(text) + values(text, value) + letters(text)
}

fn maps(text: &str) -> usize {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word.to_string()).or_insert(0) += 1;
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    let mut ranked: Vec<(String, usize)> = counts.clone().into_iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked.sort();
    ranked.truncate(3);
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    let mut sorted: BTreeMap<String, usize> = BTreeMap::new();
    let mut whole: BTreeMap<String, i64> = BTreeMap::new();
    for (word, n) in &ranked {
        *sorted.entry(word.clone()).or_default() += n;
        *sorted.entry(word.clone()).or_insert(0) += n;
        *sums.entry(word.clone()).or_insert(0.0) += *n as f64;
        *sums.entry(word.clone()).or_default() += *n as f64;
        *whole.entry(word.clone()).or_insert(0) += 1;
    }
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    groups
        .entry(text.to_string())
        .or_default()
        .push(text.to_string());
    let mut names: HashMap<String, String> = HashMap::new();
    names.insert(text.to_string(), text.to_string());
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    named.insert(text.to_string(), text.to_string());
    let mut seen: HashSet<String> = HashSet::new();
    seen.insert(text.to_string());
    let mut known: BTreeSet<String> = BTreeSet::new();
    known.insert(text.to_string());
    let hit = seen.contains(text)
        || known.contains(text)
        || names.get(text).is_some()
        || named.get(text).is_some();
    let found = counts.get(text).copied().unwrap_or(0) + sorted.get(text).copied().unwrap_or(0);
    let keys: Vec<String> = sorted.keys().cloned().collect();
    let rows: Vec<(String, usize)> = sorted.into_iter().collect();
    let totals: Vec<(String, f64)> = sums.into_iter().collect();
    let grouped: Vec<(String, Vec<String>)> = groups.into_iter().collect();
    keys.len()
        + rows.len()
        + totals.len()
        + grouped.len()
        + whole.len()
        + found
        + usize::from(hit)
        + known.len()
}

fn more_maps(text: &str) -> usize {
    let mut bytes: HashMap<String, u64> = HashMap::new();
    let mut seen: HashMap<String, u32> = HashMap::new();
    let mut whole: HashMap<String, i64> = HashMap::new();
    let mut sums: HashMap<String, f64> = HashMap::new();
    let mut sorted: BTreeMap<String, u64> = BTreeMap::new();
    let mut few: BTreeMap<String, u32> = BTreeMap::new();
    for word in text.split_whitespace() {
        *bytes.entry(word.to_string()).or_insert(0) += word.len() as u64;
        *bytes.entry(word.to_string()).or_default() += 1;
        *seen.entry(word.to_string()).or_insert(0) += 1;
        *seen.entry(word.to_string()).or_default() += 1;
        *whole.entry(word.to_string()).or_insert(0) += 1;
        *sums.entry(word.to_string()).or_insert(0.0) += 1.0;
        *sums.entry(word.to_string()).or_default() += 1.0;
        *sorted.entry(word.to_string()).or_insert(0) += 1;
        *sorted.entry(word.to_string()).or_default() += 1;
        *few.entry(word.to_string()).or_insert(0) += 1;
        *few.entry(word.to_string()).or_default() += 1;
    }
    let mut ranked: Vec<(String, u64)> = bytes.into_iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    ranked.truncate(3);
    let told = crate::json!({"sorted": sorted, "few": few, "ranked": ranked});
    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    groups
        .entry(text.to_string())
        .or_default()
        .insert(text.to_string());
    let mut numbers: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    numbers.entry(text.to_string()).or_default().push(1.5);
    let mut lists: HashMap<String, Vec<String>> = HashMap::new();
    lists
        .entry(text.to_string())
        .or_default()
        .push(text.to_string());
    let mut named: HashMap<String, Value> = HashMap::new();
    named.insert(text.to_string(), Value::Null);
    let mut values: BTreeMap<String, Value> = BTreeMap::new();
    values.insert(text.to_string(), Value::Null);
    let mut borrowed: HashSet<&str> = text.split(',').collect();
    borrowed.insert(text);
    let ordered: BTreeSet<&str> = text.split(',').collect();
    let mut letters: HashMap<char, usize> = HashMap::new();
    *letters.entry('x').or_insert(0) += 1;
    let mut counted: HashMap<&str, usize> = HashMap::new();
    *counted.entry(text).or_insert(0) += 1;
    let texts: Vec<String> = groups.into_values().flatten().collect();
    let grouped: Vec<(String, Vec<f64>)> = numbers.into_iter().collect();
    let hit = borrowed.contains(text)
        || ordered.contains(text)
        || lists.get(text).is_some()
        || named.get(text).is_some();
    let all: BTreeSet<String> = texts.iter().cloned().collect();
    let back: Vec<String> = all.into_iter().collect();
    let told = crate::json!({"told": told, "values": values, "texts": back});
    told.as_object().map_or(0, crate::Map::len)
        + grouped.len()
        + usize::from(hit)
        + seen.len()
        + whole.len()
        + sums.len()
        + counted.len()
        + letters.len()
}

fn lists(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort();
    words.dedup();
    let parts: Vec<&str> = text.split(',').collect();
    let mut owned: Vec<String> = lines.iter().map(|line| line.trim().to_string()).collect();
    owned.sort();
    owned.dedup();
    owned.reverse();
    owned.push(parts.join(", "));
    let mut rows: Vec<Vec<String>> = vec![owned.clone()];
    rows.push(words.iter().map(|word| word.to_string()).collect());
    let mut numbers: Vec<f64> = words
        .iter()
        .filter_map(|word| word.parse::<f64>().ok())
        .collect();
    numbers.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    numbers.sort_by(|a, b| a.total_cmp(b));
    let mut whole: Vec<i64> = words
        .iter()
        .filter_map(|word| word.parse::<i64>().ok())
        .collect();
    whole.sort();
    whole.push(i64::from(words.len() as u32));
    let mut sizes: Vec<usize> = words.iter().map(|word| word.len()).collect();
    sizes.push(numbers.len());
    let mut letters: Vec<char> = text.chars().collect();
    letters.push('x');
    let mut queue: VecDeque<String> = VecDeque::new();
    queue.push_back(owned.join("\n"));
    let first = queue.pop_front().unwrap_or_default();
    let back: String = letters.iter().rev().collect();
    let sum: f64 = numbers.iter().sum();
    first.len()
        + back.len()
        + rows.concat().join(" ").len()
        + sum as usize
        + whole.len()
        + sizes.iter().sum::<usize>()
}

fn values(text: &str, value: &Value) -> usize {
    let mut map = crate::Map::new();
    map.insert(text.to_string(), Value::from(text));
    let list: Vec<Value> = value.as_array().cloned().unwrap_or_default();
    let mut all = vec![
        Value::from(list.len()),
        Value::from(1.5),
        Value::from(text.to_string()),
        Value::from(true),
    ];
    all.extend(list.iter().cloned());
    all.push(crate::json!({
        "text": text, "owned": text.to_string(), "n": all.len(), "f": 1.5, "i": 1_i64, "u": 1_u64, "b": true, "list": all,
        "texts": vec![text.to_string()], "same": value, "numbers": vec![1.5], "map": map, "some": Some(text),
    }));
    let parsed = serde_json::from_str::<Value>(text).unwrap_or_default();
    let told = serde_json::to_string(&parsed).unwrap_or_default();
    let pretty = serde_json::to_string_pretty(&parsed).unwrap_or_default();
    let rows = serde_json::to_string(&all).unwrap_or_default();
    told.len()
        + pretty.len()
        + rows.len()
        + value[text].as_str().map_or(0, str::len)
        + value[0].as_u64().map_or(0, |_| 1)
}

fn letters(text: &str) -> usize {
    let digits: String = text
        .chars()
        .filter(|letter| letter.is_ascii_digit())
        .collect();
    let words = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .count();
    let (a, b) = text.split_once(':').unwrap_or((text, ""));
    digits.len()
        + words
        + a.replace(' ', "").len()
        + b.trim().len()
        + text.find("x").unwrap_or(0)
        + text.matches(',').count()
}
