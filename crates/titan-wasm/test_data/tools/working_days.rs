// Working days between two days, both counted, without weekends and the holidays that are named.
fn run(input: Value) -> Result<String> {
    let from = time::Date::parse(&json::text(&input, "from")?)?;
    let to = time::Date::parse(&json::text(&input, "to")?)?;
    if to < from {
        return Err(Error::new("the end is before the beginning"));
    }
    let mut holidays = HashSet::new();
    for day in input["holidays"].as_array().unwrap_or(&vec![]) {
        holidays.insert(time::Date::parse(day.as_str().unwrap_or(""))?);
    }
    let mut n = 0;
    let mut months: BTreeMap<String, usize> = BTreeMap::new();
    let mut day = from;
    while day <= to {
        if day.is_weekday() && !holidays.contains(&day) {
            n += 1;
            *months.entry(day.format("%Y-%m")).or_default() += 1;
        }
        day = day.add_days(1);
    }
    let mut out = format!("{n} of {} days, from {} to {}", from.days_until(to) + 1, from.weekday(), to.weekday());
    for (month, n) in months {
        out += &format!("\n{month} {n}");
    }
    Ok(out)
}
