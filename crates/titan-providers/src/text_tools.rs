//! Tool calls with models and servers that cannot make them, or only say that they can.
//!
//! In [`Mode::Text`] the tools are described in the prompt and the calls are read from the answer's text. In
//! [`Mode::Watch`] the server is trusted with the tools, but calls that come as text all the same are taken for what
//! they are; a server that refuses `tools`, or says that it would drop them, is spoken to in text from then on. An attempt at a call that fails is
//! asked for once more, held to a schema where the server can do that. No call is given out unless it is whole, and
//! none twice.

use crate::failure::Vendor;
use crate::http::Endpoint;
use crate::probe::drops_tools;
use crate::text_calls::{Found, TextCall, Watch, calls_in};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use titan_protocol::{
    Content, Message, ModelError, ModelEvent, ModelInfo, ModelRequest, ModelStream, Provider, Role,
    StopReason, ToolChoice, ToolSpec, Usage,
};
use tokio::sync::OnceCell;

/// How tools are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In the prompt.
    Text,
    /// On the wire, with an eye on the text.
    Watch,
}

/// Whom to ask, before the first tools are sent, whether they would be dropped.
pub(crate) struct Doubt {
    pub(crate) endpoint: Endpoint,
    pub(crate) vendor: Vendor,
}

/// A provider whose tool calls may come as text.
pub(crate) struct TextTools {
    core: Arc<Core>,
}

struct Core {
    inner: Arc<dyn Provider>,
    /// Set once the server has refused `tools` or is known to drop them.
    is_text: AtomicBool,
    doubt: Option<Doubt>,
    /// The question was put.
    is_settled: OnceCell<()>,
}

impl TextTools {
    pub(crate) fn new(inner: Arc<dyn Provider>, mode: Mode, doubt: Option<Doubt>) -> Self {
        Self {
            core: Arc::new(Core {
                inner,
                is_text: AtomicBool::new(mode == Mode::Text),
                doubt,
                is_settled: OnceCell::new(),
            }),
        }
    }
}

impl Core {
    /// Puts tools into the prompt from now on; whether that is a change.
    fn go_over_to_text(&self) -> bool {
        let was_text = self.is_text.swap(true, Ordering::Relaxed);
        if !was_text {
            tracing::info!(
                provider = self.inner.name(),
                "the server takes no tools; they go into the prompt from now on"
            );
        }
        !was_text
    }
}

#[async_trait]
impl Provider for TextTools {
    fn name(&self) -> &str {
        self.core.inner.name()
    }

    fn stream(&self, request: ModelRequest) -> ModelStream {
        let talk = Talk {
            core: Arc::clone(&self.core),
            request,
            current: None,
            watch: Watch::new(Arc::default()),
            n_text_calls: 0,
            has_native_calls: false,
            is_routed: false,
            said: String::new(),
            earlier: Usage::default(),
            latest: Usage::default(),
            queue: VecDeque::new(),
            is_over: false,
        };
        stream::unfold(talk, |mut talk| async move {
            talk.next().await.map(|item| (item, talk))
        })
        .boxed()
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        self.core.inner.models().await
    }
}

/// One reply, perhaps asked for twice.
struct Talk {
    core: Arc<Core>,
    request: ModelRequest,
    current: Option<Asked>,
    watch: Watch,
    n_text_calls: u32,
    has_native_calls: bool,
    is_routed: bool,
    /// All the text of the first answer, to show the model what it wrote.
    said: String,
    /// What finished requests used.
    earlier: Usage,
    /// What the request that runs has used so far.
    latest: Usage,
    queue: VecDeque<Result<ModelEvent, ModelError>>,
    is_over: bool,
}

struct Asked {
    stream: ModelStream,
    /// Set in the second request: what the first one held back, for when this one fails too.
    retry: Option<Retry>,
}

struct Retry {
    held_back: String,
    answer: String,
}

