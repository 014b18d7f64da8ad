//! Policy: what a step may do, decided from its effects and never from its text. Pure.
//!
//! Three things decide, in this order: the rule for the effect's kind, what the turn holds ([`Provenance`]), and what
//! the person allowed earlier. Text from outside makes effects dangerous that a rule or a session's grant allows:
//!
//! | effect | is dangerous when the turn holds |
//! |---|---|
//! | network, message | a stranger's words and private data: the one could ask for the other |
//! | money, note | a stranger's words |
//!
//! What is dangerous is asked about, whatever the rules say, unless the person's own words back it.

use crate::provenance::Provenance;
use serde_json::{Map, Value};
use std::mem::discriminant;
use titan_protocol::{Effect, Grant, GrantScope, Origin, Taint, Verdict};

/// What a rule says of one kind of effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Go ahead.
    Allow,
    /// Ask the person, unless their own words in this turn spell it out.
    Ask,
    /// Never.
    Deny,
}

/// One rule for each kind of effect. The default looks freely inside the workspace and asks for everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Reads in the workspace.
    pub read: Rule,
    /// Reads elsewhere.
    pub read_outside: Rule,
    /// Changes to files in the workspace.
    pub write: Rule,
    /// Changes to files elsewhere.
    pub write_outside: Rule,
    /// Programs that are known to only look.
    pub run_reading: Rule,
    /// All other programs.
    pub run: Rule,
    /// Requests over the network.
    pub network: Rule,
    /// Messages in the person's name.
    pub message: Rule,
    /// Use of a secret.
    pub secret: Rule,
    /// Spending beyond model calls.
    pub money: Rule,
    /// Notes for later turns.
    pub remember: Rule,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            read: Rule::Allow,
            read_outside: Rule::Ask,
            write: Rule::Ask,
            write_outside: Rule::Ask,
            run_reading: Rule::Allow,
            run: Rule::Ask,
            network: Rule::Ask,
            message: Rule::Ask,
            secret: Rule::Ask,
            money: Rule::Ask,
            remember: Rule::Allow,
        }
    }
}

impl Rules {
    fn rule_for(&self, effect: &Effect) -> Rule {
        match effect {
            Effect::Read {
                in_workspace: true, ..
            } => self.read,
            Effect::Read {
                in_workspace: false,
                ..
            } => self.read_outside,
            Effect::Write {
                in_workspace: true, ..
            } => self.write,
            Effect::Write {
                in_workspace: false,
                ..
            } => self.write_outside,
            Effect::Run {
                reads_only: true, ..
            } => self.run_reading,
            Effect::Run {
                reads_only: false, ..
            } => self.run,
            Effect::Network { .. } => self.network,
            Effect::Message { .. } => self.message,
            Effect::Secret { .. } => self.secret,
            Effect::Money { .. } => self.money,
            Effect::Remember => self.remember,
        }
    }
}

/// What policy is asked about one step.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The tool's name.
    pub tool: &'a str,
    /// Who started the call.
    pub origin: Origin,
    /// What the step would do.
    pub effects: &'a [Effect],
    /// The step's arguments.
    pub arguments: &'a Map<String, Value>,
    /// What the turn has heard so far, and from whom.
    pub heard: &'a Provenance,
    /// What the person allowed earlier.
    pub grants: &'a [Grant],
    /// The step's exact fingerprint.
    pub fingerprint: &'a str,
}

/// The rules, applied.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    rules: Rules,
}

impl Policy {
    /// A policy of these rules.
    pub fn new(rules: Rules) -> Self {
        Self { rules }
    }

    /// Judges one step. The strictest of its effects decides.
    pub fn judge(&self, question: &Question<'_>) -> Verdict {
        if let Some(effect) = question
            .effects
            .iter()
            .find(|effect| self.rules.rule_for(effect) == Rule::Deny)
        {
            return Verdict::Deny {
                reason: format!("policy forbids to {}", describe(effect)),
            };
        }
        // A person who types a command has decided already; only what policy forbids outright is kept from them.
        if question.origin == Origin::Person {
            return Verdict::Allow {
                reason: "asked for by the person".to_owned(),
            };
        }
        let asked: Vec<Effect> = question
            .effects
            .iter()
            .filter(|e| self.must_ask(e, question))
            .cloned()
            .collect();
        if asked.is_empty() {
            return Verdict::Allow {
                reason: allowed_by(question),
            };
        }
        Verdict::Ask {
            reason: reason_to_ask(&asked, question),
            effects: asked,
        }
    }

