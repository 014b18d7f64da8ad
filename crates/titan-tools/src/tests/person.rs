//! `todo` and `ask_user`: what the person sees and answers.

use super::Place;
use expect_test::expect;
use serde_json::json;
use titan_testkit::workbench::MemoryWorkbench;

#[tokio::test]
async fn the_plan_is_shown_and_the_person_is_asked() {
    let place = Place::new(MemoryWorkbench::new());
    let items =
        json!({"items": [{"text": "a", "status": "done"}, {"text": "b", "status": "in_progress"}]});
    expect![[r#"
        effects: 
        output (none):
        the plan has 2 items, 1 to do"#]]
    .assert_eq(&place.call("todo", items).await);
    assert_eq!(place.signals.plan.lock().unwrap().len(), 2);
    expect![[r#"
        effects: 
        output (none):
        [nobody answered; go on with what is most likely wanted, and say what you assumed]"#]]
    .assert_eq(
        &place
            .call(
                "ask_user",
                json!({"question": "Which?", "choices": ["a", "b"]}),
            )
            .await,
    );
    *place.signals.answer.lock().unwrap() = Some("b".to_owned());
    expect![[r#"
        effects: 
        output (none):
        b"#]]
    .assert_eq(&place.call("ask_user", json!({"question": "Which?"})).await);
    assert_eq!(
        *place.signals.asked.lock().unwrap(),
        ["Which? [\"a\", \"b\"]", "Which? []"]
    );
}

#[tokio::test]
async fn what_is_drawn_is_checked_by_its_kind_and_said_in_words() {
    let png = [0x89, b'P', b'N', b'G', 1, 2];
    let place = Place::new(
        MemoryWorkbench::new()
            .file("a.png", png.to_vec())
            .file("a.txt", "text"),
    );
    let mut told = Vec::new();
    for (kind, content) in [
        ("markdown", "# a\nb\n"),
        ("svg", "<svg/>"),
        ("svg", "<p>"),
        ("table", "file,bytes\na.rs,120\n\"b,c\",7\n"),
        ("table", "file,bytes\na.rs\n"),
        ("table", "file,bytes\n"),
        ("chart", "day,a,b\nMon,1,2.5\nTue,,3\n"),
        ("chart", "day,a\nMon,many\n"),
        ("chart", "day\nMon\n"),
        (
            "form",
            r#"{"fields": [{"name": "city"}, {"name": "when", "type": "date"}]}"#,
        ),
        ("form", r#"{"fields": []}"#),
        ("form", r#"{"fields": [{"name": "a"}, {"name": "a"}]}"#),
        ("form", r#"{"fields": [{"name": "a", "type": "choice"}]}"#),
        ("form", r#"{"fields": [{"name": "a", "type": "password"}]}"#),
        ("diagram", "a -> b: calls\nc\n"),
        ("diagram", "a ->\n"),
        ("image", "a.png"),
        ("image", "a.txt"),
        ("image", "data:image/png;base64,AAAA"),
        ("markdown", ""),
    ] {
        let arguments = json!({"name": "it", "kind": kind, "content": content});
        let said = place.call("canvas", arguments).await;
        told.push(format!("{kind} {content:?}\n{said}\n"));
    }
    expect![[r##"
        markdown "# a\nb\n"
        effects: 
        output (none):
        it is shown: 2 lines
        svg "<svg/>"
        effects: 
        output (none):
        it is shown: 6 bytes
        svg "<p>"
        effects: 
        reply: an svg begins with <svg; for other markup use html
        table "file,bytes\na.rs,120\n\"b,c\",7\n"
        effects: 
        output (none):
        it is shown: 2 rows
        table "file,bytes\na.rs\n"
        effects: 
        reply: the CSV can't be read: CSV error: record 1 (line: 2, byte: 11): found record with 1 fields, but the previous record has 2 fields
        table "file,bytes\n"
        effects: 
        reply: it has no rows below its head
        chart "day,a,b\nMon,1,2.5\nTue,,3\n"
        effects: 
        output (none):
        it is shown: 2 series of 2 points
        chart "day,a\nMon,many\n"
        effects: 
        reply: row 1: "many" is no number; all columns but the first hold numbers, or nothing
        chart "day\nMon\n"
        effects: 
        reply: a chart needs a second column, of numbers
        form "{\"fields\": [{\"name\": \"city\"}, {\"name\": \"when\", \"type\": \"date\"}]}"
        effects: 
        output (none):
        it is shown: 2 fields; what the person enters comes as their next message
        form "{\"fields\": []}"
        effects: 
        reply: a form has 1 to 40 fields
        form "{\"fields\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}"
        effects: 
        reply: the field name "a" is empty or there twice
        form "{\"fields\": [{\"name\": \"a\", \"type\": \"choice\"}]}"
        effects: 
        reply: the field "a" is a choice without options
        form "{\"fields\": [{\"name\": \"a\", \"type\": \"password\"}]}"
        effects: 
        reply: the form is not as it must be: unknown variant `password`, expected one of `text`, `multiline`, `number`, `date`, `choice`, `checkbox` at line 1 column 44. An example: {"fields": [{"name": "city", "type": "text"}], "actions": ["submit"]}
        diagram "a -> b: calls\nc\n"
        effects: 
        output (none):
        it is shown: 1 edges
        diagram "a ->\n"
        effects: 
        reply: "a ->" lacks an end; an edge is `from -> to` or `from -> to: label`
        image "a.png"
        effects: read /workspace/a.png
        output (none):
        it is shown: an image
        image "a.txt"
        effects: read /workspace/a.txt
        reply: a.txt is no PNG, JPEG, GIF or WebP image by its first bytes
        image "data:image/png;base64,AAAA"
        effects refused: for an image, `content` is the path of a file; write the file first
        markdown ""
        effects: 
        output (none):
        it is gone
    "##]].assert_eq(&told.concat());
    // The last call took it away.
    assert!(place.signals.canvas.lock().unwrap().is_empty());
}
