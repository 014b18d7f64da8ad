// A list of objects as a Markdown table: columns in the order in which they first appear by name.
fn run(input: Value) -> Result<String> {
    let rows = json::list(&input, "rows")?;
    let mut columns: Vec<String> = Vec::new();
    for row in &rows {
        let Some(object) = row.as_object() else {
            return fail(format!("{row} is no object"));
        };
        for key in object.keys() {
            if !columns.contains(key) {
                columns.push(key.clone());
            }
        }
    }
    let mut table = vec![columns.clone()];
    for row in &rows {
        table.push(columns.iter().map(|column| json::show(&row[column.as_str()])).collect());
    }
    Ok(text::markdown_table(&table))
}