    fn must_ask(&self, effect: &Effect, question: &Question<'_>) -> bool {
        let tainted = is_tainted(effect, question.heard.taint());
        let rule = if tainted {
            Rule::Ask
        } else {
            self.rules.rule_for(effect)
        };
        rule == Rule::Ask
            && !question.heard.backs(effect, question.arguments)
            && !question
                .grants
                .iter()
                .any(|grant| covers(grant, effect, tainted, question))
    }
}

/// Whether this effect could carry the person's data or money out at a stranger's word, or plant a stranger's words in
/// notes.
fn is_tainted(effect: &Effect, taint: Taint) -> bool {
    match effect {
        Effect::Network { .. } | Effect::Message { .. } => taint.untrusted && taint.private,
        Effect::Money { .. } | Effect::Remember => taint.untrusted,
        Effect::Read { .. } | Effect::Write { .. } | Effect::Run { .. } | Effect::Secret { .. } => {
            false
        }
    }
}

/// A session's grant does not reach effects that taint made dangerous: it was given before the stranger spoke.
fn covers(grant: &Grant, effect: &Effect, tainted: bool, question: &Question<'_>) -> bool {
    if grant.tool != question.tool {
        return false;
    }
    match &grant.scope {
        GrantScope::Exact { fingerprint } => fingerprint == question.fingerprint,
        GrantScope::Session { effects } => {
            !tainted && effects.iter().any(|granted| same_kind(granted, effect))
        }
    }
}

fn same_kind(granted: &Effect, effect: &Effect) -> bool {
    match (granted, effect) {
        (
            Effect::Read {
                in_workspace: a, ..
            },
            Effect::Read {
                in_workspace: b, ..
            },
        ) => a == b,
        // Elsewhere leave is for what was named, and what is below it.
        (
            Effect::Write {
                path: granted,
                in_workspace: a,
            },
            Effect::Write {
                path,
                in_workspace: b,
            },
        ) => a == b && (*a || path.starts_with(granted)),
        (Effect::Run { program: a, .. }, Effect::Run { program: b, .. }) => a == b && !is_opaque(a),
        (Effect::Network { host: a, .. }, Effect::Network { host: b, .. }) => a == b && a != "*",
        (Effect::Message { recipient: a }, Effect::Message { recipient: b }) => a == b,
        (Effect::Secret { name: a }, Effect::Secret { name: b }) => a == b,
        // Each spending is its own decision.
        (Effect::Money { .. }, Effect::Money { .. }) => false,
        _ => discriminant(granted) == discriminant(effect),
    }
}

/// Programs that run whatever they are given: leave for one script is no leave for the next.
pub(crate) fn is_opaque(program: &str) -> bool {
    const INTERPRETERS: [&str; 33] = [
        "bash", "sh", "dash", "zsh", "ksh", "fish", "busybox", "env", "sudo", "doas", "su", "nice",
        "nohup", "timeout", "xargs", "eval", "exec", "source", "python", "perl", "ruby", "node",
        "nodejs", "deno", "bun", "npx", "php", "lua", "ssh", "find", "awk", "gawk", "make",
    ];
    let name = program.rsplit('/').next().unwrap_or(program);
    // `python3.12` is python; `.` is the builtin that reads a script.
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    name.is_empty() || INTERPRETERS.contains(&name)
}

fn allowed_by(question: &Question<'_>) -> String {
    let is_backed = |effect| question.heard.backs(effect, question.arguments);
    if question.effects.iter().any(is_backed) {
        return "spelt out in the person's own words".to_owned();
    }
    let exact = question
        .grants
        .iter()
        .any(|grant| matches!(&grant.scope, GrantScope::Exact { fingerprint } if fingerprint == question.fingerprint));
    let reason = match (exact, question.grants.is_empty()) {
        (true, _) => "allowed before, exactly so",
        (false, false) => "within the rules and what was allowed for this session",
        (false, true) => "within the rules",
    };
    reason.to_owned()
}

