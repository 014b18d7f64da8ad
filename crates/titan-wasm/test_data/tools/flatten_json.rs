fn flatten(prefix: String, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(path, inner, out);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (i, inner) in list.iter().enumerate() {
                flatten(format!("{prefix}.{i}"), inner, out);
            }
        }
        other => out.push((prefix, other.to_string())),
    }
}

fn run(input: Value) -> Result<String> {
    let mut pairs = vec![];
    flatten(String::new(), &input["value"], &mut pairs);
    pairs.sort();
    let lines: Vec<String> = pairs.iter().map(|(path, value)| format!("{path} = {value}")).collect();
    Ok(lines.join("\n"))
}