impl Talk {
    async fn next(&mut self) -> Option<Result<ModelEvent, ModelError>> {
        loop {
            if let Some(item) = self.queue.pop_front() {
                return Some(item);
            }
            if self.is_over {
                return None;
            }
            let Some(asked) = &mut self.current else {
                self.settle_doubt().await;
                self.ask();
                continue;
            };
            let item = asked.stream.next().await;
            match (item, &mut asked.retry) {
                (None, _) => self.is_over = true,
                (Some(Ok(event)), None) => self.take(event),
                (Some(Ok(event)), Some(_)) => self.take_retried(event),
                (Some(Err(error)), None) => self.fail(error),
                (Some(Err(_)), Some(_)) => self.end_retry(),
            }
            if self.is_over {
                self.current = None;
            }
        }
    }

    fn emit(&mut self, event: ModelEvent) {
        self.is_over |= matches!(event, ModelEvent::Done { .. });
        self.queue.push_back(Ok(event));
    }

    fn emit_text(&mut self, text: String) {
        if !text.is_empty() {
            self.emit(ModelEvent::TextDelta { text });
        }
    }

    fn emit_call(&mut self, call: &TextCall) {
        let index = self.n_text_calls;
        self.n_text_calls += 1;
        self.emit(ModelEvent::ToolCallBegin {
            index,
            name: call.name.clone(),
        });
        self.emit(ModelEvent::ToolCallDelta {
            index,
            json: json!(call.arguments).to_string(),
        });
        self.emit(ModelEvent::ToolCallEnd { index });
    }

    fn emit_usage(&mut self, usage: Usage) {
        self.latest = usage;
        self.emit(ModelEvent::Usage(self.earlier.plus(usage)));
    }

    /// Finds out, once, whether the server would drop the tools without a word.
    async fn settle_doubt(&mut self) {
        let core = Arc::clone(&self.core);
        if self.request.tools.is_empty() || core.is_text.load(Ordering::Relaxed) {
            return;
        }
        let Some(doubt) = &core.doubt else { return };
        let settle = async || {
            if drops_tools(&doubt.endpoint, &doubt.vendor).await {
                core.go_over_to_text();
            }
        };
        core.is_settled.get_or_init(settle).await;
    }

    fn ask(&mut self) {
        let is_text = self.core.is_text.load(Ordering::Relaxed);
        let offers = !self.request.tools.is_empty() && self.request.tool_choice != ToolChoice::None;
        self.watch = Watch::new(if offers {
            self.request.tools.clone()
        } else {
            Arc::default()
        });
        let request = if is_text {
            in_text(&self.request)
        } else {
            self.request.clone()
        };
        self.current = Some(Asked {
            stream: self.core.inner.stream(request),
            retry: None,
        });
    }

    fn take(&mut self, event: ModelEvent) {
        match event {
            ModelEvent::Route { .. } if self.is_routed => {}
            ModelEvent::Route { .. } => {
                self.is_routed = true;
                self.emit(event);
            }
            ModelEvent::Usage(usage) => self.emit_usage(usage),
            ModelEvent::TextDelta { text } => self.take_text(text),
            ModelEvent::Done { stop } => self.take_done(stop),
            ModelEvent::ToolCallBegin { .. }
            | ModelEvent::ToolCallDelta { .. }
            | ModelEvent::ToolCallEnd { .. } => self.take_native(event),
            ModelEvent::ThinkingDelta { .. }
            | ModelEvent::ThinkingSignature { .. }
            | ModelEvent::ImagesHidden { .. } => {
                self.emit(event);
            }
        }
    }

    fn take_text(&mut self, text: String) {
        let offers_none = self.request.tools.is_empty() || self.has_native_calls;
        if offers_none || self.request.tool_choice == ToolChoice::None {
            return self.emit_text(text);
        }
        self.said.push_str(&text);
        for found in self.watch.push(&text) {
            match found {
                Found::Text(text) => self.emit_text(text),
                Found::Call(call) => self.emit_call(&call),
            }
        }
        if self.watch.has_gone_on() {
            self.emit(ModelEvent::Done {
                stop: StopReason::ToolCalls,
            });
        }
    }

    /// The server does make calls. One that was also written as text was given out already.
    fn take_native(&mut self, event: ModelEvent) {
        if self.n_text_calls > 0 {
            return;
        }
        if !std::mem::replace(&mut self.has_native_calls, true) {
            let rest = self.watch.finish();
            // What looked like a call is the call that comes now.
            if !rest.is_suspect {
                self.emit_text(rest.text);
            }
        }
        self.emit(event);
    }

