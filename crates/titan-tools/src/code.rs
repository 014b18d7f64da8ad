//! `symbol`, `callers`, `callees`, `impact` and `map`: what the workspace's code defines, and what uses it.

use crate::call::{self, WholeCall};
use crate::files;
use crate::output;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use titan_protocol::{
    CODE_DEPTH_MAX, CODE_SYMBOLS_MAX, CODE_TOKENS_MAX, ClientError, CodeDirection, CodeFound,
    CodeGraph, CodeImpact, CodeSymbol, CodeUse, CodeUseKind, CodeUses, Effect, Taint, ToolContext,
    ToolError, ToolOutput, ToolSpec, Workbench,
};

/// Symbols and uses that one call gives unless it says otherwise.
const LIMIT_DEFAULT: usize = 40;
/// Uses over which an impact is followed unless a call says otherwise.
const DEPTH_DEFAULT: usize = 3;
/// Tokens of an outline unless a call says otherwise.
const TOKENS_DEFAULT: usize = 1_500;
/// The longest name that is asked about, in characters.
const NAME_CHARS_MAX: usize = 400;
/// Uses that are less sure are said to be a guess by name, of 100.
const SURE_MIN: u8 = 50;

/// A question about the code.
#[derive(Clone, Copy)]
pub(crate) enum Question {
    Symbol,
    Uses(CodeDirection),
    Impact,
}

pub(crate) struct OfSymbol {
    pub(crate) question: Question,
    pub(crate) code: Arc<dyn CodeGraph>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    name: String,
    limit: Option<usize>,
    depth: Option<usize>,
}

#[async_trait]
impl WholeCall for OfSymbol {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        let mut properties = json!({
            "name": {"type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX, "description": "A name, such as close or Session.close, or path:line"},
            "limit": {"type": "integer", "minimum": 1, "maximum": CODE_SYMBOLS_MAX}
        });
        let (name, description) = match self.question {
            Question::Symbol => ("symbol", include_str!("symbol.md")),
            Question::Uses(CodeDirection::Callers) => ("callers", include_str!("callers.md")),
            Question::Uses(CodeDirection::Callees) => ("callees", include_str!("callees.md")),
            Question::Impact => {
                properties["depth"] = json!({"type": "integer", "minimum": 1, "maximum": CODE_DEPTH_MAX, "description": "How many uses away, 3 if left out"});
                ("impact", include_str!("impact.md"))
            }
        };
        call::spec(name, description, schema(properties, &["name"]))
    }

    fn example(&self) -> &'static str {
        r#"{"name": "Session.close"}"#
    }

    async fn effects(
        &self,
        _arguments: Arguments,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        Ok(vec![files::read_effect(workbench, ".").await?])
    }

    async fn run(
        &self,
        context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let folder = context.workbench.root();
        let (name, code) = (&arguments.name, &self.code);
        let limit = arguments.limit.unwrap_or(LIMIT_DEFAULT);
        let text = match self.question {
            Question::Symbol => symbols(&code.symbols(folder, name, limit).await.map_err(reply)?),
            Question::Uses(direction) => {
                let found = code.uses(folder, name, direction, limit).await;
                uses(&found.map_err(reply)?, direction)
            }
            Question::Impact => {
                let depth = arguments.depth.unwrap_or(DEPTH_DEFAULT);
                impact(
                    &code
                        .impact(folder, name, depth, limit)
                        .await
                        .map_err(reply)?,
                )
            }
        };
        Ok(output::text(text, Taint::BOTH))
    }
}

pub(crate) struct Map {
    pub(crate) code: Arc<dyn CodeGraph>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MapArguments {
    about: Option<String>,
    tokens: Option<usize>,
}

#[async_trait]
impl WholeCall for Map {
    type Arguments = MapArguments;

    fn spec(&self) -> ToolSpec {
        let properties = json!({
            "about": {"type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX, "description": "Words, such as rate limiting: the files that are about them come first"},
            "tokens": {"type": "integer", "minimum": 1, "maximum": CODE_TOKENS_MAX, "description": "How long it may be, 1500 if left out"}
        });
        call::spec("map", include_str!("map.md"), schema(properties, &[]))
    }

    fn example(&self) -> &'static str {
        r#"{"about": "rate limiting"}"#
    }

    async fn effects(
        &self,
        _arguments: MapArguments,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        Ok(vec![files::read_effect(workbench, ".").await?])
    }

