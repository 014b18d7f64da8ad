//! A plan's component does what the plan says, whatever it is given.

use super::rig::host;
use crate::encode::encode;
use crate::plan::{Extract, Form, Known, Piece, Plan, Source, Step, Template};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};
use titan_protocol::{ReflexCall, ReflexHost, ReflexStep};

static HOST: LazyLock<(tempfile::TempDir, Arc<dyn ReflexHost>)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let host = host(&folder);
    (folder, host)
});

/// What a plan says by its rule.
fn by_rule(plan: &Plan, slots: &[String], outcomes: &[String]) -> ReflexStep {
    let given: Vec<&str> = outcomes.iter().map(String::as_str).collect();
    let known = Known {
        slots,
        outcomes: &given,
    };
    let not_found =
        || ReflexStep::Decline("what was found does not look as it did before".to_owned());
    match plan.steps.get(outcomes.len()) {
        Some(step) => step
            .arguments
            .render(known)
            .map_or_else(not_found, |arguments| {
                ReflexStep::Call(vec![ReflexCall {
                    tool: step.tool.clone(),
                    arguments: serde_json::from_str(&arguments)
                        .expect("a template of JSON renders as JSON"),
                }])
            }),
        None => plan
            .answer
            .render(known)
            .map_or_else(not_found, ReflexStep::Answer),
    }
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("name = \"".to_owned()),
        Just("\n".to_owned()),
        Just(" ".to_owned()),
        Just("\t\r".to_owned()),
        Just("\"\\\u{1}".to_owned()),
        "[0-9]{1,4}",
        "[0-9]{1,2}[.,][0-9]",
        "[a-z_-]{1,5}",
        Just("äß€".to_owned()),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn source() -> impl Strategy<Value = Source> {
    let extract = prop_oneof![
        Just(Extract::Whole),
        Just(Extract::Lines),
        (0..4_u32).prop_map(Extract::Line),
        (0..4_u32).prop_map(Extract::Number),
        ("(name = \"|= |ä|[0-9])", "(|\"| )")
            .prop_map(|(before, after)| Extract::Between { before, after }),
    ];
    prop_oneof![
        (0..2_usize).prop_map(Source::Slot),
        extract.prop_map(|extract| Source::Outcome { call: 0, extract }),
    ]
}

fn value(form: Form) -> impl Strategy<Value = Piece> {
    source().prop_map(move |source| Piece::Value { source, form })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_component_does_what_its_plan_says(
        pieces in vec(prop_oneof![text().prop_map(Piece::Text), value(Form::Raw), value(Form::Plain), value(Form::Number)], 0..6),
        slots in vec(text(), 2),
        outcome in text(),
    ) {
        let arguments = Template(vec![
            Piece::Text("{\"a\":\"".to_owned()),
            Piece::Value { source: Source::Slot(0), form: Form::Json },
            Piece::Text("\",\"b\":\"".to_owned()),
            Piece::Value { source: Source::Slot(1), form: Form::Plain },
            Piece::Text("\"}".to_owned()),
        ]);
        let plan = Plan {
            steps: vec![Step { tool: "shell".to_owned(), arguments, remark: None }],
            answer: Template(pieces),
        };
        let component = encode(&plan).expect("it is small");
        let program = HOST.1.prepare(&component).expect("it is a reflex");
        let outcomes = [outcome];
        for outcomes in [&outcomes[..0], &outcomes[..]] {
            prop_assert_eq!(program.next(&slots, outcomes), Ok(by_rule(&plan, &slots, outcomes)));
        }
    }
}

#[test]
fn a_large_answer_and_a_large_outcome_fit() {
    let long = "a line of text\n".repeat(20_000);
    let plan = Plan {
        steps: vec![Step {
            tool: "read".to_owned(),
            arguments: Template(vec![Piece::Text("{}".to_owned())]),
            remark: None,
        }],
        answer: Template(vec![
            Piece::Text(long.clone()),
            Piece::Value {
                source: Source::Outcome {
                    call: 0,
                    extract: Extract::Whole,
                },
                form: Form::Raw,
            },
        ]),
    };
    let program = HOST
        .1
        .prepare(&encode(&plan).expect("it fits"))
        .expect("it is a reflex");
    let outcomes = [long.clone()];
    assert_eq!(
        program.next(&[], &outcomes),
        Ok(by_rule(&plan, &[], &outcomes))
    );
}
