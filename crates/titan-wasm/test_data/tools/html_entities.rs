// A list of products: entities, non-breaking blanks and soft line breaks in names and prices.
fn run(input: Value) -> Result<String> {
    let page = html::parse(input["page"].as_str().unwrap_or(""));
    let mut lines = Vec::new();
    for item in page.select("ul#products > li")? {
        let name = item.first("b, strong")?.map(|b| b.text()).unwrap_or_default();
        let price = item.first("[data-price]")?.and_then(|p| p.attr("data-price")).unwrap_or_default();
        let note = item.own_text();
        lines.push(format!("{name} | {price} | {note}"));
    }
    Ok(lines.join("\n"))
}