fn reason_to_ask(effects: &[Effect], question: &Question<'_>) -> String {
    let mut wishes: Vec<String> = effects.iter().map(describe).collect();
    wishes.dedup();
    let mut reason = format!("wants to {}", wishes.join(", "));
    if effects
        .iter()
        .any(|effect| question.heard.pays_again(effect))
    {
        reason.push_str(", again in this turn");
    }
    if opens_the_network(effects, question.effects) {
        reason.push_str("; its programs can then reach any host");
    }
    let taint = question.heard.taint();
    if effects.iter().any(|effect| is_tainted(effect, taint))
        && let Some(warning) = question.heard.warning(question.arguments)
    {
        reason.push_str(&format!("; {warning}"));
    }
    reason
}

/// Whether leave for what is asked about lets programs onto the network: what confines them knows all hosts or none.
fn opens_the_network(asked: &[Effect], of_step: &[Effect]) -> bool {
    asked.iter().any(|e| matches!(e, Effect::Network { .. }))
        && of_step.iter().any(|e| matches!(e, Effect::Run { .. }))
}

/// An effect in words, after "wants to". Never shortened: the person decides on it.
fn describe(effect: &Effect) -> String {
    match effect {
        Effect::Read {
            path,
            in_workspace: true,
        } => format!("read {}", path.display()),
        Effect::Read {
            path,
            in_workspace: false,
        } => format!("read {} outside of the workspace", path.display()),
        Effect::Write {
            path,
            in_workspace: true,
        } => format!("change {}", path.display()),
        Effect::Write {
            path,
            in_workspace: false,
        } => format!("change {} outside of the workspace", path.display()),
        Effect::Run { program, .. } => format!("run {program}"),
        Effect::Network { host, port: 0 } => format!("reach {host} over the network"),
        Effect::Network { host, port } => format!("reach {host}:{port} over the network"),
        Effect::Message { recipient } => format!("send a message to {recipient}"),
        Effect::Secret { name } => format!("use the secret {name}"),
        Effect::Money {
            usd_micros,
            recipient,
        } => {
            let to = if recipient.is_empty() { "" } else { " to " };
            format!(
                "spend up to ${:.2}{to}{recipient}",
                *usd_micros as f64 / 1e6
            )
        }
        Effect::Remember => "keep a note for later turns".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(in_workspace: bool) -> Effect {
        Effect::Read {
            path: "/w/a".into(),
            in_workspace,
        }
    }
    fn write(in_workspace: bool) -> Effect {
        Effect::Write {
            path: "/w/a".into(),
            in_workspace,
        }
    }
    fn run(program: &str, reads_only: bool) -> Effect {
        Effect::Run {
            program: program.into(),
            arguments: vec![],
            reads_only,
        }
    }
    fn network(host: &str) -> Effect {
        Effect::Network {
            host: host.into(),
            port: 443,
        }
    }
    fn money() -> Effect {
        Effect::Money {
            usd_micros: 1,
            recipient: "somebody".into(),
        }
    }
    fn session_grant(effect: Effect) -> Vec<Grant> {
        vec![Grant {
            tool: "t".into(),
            scope: GrantScope::Session {
                effects: vec![effect],
            },
        }]
    }
    fn exact_grant(fingerprint: &str) -> Vec<Grant> {
        vec![Grant {
            tool: "t".into(),
            scope: GrantScope::Exact {
                fingerprint: fingerprint.into(),
            },
        }]
    }

    fn verdict(
        rules: Rules,
        effects: &[Effect],
        taint: Taint,
        grants: &[Grant],
        origin: Origin,
    ) -> &'static str {
        let arguments = Map::from_iter([("text".to_owned(), Value::from("so it is"))]);
        let question = Question {
            tool: "t",
            origin,
            effects,
            arguments: &arguments,
            heard: &Provenance::new(taint),
            grants,
            fingerprint: "f",
        };
        match Policy::new(rules).judge(&question) {
            Verdict::Allow { .. } => "allow",
            Verdict::Ask { .. } => "ask",
            Verdict::Deny { .. } => "deny",
        }
    }

    #[test]
    fn x6_effects_grants_and_taint_decide() {
        let open = Rules {
            network: Rule::Allow,
            ..Rules::default()
        };
        let shut = Rules {
            write: Rule::Deny,
            ..Rules::default()
        };
        let none: &[Grant] = &[];
        let table = [
            (
                "no effects",
                Rules::default(),
                vec![],
                Taint::NONE,
                none.to_vec(),
                Origin::Model,
                "allow",
            ),
            (
                "read",
                Rules::default(),
                vec![read(true)],
                Taint::BOTH,
                none.to_vec(),
                Origin::Model,
                "allow",
            ),
            (
                "read outside",
                Rules::default(),
                vec![read(false)],
                Taint::NONE,
                none.to_vec(),
                Origin::Model,
                "ask",
            ),
            (
                "the strictest decides",
                Rules::default(),
                vec![read(true), write(true)],
                Taint::NONE,
                none.to_vec(),
                Origin::Model,
                "ask",
            ),
            (
                "granted kind",
                Rules::default(),
                vec![write(true)],
                Taint::NONE,
                session_grant(write(true)),
                Origin::Model,
                "allow",
            ),
            (
                "granted inside, not outside",
                Rules::default(),
                vec![write(false)],
                Taint::NONE,
                session_grant(write(true)),
                Origin::Model,
                "ask",
            ),
            (
                "same program",
                Rules::default(),
                vec![run("/bin/cargo", false)],
                Taint::NONE,
                session_grant(run("/bin/cargo", false)),
                Origin::Model,
                "allow",
            ),
            (
                "another program",
                Rules::default(),
                vec![run("/bin/rm", false)],
                Taint::NONE,
                session_grant(run("/bin/cargo", false)),
                Origin::Model,
                "ask",
            ),
            (
                "an interpreter is never granted as such",
                Rules::default(),
                vec![run("/bin/bash", false)],
                Taint::NONE,
                session_grant(run("/bin/bash", false)),
                Origin::Model,
                "ask",
            ),
            (
                "an unknown host is never granted as such",
                Rules::default(),
                vec![network("*")],
                Taint::NONE,
                session_grant(network("*")),
                Origin::Model,
                "ask",
            ),
            (
                "exact",
                Rules::default(),
                vec![run("/bin/bash", false)],
                Taint::NONE,
                exact_grant("f"),
                Origin::Model,
                "allow",
            ),
            (
                "exact, after a stranger spoke too: the person saw it all",
                Rules::default(),
                vec![network("a")],
                Taint::BOTH,
                exact_grant("f"),
                Origin::Model,
                "allow",
            ),
            (
                "exact, other step",
                Rules::default(),
                vec![run("/bin/bash", false)],
                Taint::NONE,
                exact_grant("g"),
                Origin::Model,
                "ask",
            ),
            (
                "network allowed by rule",
                open,
                vec![network("a")],
                Taint::PRIVATE,
                none.to_vec(),
                Origin::Model,
                "allow",
            ),
            (
                "but not with a stranger's words beside private data",
                open,
                vec![network("a")],
                Taint::BOTH,
                none.to_vec(),
                Origin::Model,
                "ask",
            ),
            (
                "nor by a session's grant",
                open,
                vec![network("a")],
                Taint::BOTH,
                session_grant(network("a")),
                Origin::Model,
                "ask",
            ),
            (
                "a stranger's words are not noted unasked",
                Rules::default(),
                vec![Effect::Remember],
                Taint::UNTRUSTED,
                none.to_vec(),
                Origin::Model,
                "ask",
            ),
            (
                "money is not spent at a stranger's word, whatever the rules say",
                Rules {
                    money: Rule::Allow,
                    ..Rules::default()
                },
                vec![money()],
                Taint::UNTRUSTED,
                none.to_vec(),
                Origin::Model,
                "ask",
            ),
            (
                "forbidden",
                shut,
                vec![write(true)],
                Taint::NONE,
                session_grant(write(true)),
                Origin::Model,
                "deny",
            ),
            (
                "forbidden for people too",
                shut,
                vec![write(true)],
                Taint::NONE,
                none.to_vec(),
                Origin::Person,
                "deny",
            ),
            (
                "people decide for themselves",
                Rules::default(),
                vec![write(false)],
                Taint::BOTH,
                none.to_vec(),
                Origin::Person,
                "allow",
            ),
        ];
        for (name, rules, effects, taint, grants, origin, expected) in table {
            assert_eq!(
                verdict(rules, &effects, taint, &grants, origin),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn leave_to_write_elsewhere_is_for_what_was_named_and_below() {
        let outside = |path: &str| Effect::Write {
            path: path.into(),
            in_workspace: false,
        };
        let grants = session_grant(outside("/home/p/.cargo/registry/"));
        for (path, wanted) in [
            ("/home/p/.cargo/registry/", "allow"),
            ("/home/p/.cargo/registry/src/x", "allow"),
            ("/home/p/.bashrc", "ask"),
        ] {
            let rules = Rules::default();
            let got = verdict(rules, &[outside(path)], Taint::NONE, &grants, Origin::Model);
            assert_eq!(got, wanted, "{path}");
        }
    }

    #[test]
    fn a_grant_for_one_tool_does_not_serve_another() {
        let grants = vec![Grant {
            tool: "other".into(),
            scope: GrantScope::Session {
                effects: vec![write(true)],
            },
        }];
        assert_eq!(
            verdict(
                Rules::default(),
                &[write(true)],
                Taint::NONE,
                &grants,
                Origin::Model
            ),
            "ask"
        );
    }

    #[test]
    fn what_the_persons_own_words_spell_out_is_not_asked_about() {
        let mut heard = Provenance::new(Taint::BOTH);
        heard.person_said("remember that tea is at five, and get https://example.com/tea");
        let judged = |effect: Effect, arguments: Value| {
            let Value::Object(arguments) = arguments else {
                panic!("arguments are an object")
            };
            let verdict = Policy::default().judge(&Question {
                tool: "t",
                origin: Origin::Model,
                effects: &[effect],
                arguments: &arguments,
                heard: &heard,
                grants: &[],
                fingerprint: "f",
            });
            match verdict {
                Verdict::Allow { reason }
                | Verdict::Ask { reason, .. }
                | Verdict::Deny { reason } => reason,
            }
        };
        let host = || network("example.com");
        assert_eq!(
            judged(Effect::Remember, json!({"text": "tea is at five"})),
            "spelt out in the person's own words"
        );
        assert_eq!(
            judged(host(), json!({"url": "https://example.com/tea"})),
            "spelt out in the person's own words"
        );
        assert_eq!(
            judged(host(), json!({"url": "https://example.com/tea?key=1"})),
            "wants to reach example.com:443 over the network; this turn holds text that others may have written (the session so far) and data of yours (the session so far)"
        );
        assert_eq!(
            judged(write(true), json!({"text": "tea is at five"})),
            "wants to change /w/a"
        );
    }

    #[test]
    fn a_question_about_a_programs_network_says_that_it_is_all_of_it() {
        let asked = |effects: &[Effect]| {
            let question = Question {
                tool: "t",
                origin: Origin::Model,
                effects,
                arguments: &Map::new(),
                heard: &Provenance::default(),
                grants: &[],
                fingerprint: "f",
            };
            match Policy::new(Rules::default()).judge(&question) {
                Verdict::Ask { reason, .. } => reason,
                other => panic!("{other:?}"),
            }
        };
        let host = network("crates.io");
        assert_eq!(
            asked(&[run("/bin/cargo", true), host.clone()]),
            "wants to reach crates.io:443 over the network; its programs can then reach any host"
        );
        assert_eq!(
            asked(&[host]),
            "wants to reach crates.io:443 over the network"
        );
        assert_eq!(
            asked(&[run("/bin/cargo", false)]),
            "wants to run /bin/cargo"
        );
    }
}
