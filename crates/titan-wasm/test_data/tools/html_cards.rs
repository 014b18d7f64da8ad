// A table made of <div>s: the header row names the columns, cells are known by their class alone.
fn run(input: Value) -> Result<Value> {
    let page = html::parse(&json::text(&input, "page")?);
    let grid = page.first("div[role=table], .grid")?.ok_or("there is no grid")?;
    let mut rows = grid.select(".row")?.into_iter();
    let header: Vec<String> = match rows.next() {
        Some(row) => row.children().iter().map(|cell| text::slug(&cell.text())).collect(),
        None => return fail("the grid is empty"),
    };
    let mut out = Vec::new();
    for row in rows {
        let mut object = Map::new();
        for (name, cell) in header.iter().zip(row.children()) {
            let link = cell.first("a[href]")?.and_then(|a| a.attr("href"));
            let value = match (link, text::number(&cell.text())) {
                (Some(link), _) => json!({"text": cell.text(), "link": link}),
                (None, Some(number)) => json!(number),
                (None, None) => json!(cell.text()),
            };
            object.insert(name.clone(), value);
        }
        out.push(Value::Object(object));
    }
    Ok(Value::Array(out))
}
