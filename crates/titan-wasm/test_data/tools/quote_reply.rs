/// Quotes a mail for a reply: wrapped, each line with "> " before it, signature left out.
fn run(input: &Value) -> Result<String, String> {
    let mail = input["mail"].as_str().ok_or("mail is missing")?;
    let width = input["width"].as_u64().unwrap_or(60) as usize;
    let body = match mail.find("\n-- \n") {
        Some(at) => &mail[..at],
        None => mail,
    };
    let wrapped = text::wrap(body, width.saturating_sub(2));
    let quoted: Vec<String> = wrapped
        .lines()
        .map(|line| if line.is_empty() { ">".to_string() } else { format!("> {line}") })
        .collect();
    Ok(quoted.join("\n"))
}
