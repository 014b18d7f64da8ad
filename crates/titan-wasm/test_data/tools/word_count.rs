// The most frequent words of a text, without the small ones that every text has.
fn run(input: Value) -> Result<String> {
    let body = json::text(&input, "text")?;
    let top = input["top"].as_u64().unwrap_or(5) as usize;
    let stop: HashSet<&str> = ["the", "a", "an", "and", "of", "to", "in", "is", "it", "that"].into_iter().collect();

    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut total = 0;
    for word in text::words(&body) {
        total += 1;
        let word = word.to_lowercase();
        if !stop.contains(word.as_str()) {
            *counts.entry(word).or_insert(0) += 1;
        }
    }
    let mut ranked: Vec<(String, usize)> = counts.into_iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));

    let mut out = format!("{total} words, {} sentences\n", text::sentences(&body).len());
    for (word, n) in ranked.iter().take(top) {
        writeln!(out, "{n} {word}")?;
    }
    Ok(out)
}
