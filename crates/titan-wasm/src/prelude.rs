//! What generated tools are written against, as it is shipped, and what a tool's crate is made of. `prelude/README.md` says
//! how they fit together.

use crate::bindings::second::Spec;
use crate::capability::Capability;
use std::fmt::Write;

/// The sources of the prelude and of all that it needs: a tar file, packed with gzip. `cargo xtask prelude` makes it.
pub(crate) const ARCHIVE: &[u8] = include_bytes!("../prelude.tar.gz");

/// What a model reads of it.
pub(crate) const API: &str = include_str!("../prelude/api.md");

/// The file with the tool's own source, beside the root of its crate.
pub(crate) const SOURCE: &str = "tool.rs";

/// Whether a tool's source wants the crate for HTML, which takes time to load.
pub(crate) fn uses_html(source: &str) -> bool {
    source.contains("html")
}

/// The root of a tool's crate. The source itself is another file, so that nothing in it reaches what stands here.
pub(crate) fn root(spec: &Spec, source: &str) -> String {
    let mut uses = String::new();
    if uses_html(source) {
        uses.push_str("    use titan_html as html;\n");
    }
    let capabilities = spec.capabilities.iter();
    for capability in capabilities.filter_map(|name| Capability::named(name)) {
        let _ = writeln!(uses, "    use titan_prelude::host::{capability};");
    }
    let Spec {
        name,
        description,
        input_schema,
        capabilities,
        hosts,
        tools,
    } = spec;
    format!(
        r#"#![allow(warnings)]
extern crate titan_prelude;
#[forbid(unsafe_code)]
mod tool {{
    use titan_prelude::*;
{uses}    include!({SOURCE:?});
    pub(super) fn titan_call(arguments: &str) -> titan_prelude::glue::Answer {{
        titan_prelude::glue::call(run, arguments)
    }}
}}
#[unsafe(no_mangle)]
fn titan_tool_run(arguments: &str) -> titan_prelude::glue::Answer {{
    tool::titan_call(arguments)
}}
#[unsafe(no_mangle)]
fn titan_tool_spec() -> titan_prelude::glue::Spec {{
    titan_prelude::glue::Spec {{
        name: {name:?},
        description: {description:?},
        input_schema: {input_schema:?},
        capabilities: &{capabilities:?},
        hosts: &{hosts:?},
        tools: &{tools:?},
    }}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_is_called_and_declares_stays_data() {
        let spec = Spec {
            name: "a\"b".to_owned(),
            description: "Line\n\"} fn main() {\u{202e}".to_owned(),
            input_schema: "{}".to_owned(),
            capabilities: vec!["log".to_owned(), "clock; fn evil() {}".to_owned()],
            hosts: Vec::new(),
            tools: Vec::new(),
        };
        let root = root(&spec, "fn run() { html::parse() }");
        assert!(root.contains(r#"name: "a\"b","#), "{root}");
        assert!(root.contains(r#"description: "Line\n\"} fn main() {\u{202e}","#));
        assert!(root.contains(
            "    use titan_html as html;\n    use titan_prelude::host::log;\n    include!"
        ));
    }
}