    async fn run(
        &self,
        context: &ToolContext,
        arguments: MapArguments,
    ) -> Result<ToolOutput, ToolError> {
        let tokens = arguments.tokens.unwrap_or(TOKENS_DEFAULT);
        let (folder, about) = (context.workbench.root(), arguments.about.as_deref());
        let map = self.code.map(folder, about, tokens).await;
        let text = match map.map_err(reply)? {
            empty if empty.is_empty() && about.is_some() => {
                "[no file is about that; ask without about, or with other words]".to_owned()
            }
            empty if empty.is_empty() => "[no code of a language that is known]".to_owned(),
            map => map,
        };
        Ok(output::text(text, Taint::BOTH))
    }
}

/// Symbols as text, one a line: where it is, what it is, and what declares it.
pub fn symbols(symbols: &[CodeSymbol]) -> String {
    if symbols.is_empty() {
        return "[nothing is called so]".to_owned();
    }
    let line = |symbol: &CodeSymbol| {
        let doc = match symbol.doc.as_str() {
            "" => String::new(),
            doc => format!(" -- {doc}"),
        };
        let signature = match symbol.signature.as_str() {
            "" => String::new(),
            signature => format!(": {signature}"),
        };
        let test = if symbol.is_test { "test " } else { "" };
        format!(
            "{}:{}-{} {test}{} {}{signature}{doc}",
            symbol.path, symbol.line, symbol.end_line, symbol.kind, symbol.name
        )
    };
    symbols.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Files that were found, as text: what each is about and its tags behind its path, and below it what it defines whose
/// names have what was asked for.
pub fn found(found: &[CodeFound]) -> String {
    if found.is_empty() {
        return "[no file is about that]".to_owned();
    }
    let mut lines = Vec::new();
    for file in found {
        let about = match file.summary.as_str() {
            "" => String::new(),
            summary => format!(" -- {summary}"),
        };
        let tags = match file.tags.as_slice() {
            [] => String::new(),
            tags => format!(" [{}]", tags.join(", ")),
        };
        lines.push(format!("{}{about}{tags}", file.path));
        for symbol in &file.symbols {
            let said = match symbol.signature.as_str() {
                "" => &symbol.name,
                signature => signature,
            };
            lines.push(format!("{:>5}  {said}", symbol.line));
        }
    }
    lines.join("\n")
}

/// Uses as text, one a line, under what was asked about.
pub fn uses(uses: &CodeUses, direction: CodeDirection) -> String {
    if uses.of.is_empty() {
        return "[nothing is called so]".to_owned();
    }
    let mut lines = asked_about(&uses.of);
    for used in &uses.uses {
        lines.push(of_use(used, direction));
    }
    if uses.uses.is_empty() {
        lines.push(match direction {
            CodeDirection::Callers => "[no use of it was found]".to_owned(),
            CodeDirection::Callees => "[it uses nothing that was found]".to_owned(),
        });
    }
    lines.extend(left_out(uses.left_out));
    lines.extend(unsettled(uses.unsettled));
    lines.join("\n")
}

fn of_use(used: &CodeUse, direction: CodeDirection) -> String {
    let guess = guess(used.confidence);
    let place = format!("{}:{}", used.path, used.line);
    let symbol = &used.symbol;
    let test = if symbol.is_test { " (test)" } else { "" };
    match direction {
        CodeDirection::Callers => {
            let verb = match used.kind {
                CodeUseKind::Calls => "calls it",
                CodeUseKind::Makes => "makes one",
                CodeUseKind::Inherits => "is made from it",
                CodeUseKind::Names => "names it",
                CodeUseKind::Imports => "imports it",
            };
            format!("{place} {} {verb}{test}{guess}", symbol.name)
        }
        CodeDirection::Callees => {
            let verb = match used.kind {
                CodeUseKind::Calls => "calls",
                CodeUseKind::Makes => "makes",
                CodeUseKind::Inherits => "is made from",
                CodeUseKind::Names => "names",
                CodeUseKind::Imports => "imports",
            };
            let at = match symbol.path.as_str() {
                "" => "outside".to_owned(),
                path => format!("{path}:{}", symbol.line),
            };
            format!("{place} {verb} {} ({at}){guess}", symbol.name)
        }
    }
}

/// What a change reaches, as text, one a line, the nearest first.
pub fn impact(impact: &CodeImpact) -> String {
    if impact.of.is_empty() {
        return "[nothing is called so]".to_owned();
    }
    let mut lines = asked_about(&impact.of);
    for reached in &impact.reached {
        let symbol = &reached.symbol;
        let test = if symbol.is_test { " (test)" } else { "" };
        lines.push(format!(
            "{}:{} {}{test} uses {}, {} away{}",
            symbol.path,
            symbol.line,
            symbol.name,
            reached.over,
            reached.distance,
            guess(reached.confidence)
        ));
    }
    if impact.reached.is_empty() {
        lines.push("[nothing that was found uses it]".to_owned());
    }
    lines.extend(left_out(impact.left_out));
    if impact.files > 1 {
        lines.push(format!("[in {} files]", impact.files));
    }
    lines.extend(unsettled(impact.unsettled));
    lines.join("\n")
}

fn asked_about(of: &[CodeSymbol]) -> Vec<String> {
    of.iter()
        .map(|symbol| {
            format!(
                "of {}:{} {} {}",
                symbol.path, symbol.line, symbol.kind, symbol.name
            )
        })
        .collect()
}

fn guess(confidence: u8) -> &'static str {
    if confidence < SURE_MIN {
        ", by its name alone"
    } else {
        ""
    }
}

fn left_out(count: usize) -> Option<String> {
    (count > 0).then(|| format!("[{count} more; ask for more by limit]"))
}

fn unsettled(count: usize) -> Option<String> {
    let files = match count {
        0 => return None,
        1 => "1 changed file is".to_owned(),
        count => format!("{count} changed files are"),
    };
    Some(format!(
        "[{files} still being worked out: what is called from there is told, what others make of it may be missing]"
    ))
}

fn schema(properties: Value, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false
    })
}

fn reply(error: ClientError) -> ToolError {
    ToolError::Reply(error.to_string())
}