    fn take_done(&mut self, stop: StopReason) {
        if self.has_native_calls {
            return self.emit(ModelEvent::Done { stop });
        }
        let rest = self.watch.finish();
        if self.n_text_calls > 0 {
            let stop = match stop {
                StopReason::End => StopReason::ToolCalls,
                other => other,
            };
            return self.emit(ModelEvent::Done { stop });
        }
        let must_call = self.request.tool_choice == ToolChoice::Required
            && !self.request.tools.is_empty()
            && stop == StopReason::End;
        let is_attempt = rest.is_suspect && stop == StopReason::End;
        if is_attempt || must_call {
            return self.ask_again(rest.text);
        }
        self.emit_text(rest.text);
        self.emit(ModelEvent::Done { stop });
    }

    fn fail(&mut self, error: ModelError) {
        let is_first = self.said.is_empty() && !self.has_native_calls;
        if is_first
            && refuses_tools(&error)
            && !self.request.tools.is_empty()
            && self.core.go_over_to_text()
        {
            self.current = None;
            return;
        }
        let rest = self.watch.finish();
        if !rest.is_suspect {
            self.emit_text(rest.text);
        }
        self.is_over = true;
        self.queue.push_back(Err(error));
    }

    /// Asks once more, for a call and nothing else.
    fn ask_again(&mut self, held_back: String) {
        self.earlier = self.earlier.plus(std::mem::take(&mut self.latest));
        let mut request = in_text(&self.request);
        let names: Vec<&str> = self
            .request
            .tools
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        let plea = include_str!("text_tools_retry.md").replace("{names}", &names.join(", "));
        if !self.said.trim().is_empty() {
            request.messages.push(Message::assistant(self.said.trim()));
        }
        request.messages.push(Message::user(plea.trim_end()));
        request.answer_schema = Some(call_schema(&self.request.tools));
        self.current = Some(Asked {
            stream: self.core.inner.stream(request),
            retry: Some(Retry {
                held_back,
                answer: String::new(),
            }),
        });
    }

    fn take_retried(&mut self, event: ModelEvent) {
        match event {
            ModelEvent::TextDelta { text } => {
                if let Some(Asked {
                    retry: Some(retry), ..
                }) = &mut self.current
                {
                    retry.answer.push_str(&text);
                }
            }
            ModelEvent::Usage(usage) => self.emit_usage(usage),
            ModelEvent::Done { .. } => self.end_retry(),
            _ => {}
        }
    }

    fn end_retry(&mut self) {
        let retry = self.current.take().and_then(|asked| asked.retry);
        let Some(Retry { held_back, answer }) = retry else {
            return;
        };
        let calls = calls_in(&answer, &self.request.tools);
        for call in &calls {
            self.emit_call(call);
        }
        let stop = if calls.is_empty() {
            self.emit_text(held_back);
            StopReason::End
        } else {
            StopReason::ToolCalls
        };
        self.emit(ModelEvent::Done { stop });
    }
}

/// How servers say that they take no `tools`.
fn refuses_tools(error: &ModelError) -> bool {
    const PHRASES: &[&str] = &[
        "does not support tools",
        "enable-auto-tool-choice",
        "tools param requires",
        "unable to generate parser for this template",
        "tool use is not supported",
        "no endpoints found that support tool use",
    ];
    let (ModelError::Rejected { detail, .. }
    | ModelError::Unavailable { detail, .. }
    | ModelError::NoModel { detail }) = error
    else {
        return false;
    };
    let said = detail.to_lowercase();
    PHRASES.iter().any(|phrase| said.contains(phrase))
}

