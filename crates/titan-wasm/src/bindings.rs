//! The world of `wit/tool.wit` in Rust.

#![allow(
    missing_docs,
    unreachable_pub,
    reason = "generated from wit/tool.wit, where the words are"
)]

wasmtime::component::bindgen!({
    path: "../../wit/tool.wit",
    world: "tool",
    imports: { default: trappable },
});
