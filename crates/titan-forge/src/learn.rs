//! Makes reflexes of turns: of two that have a plan in common, of one whose answer depends on its question alone, and of a
//! known reflex that was asked for in other words.

use crate::case::Case;
use crate::learned::{Program, State};
use crate::mine::{Filled, plan};
use crate::prove::{Verdict, replay, taken_for_it};
use crate::reflex::{Origin, Reflex, Rule};
use crate::reflexes::{Promotion, Reflexes};
use crate::wording::{Wording, align};
use crate::words::{Token, is_puzzle, is_timeless, tokens};
use bytes::Bytes;
use titan_protocol::{ReflexState, StorageError};

/// Ways to ask for one thing.
const WORDINGS_MAX: usize = 8;

impl Reflexes {
    /// Makes a reflex of a turn and another that it has a plan in common with, or of one that depends on its question alone.
    ///
    /// Whether one was made that answers turns like it, with other values too.
    ///
    /// # Errors
    /// When it can't be stored.
    pub(crate) async fn learn(&self, case: &Case, tokens: &[Token]) -> Result<bool, StorageError> {
        let found = self
            .worded_anew(case, tokens)
            .or_else(|| match case.calls.is_empty() {
                true => self.answer(case, tokens),
                false => self.plan(case, tokens),
            });
        let Some(mut reflex) = found else {
            return Ok(false);
        };
        let is_plan = !matches!(reflex.rule, Rule::Answer { .. });
        self.promote_if_proved(&mut reflex);
        self.make_room().await?;
        self.store(reflex).await?;
        Ok(is_plan)
    }

    /// The answer of a turn that called nothing, where it can hold for longer.
    fn answer(&self, case: &Case, tokens: &[Token]) -> Option<Reflex> {
        let is_fit = case.is_first && is_timeless(&case.asked);
        let wording = Wording::of(tokens, &[]).filter(|_| is_fit)?;
        let rule = Rule::Answer {
            text: case.answer.clone(),
            model: case.model.clone(),
            is_puzzle: is_puzzle(tokens),
        };
        let because = "an answer without any tool, to a question that names no time, nothing of yours and nothing said before";
        let mut reflex = Reflex::new(
            self.shared.state.read().name_for(tokens),
            rule,
            vec![wording],
            &[case],
            because,
        );
        reflex.built_at = (self.shared.ports.now)();
        Some(reflex)
    }

    /// The plan that a turn has in common with an earlier one.
    fn plan(&self, case: &Case, tokens: &[Token]) -> Option<Reflex> {
        let state = self.shared.state.read();
        state
            .cases
            .iter()
            .rev()
            .find_map(|earlier| self.common(earlier, case, tokens, &state))
    }

    fn common(
        &self,
        earlier: &Case,
        case: &Case,
        tokens_of_case: &[Token],
        state: &State,
    ) -> Option<Reflex> {
        let called = |case: &Case| -> Vec<String> {
            case.calls.iter().map(|call| call.tool.clone()).collect()
        };
        let is_alike = called(earlier) == called(case) && earlier.tools == case.tools;
        let tokens_before = tokens(&earlier.asked).filter(|_| is_alike)?;
        let (slots_a, slots_b) = align(tokens_of_case, &tokens_before)?;
        let value = |tokens: &[Token], at: usize| tokens[at].text.clone();
        let values_a: Vec<String> = slots_a
            .iter()
            .map(|slot| value(tokens_of_case, slot.at))
            .collect();
        let values_b: Vec<String> = slots_b
            .iter()
            .map(|slot| value(&tokens_before, slot.at))
            .collect();
        let (a, b) = (
            Filled {
                case,
                slots: &values_a,
            },
            Filled {
                case: earlier,
                slots: &values_b,
            },
        );
        let plan = plan(a, b).or_else(|| plan(b, a))?;
        let mut wordings = vec![
            Wording::of(tokens_of_case, &slots_a)?,
            Wording::of(&tokens_before, &slots_b)?,
        ];
        wordings.dedup_by(|a, b| a.values(&tokens_before) == b.values(&tokens_before));
        let because = "the same calls answered the same question before";
        let mut reflex = Reflex::new(
            state.name_for(tokens_of_case),
            Rule::Plan(plan),
            wordings,
            &[earlier, case],
            because,
        );
        reflex.tools.clone_from(&case.tools);
        reflex.built_at = (self.shared.ports.now)();
        reflex.go_on_from(state, &case.asked, tokens_of_case);
        self.is_proved_on(&mut reflex, [earlier, case], state)
            .then_some(reflex)
    }

