// Prices of a page whose cells and rows are never closed.
fn run(input: Value) -> Result<Value> {
    let page = html::parse(&json::text(&input, "page")?);
    let mut prices = Vec::new();
    for row in page.select("table.prices tr")? {
        let cells: Vec<String> = row.select("td")?.iter().map(|cell| cell.text()).collect();
        let [name, price, ..] = cells.as_slice() else { continue };
        let price = text::number(price).ok_or(format!("{name} has no price"))?;
        prices.push(json!({"name": name, "price": price}));
    }
    Ok(json!(prices))
}
