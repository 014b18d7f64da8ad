//! From a configuration to answers: routes, names, money, embeddings.

use crate::config::{OpenError, Ports, ProviderConfig, ProviderKind, ProvidersConfig, open};
use crate::meter::{Ceilings, SpendScope};
use crate::router::Router;
use crate::test_support::render;
use expect_test::{Expect, expect};
use std::collections::BTreeMap;
use std::sync::Arc;
use titan_protocol::{HttpRequest, Message, ModelRequest, Provider, SessionId, Task, TurnId};
use titan_testkit::egress::{Reply, ScriptedEgress};
use titan_testkit::model::ScriptedModel;

/// A world where hosts that begin with `down` do not answer and others say their host and model.
fn world() -> ScriptedEgress {
    ScriptedEgress::answering(|request: &HttpRequest| {
        let host = request.url.host_str().unwrap_or("").to_owned();
        if host.starts_with("down") {
            return Reply::status(401);
        }
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let said = serde_json::json!({
            "choices": [{
                "index": 0,
                "delta": {"content": format!("{host} {}", body["model"].as_str().unwrap_or(""))},
                "finish_reason": "stop",
            }],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100},
        });
        Reply::ok(format!("data: {said}\n\ndata: [DONE]\n\n"))
    })
}

fn provider(name: &str, host: &str, model: &str) -> ProviderConfig {
    ProviderConfig {
        base_url: Some(format!("https://{host}").parse().unwrap()),
        ..ProviderConfig::new(name, ProviderKind::OpenAiChat, model)
    }
}

fn config() -> ProvidersConfig {
    ProvidersConfig {
        providers: vec![
            provider("down", "down.test", "gpt-4o"),
            provider("cloud", "cloud.test", "gpt-4o"),
            provider("hub", "hub.test", "qwen/qwen3"),
            ProviderConfig::new("local", ProviderKind::Local, "coder"),
        ],
        ..ProvidersConfig::default()
    }
}

fn ports(egress: &ScriptedEgress) -> Ports {
    Ports {
        egress: Arc::new(egress.clone()),
        local: Some(Arc::new(ScriptedModel::new(["from here\nusage 10 5"; 4]))),
        embedder: None,
    }
}

fn router(config: ProvidersConfig) -> Router {
    open(config, ports(&world())).unwrap()
}

fn request(task: Task, model: Option<&str>) -> ModelRequest {
    ModelRequest {
        model: model.map(str::to_owned),
        ..ModelRequest::new(task, "", vec![Message::user("hi")])
    }
}

async fn check(router: &Router, task: Task, model: Option<&str>, expected: Expect) {
    expected.assert_eq(&render(router.stream(request(task, model))).await);
}

