// A bank's export: semicolons, decimal commas, German dates. Gives ISO dates, plain numbers, no duplicates, oldest first.
fn run(input: &str) -> Result<String> {
    let input = json::parse(input)?;
    let table = csv::Table::parse_with(&json::text(&input, "csv")?, ';')?;
    let mut seen = HashSet::new();
    let mut rows = Vec::new();
    for i in 0..table.rows.len() {
        let date = time::Date::parse_as(table.get(i, "Buchungstag"), "%d.%m.%Y")?;
        let amount = text::number(table.get(i, "Betrag")).ok_or_else(|| format!("no amount in row {}", i + 1))?;
        let payee = text::squeeze(table.get(i, "Empfänger"));
        if seen.insert((date, payee.clone(), format!("{amount:.2}"))) {
            rows.push((date, payee, amount));
        }
    }
    rows.sort_by_key(|(date, ..)| *date);
    let mut out = csv::Table::new(&["date", "payee", "amount"]);
    let mut balance = 0.0;
    for (date, payee, amount) in &rows {
        balance += amount;
        out.push(&[&date.to_string(), payee, &format!("{amount:.2}")]);
    }
    Ok(format!("{}balance {balance:.2}\n", out.to_csv()))
}
