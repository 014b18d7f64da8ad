//! What confinement costs: the time from the start to the end of a program that does nothing, confined and not.
//!
//! `cargo run --release -p titan-sandbox --example starts [ROUNDS] [HEAP_MIB]`; the heap stands for a large engine, whose
//! memory is shared with each program's wardens until it changes.

use futures::StreamExt;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use titan_protocol::{Command, Effect, ProcessEvent, Workbench};
use titan_sandbox::{HostConfig, HostWorkbench};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok());
    let rounds = arguments.next().unwrap_or(200);
    let heap = vec![1_u8; arguments.next().unwrap_or(0) << 20];
    let folder = std::env::temp_dir().join(format!("starts-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("work/.git")).expect("a workspace");
    let config = HostConfig {
        home: folder.join("home"),
        environment: std::env::vars().collect(),
    };
    let workbench = HostWorkbench::open(&folder.join("work"), config).expect("a workbench");
    let network = Effect::Network {
        host: "*".to_owned(),
        port: 443,
    };
    let networked = workbench.for_step(&[network]).expect("a step");
    // The first one looks at the machine and at the workspace.
    confined(&workbench).await;
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..rounds {
        times[0].push(unconfined().await);
        times[1].push(confined(networked.as_ref()).await);
        times[2].push(confined(&workbench).await);
    }
    let names = [
        "unconfined",
        "confined, with the machine's network",
        "confined, with its own network",
    ];
    for (name, times) in names.iter().zip(&mut times) {
        times.sort();
        let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
        println!("{name}: median {:.2} ms, 95 % {:.2} ms", at(50), at(95));
    }
    println!("heap: {} MiB", heap.len() >> 20);
    std::fs::remove_dir_all(folder).expect("the folder goes");
}

async fn unconfined() -> Duration {
    let begun = Instant::now();
    let mut command = tokio::process::Command::new("/bin/true");
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped());
    command.output().await.expect("it runs");
    begun.elapsed()
}

async fn confined(workbench: &dyn Workbench) -> Duration {
    let begun = Instant::now();
    let mut events = workbench.run(Command {
        program: "/bin/true".to_owned(),
        arguments: Vec::new(),
        directory: None,
        environment: BTreeMap::new(),
        wall_clock_max: Duration::from_secs(60),
        output_bytes_max: 1_000,
    });
    while let Some(event) = events.next().await {
        if let ProcessEvent::Exited(exit) = event.expect("it runs") {
            assert_eq!(exit, titan_protocol::Exit::Status(0));
        }
    }
    begun.elapsed()
}