/// A request with its tools, calls and results as text.
fn in_text(request: &ModelRequest) -> ModelRequest {
    let mut system = request.system.clone();
    if !request.tools.is_empty() && request.tool_choice != ToolChoice::None {
        let tools: Vec<String> = request.tools.iter().map(describe).collect();
        let prompt = include_str!("text_tools.md").replace("{tools}", &tools.join("\n"));
        system = format!("{}\n\n{}", system.trim_end(), prompt.trim_end());
        if request.tool_choice == ToolChoice::Required {
            system.push_str("\n\nCall a tool now.");
        }
    }
    let must_call = request.tool_choice == ToolChoice::Required && !request.tools.is_empty();
    ModelRequest {
        system: system.trim_start().to_owned(),
        messages: request
            .messages
            .iter()
            .map(|it| message_in_text(&request.messages, it))
            .collect(),
        tools: Arc::default(),
        tool_choice: ToolChoice::Auto,
        answer_schema: match &request.answer_schema {
            Some(answer) if !request.tools.is_empty() => Some(json!({
                "anyOf": [answer, call_schema(&request.tools)],
            })),
            None if must_call => Some(call_schema(&request.tools)),
            other => other.clone(),
        },
        ..request.clone()
    }
}

fn message_in_text(thread: &[Message], message: &Message) -> Message {
    let mut content: Vec<Content> = Vec::new();
    for part in &message.content {
        let text = match part {
            Content::ToolCall(call) => {
                json!({"name": call.name, "arguments": call.arguments}).to_string()
            }
            Content::ToolResult {
                call,
                text,
                is_error,
                ..
            } => {
                let name = crate::wire::tool_of(thread, call);
                let outcome = if *is_error { "failed" } else { "returned" };
                format!("{name} {outcome}:\n{text}")
            }
            Content::Text { text } => text.clone(),
            Content::Thinking { .. } | Content::Image { .. } => {
                content.push(part.clone());
                continue;
            }
        };
        let follows_text = matches!(content.last(), Some(Content::Text { .. }));
        let gap = if follows_text { "\n\n" } else { "" };
        content.push(Content::Text {
            text: format!("{gap}{text}"),
        });
    }
    // A model that is told nothing goes on where it was; an empty message would be refused.
    if content.is_empty() && message.role == Role::User {
        content.push(Content::Text {
            text: "(nothing)".to_owned(),
        });
    }
    Message {
        role: message.role,
        content,
    }
}

/// A tool in one line: `read(path: string, offset?: integer): Reads a file.`
fn describe(tool: &ToolSpec) -> String {
    let required = tool.input_schema["required"].as_array();
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|it| it == name));
    let parameters: Vec<String> = tool.input_schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let mark = if is_required(name) { "" } else { "?" };
            format!("{name}{mark}: {}", type_name(schema))
        })
        .collect();
    let first_line = tool.description.lines().next().unwrap_or("");
    format!("- {}({}): {first_line}", tool.name, parameters.join(", "))
}

fn type_name(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values.iter().map(Value::to_string).collect();
        return values.join(" | ");
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => format!("{}[]", type_name(&schema["items"])),
        Value::String(name) if name == "object" && schema["properties"].is_object() => {
            let fields: Vec<String> = schema["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, schema)| format!("{name}: {}", type_name(schema)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            names.join(" | ")
        }
        _ => "any".to_owned(),
    }
}

