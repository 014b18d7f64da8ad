// Sums and means of one column for each value of another.
fn run(input: Value) -> Result<String> {
    let table = csv::Table::parse(&json::text(&input, "csv")?)?;
    let by = table.column(&json::text(&input, "by")?)?;
    let of = table.column(&json::text(&input, "of")?)?;

    let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (i, row) in table.rows.iter().enumerate() {
        let number = text::number(&row[of]).ok_or(format!("row {}: {:?} is no number", i + 1, row[of]))?;
        groups.entry(row[by].clone()).or_default().push(number);
    }

    let mut out = csv::Table::new(&[&table.header[by], "n", "sum", "mean"]);
    for (name, numbers) in &groups {
        let sum = stats::sum(numbers);
        let mean = stats::mean(numbers).unwrap_or(0.0);
        out.push(&[name, &numbers.len().to_string(), &format!("{sum:.2}"), &format!("{mean:.2}")]);
    }
    Ok(out.to_csv())
}
