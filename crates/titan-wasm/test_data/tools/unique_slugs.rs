// A slug for each title; a number is added where two titles would have the same one.
fn run(input: Value) -> Result<Value> {
    let mut used: HashMap<String, u32> = HashMap::new();
    let mut slugs = Vec::new();
    for title in json::texts(&input, "titles")? {
        let mut slug = text::slug(&title);
        if slug.is_empty() {
            slug = "untitled".to_string();
        }
        let n = used.entry(slug.clone()).or_insert(0);
        *n += 1;
        if *n > 1 {
            slug = format!("{slug}-{n}");
        }
        slugs.push(slug);
    }
    Ok(json!({ "slugs": slugs }))
}