    /// Whether a reflex gives again what it was built from, takes nothing near it for it, and says the same as the model in
    /// every other turn that is known.
    fn is_proved_on(&self, reflex: &mut Reflex, built_from: [&Case; 2], state: &State) -> bool {
        let program = Program::new(&reflex.rule, Bytes::new(), &self.shared.ports.host);
        let verdict = |case: &Case| {
            let values = reflex.values(&case.asked, &tokens(&case.asked)?)?;
            Some(replay(&program, &values, case))
        };
        if built_from
            .iter()
            .any(|case| verdict(case) != Some(Verdict::Agrees))
        {
            return false;
        }
        if built_from
            .iter()
            .any(|case| taken_for_it(&reflex.wordings, &case.asked).is_some())
        {
            return false;
        }
        let others = state
            .cases
            .iter()
            .filter(|case| !built_from.iter().any(|it| it.turn == case.turn));
        let verdicts: Vec<(&Case, Verdict)> = others
            .filter(|case| reflex.is_comparable(case))
            .filter_map(|case| Some((case, verdict(case)?)))
            .collect();
        for (case, verdict) in &verdicts {
            reflex.add_proof(verdict, case);
            reflex.agreements += u32::from(*verdict == Verdict::Agrees);
        }
        !verdicts
            .iter()
            .any(|(_, verdict)| matches!(verdict, Verdict::Differs(_)))
    }

    /// A known reflex with the words of this turn, which did what it would have done.
    fn worded_anew(&self, case: &Case, tokens: &[Token]) -> Option<Reflex> {
        let state = self.shared.state.read();
        let mut entries = state.reflexes.values().filter(|entry| {
            let steps = entry.reflex.rule.plan().steps;
            entry.reflex.wordings.len() < WORDINGS_MAX
                && !matches!(entry.reflex.rule, Rule::Answer { .. })
                && entry.reflex.is_comparable(case)
                && steps.len() == case.calls.len()
                && steps
                    .iter()
                    .zip(&case.calls)
                    .all(|(step, call)| step.tool == call.tool)
        });
        entries.find_map(|entry| {
            let first = entry.reflex.wordings.first()?;
            let (slots, values) = first.slots_of(tokens)?;
            let is_same = replay(entry.program.as_ref(), &values, case) == Verdict::Agrees;
            let wording = Wording::of(tokens, &slots).filter(|_| is_same)?;
            let mut reflex = entry.reflex.clone();
            reflex.wordings.push(wording);
            reflex.built_from.push(Origin::of(case));
            taken_for_it(&reflex.wordings, &case.asked)
                .is_none()
                .then_some(reflex)
        })
    }

    /// Promotes what was proved, where that is the policy; else proposes it.
    pub(crate) fn promote_if_proved(&self, reflex: &mut Reflex) {
        if reflex.state != ReflexState::Shadow {
            return;
        }
        let is_policy = self.shared.config.promotion == Promotion::Proved;
        let is_puzzle = matches!(
            reflex.rule,
            Rule::Answer {
                is_puzzle: true,
                ..
            }
        );
        let least = match reflex.rule {
            Rule::Plan(_) | Rule::Written(_) => self.shared.config.agreements_min,
            // A second answer of the same model proves nothing of a puzzle that the first did not.
            Rule::Answer { .. } if is_policy && is_puzzle => 0,
            Rule::Answer { .. } => 1,
        };
        if reflex.agreements < least {
            return;
        }
        // Whether any other answer depends on its question alone is for a person to say.
        if is_policy && (is_puzzle || !matches!(reflex.rule, Rule::Answer { .. })) {
            reflex.promote("it was proved, and the config says that this is enough");
        } else {
            reflex.state = ReflexState::Proposed;
        }
    }
}
