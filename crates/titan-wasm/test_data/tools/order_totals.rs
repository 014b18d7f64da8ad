#[derive(Default)]
struct Total {
    orders: usize,
    sum: f64,
    tags: Vec<String>,
}

// Orders by customer, cancelled ones left out, the largest sum first.
fn run(input: Value) -> Result<Value> {
    let mut totals: BTreeMap<String, Total> = BTreeMap::new();
    for order in json::list(&input, "orders")? {
        if order["status"] == "cancelled" {
            continue;
        }
        let name = order["customer"]["name"].as_str().unwrap_or("unknown");
        let total = totals.entry(name.to_string()).or_default();
        total.orders += 1;
        for item in order["items"].as_array().into_iter().flatten() {
            let quantity = item["qty"].as_f64().unwrap_or(1.0);
            let price = item["price"]
                .as_f64()
                .ok_or_else(|| format!("an item of order {} has no price", order["id"]))?;
            total.sum += quantity * price;
        }
        for tag in order["tags"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !total.tags.iter().any(|one| one == tag) {
                total.tags.push(tag.to_string());
            }
        }
    }
    let mut rows: Vec<(String, Total)> = totals.into_iter().collect();
    rows.sort_by(|a, b| b.1.sum.total_cmp(&a.1.sum).then_with(|| a.0.cmp(&b.0)));
    let rows: Vec<Value> = rows
        .into_iter()
        .map(|(name, total)| {
            json!({"customer": name, "orders": total.orders, "sum": stats::round(total.sum, 2), "tags": total.tags})
        })
        .collect();
    Ok(json!(rows))
}
