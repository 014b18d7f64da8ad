use regex::Regex;
use std::collections::BTreeMap;

// Mail addresses in a text, each once, and how many there are of each domain.
fn run(input: Value) -> Result<Value> {
    let text = input["text"].as_str().unwrap_or_default();
    let re = Regex::new(r"[A-Za-z0-9._%+-]+@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")?;
    let mut seen = BTreeSet::new();
    let mut domains: BTreeMap<String, usize> = BTreeMap::new();
    for found in re.captures_iter(text) {
        let address = found[0].to_lowercase();
        if seen.insert(address) {
            *domains.entry(found[1].to_lowercase()).or_insert(0) += 1;
        }
    }
    Ok(json!({ "addresses": seen.into_iter().collect::<Vec<_>>(), "domains": domains }))
}
