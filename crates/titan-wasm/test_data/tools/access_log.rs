// A web server's log: answers by status, the paths that cost most bytes, and visitors per day.
fn run(input: Value) -> Result<Value> {
    let log = json::text(&input, "log")?;
    let re = Regex::new(r#"^(\S+) \S+ \S+ \[([^\]]+)\] "(\S+) (\S+) [^"]*" (\d{3}) (\d+|-)"#)?;
    let mut status: BTreeMap<String, u64> = BTreeMap::new();
    let mut bytes: HashMap<String, u64> = HashMap::new();
    let mut days: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut bad = 0;
    for line in log.lines() {
        let Some(c) = re.captures(line) else {
            bad += 1;
            continue;
        };
        *status.entry(format!("{}xx", &c[5][..1])).or_insert(0) += 1;
        let path = c[4].split('?').next().unwrap_or("").to_string();
        *bytes.entry(path).or_insert(0) += c[6].parse::<u64>().unwrap_or(0);
        let day = time::Date::parse(&c[2])?.to_string();
        days.entry(day).or_default().insert(c[1].to_string());
    }
    let mut top: Vec<(String, u64)> = bytes.into_iter().collect();
    top.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    top.truncate(3);
    let visitors: Map<String, Value> = days.iter().map(|(day, who)| (day.clone(), json!(who.len()))).collect();
    Ok(json!({"status": status, "top": top, "visitors": visitors, "unreadable": bad}))
}
