//! Texts and their trees; hostile texts and their errors.

use super::{NodeKind, NodeRef, Tree};
use crate::limits::Limits;

fn read(text: &str) -> Result<Tree, String> {
    let tree = Tree::read(text, &Limits::default());
    let whole = |tree: Tree| tree.faults().first().cloned().map_or(Ok(tree), Err);
    tree.and_then(whole)
        .map_err(|e| format!("{}:{}: {}", e.position.line, e.position.column, e.message))
}

/// The tree in one line.
fn shown(node: NodeRef<'_>) -> String {
    match node.kind() {
        NodeKind::Null => "null".to_owned(),
        NodeKind::Bool(flag) => flag.to_string(),
        NodeKind::Int | NodeKind::Float => node
            .number()
            .map_or_else(|| "?".to_owned(), |n| n.to_string()),
        NodeKind::Text => format!("{:?}", node.written()),
        NodeKind::List => format!(
            "[{}]",
            node.items()
                .unwrap()
                .map(shown)
                .collect::<Vec<_>>()
                .join(",")
        ),
        NodeKind::Map => {
            let entries = node
                .entries()
                .unwrap()
                .map(|e| format!("{}:{}", e.name(), shown(e.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
    }
}

fn shown_text(text: &str) -> Result<String, String> {
    read(text).map(|tree| shown(tree.root()))
}

#[test]
fn yaml_and_json_give_the_same_tree() {
    let yaml = "a: 1\nb: [x, 'yes', yes, ~]\nc: {d: 0644, 80: 1.5}\n";
    let json = r#"{"a":1,"b":["x","yes",true,null],"c":{"d":420,"80":1.5}}"#;
    assert_eq!(shown_text(yaml), shown_text(json));
    assert_eq!(
        shown_text(json).unwrap(),
        r#"{a:1,b:["x","yes",true,null],c:{d:420,80:1.5}}"#
    );
}

#[test]
fn positions_are_those_of_the_text() {
    let tree = read("a:\n  b: xyz\n").unwrap();
    let b = tree.root().get("a").unwrap().get("b").unwrap();
    assert_eq!((b.position().line, b.position().column), (2, 6));
    let tree = read("{\"é\": 1,\n \"a\": [true]}").unwrap();
    let item = tree
        .root()
        .get("a")
        .unwrap()
        .items()
        .unwrap()
        .next()
        .unwrap();
    assert_eq!((item.position().line, item.position().column), (2, 8));
    let tree = read("{\"é\": [], \"a\": 1}").unwrap();
    assert_eq!(tree.root().get("a").unwrap().position().column, 16);
}

#[test]
fn json_escapes_and_exponents_are_read_as_json_has_them() {
    assert_eq!(
        shown_text(r#"{"a": "\ud83d\ude00\/", "b": 1e3, "c": -0.5}"#).unwrap(),
        r#"{a:"😀/",b:1000.0,c:-0.5}"#
    );
    assert_eq!(
        shown_text(r#"{"a": "\x"}"#).unwrap_err(),
        "1:7: not valid JSON: an escape that does not exist"
    );
}

#[test]
fn a_small_text_in_flow_style_is_yaml() {
    assert_eq!(shown_text("{a: b, c: [d]}").unwrap(), r#"{a:"b",c:["d"]}"#);
    assert_eq!(shown_text(r#"{"a": }"#).unwrap(), "{a:null}");
}

#[test]
fn aliases_stand_for_what_they_name_and_merge_keys_give_way() {
    let text = "x: &x {a: 1, b: 2}\ny: *x\nz:\n  <<: *x\n  b: 3\nw:\n  <<: [{a: 9}, *x]\n";
    assert_eq!(
        shown_text(text).unwrap(),
        "{x:{a:1,b:2},y:{a:1,b:2},z:{b:3,a:1},w:{a:9,b:2}}"
    );
    assert!(
        shown_text("x:\n  <<: 1\n")
            .unwrap_err()
            .contains("<< takes a map")
    );
}

#[test]
fn the_same_key_twice_is_an_error_where_it_stands() {
    assert_eq!(
        shown_text("a: 1\nb: 2\na: 3\n").unwrap_err(),
        "3:1: the key \"a\" occurs twice"
    );
    let many: String = (0..20).map(|n| format!("k{}: 1\n", n % 19)).collect();
    assert_eq!(
        shown_text(&many).unwrap_err(),
        "20:1: the key \"k0\" occurs twice"
    );
    assert!(
        shown_text("{\"a\": 1, \"a\": 2}")
            .unwrap_err()
            .ends_with("the key \"a\" occurs twice")
    );
}

#[test]
fn odd_documents_are_refused() {
    assert_eq!(shown_text("").unwrap_err(), "0:0: the text is empty");
    assert!(
        shown_text("a: 1\n---\nb: 2\n")
            .unwrap_err()
            .contains("more than one document")
    );
    assert!(
        shown_text("a: !Ref b\n")
            .unwrap_err()
            .contains("the tag !Ref is not taken")
    );
    assert!(
        shown_text("? [a]\n: b\n")
            .unwrap_err()
            .contains("cannot be a key")
    );
    assert!(shown_text("a: [1\n").is_err());
    assert!(
        shown_text("a: &x [*x]\n")
            .unwrap_err()
            .contains("inside of what it stands for")
    );
    assert_eq!(shown_text("a: !!str 12\n").unwrap(), r#"{a:"12"}"#);
}

#[test]
fn a_bomb_of_aliases_goes_off_within_the_budget() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let names = vec![format!("*a{}", level - 1); 10].join(",");
        text.push_str(&format!("a{level}: &a{level} [{names}]\n"));
    }
    assert!(
        shown_text(&text)
            .unwrap_err()
            .contains("aliases stand for more than")
    );
}

#[test]
fn nesting_is_bounded_in_every_style() {
    let depth = 100_000;
    for text in [
        "[".repeat(depth),
        format!("{{\"a\": {}", "[".repeat(depth)),
        "{\"a\":".repeat(depth),
        "- ".repeat(depth),
        (0..2000)
            .map(|n| format!("{}a:\n", " ".repeat(n)))
            .collect(),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.contains("nested"), "{error}");
    }
}

#[test]
fn a_huge_scalar_is_refused_with_its_size() {
    let big = "x".repeat(17 << 20);
    for text in [format!("a: {big}\n"), format!("{{\"a\": \"{big}\"}}")] {
        assert!(
            read(&text)
                .unwrap_err()
                .contains("the value is 17825792 bytes long; at most 16777216")
        );
    }
}

#[test]
fn a_float_reads_back_as_the_very_same() {
    for text in ["6.045519853337572e+134", "-4.0072008468417823e-296", "0.1"] {
        let number = read(&format!("{{\"a\": {text}}}"))
            .unwrap()
            .root()
            .get("a")
            .unwrap()
            .number();
        assert_eq!(number.unwrap().as_f64(), Some(text.parse().unwrap()));
    }
}
