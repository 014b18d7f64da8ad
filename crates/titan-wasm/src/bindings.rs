//! The worlds of `wit/` in Rust, a module for each version.

/// `wit/tool.wit`.
pub(crate) mod first {
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
}

/// `wit/0.2.0/tool.wit`. What waits for something outside of this process is asynchronous.
pub(crate) mod second {
    #![allow(
        missing_docs,
        unreachable_pub,
        reason = "generated from wit/0.2.0/tool.wit, where the words are"
    )]

    wasmtime::component::bindgen!({
        path: "../../wit/0.2.0/tool.wit",
        world: "tool",
        imports: {
            "titanclaw:tool/http": async | trappable,
            "titanclaw:tool/tools": async | trappable,
            default: trappable,
        },
    });
}
