// What changed between two JSON values, one line each.
fn run(input: Value) -> Result<String> {
    let before = input.get("before").ok_or("before is missing")?;
    let after = input.get("after").ok_or("after is missing")?;
    let mut lines = Vec::new();
    compare("$", before, after, &mut lines);
    if lines.is_empty() {
        return Ok("no differences".into());
    }
    Ok(lines.join("\n"))
}

fn compare(path: &str, a: &Value, b: &Value, lines: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let keys: BTreeSet<&String> = x.keys().chain(y.keys()).collect();
            for key in keys {
                let path = format!("{path}.{key}");
                match (x.get(key), y.get(key)) {
                    (Some(a), Some(b)) => compare(&path, a, b, lines),
                    (Some(a), None) => lines.push(format!("- {path} {a}")),
                    (None, Some(b)) => lines.push(format!("+ {path} {b}")),
                    (None, None) => {}
                }
            }
        }
        (Value::Array(x), Value::Array(y)) => {
            for i in 0..x.len().max(y.len()) {
                let path = format!("{path}[{i}]");
                match (x.get(i), y.get(i)) {
                    (Some(a), Some(b)) => compare(&path, a, b, lines),
                    (Some(a), None) => lines.push(format!("- {path} {a}")),
                    (None, Some(b)) => lines.push(format!("+ {path} {b}")),
                    (None, None) => {}
                }
            }
        }
        _ if a == b => {}
        _ => lines.push(format!("~ {path} {a} -> {b}")),
    }
}
