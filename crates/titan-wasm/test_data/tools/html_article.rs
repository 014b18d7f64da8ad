// The text of an article, without the scripts, styles and advertisements that stand between its paragraphs.
fn run(input: Value) -> Result<String> {
    let page = html::parse(&json::text(&input, "page")?);
    let article = match page.first("article")? {
        Some(article) => article,
        None => page.first("body")?.ok_or("the page is empty")?,
    };
    let mut out = String::new();
    if let Some(title) = article.first("h1")? {
        out.push_str(&format!("# {}\n\n", title.text()));
    }
    for p in article.select("p:not(.ad):not(aside p)")? {
        let line = p.text();
        if !line.is_empty() {
            out.push_str(&line);
            out.push_str("\n\n");
        }
    }
    let links = article.select("a[href^='http']")?.len();
    out.push_str(&format!("{links} links"));
    Ok(out)
}
