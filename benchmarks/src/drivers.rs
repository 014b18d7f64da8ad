//! The benchmarks: a name, how long it takes, and what measures it. Those that hold much memory come last.

mod build;
mod code;
mod components;
mod concurrent;
mod distractors;
mod footprint;
mod forged;
mod gateway;
mod latency;
mod memory;
mod model;
mod packs;
mod reflexes;
mod start;
mod swap;
mod written;

use crate::Setup;
use crate::report::Row;
use anyhow::Result;

/// A benchmark.
pub(crate) struct Bench {
    pub(crate) name: &'static str,
    /// Takes minutes; left out by `--quick`.
    pub(crate) is_long: bool,
    /// Measures how good answers are, not how fast; runs with `--quality` or by its name.
    pub(crate) is_of_quality: bool,
    pub(crate) run: fn(&Setup) -> Result<Vec<Row>>,
}

const fn bench(name: &'static str, run: fn(&Setup) -> Result<Vec<Row>>) -> Bench {
    Bench {
        name,
        is_long: false,
        is_of_quality: false,
        run,
    }
}

const fn long_bench(name: &'static str, run: fn(&Setup) -> Result<Vec<Row>>) -> Bench {
    Bench {
        is_long: true,
        ..bench(name, run)
    }
}

const fn quality_bench(name: &'static str, run: fn(&Setup) -> Result<Vec<Row>>) -> Bench {
    Bench {
        is_of_quality: true,
        ..bench(name, run)
    }
}

/// All of them, in the order in which they run.
pub(crate) const BENCHES: &[Bench] = &[
    bench("cli_cold_start", start::cli_cold_start),
    bench("one_shot", start::one_shot),
    bench("daemon_ready", start::daemon_ready),
    bench("ttft_overhead", latency::ttft_overhead),
    bench("persist_turn", latency::persist_turn),
    bench("tool_to_llm", latency::tool_to_llm),
    bench("tool_ttfb_stream", written::tool_ttfb_stream),
    bench("tool_ttfb_closed", written::tool_ttfb_closed),
    bench("overlap_e2e", written::overlap_e2e),
    bench("validator_saves", written::validator_saves),
    bench("block_eager", written::block_eager),
    bench("wasm_call", components::wasm_call),
    bench("hot_swap", swap::hot_swap),
    bench("jit_tool", forged::jit_tool),
    bench("jit_repair", forged::jit_repair),
    bench("reflex_hit", reflexes::reflex_hit),
    bench("reflex_route", reflexes::reflex_route),
    bench("plan_compile", reflexes::plan_compile),
    bench("memory_ingest", memory::memory_ingest),
    bench("page_rank", memory::page_rank),
    bench("context_pack", packs::context_pack),
    bench("delta_relay", written::delta_relay),
    bench("liveness_streaming", written::liveness_streaming),
    bench("gateway_ready", gateway::gateway_ready),
    bench("gateway_ttft", gateway::gateway_ttft),
    bench("liveness_under_load", gateway::liveness_under_load),
    bench("idle_footprint", footprint::idle_footprint),
    bench("turns_concurrent", concurrent::turns_concurrent),
    bench("wasm_10k", components::wasm_10k),
    bench("binary_size", build::binary_size),
    bench("ui_bundle", gateway::ui_bundle),
    long_bench("tool_ttfb_long", written::tool_ttfb_long),
    long_bench("memory_recall", memory::memory_recall),
    long_bench("code_index", code::code_index),
    quality_bench("code_calls", code::code_calls),
    quality_bench("retrieval", memory::retrieval),
    long_bench("local_model", model::local_model),
    long_bench("cold_build", build::cold_build),
];

/// Runs a driver that talks to servers and sockets.
fn block_on<T>(driver: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(driver)
}
