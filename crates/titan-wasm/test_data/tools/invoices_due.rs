// Which invoices are overdue on a day: dates as people write them, terms in days or "end of month".
fn run(input: Value) -> Result<String> {
    let today = time::Date::parse(&json::text(&input, "today")?)?;
    let mut rows = vec![vec!["invoice".to_string(), "due".to_string(), "days".to_string(), "week".to_string()]];
    for invoice in json::list(&input, "invoices")? {
        let number = json::text(&invoice, "number")?;
        let date = time::Date::parse(&json::text(&invoice, "date")?).map_err(|e| format!("{number}: {e}"))?;
        let due = match &invoice["terms"] {
            Value::Number(days) => date.add_days(days.as_i64().unwrap_or(0)),
            Value::String(terms) if terms == "end of month" => {
                time::Date::new(date.year(), date.month(), time::days_in_month(date.year(), date.month()))?
            }
            other => return fail(format!("{number}: {other} are no terms")),
        };
        let late = due.days_until(today);
        if late > 0 {
            let (year, week) = due.week();
            rows.push(vec![number, due.format("%d %b %Y"), late.to_string(), format!("{year}-W{week:02}")]);
        }
    }
    Ok(text::table(&rows))
}
