// Joins two tables by a column; rows of the first without a partner stay, with empty cells.
fn run(input: Value) -> Result<String> {
    let left = csv::Table::parse(&json::text(&input, "left")?)?;
    let right = csv::Table::parse(&json::text(&input, "right")?)?;
    let key = json::text(&input, "key")?;
    let (l, r) = (left.column(&key)?, right.column(&key)?);

    let mut index: HashMap<&str, Vec<&Vec<String>>> = HashMap::new();
    for row in &right.rows {
        index.entry(row[r].as_str()).or_default().push(row);
    }
    let others = |row: &[String]| -> Vec<String> {
        row.iter().enumerate().filter(|(i, _)| *i != r).map(|(_, cell)| cell.clone()).collect()
    };
    let mut header = left.header.clone();
    header.extend(others(&right.header));
    let empty = vec![String::new(); right.header.len()];

    let mut rows = vec![header];
    for row in &left.rows {
        match index.get(row[l].as_str()) {
            Some(partners) => {
                for partner in partners {
                    let mut joined = row.clone();
                    joined.extend(others(partner));
                    rows.push(joined);
                }
            }
            None => {
                let mut joined = row.clone();
                joined.extend(others(&empty));
                rows.push(joined);
            }
        }
    }
    Ok(csv::write(&rows))
}