#[tokio::test]
async fn a_chat_goes_down_the_chain_and_is_priced() {
    check(
        &router(config()),
        Task::Chat,
        None,
        expect![[r#"
            route down/gpt-4o
            route cloud/gpt-4o because down refused the key
            text "cloud.test gpt-4o"
            usage 1000 0 0 100 cost 3500
            done end
        "#]],
    )
    .await;
}

#[tokio::test]
async fn utility_work_stays_on_this_machine_and_is_free() {
    let router = router(config());
    check(
        &router,
        Task::Utility,
        None,
        expect![[r#"
            route local/scripted
            text "from here\n"
            usage 10 0 0 5 cost 0
            done end
        "#]],
    )
    .await;
    assert_eq!(
        router.route(Task::Utility),
        [
            "local/coder",
            "down/gpt-4o",
            "cloud/gpt-4o",
            "hub/qwen/qwen3"
        ]
    );
}

#[tokio::test]
async fn a_named_model_is_asked_and_no_other() {
    let router = router(config());
    for (named, said) in [
        ("hub/other/model", "hub.test other/model"),
        ("hub", "hub.test qwen/qwen3"),
        ("qwen/qwen3", "hub.test qwen/qwen3"),
    ] {
        let text = render(router.stream(request(Task::Chat, Some(named)))).await;
        assert!(text.contains(said), "{named}: {text}");
    }
    check(
        &router,
        Task::Chat,
        Some("down/gpt-4o"),
        expect![[r#"
            route down/gpt-4o
            error down refused the key: HTTP 401 without a message. Set another with `titanclaw onboard`, or choose a model with `titanclaw models use`.
        "#]],
    )
    .await;
}

#[tokio::test]
async fn without_models_the_next_step_is_said() {
    let router = router(ProvidersConfig::default());
    check(
        &router,
        Task::Code,
        None,
        expect![[r#"
            error No model is set up for code. Run `titanclaw onboard`.
        "#]],
    )
    .await;
    check(
        &router,
        Task::Code,
        Some("gpt-9"),
        expect![[r#"
            error There is no model gpt-9. `titanclaw models list` shows what is there.
        "#]],
    )
    .await;
}

#[tokio::test]
async fn m17_a_turns_ceiling_holds_for_all_who_work_for_it() {
    let router = router(ProvidersConfig {
        ceilings: Ceilings {
            turn_usd_micros: Some(8000),
            ..Ceilings::default()
        },
        ..config()
    });
    let scope = |turn| SpendScope {
        session: SessionId::from_u128(1),
        turn: TurnId::from_u128(turn),
        session_spent_usd_micros: 0,
    };
    let ask = || request(Task::Chat, Some("cloud"));
    let (a, b) = (router.scoped(scope(1)), router.scoped(scope(1)));
    assert!(render(a.stream(ask())).await.contains("done end"));
    assert!(render(b.stream(ask())).await.contains("done end"));
    expect![[r#"
        route cloud/gpt-4o
        error The ceiling for this turn is $0.0080, and $0.0070 of it is spent or set aside: too little is left to ask cloud/gpt-4o. Raise the ceiling in the configuration, or use a local model.
    "#]]
    .assert_eq(&render(a.stream(ask())).await);
    let local = render(a.stream(request(Task::Utility, None))).await;
    assert!(local.contains("done end"), "free models still answer");
    let other = router.scoped(scope(2));
    assert!(render(other.stream(ask())).await.contains("done end"));
}

#[tokio::test]
async fn a_server_that_would_drop_tools_silently_is_given_them_in_the_prompt() {
    let egress = ScriptedEgress::answering(|request: &HttpRequest| match request.url.path() {
        "/props" => Reply::ok(r#"{"chat_template_caps":{"supports_tools":false}}"#),
        _ => Reply::ok(concat!(
            r#"data: {"choices":[{"index":0,"delta":{"content":"{\"name\":\"list\",\"arguments\":{}}"},"#,
            r#""finish_reason":"stop"}]}"#,
            "\n\n"
        )),
    });
    let config = ProvidersConfig {
        providers: vec![ProviderConfig {
            base_url: Some("http://127.0.0.1:8080".parse().unwrap()),
            ..ProviderConfig::new("llamacpp", ProviderKind::OpenAiChat, "smollm2")
        }],
        ..ProvidersConfig::default()
    };
    let router = open(config, ports(&egress)).unwrap();
    let asked = ModelRequest {
        tools: [titan_protocol::ToolSpec {
            name: "list".to_owned(),
            description: "Lists files.".to_owned(),
            input_schema: serde_json::json!({"type": "object", "properties": {}}),
        }]
        .into(),
        ..request(Task::Chat, None)
    };
    for _ in 0..2 {
        expect![[r#"
            route llamacpp/smollm2
            begin 0 list
            delta 0 {}
            end 0
            done tool_calls
        "#]]
        .assert_eq(&render(router.stream(asked.clone())).await);
    }
    let requests = egress.requests();
    let paths: Vec<&str> = requests.iter().map(|it| it.url.path()).collect();
    assert_eq!(
        paths,
        ["/props", "/v1/chat/completions", "/v1/chat/completions"]
    );
    let body: serde_json::Value = serde_json::from_slice(&requests[1].body).unwrap();
    assert!(body.get("tools").is_none());
    assert!(
        body["messages"][0]["content"]
            .as_str()
            .unwrap()
            .contains("- list()")
    );
}

fn refused(change: impl FnOnce(&mut ProvidersConfig)) -> OpenError {
    let mut config = config();
    change(&mut config);
    open(config, ports(&world())).err().unwrap()
}

#[test]
fn what_is_wrong_with_a_configuration_is_said_at_the_start() {
    let errors = [
        refused(|it| it.providers[1].name = "down".to_owned()),
        refused(|it| it.providers[1].name = "a/b".to_owned()),
        refused(|it| it.providers[1].model = String::new()),
        refused(|it| it.providers[1].base_url = Some("file:///etc".parse().unwrap())),
        refused(|it| it.routes = BTreeMap::from([(Task::Code, vec!["gone".to_owned()])])),
        refused(|it| it.routes = BTreeMap::from([(Task::Embed, vec!["local/x".to_owned()])])),
    ];
    let text: String = errors.iter().map(|error| format!("{error}\n")).collect();
    expect![[r#"
        the provider name "down" is there twice; give each provider its own short name
        the provider name "a/b" has a slash; give each provider its own short name
        the provider cloud has no model; name one with `model`
        the address file:///etc of the provider cloud is not http or https with a host
        the route for Code names gone, which no provider is configured for
        the route for Embed names local/x, which no provider is configured for
    "#]]
    .assert_eq(&text);
}

async fn embed(kind: ProviderKind, answer: &'static str) -> Result<Vec<Vec<f32>>, String> {
    let egress = ScriptedEgress::answering(move |_| Reply::ok(answer));
    let mut config = config();
    config.providers[1].kind = kind;
    config.routes = BTreeMap::from([(Task::Embed, vec!["cloud/small".to_owned()])]);
    let embedder = open(config, ports(&egress)).unwrap().embedder().unwrap();
    assert_eq!(embedder.space(), "cloud/small");
    let texts = ["a".to_owned(), "b".to_owned()];
    let vectors = embedder.embed(&texts).await.map_err(|it| it.to_string())?;
    let path = match kind {
        ProviderKind::Ollama => "/api/embed",
        _ => "/v1/embeddings",
    };
    assert_eq!(egress.requests()[0].url.path(), path);
    Ok(vectors)
}

#[tokio::test]
async fn vectors_come_in_order_and_of_length_one() {
    let expected = Ok(vec![vec![0.6, 0.8], vec![1.0, 0.0]]);
    let openai = r#"{"data":[{"index":1,"embedding":[5,0]},{"index":0,"embedding":[3,4]}]}"#;
    assert_eq!(embed(ProviderKind::OpenAiChat, openai).await, expected);
    let ollama = r#"{"embeddings":[[3,4],[5,0]]}"#;
    assert_eq!(embed(ProviderKind::Ollama, ollama).await, expected);
}

#[tokio::test]
async fn vectors_that_make_no_sense_are_refused() {
    for answer in [
        r#"{"data":[{"index":0,"embedding":[3,4]}]}"#,
        r#"{"data":[{"index":0,"embedding":[3,4]},{"index":1,"embedding":[1]}]}"#,
        r#"{"data":[{"index":0,"embedding":[0,0]},{"index":1,"embedding":[1,0]}]}"#,
        r#"{"error":{"message":"no such model"}}"#,
    ] {
        assert!(
            embed(ProviderKind::OpenAiChat, answer).await.is_err(),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn every_model_that_can_be_named_is_listed_and_one_that_cannot_be_reached_by_its_name() {
    let egress = ScriptedEgress::answering(|request: &HttpRequest| match request.url.host_str() {
        Some("hub.test") => Reply::ok(r#"{"data":[{"id":"qwen/qwen3"},{"id":"other"}]}"#),
        Some("cloud.test") => Reply::ok(r#"{"data":[{"id":"gpt-4o-2026"}]}"#),
        _ => Reply::status(401),
    });
    let names = |models: Vec<titan_protocol::ModelInfo>| -> Vec<String> {
        let name = |it: titan_protocol::ModelInfo| format!("{}/{}", it.provider, it.model);
        models.into_iter().map(name).collect()
    };
    let router = open(config(), ports(&egress)).unwrap();
    let listed = ["cloud/gpt-4o-2026", "hub/qwen/qwen3", "hub/other"];
    assert_eq!(names(router.listed().await.unwrap()), listed);
    let named = ["down/gpt-4o", "cloud/gpt-4o", "local/coder"];
    let all = names(router.models().await.unwrap());
    assert_eq!(all, [&listed[..], &named].concat());
}
