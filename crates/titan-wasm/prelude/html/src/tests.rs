//! What is asked of pages in tests is what browsers answer.

use crate::{parse, unescape};

/// The names and texts of what a selector means.
fn told(page: &str, css: &str) -> String {
    let page = parse(page);
    let all = page.select(css).unwrap();
    let one = |one: &crate::Element<'_>| format!("{}:{}", one.name(), one.text());
    all.iter().map(one).collect::<Vec<String>>().join(" ")
}

const LIST: &str = r#"<div id=top class="box wide"><p class=a data-x="one two">1</p><p lang=en-GB>2<b>bold</b></p>
    <ul><li>x<li class="a b">y<li>z</ul><a href="/doc.PDF">d</a><span></span></div><p>last</p>"#;

#[test]
fn selectors_mean_what_they_mean_in_browsers() {
    for (css, meant) in [
        ("p", "p:1 p:2bold p:last"),
        ("#top > p", "p:1 p:2bold"),
        ("div.box.wide p.a", "p:1"),
        ("[data-x~=two]", "p:1"),
        ("[lang|='en'] b, li.a", "b:bold li:y"),
        ("a[href$=pdf i]", "a:d"),
        ("li:first-child, li:last-child", "li:x li:z"),
        ("li:nth-child(2n+1)", "li:x li:z"),
        ("li:nth-child(even)", "li:y"),
        ("li:nth-child(-n+2)", "li:x li:y"),
        ("p:nth-of-type(2)", "p:2bold"),
        ("p + ul > li ~ li", "li:y li:z"),
        ("li:not(.a, :last-child)", "li:x"),
        ("p:has(b)", "p:2bold"),
        ("p:has(+ ul)", "p:2bold"),
        ("li:contains('z')", "li:z"),
        ("div *:empty", "span:"),
        ("ul:is(div > ul)", "ul:x y z"),
        ("body > p:only-of-type", "p:last"),
    ] {
        assert_eq!(told(LIST, css), meant, "{css}");
    }
    for css in [
        "",
        "p >",
        "p[",
        "p:not(",
        "p::before",
        "<p>",
        "p:nth-child(x)",
        "p,",
    ] {
        assert!(parse(LIST).select(css).is_err(), "{css}");
    }
}

#[test]
fn what_is_not_closed_is_closed_as_browsers_close_it() {
    let page = parse("<table><tr><th>Name<th>Age<tr><td>Ada<td>36<tr><td>Bo <b>B.<td>7</table>");
    assert_eq!(
        format!("{:?}", page.tables()),
        r#"[[["Name", "Age"], ["Ada", "36"], ["Bo B.", "7"]]]"#
    );
}

#[test]
fn tables_in_tables_are_tables_of_their_own_and_wide_cells_cover_their_places() {
    let page = parse(
        "<table><tr><td colspan=2>head<tr><td rowspan=2>side<td>in<table><tr><td>1<td>2</table><tr><td>low</table>",
    );
    let told = format!("{:?}", page.tables());
    assert_eq!(
        told,
        r#"[[["head", "head"], ["side", "in 1 2"], ["side", "low"]], [["1", "2"]]]"#
    );
}

#[test]
fn text_is_what_is_seen() {
    let page = parse(
        "<title>A &amp; B</title><p>one<script>if (a<b) {}</script> two<br>three</p><style>p{}</style><div>fo<i>u</i>r</div>",
    );
    assert_eq!(
        (page.text().as_str(), page.title().as_str()),
        ("one two three four", "A & B")
    );
    assert_eq!(
        page.first("p").unwrap().unwrap().own_text(),
        "one two three"
    );
    assert_eq!(
        page.first("script").unwrap().unwrap().raw_text(),
        "if (a<b) {}"
    );
    assert_eq!(
        unescape("&lt;b&gt; &eacute;&#8364;&nbsp;x<y"),
        "<b> é€\u{a0}x<y"
    );
}

#[test]
fn what_stands_in_the_wrong_place_comes_before_the_table_and_nothing_is_lost() {
    let page = parse("<table>lost<tr><td>in</table><b><p>bold</b> not</p>");
    assert_eq!(page.text(), "lost in bold not");
    assert_eq!(page.links().len(), 0);
    let deep = "<div>".repeat(2_000) + "deep";
    assert_eq!(parse(&deep).text(), "deep");
}
