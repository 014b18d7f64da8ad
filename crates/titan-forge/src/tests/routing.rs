//! Which questions are known: paraphrases with other values must be, near misses and other people's prompts must not.

use crate::wording::{SlotAt, Wording, keys};
use crate::words::{Token, tokens};
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;

const QUESTIONS: &str = include_str!("../../test_data/questions.txt");
/// Other people's prompts: beside the workspace, or where this variable says.
const FOLDER_VARIABLE: &str = "TITAN_SHARED_DATA";
const BFCL: [&str; 2] = ["BFCL_v4_simple_python.json", "BFCL_v4_multiple.json"];

fn read(text: &str) -> Vec<Token> {
    tokens(text).expect("it is short")
}

/// The wording that a text gives when each of its values is a slot.
fn wording(text: &str) -> Option<Wording> {
    let tokens = read(text);
    let values = (0..tokens.len()).filter(|at| tokens[*at].is_value());
    let slots: Vec<SlotAt> = values
        .enumerate()
        .map(|(slot, at)| SlotAt {
            at,
            slot,
            kind: Some(tokens[at].kind),
        })
        .collect();
    Wording::of(&tokens, &slots)
}

struct Known {
    wordings: Vec<Wording>,
    index: HashMap<u64, Vec<usize>>,
}

impl Known {
    fn new(wordings: Vec<Wording>) -> Self {
        let mut index: HashMap<u64, Vec<usize>> = HashMap::new();
        for (idx, wording) in wordings.iter().enumerate() {
            index.entry(wording.key()).or_default().push(idx);
        }
        Self { wordings, index }
    }

    /// Every wording that knows a text.
    fn find(&self, text: &str) -> Vec<usize> {
        let tokens = read(text);
        let mut found: Vec<usize> = keys(&tokens)
            .iter()
            .filter_map(|key| self.index.get(key))
            .flatten()
            .copied()
            .collect();
        found.sort_unstable();
        found.dedup();
        found.retain(|idx| self.wordings[*idx].values(&tokens).is_some());
        found
    }
}

#[test]
fn a_paraphrase_is_known_and_a_near_miss_is_not() {
    let known = Known::new(
        QUESTIONS
            .lines()
            .filter_map(|line| wording(line.strip_prefix("= ")?))
            .collect(),
    );
    let (mut n_known, mut n_asked) = (0, 0);
    let mut wrong = Vec::new();
    let mut own = 0;
    for line in QUESTIONS.lines() {
        let (mark, text) = line.split_once(' ').expect("a mark and a text");
        let found = known.find(text);
        match mark {
            "=" => own = *found.first().expect("it knows its own words"),
            "+" if found != [own] => wrong.push(format!("is not known: {text}")),
            "-" if !found.is_empty() => wrong.push(format!(
                "is taken for {:?}: {text}",
                known.wordings[found[0]].shown
            )),
            _ => {}
        }
        if matches!(mark, "+" | "~") {
            n_asked += 1;
            n_known += usize::from(found == [own]);
            let values: Vec<String> = read(text)
                .into_iter()
                .filter(Token::is_value)
                .map(|token| token.text)
                .collect();
            if found == [own] {
                assert_eq!(
                    known.wordings[own].values(&read(text)).map(sorted),
                    Some(sorted(values)),
                    "{text}"
                );
            }
        }
    }
    assert_eq!(wrong, [] as [String; 0]);
    // The others say the same in words that nobody taught it, and go to the model.
    assert_eq!(
        (n_known, n_asked),
        (37, 47),
        "how many paraphrases are known"
    );
}

fn sorted(mut values: Vec<String>) -> Vec<String> {
    values.sort();
    values
}

/// Prompts with the function that each is for.
fn prompts(folder: &std::path::Path) -> Vec<(String, String)> {
    let mut prompts = Vec::new();
    for file in BFCL {
        let text = std::fs::read_to_string(folder.join(file)).expect("it can be read");
        let answers = std::fs::read_to_string(folder.join("possible_answer").join(file))
            .expect("it can be read");
        for (line, answer) in text.lines().zip(answers.lines()) {
            let prompt: Value = serde_json::from_str(line).expect("JSON");
            let answer: Value = serde_json::from_str(answer).expect("JSON");
            let said = prompt["question"][0][0]["content"]
                .as_str()
                .expect("a text")
                .to_owned();
            let call = answer["ground_truth"][0].as_object().expect("a call");
            prompts.push((said, call.keys().next().expect("a function").clone()));
        }
    }
    prompts
}

#[test]
fn of_other_peoples_prompts_none_is_taken_for_another() {
    let folder = std::env::var_os(FOLDER_VARIABLE)
        .map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
            PathBuf::from,
        )
        .join("bfcl");
    if !folder.is_dir() {
        return titan_testkit::skip(
            "data:bfcl",
            format!("{} is not there; set {FOLDER_VARIABLE}", folder.display()),
        );
    }
    let prompts = prompts(&folder);
    let known = Known::new(
        prompts
            .iter()
            .filter_map(|(text, _)| wording(text))
            .collect(),
    );
    let functions: Vec<&String> = prompts
        .iter()
        .filter(|(text, _)| wording(text).is_some())
        .map(|(_, function)| function)
        .collect();
    let (mut right, mut wrong) = (0, Vec::new());
    for (text, function) in &prompts {
        for idx in known.find(text) {
            match functions[idx] == function {
                true => right += 1,
                false => wrong.push((text, &known.wordings[idx].shown)),
            }
        }
    }
    // Every prompt is known by its own wording at least.
    assert!(right >= functions.len(), "{right} of {}", functions.len());
    assert!(
        wrong.len() * 200 <= right,
        "{right} right, wrong: {wrong:#?}"
    );
    // What everybody asks an engine is none of theirs, and neither are the questions of the file beside this.
    let ours = Known::new(
        QUESTIONS
            .lines()
            .filter_map(|line| wording(line.strip_prefix("= ")?))
            .collect(),
    );
    let taken: Vec<&String> = prompts
        .iter()
        .map(|(text, _)| text)
        .filter(|text| !ours.find(text).is_empty() || crate::builtin::find(text, true).is_some())
        .collect();
    assert_eq!(taken, [] as [&String; 0]);
}
