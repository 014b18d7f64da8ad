// Lines per level, the busiest hour, and the most frequent errors with their numbers made equal.
fn run(input: Value) -> Result<String> {
    let log = json::text(&input, "log")?;
    let line_re = Regex::new(r"^(\d{4}-\d\d-\d\d)[T ](\d\d):\d\d:\d\d\S*\s+\[?(\w+)\]?:?\s+(.*)$")?;
    let number_re = Regex::new(r"\d+")?;
    let mut levels: BTreeMap<String, usize> = BTreeMap::new();
    let mut hours: BTreeMap<String, usize> = BTreeMap::new();
    let mut errors: Vec<String> = Vec::new();
    let mut other = 0;
    for line in log.lines().filter(|line| !line.trim().is_empty()) {
        let Some(caps) = line_re.captures(line) else {
            other += 1;
            continue;
        };
        let level = caps[3].to_uppercase();
        *hours.entry(caps[2].to_string()).or_default() += 1;
        if level == "ERROR" {
            errors.push(number_re.replace_all(&caps[4], "#").to_string());
        }
        *levels.entry(level).or_default() += 1;
    }
    let mut out = String::new();
    for (level, n) in &levels {
        writeln!(out, "{level:<5} {n}")?;
    }
    if let Some((hour, n)) = hours.iter().max_by_key(|(_, n)| **n) {
        writeln!(out, "busiest {hour}:00 with {n}")?;
    }
    for (error, n) in stats::counts(&errors).iter().take(3) {
        writeln!(out, "{n}x {error}")?;
    }
    write!(out, "{other} other lines")?;
    Ok(out)
}
