//! `list`, `glob` and `grep`: what is there, found in three ways.

use super::check_tool;
use expect_test::expect;
use serde_json::json;

const FILES: [(&str, &str); 6] = [
    ("Cargo.toml", "[package]\n"),
    ("src/main.rs", "fn main() {\n    run();\n}\n"),
    ("src/deep/er/lib.rs", "// main\n"),
    (".gitignore", "target\n"),
    ("target/x.rs", "main"),
    ("bin", "main\0"),
];

#[tokio::test]
async fn list_shows_what_is_in_a_folder() {
    check_tool(
        &FILES,
        "list",
        json!({}),
        expect![[r#"
        effects: read /workspace
        output (both):
        Cargo.toml
        bin
        src/
        src/deep/
        src/main.rs"#]],
    )
    .await;
    check_tool(
        &FILES,
        "list",
        json!({"path": "src", "depth": 1}),
        expect![[r#"
        effects: read /workspace/src
        output (both):
        src/deep/
        src/main.rs"#]],
    )
    .await;
    check_tool(
        &FILES,
        "list",
        json!({"path": "Cargo.toml"}),
        expect![[r#"
        effects: read /workspace/Cargo.toml
        reply: Cargo.toml is a file; read it with read"#]],
    )
    .await;
}

#[tokio::test]
async fn list_says_what_packages_are_for_one_level_deeper() {
    let files = [
        ("Cargo.toml", "[workspace]\n"),
        ("crates/a/Cargo.toml", "[package]\ndescription = 'adds'\n"),
        ("crates/a/src/lib.rs", ""),
        ("crates/notes/x.txt", ""),
        ("site/package.json", r#"{"description": "shows"}"#),
    ];
    check_tool(
        &files,
        "list",
        json!({"depth": 1}),
        expect![[r#"
            effects: read /workspace
            output (both):
            Cargo.toml
            crates/
            crates/a/ - adds
            site/ - shows"#]],
    )
    .await;
}

#[tokio::test]
async fn grep_of_a_path_that_is_not_there_searches_all() {
    check_tool(
        &FILES,
        "grep",
        json!({"pattern": "fn main", "path": "source/main.rs", "files_only": true, "context": 3}),
        expect![[r#"
            effects: read /workspace/source/main.rs
            output (both):
            [there is no such path; the whole workspace was searched]
            src/main.rs"#]],
    )
    .await;
}

#[tokio::test]
async fn glob_finds_files_by_their_path() {
    check_tool(
        &FILES,
        "glob",
        json!({"pattern": "*.rs"}),
        expect![[r#"
        effects: read /workspace
        output (both):
        src/deep/er/lib.rs
        src/main.rs"#]],
    )
    .await;
    check_tool(
        &FILES,
        "glob",
        json!({"pattern": "src/*.rs"}),
        expect![[r#"
        effects: read /workspace
        output (both):
        src/main.rs"#]],
    )
    .await;
    check_tool(&FILES, "glob", json!({"pattern": "a[", "path": "src"}), expect![[r#"
        effects: read /workspace/src
        reply: the pattern makes no sense: error parsing glob '**/a[': unclosed character class; missing ']'"#]]).await;
}

#[tokio::test]
async fn grep_finds_lines_and_says_where() {
    check_tool(
        &FILES,
        "grep",
        json!({"pattern": "MAIN", "ignore_case": true}),
        expect![[r#"
        effects: read /workspace
        output (both):
        src/deep/er/lib.rs:1:// main
        src/main.rs:1:fn main() {"#]],
    )
    .await;
    check_tool(
        &FILES,
        "grep",
        json!({"pattern": "run", "path": "src/main.rs", "context": 1}),
        expect![[r#"
        effects: read /workspace/src/main.rs
        output (both):
        src/main.rs-1-fn main() {
        src/main.rs:2:    run();
        src/main.rs-3-}"#]],
    )
    .await;
    check_tool(
        &FILES,
        "grep",
        json!({"pattern": "main", "glob": "*.rs", "files_only": true}),
        expect![[r#"
        effects: read /workspace
        output (both):
        src/deep/er/lib.rs
        src/main.rs"#]],
    )
    .await;
    check_tool(
        &FILES,
        "grep",
        json!({"pattern": "run("}),
        expect![[r#"
        effects: read /workspace
        reply: the pattern is not a regular expression: regex parse error:
            (?:run()
            ^
        error: unclosed group. To find characters such as ( or [ as they are, put \ before them"#]],
    )
    .await;
}
