// A page of the nineties: tables for layout, the one with data deep inside them.
fn run(input: Value) -> Result<String> {
    let page = html::parse(&json::text(&input, "page")?);
    let heading = json::text(&input, "heading")?;
    for rows in page.tables() {
        let Some(first) = rows.first() else { continue };
        if first.len() > 1 && first.iter().any(|cell| cell == &heading) {
            return Ok(csv::write(&rows));
        }
    }
    fail(format!("no table has a column {heading}"))
}
