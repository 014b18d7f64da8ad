//! The egress against real servers on loopback, with names that resolve as the test says.

use super::*;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::IpAddr;
use titan_protocol::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A server that keeps what it was sent and answers by a closure. `None` keeps the connection open without a word.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    closed: mpsc::UnboundedReceiver<()>,
}

impl Server {
    async fn start(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (closing, closed) = mpsc::unbounded_channel();
        let answer = Arc::new(answer);
        let kept = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, answer, closing) = (kept.clone(), answer.clone(), closing.clone());
                tokio::spawn(async move {
                    serve(stream, &kept, &*answer).await;
                    let _ = closing.send(());
                });
            }
        });
        Self {
            port,
            requests,
            closed,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    kept: &Mutex<Vec<String>>,
    answer: &(dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync),
) {
    loop {
        let Some(request) = read_request(&mut stream).await else {
            return;
        };
        kept.lock().push(request.clone());
        if let Some(bytes) = answer(&request)
            && stream.write_all(&bytes).await.is_err()
        {
            return;
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let is_whole = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        let Some(end) = text.find("\r\n\r\n") else {
            return false;
        };
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        bytes.len() >= end + 4 + length
    };
    while !is_whole(&bytes) {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn answer(head: &str, body: &[u8]) -> Option<Vec<u8>> {
    let length = body.len();
    let mut bytes = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    Some(bytes)
}

fn redirect(status: u16, target: &str) -> Option<Vec<u8>> {
    answer(&format!("{status} Moved\r\nlocation: {target}"), b"")
}

struct Secrets(BTreeMap<&'static str, (&'static str, Option<&'static str>)>);

#[async_trait]
impl SecretSource for Secrets {
    async fn reveal(&self, name: &str) -> Option<Secret> {
        self.0.get(name).map(|(value, host)| Secret {
            value: (*value).into(),
            host: host.map(str::to_owned),
        })
    }
}

/// Names and their addresses, and which were looked up.
#[derive(Clone, Default)]
struct Names {
    asked: Arc<Mutex<Vec<String>>>,
}

const NAMES: [(&str, &[&str]); 6] = [
    ("app.test", &["127.0.0.1"]),
    ("model.test", &["127.0.0.1"]),
    ("evil.test", &["127.0.0.1"]),
    ("rebind.test", &["10.0.0.7", "169.254.169.254"]),
    (
        "mixed.test",
        &["10.0.0.7", "1.1.1.1", "::1", "2606:4700::1111"],
    ),
    ("metadata", &["169.254.169.254"]),
];

impl Names {
    fn lookup(&self) -> Lookup {
        let asked = self.asked.clone();
        Arc::new(move |name| {
            asked.lock().push(name.clone());
            let found = NAMES.iter().find(|(known, _)| *known == name);
            let found = found.map(|(_, addresses)| {
                let parse = |text: &&str| text.parse::<IpAddr>().unwrap();
                addresses.iter().map(parse).collect()
            });
            let unknown = std::io::Error::other("no such name");
            Box::pin(std::future::ready(found.ok_or(unknown)))
        })
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn config() -> EgressConfig {
    EgressConfig {
        provider_hosts: strings(&["model.test", "api.vendor.test", "192.168.7.7"]),
        trusted_hosts: strings(&["app.test"]),
        denied_hosts: strings(&["denied.test", "*.denied.test"]),
        ..EgressConfig::default()
    }
}

fn egress_with(config: EgressConfig, names: &Names) -> GuardedEgress {
    let secrets = Secrets(BTreeMap::from([
        ("anywhere", ("s3cret", None)),
        ("local", ("s3cret", Some("127.0.0.1"))),
        ("vendor", ("s3cret", Some("api.vendor.test"))),
        ("model", ("s3cret", Some("model.test"))),
        ("broken", ("two\nlines", None)),
    ]));
    GuardedEgress::with_lookup(config, Arc::new(secrets), names.lookup()).unwrap()
}

fn egress() -> GuardedEgress {
    egress_with(config(), &Names::default())
}

fn request(url: &str, purpose: EgressPurpose) -> HttpRequest {
    HttpRequest {
        method: HttpMethod::Get,
        url: url.parse().expect(url),
        headers: Vec::new(),
        body: Bytes::new(),
        credential: None,
        purpose,
        redirects_max: 3,
        idle_max: Duration::from_secs(20),
    }
}

fn with_secret(mut request: HttpRequest, name: &str) -> HttpRequest {
    request.credential = Some(Credential {
        secret: name.to_owned(),
        header: "Authorization".to_owned(),
        prefix: "Bearer ".to_owned(),
    });
    request
}

async fn text(response: HttpResponse) -> String {
    let pieces: Vec<_> = response.body.map(Result::unwrap).collect().await;
    String::from_utf8(pieces.concat()).unwrap()
}

fn denial(result: Result<HttpResponse, EgressError>) -> String {
    match result {
        Err(EgressError::Denied(text)) => text,
        Err(other) => panic!("not denied, but: {other}"),
        Ok(response) => panic!("not denied, but answered by {}", response.url),
    }
}

#[tokio::test]
async fn a_provider_on_loopback_answers_and_its_connection_is_used_again() {
    let mut server = Server::start(|_| answer("200 OK\r\nX-Kind: Test", b"hello")).await;
    let egress = egress();
    for _ in 0..2 {
        let request = request(&server.url("/v1"), EgressPurpose::Provider);
        let response = egress.send(request).await.unwrap();
        assert_eq!(
            (response.status, response.header("x-kind")),
            (200, Some("Test"))
        );
        assert_eq!(text(response).await, "hello");
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(
        server.closed.try_recv().is_err(),
        "the first connection was closed"
    );
    assert!(
        requests[0].contains("accept-encoding: identity"),
        "{}",
        requests[0]
    );
    assert!(
        requests[0].contains("user-agent: titanclaw/"),
        "{}",
        requests[0]
    );
}

#[tokio::test]
async fn s17_s18_no_spelling_of_an_inner_address_gets_a_tool_there() {
    let names = Names::default();
    let egress = egress_with(config(), &names);
    let table = [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://017700000001/",
        "https://0/",
        "https://0.0.0.0/",
        "https://%31%32%37.0.0.1/",
        "https://127。0。0。1/",
        "https://①②⑦.0.0.1/",
        "https://localhost/",
        "https://LOCALHOST/",
        "https://a.localhost/",
        "https://localhost./",
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.0.1/",
        "https://192.168.7.7/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://0xa9fea9fe/",
        "https://metadata/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[::ffff:1.1.1.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fe80::1]/",
        "https://[fc00::1]/",
        "https://[2002:7f00:1::]/",
        "https://evil.test/",
        "https://EVIL.test/",
        "https://evil.test./",
        "https://rebind.test/",
        "https://app.test@evil.test/",
        "https://user:w0rd@1.1.1.1/",
        "https://app.test.evil.test./",
        "https://denied.test/",
        "https://a.b.denied.test/",
        "http://1.1.1.1/",
        "http://example.com/",
        "ftp://1.1.1.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "data:text/plain,x",
    ];
    for url in table {
        let text = denial(egress.send(request(url, EgressPurpose::Tool)).await);
        assert!(!text.contains("w0rd"), "{text}");
    }
    for url in [
        "https://[fe80::1%25eth0]/",
        "https://a\0b/",
        "https://a b/",
        "https://256.1.1.1/",
    ] {
        assert!(Url::parse(url).is_err(), "{url}");
    }
    let asked = names.asked.lock().clone();
    assert_eq!(asked, ["metadata", "evil.test", "evil.test", "rebind.test"]);
}

#[tokio::test]
async fn s18_a_name_that_leads_inside_is_never_dialled() {
    let server = Server::start(|_| answer("200 OK", b"inside")).await;
    let egress = egress();
    for purpose in [EgressPurpose::Tool, EgressPurpose::Download] {
        let url = format!("https://evil.test:{}/", server.port);
        let text = denial(egress.send(request(&url, purpose)).await);
        assert_eq!(
            text,
            "evil.test leads to 127.0.0.1, which is not a public address"
        );
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn s18_of_a_mixed_answer_only_admitted_addresses_are_handed_to_the_dial() {
    let names = Names::default();
    let addresses = |reach: Reach| {
        let resolver = client::Resolver::for_tests(reach, names.lookup());
        async move { resolver.addresses("mixed.test").await.unwrap() }
    };
    let parse = |texts: &[&str]| -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    let public = addresses(Reach::Public).await;
    assert_eq!(public, parse(&["1.1.1.1", "2606:4700::1111"]));
    assert_eq!(addresses(Reach::Loopback).await, parse(&["::1"]));
    assert_eq!(addresses(Reach::Named).await.len(), 4);
}

#[tokio::test]
async fn s7_s18_a_redirect_is_judged_like_the_first_address() {
    let inside = Server::start(|_| answer("200 OK", b"inside")).await;
    let port = inside.port;
    let server = Server::start(move |request| {
        let target = match request.split(' ').nth(1).unwrap() {
            "/loopback" => format!("http://127.0.0.1:{port}/"),
            "/name" => format!("https://evil.test:{port}/"),
            "/metadata" => "http://169.254.169.254/latest".to_owned(),
            "/user" => format!("http://user:w0rd@app.test:{port}/"),
            "/file" => "file:///etc/passwd".to_owned(),
            _ => format!("//127.0.0.1:{port}/"),
        };
        redirect(302, &target)
    })
    .await;
    let egress = egress();
    for path in [
        "/loopback",
        "/name",
        "/metadata",
        "/user",
        "/file",
        "/relative",
    ] {
        let url = format!("http://app.test:{}{path}", server.port);
        let text = denial(egress.send(request(&url, EgressPurpose::Tool)).await);
        assert!(!text.contains("w0rd"), "{text}");
    }
    assert_eq!(server.requests().len(), 6);
    assert!(inside.requests().is_empty());
}

#[tokio::test]
async fn s7_a_redirect_to_another_origin_takes_no_secret_along() {
    let other = Server::start(|_| answer("200 OK", b"other")).await;
    let target = other.url("/");
    let server = Server::start(move |request| match request.contains(" /first ") {
        true => redirect(307, "/second"),
        false => redirect(307, &target),
    })
    .await;
    let mut request = request(&server.url("/first"), EgressPurpose::Provider);
    request.method = HttpMethod::Post;
    request.body = Bytes::from("question");
    request.headers = vec![
        ("X-Api-Key".to_owned(), "key".to_owned()),
        ("Cookie".to_owned(), "crumb".to_owned()),
        ("Accept".to_owned(), "text/event-stream".to_owned()),
    ];
    let response = egress().send(with_secret(request, "local")).await.unwrap();
    assert_eq!(response.url.as_str(), other.url("/"));
    assert_eq!(text(response).await, "other");
    for request in server.requests() {
        assert!(
            request.contains("authorization: Bearer s3cret"),
            "{request}"
        );
        assert!(request.ends_with("question"), "{request}");
    }
    let there = other.requests().remove(0);
    assert!(there.contains("accept: text/event-stream"), "{there}");
    for secret in ["s3cret", "key", "crumb"] {
        assert!(!there.contains(secret), "{there}");
    }
}

#[tokio::test]
async fn redirects_are_counted_and_none_means_none() {
    let server = Server::start(|_| redirect(302, "/again")).await;
    let egress = egress();
    let looped = request(&server.url("/"), EgressPurpose::Provider);
    let text = denial(egress.send(looped).await);
    assert!(text.contains("more than 3 redirects"), "{text}");
    assert_eq!(server.requests().len(), 4);
    let mut none = request(&server.url("/"), EgressPurpose::Provider);
    none.redirects_max = 0;
    assert_eq!(egress.send(none).await.unwrap().status, 302);
}

#[tokio::test]
async fn a_post_that_is_sent_on_to_look_elsewhere_becomes_a_get() {
    let server = Server::start(|request| match request.starts_with("POST") {
        true => redirect(303, "/result"),
        false => answer("200 OK", b"result"),
    })
    .await;
    let mut post = request(&server.url("/"), EgressPurpose::Provider);
    post.method = HttpMethod::Post;
    post.body = Bytes::from("question");
    let response = egress().send(post).await.unwrap();
    assert_eq!(text(response).await, "result");
    assert!(server.requests()[1].starts_with("GET /result"));
    assert!(!server.requests()[1].contains("question"));
}

#[tokio::test]
async fn s7_p20_a_secret_goes_only_to_its_host_and_never_unprotected() {
    let server = Server::start(|_| answer("200 OK", b"")).await;
    let egress = egress();
    let port = server.port;
    let refused = [
        // For another host: a provider whose address was changed.
        (server.url("/"), "vendor"),
        (format!("http://localhost:{port}/"), "local"),
        // The right host, but over http on a network.
        (format!("http://model.test:{port}/"), "model"),
        (format!("http://model.test:{port}/"), "anywhere"),
        (server.url("/"), "no-such-secret"),
        (server.url("/"), "broken"),
    ];
    for (url, secret) in refused {
        let request = with_secret(request(&url, EgressPurpose::Provider), secret);
        let text = denial(egress.send(request).await);
        assert!(!text.contains("s3cret") && !text.contains("two"), "{text}");
    }
    assert!(server.requests().is_empty());
    for secret in ["local", "anywhere"] {
        let request = with_secret(request(&server.url("/"), EgressPurpose::Provider), secret);
        egress.send(request).await.unwrap();
    }
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn s7_p20_a_secret_for_a_host_matches_that_host_alone() {
    let secret = |host: &str| Secret {
        value: "s3cret".into(),
        host: Some(host.to_owned()),
    };
    let check = |host: &str, url: &str| {
        let url = url.parse().unwrap();
        guard::check_secret("key", &secret(host), &url, Reach::Named).is_ok()
    };
    assert!(check("api.vendor.test", "https://api.vendor.test/v1"));
    assert!(check("API.vendor.test", "https://api.VENDOR.test:8443/v1"));
    assert!(check("::1", "https://[::1]/"));
    for url in [
        "https://vendor.test/",
        "https://a.api.vendor.test/",
        "https://api.vendor.test.evil.test/",
        "https://xapi.vendor.test/",
        "http://api.vendor.test/",
    ] {
        assert!(!check("api.vendor.test", url), "{url}");
    }
}

#[tokio::test]
async fn m19_offline_reaches_loopback_only_and_looks_nothing_up() {
    let server = Server::start(|_| answer("200 OK", b"local")).await;
    let names = Names::default();
    let offline = EgressConfig {
        offline: true,
        ..config()
    };
    let egress = egress_with(offline, &names);
    let purposes = [
        EgressPurpose::Provider,
        EgressPurpose::Tool,
        EgressPurpose::Download,
    ];
    let port = server.port;
    for purpose in purposes {
        for host in [
            "1.1.1.1",
            "example.com",
            "model.test",
            "app.test",
            "192.168.7.7",
        ] {
            let url = format!("https://{host}:{port}/");
            let text = denial(egress.send(request(&url, purpose)).await);
            assert!(text.contains("--offline"), "{text}");
        }
    }
    assert!(names.asked.lock().is_empty());
    for url in [server.url("/"), format!("http://localhost:{port}/")] {
        let local = request(&url, EgressPurpose::Provider);
        assert_eq!(text(egress.send(local).await.unwrap()).await, "local");
    }
    assert!(names.asked.lock().is_empty());
}

#[tokio::test]
async fn a_provider_must_be_configured_unless_it_is_on_loopback() {
    let server = Server::start(|_| answer("200 OK", b"model")).await;
    let egress = egress();
    let url = format!("http://model.test:{}/", server.port);
    let response = egress.send(request(&url, EgressPurpose::Provider)).await;
    assert_eq!(text(response.unwrap()).await, "model");
    for url in [
        "https://example.com/",
        "https://10.0.0.9/",
        "https://model.test.evil.test/",
    ] {
        denial(egress.send(request(url, EgressPurpose::Provider)).await);
    }
    let text = denial(egress.send(request(&url, EgressPurpose::Download)).await);
    assert!(text.contains("use https"), "{text}");
}

#[tokio::test]
async fn with_a_list_of_allowed_hosts_tools_reach_no_other() {
    let server = Server::start(|_| answer("200 OK", b"app")).await;
    let narrow = EgressConfig {
        allowed_hosts: strings(&["docs.test"]),
        ..config()
    };
    let egress = egress_with(narrow, &Names::default());
    let text = denial(
        egress
            .send(request("https://1.1.1.1/", EgressPurpose::Tool))
            .await,
    );
    assert!(text.contains("allowed hosts"), "{text}");
    let trusted = format!("http://app.test:{}/", server.port);
    assert!(
        egress
            .send(request(&trusted, EgressPurpose::Tool))
            .await
            .is_ok()
    );
}

#[test]
fn s17_an_entry_that_is_no_host_is_named() {
    for bad in [
        "https://example.com",
        "a b",
        "",
        "example.com.",
        "*.",
        "host:8080",
    ] {
        let config = EgressConfig {
            trusted_hosts: strings(&[bad]),
            ..EgressConfig::default()
        };
        let secrets = Arc::new(Secrets(BTreeMap::new()));
        let opened = GuardedEgress::open(config, secrets);
        assert!(
            matches!(opened, Err(EgressConfigError::Host(host)) if host == bad),
            "{bad:?}"
        );
    }
}

#[tokio::test]
async fn the_connections_own_headers_can_not_be_set() {
    let egress = egress();
    let refused = [
        ("Host", "evil.test"),
        ("transfer-encoding", "chunked"),
        ("Content-Length", "0"),
        ("Proxy-Authorization", "x"),
        ("X-A", "b\r\nHost: evil.test"),
        ("X A", "b"),
    ];
    for (name, value) in refused {
        let mut request = request("http://127.0.0.1:1/", EgressPurpose::Provider);
        request.headers = vec![(name.to_owned(), value.to_owned())];
        denial(egress.send(request).await);
    }
}

#[tokio::test]
async fn silence_before_the_head_and_in_the_body_times_out() {
    let silent = Server::start(|_| None).await;
    let mut first = request(&silent.url("/"), EgressPurpose::Provider);
    first.idle_max = Duration::from_millis(100);
    let error = egress().send(first.clone()).await.map(drop).unwrap_err();
    assert_eq!(error.to_string(), "nothing came from 127.0.0.1 for 0 s");
    let begun = |_: &str| Some(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart".to_vec());
    let stalling = Server::start(begun).await;
    first.url = stalling.url("/").parse().unwrap();
    let body = egress().send(first).await.unwrap().body;
    let pieces: Vec<_> = body.collect().await;
    assert_eq!(pieces[0].as_ref().unwrap(), "part");
    assert!(matches!(pieces[1], Err(EgressError::TimedOut { .. })));
    assert_eq!(pieces.len(), 2);
}

#[tokio::test]
async fn an_unreachable_host_is_named_with_its_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("http://127.0.0.1:{port}/");
    let error = egress().send(request(&url, EgressPurpose::Provider)).await;
    let error = error.map(drop).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("127.0.0.1:{port} can't be reached: ")),
        "{error}"
    );
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_broken_and_a_dropped_one_closes_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart";
    let egress = egress();
    let exchange = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await.unwrap();
        stream.write_all(half).await.unwrap();
        stream
    };
    let request = || request(&url, EgressPurpose::Provider);
    let (response, stream) = tokio::join!(egress.send(request()), exchange);
    drop(stream);
    let pieces: Vec<_> = response.unwrap().body.collect().await;
    assert!(
        matches!(pieces.last(), Some(Err(EgressError::Broken(_)))),
        "{pieces:?}"
    );
    let exchange = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await.unwrap();
        stream.write_all(half).await.unwrap();
        stream
    };
    let (response, mut stream) = tokio::join!(egress.send(request()), exchange);
    let mut body = response.unwrap().body;
    assert_eq!(body.next().await.unwrap().unwrap(), "part");
    drop(body);
    let ended = stream.read(&mut [0; 8]).await;
    assert!(matches!(ended, Ok(0) | Err(_)));
}

/// `hello hello hello`, compressed.
const GZIPPED: [u8; 28] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 203, 72, 205, 201, 201, 87, 200, 64, 144, 0, 128, 136, 249,
    229, 17, 0, 0, 0,
];

#[tokio::test]
async fn a_compressed_page_arrives_readable_and_only_tools_ask_for_it() {
    let server = Server::start(|_| answer("200 OK\r\ncontent-encoding: gzip", &GZIPPED)).await;
    let egress = egress();
    let page = format!("http://app.test:{}/", server.port);
    let response = egress.send(request(&page, EgressPurpose::Tool)).await;
    assert_eq!(text(response.unwrap()).await, "hello hello hello");
    let requests = server.requests();
    assert!(
        requests[0].contains("accept-encoding: gzip"),
        "{}",
        requests[0]
    );
}

#[tokio::test]
async fn a_proxy_serves_providers_and_downloads_but_never_tools() {
    let proxy = Server::start(|_| answer("403 Forbidden", b"")).await;
    let through = EgressConfig {
        proxy: Some(ProxyConfig {
            url: format!("http://127.0.0.1:{}", proxy.port).parse().unwrap(),
            except: "direct.test".to_owned(),
        }),
        ..config()
    };
    let egress = egress_with(through, &Names::default());
    for (url, purpose) in [
        ("https://api.vendor.test/", EgressPurpose::Provider),
        ("https://download.test/", EgressPurpose::Download),
    ] {
        assert!(egress.send(request(url, purpose)).await.is_err());
    }
    let seen: Vec<_> = proxy.requests();
    assert!(
        seen[0].starts_with("CONNECT api.vendor.test:443"),
        "{}",
        seen[0]
    );
    assert!(
        seen[1].starts_with("CONNECT download.test:443"),
        "{}",
        seen[1]
    );
    denial(
        egress
            .send(request("https://rebind.test/", EgressPurpose::Tool))
            .await,
    );
    assert_eq!(proxy.requests().len(), 2);
}

proptest::proptest! {
    #[test]
    fn s17_s18_whatever_the_spelling_a_tool_gets_only_https_to_public_addresses(
        scheme in "(https?|ftp|file|ws)",
        user in "([a-z]{1,3}(:[a-z]{0,3})?@)?",
        host in "([0-9a-fx.]{1,18}|\\[[0-9a-f:.]{2,20}\\]|[a-zA-Z0-9.%。①-⑨-]{1,20}|localhost\\.?)",
        rest in "(:[0-9]{1,5})?(/[a-z@:.]{0,8})?",
    ) {
        let guard = Guard::new(&EgressConfig::default()).unwrap();
        let Ok(url) = Url::parse(&format!("{scheme}://{user}{host}{rest}")) else {
            return Ok(());
        };
        if guard.check(&url, EgressPurpose::Tool).is_err() {
            return Ok(());
        }
        proptest::prop_assert_eq!(url.scheme(), "https");
        proptest::prop_assert_eq!((url.username(), url.password()), ("", None));
        // What the dial will read of the host is either an address that we admit, or a name to look up.
        let host = url.host_str().unwrap();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            proptest::prop_assert!(Reach::Public.admits(address), "{url}");
        }
    }

    #[test]
    fn s17_s18_every_number_that_means_an_inner_address_is_refused(number: u32, form in 0..4) {
        let [a, b, c, d] = number.to_be_bytes();
        let host = match form {
            0 => number.to_string(),
            1 => format!("{number:#x}"),
            2 => format!("{a:#o}.{b}.{c:#x}.{d}").replace("0o", "0"),
            _ => format!("{a}.{}", number & 0x00ff_ffff),
        };
        let url: Url = format!("https://{host}/").parse().unwrap();
        let guard = Guard::new(&EgressConfig::default()).unwrap();
        let is_admitted = guard.check(&url, EgressPurpose::Tool).is_ok();
        let address = IpAddr::from(number.to_be_bytes());
        proptest::prop_assert_eq!(is_admitted, Reach::Public.admits(address));
    }
}