/// The schema of a call of one of these tools, written without free whitespace so that a model cannot lose itself in
/// it.
fn call_schema(tools: &[ToolSpec]) -> Value {
    let calls: Vec<Value> = tools
        .iter()
        .map(|tool| {
            json!({
                "type": "object",
                "properties": {
                    "name": {"type": "string", "const": tool.name},
                    "arguments": tool.input_schema,
                },
                "required": ["name", "arguments"],
                "additionalProperties": false,
            })
        })
        .collect();
    json!({"x-guidance": {"whitespace_flexible": false}, "anyOf": calls})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::render;
    use expect_test::{Expect, expect};
    use titan_protocol::{CallId, Taint, Task, ToolCall};
    use titan_testkit::model::ScriptedModel;

    fn request() -> ModelRequest {
        let call = CallId::from("c1");
        ModelRequest {
            tools: [ToolSpec {
                name: "read".to_owned(),
                description: "Reads a file.\nMore about it.".to_owned(),
                input_schema: json!({
                    "type": "object",
                    "properties": {
                        "path": {"type": "string"},
                        "mode": {"enum": ["text", "hex"]},
                        "lines": {"type": "array", "items": {"type": "integer"}},
                    },
                    "required": ["path"],
                    "additionalProperties": false,
                }),
            }]
            .into(),
            ..ModelRequest::new(
                Task::Chat,
                "You help.",
                vec![
                    Message::user("show a"),
                    Message {
                        role: Role::Assistant,
                        content: vec![
                            Content::Text {
                                text: "I look.".to_owned(),
                            },
                            Content::ToolCall(ToolCall {
                                id: call.clone(),
                                name: "read".to_owned(),
                                arguments: [("path".to_owned(), json!("a"))].into_iter().collect(),
                            }),
                        ],
                    },
                    Message {
                        role: Role::User,
                        content: vec![Content::ToolResult {
                            call,
                            text: "no such file".to_owned(),
                            is_error: true,
                            taint: Taint::NONE,
                        }],
                    },
                ],
            )
        }
    }

    async fn check(
        mode: Mode,
        replies: &[&str],
        request: ModelRequest,
        expected: Expect,
    ) -> Vec<ModelRequest> {
        let model = ScriptedModel::new(replies.iter().copied());
        let wrapped = TextTools::new(Arc::new(model.clone()), mode, None);
        expected.assert_eq(&render(wrapped.stream(request)).await);
        model.requests()
    }

    #[tokio::test]
    async fn tools_calls_and_results_become_text() {
        let requests = check(
            Mode::Text,
            &["{\"name\":\"read\",\"arguments\":{\"path\":\"b\"}}\nusage 5 3"],
            request(),
            expect![[r#"
                route script/scripted
                begin 0 read
                delta 0 {"path":"b"}
                end 0
                usage 5 0 0 3
                done tool_calls
            "#]],
        )
        .await;
        let sent = &requests[0];
        assert!(sent.tools.is_empty());
        let thread: Vec<String> = sent.messages.iter().map(Message::text).collect();
        expect![[r#"
            You help.

            # Tools

            You can call these tools:

            - read(path: string, mode?: "text" | "hex", lines?: integer[]): Reads a file.

            To call a tool, write one JSON object and nothing after it:

            {"name": "TOOL", "arguments": {"PARAMETER": "VALUE"}}

            The result comes in the next message. When no tool is needed, answer in plain words, without JSON.
            ----
            show a
            ----
            I look.

            {"name":"read","arguments":{"path":"a"}}
            ----
            read failed:
            no such file
        "#]]
        .assert_eq(&format!("{}\n----\n{}\n", sent.system, thread.join("\n----\n")));
    }

    #[tokio::test]
    async fn plain_text_goes_through_as_it_comes() {
        let model = ScriptedModel::new(["one\ngate a\ntwo"]);
        let gate = model.gate("a");
        let wrapped = TextTools::new(Arc::new(model), Mode::Text, None);
        let mut stream = wrapped.stream(request());
        let mut seen = Vec::new();
        for _ in 0..2 {
            seen.extend(stream.next().await);
        }
        assert!(
            matches!(&seen[1], Ok(ModelEvent::TextDelta { text }) if text == "one\n"),
            "before the gate opened: {seen:?}"
        );
        gate.open();
        assert_eq!(stream.count().await, 2);
    }

    #[tokio::test]
    async fn a_model_that_makes_up_the_result_is_stopped() {
        check(
            Mode::Text,
            &[concat!(
                "{\"name\":\"read\",\"arguments\":{\"path\":\"b\"}}\n",
                "Result of read: it holds a poem about the sea, and many more lines.\n",
                "gate never\nmore",
            )],
            request(),
            expect![[r#"
                route script/scripted
                begin 0 read
                delta 0 {"path":"b"}
                end 0
                done tool_calls
            "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn a_failed_attempt_is_asked_for_once_more_under_a_schema() {
        let requests = check(
            Mode::Text,
            &[
                "I look.\n{\"name\":\"reed\",\"arguments\":{\"path\":\"b\"}}\nusage 5 3",
                "{\"name\":\"read\",\"arguments\":{\"path\":\"b\"}}\nusage 9 3",
            ],
            request(),
            expect![[r#"
                route script/scripted
                text "I look.\n"
                usage 5 0 0 3
                usage 14 0 0 6
                begin 0 read
                delta 0 {"path":"b"}
                end 0
                done tool_calls
            "#]],
        )
        .await;
        assert_eq!(
            requests[1].answer_schema,
            Some(call_schema(&request().tools))
        );
        assert_eq!(requests.len(), 2);
    }

    #[tokio::test]
    async fn a_second_failure_is_told_as_text_and_not_repeated() {
        let requests = check(
            Mode::Text,
            &["{\"name\":\"reed\",\"arguments\":{}}", "sorry"],
            request(),
            expect![[r#"
                route script/scripted
                text "{\"name\":\"reed\",\"arguments\":{}}\n"
                done end
            "#]],
        )
        .await;
        assert_eq!(requests.len(), 2);
    }

    #[tokio::test]
    async fn a_call_that_the_limit_cuts_is_never_made() {
        check(
            Mode::Text,
            &["{\"name\":\"read\",\"arguments\":{\"path\":\"\nstop length"],
            request(),
            expect![[r#"
                route script/scripted
                text "{\"name\":\"read\",\"arguments\":{\"path\":\"\n"
                done length
            "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn a_required_call_is_insisted_on() {
        let required = ModelRequest {
            tool_choice: ToolChoice::Required,
            ..request()
        };
        let requests = check(
            Mode::Text,
            &[
                "I would rather not.",
                "{\"name\":\"read\",\"arguments\":{\"path\":\"b\"}}",
            ],
            required,
            expect![[r#"
                route script/scripted
                text "I would rather not.\n"
                begin 0 read
                delta 0 {"path":"b"}
                end 0
                done tool_calls
            "#]],
        )
        .await;
        assert!(requests.iter().all(|it| it.answer_schema.is_some()));
    }

    #[tokio::test]
    async fn native_calls_pass_and_rescue_takes_those_written_as_text() {
        let native = check(
            Mode::Watch,
            &["Now.\ncall read {}"],
            request(),
            expect![[r#"
                route script/scripted
                text "Now.\n"
                begin 0 read
                delta 0 {}
                end 0
                done tool_calls
            "#]],
        )
        .await;
        assert_eq!(native[0].tools.len(), 1);
        check(
            Mode::Watch,
            &["```json\n{\"name\":\"read\",\"arguments\":{\"path\":\"b\"}}\n```"],
            request(),
            expect![[r#"
                route script/scripted
                begin 0 read
                delta 0 {"path":"b"}
                end 0
                done tool_calls
            "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn a_call_that_comes_both_ways_is_one() {
        check(
            Mode::Watch,
            &["{\"name\":\"read\",\"arguments\":{\"path\":\"b\"}}\ncall read {\"path\":\"b\"}"],
            request(),
            expect![[r#"
                route script/scripted
                begin 0 read
                delta 0 {"path":"b"}
                end 0
                done tool_calls
            "#]],
        )
        .await;
    }

    /// Refuses tools, as a model without a template for them does.
    struct Toolless(ScriptedModel);

    #[async_trait]
    impl Provider for Toolless {
        fn name(&self) -> &str {
            "toolless"
        }

        fn stream(&self, request: ModelRequest) -> ModelStream {
            if request.tools.is_empty() {
                return self.0.stream(request);
            }
            let detail = "registry/smollm2 does not support tools".to_owned();
            let provider = "toolless".to_owned();
            stream::iter([Err(ModelError::Rejected { provider, detail })]).boxed()
        }

        async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn a_server_that_refuses_tools_is_spoken_to_in_text_from_then_on() {
        let model = ScriptedModel::new(["{\"name\":\"read\",\"arguments\":{}}", "two"]);
        let wrapped = TextTools::new(Arc::new(Toolless(model.clone())), Mode::Watch, None);
        expect![[r#"
            route script/scripted
            begin 0 read
            delta 0 {}
            end 0
            done tool_calls
        "#]]
        .assert_eq(&render(wrapped.stream(request())).await);
        expect![[r#"
            route script/scripted
            text "two\n"
            done end
        "#]]
        .assert_eq(&render(wrapped.stream(request())).await);
        assert!(wrapped.core.is_text.load(Ordering::Relaxed));
    }
}
