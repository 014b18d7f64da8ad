//! Makes `assets/wordllama-256.bin` from the published table and tokenizer:
//! `cargo run -p titan-local --example embedding_table -- MODEL.safetensors TOKENIZER.json OUT.bin`

use flate2::Compression;
use flate2::write::DeflateEncoder;
use half::f16;
use serde_json::Value;
use std::error::Error;
use std::io::Write;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, tokenizer, out] = arguments.as_slice() else {
        return Err("give MODEL.safetensors TOKENIZER.json OUT.bin".into());
    };
    let model = std::fs::read(model)?;
    let head_bytes = u64::from_le_bytes(model[..8].try_into()?) as usize;
    let head: Value = serde_json::from_slice(&model[8..8 + head_bytes])?;
    let shape = &head["embedding.weight"]["shape"];
    let (count, width) = (size(&shape[0])?, size(&shape[1])?);
    let halves = &model[8 + head_bytes..];

    let mut scales = Vec::new();
    let mut rows = Vec::new();
    for row in halves.chunks_exact(width * 2).take(count) {
        let numbers: Vec<f32> = row
            .chunks_exact(2)
            .map(|half| f16::from_le_bytes([half[0], half[1]]).to_f32())
            .collect();
        let largest = numbers.iter().fold(0.0_f32, |max, n| max.max(n.abs()));
        let scale = f16::from_f32((largest / 127.0).max(1e-6));
        scales.extend(scale.to_le_bytes());
        rows.extend(
            numbers
                .iter()
                .map(|n| ((n / scale.to_f32()).round().clamp(-127.0, 127.0) as i8).cast_unsigned()),
        );
    }

    let tokenizer: Value = serde_json::from_slice(&std::fs::read(tokenizer)?)?;
    let vocabulary = tokenizer["model"]["vocab"]
        .as_object()
        .ok_or("no vocabulary")?;
    let mut tokens: Vec<(&str, u64)> = vocabulary
        .iter()
        .filter_map(|(token, id)| Some((token.as_str(), id.as_u64()?)))
        .collect();
    tokens.sort_by_key(|(_, id)| *id);
    let list: Vec<&str> = tokens.iter().map(|(token, _)| *token).collect();
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::best());
    packed.write_all(list.join("\0").as_bytes())?;

    let mut file = b"TWE1".to_vec();
    file.extend((count as u32).to_le_bytes());
    file.extend((width as u32).to_le_bytes());
    file.extend(scales);
    file.extend(rows);
    file.extend(packed.finish()?);
    std::fs::write(out, file)?;
    Ok(())
}

fn size(value: &Value) -> Result<usize, Box<dyn Error>> {
    Ok(value.as_u64().ok_or("no shape")? as usize)
}
