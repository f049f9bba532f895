//! Each function as Heat computes it.

use serde_json::{Value as Json, json};

use super::{Function, apply, misspelt};
use crate::limits::Limits;
use crate::value::Value;

fn computed(name: &str, arguments: Json) -> Result<Json, String> {
    let function = Function::named(name).expect("a function");
    apply(function, Value::from_json(&arguments), &Limits::default()).map(|value| value.to_json())
}

#[test]
fn the_longest_placeholder_wins_and_what_was_put_in_is_not_looked_at_again() {
    let arguments = json!({"template": "$ab $a $n $m", "params": {"$a": "$ab", "$ab": "X", "$n": 1.0, "$m": {"b": [true], "a": 1}}});
    assert_eq!(
        computed("str_replace", arguments).unwrap(),
        json!(r#"X $ab 1.0 {"a": 1, "b": [true]}"#)
    );
    assert_eq!(
        computed(
            "str_replace",
            json!({"template": "[x]", "params": {"x": null}})
        )
        .unwrap(),
        json!("[]")
    );
    assert!(computed("str_replace", json!({"template": "x", "param": {}})).is_err());
}

#[test]
fn strict_replacement_refuses_unused_keys_and_very_strict_empty_values() {
    let unused = json!({"template": "a", "params": {"a": "1", "b": "2"}});
    assert_eq!(
        computed("str_replace_strict", unused).unwrap_err(),
        "not found in the template: \"b\""
    );
    let empty = json!({"template": "a", "params": {"a": ""}});
    assert_eq!(
        computed("str_replace_strict", empty.clone()).unwrap(),
        json!("")
    );
    assert_eq!(
        computed("str_replace_vstrict", empty).unwrap_err(),
        "the value of \"a\" is empty"
    );
}

#[test]
fn a_replacement_cannot_be_made_to_explode() {
    let big = "x".repeat(1 << 13);
    let arguments = json!({"template": big, "params": {"x": big}});
    let error = computed("str_replace", arguments).unwrap_err();
    assert_eq!(
        error,
        "the result is 67108864 bytes long; at most 16777216 are taken"
    );
}

#[test]
fn joining_takes_several_lists_nothing_and_json_but_no_bare_numbers() {
    let arguments = json!(["-", ["a", null, {"k": 1}], null, ["b"]]);
    assert_eq!(
        computed("list_join", arguments).unwrap(),
        json!(r#"a--{"k": 1}-b"#)
    );
    assert!(
        computed("list_join", json!([",", [1]]))
            .unwrap_err()
            .contains("quote it")
    );
    assert!(computed("list_join", json!([","])).is_err());
}

#[test]
fn splitting_gives_the_list_or_one_item() {
    assert_eq!(
        computed("str_split", json!([",", "a,b"])).unwrap(),
        json!(["a", "b"])
    );
    assert_eq!(
        computed("str_split", json!([",", "a,b", 1])).unwrap(),
        json!("b")
    );
    assert_eq!(
        computed("str_split", json!([",", "a,b", "-2"])).unwrap(),
        json!("a")
    );
    assert_eq!(
        computed("str_split", json!([",", null])).unwrap(),
        Json::Null
    );
    assert_eq!(
        computed("str_split", json!([",", "a,b", 2])).unwrap_err(),
        "the index must be between 0 and 1"
    );
}

#[test]
fn maps_merge_with_the_later_winning() {
    assert_eq!(
        computed("map_merge", json!([{"a": 1, "b": 1}, null, {"b": 2}])).unwrap(),
        json!({"a": 1, "b": 2})
    );
    assert!(computed("map_merge", json!([1])).is_err());
}

#[test]
fn what_was_secret_in_one_merged_map_stays_so_and_nothing_else_does() {
    let secret = Value::from_json(&json!({"p": "x"})).marked(true);
    let merged = apply(
        Function::MapMerge,
        Value::List(vec![Value::from_json(&json!({"q": 1})), secret]),
        &Limits::default(),
    );
    let Ok(Value::Map(entries)) = merged else {
        panic!("a map")
    };
    assert_eq!(
        entries["p"].unmarked(),
        (&Value::Text("x".to_owned()), true)
    );
    assert!(!entries["q"].unmarked().1);
}

#[test]
fn map_replace_refuses_a_collision() {
    let arguments = json!([{"a": "x", "b": "y"}, {"keys": {"a": "c"}, "values": {"y": "z"}}]);
    assert_eq!(
        computed("map_replace", arguments).unwrap(),
        json!({"c": "x", "b": "z"})
    );
    assert!(
        computed(
            "map_replace",
            json!([{"a": 1, "b": 2}, {"keys": {"a": "b"}}])
        )
        .is_err()
    );
}

#[test]
fn lists_concatenate_filter_and_contain_as_in_python() {
    assert_eq!(
        computed("list_concat", json!([[1], null, [1, 2]])).unwrap(),
        json!([1, 1, 2])
    );
    assert_eq!(
        computed("list_concat_unique", json!([[1, 2], [1]])).unwrap(),
        json!([2, 1])
    );
    assert_eq!(
        computed("filter", json!([["a", 1], ["a", "b", 1.0, true]])).unwrap(),
        json!(["b"])
    );
    assert_eq!(
        computed("contains", json!([1.0, [1]])).unwrap(),
        json!(true)
    );
    assert_eq!(
        computed("contains", json!(["bc", "abcd"])).unwrap(),
        json!(true)
    );
}

#[test]
fn repeat_multiplies_lists_takes_keys_of_maps_and_zips_without_permutations() {
    let product = json!({"template": {"%a%": "%b%-x"}, "for_each": {"%a%": ["1", "2"], "%b%": {"k": 0, "l": 0}}});
    let made = computed("repeat", product).unwrap();
    assert_eq!(
        made,
        json!([{"1": "k-x"}, {"1": "l-x"}, {"2": "k-x"}, {"2": "l-x"}])
    );
    let zip = json!({"template": "%a%%b%", "for_each": {"%a%": ["1", "2"], "%b%": ["x", "y"]}, "permutations": false});
    assert_eq!(computed("repeat", zip).unwrap(), json!(["1x", "2y"]));
    let uneven =
        json!({"template": "%a%", "for_each": {"%a%": ["1"], "%b%": []}, "permutations": false});
    assert!(computed("repeat", uneven).is_err());
    assert_eq!(
        computed(
            "repeat",
            json!({"template": "%a%", "for_each": {"%a%": null}})
        )
        .unwrap(),
        json!([])
    );
    assert_eq!(
        computed(
            "repeat",
            json!({"template": "%a%", "for_each": {"%a%": [80]}})
        )
        .unwrap(),
        json!([80])
    );
}

#[test]
fn repeat_cannot_be_made_to_explode() {
    let many: Vec<u32> = (0..1001).collect();
    let lists = json!({"a": many, "b": many});
    assert!(
        computed("repeat", json!({"template": "x", "for_each": lists}))
            .unwrap_err()
            .contains("more than 1000000")
    );
}

#[test]
fn digests_are_hexadecimal() {
    let md5 = computed("digest", json!(["MD5", "foo"])).unwrap();
    assert_eq!(md5, json!("acbd18db4cc2f85cedef654fccc4a4d8"));
    assert_eq!(
        computed("digest", json!(["sha512", ""]))
            .unwrap()
            .as_str()
            .unwrap()
            .len(),
        128
    );
    assert!(computed("digest", json!(["crc", "foo"])).is_err());
}

#[test]
fn urls_are_escaped_and_ipv6_hosts_bracketed() {
    let arguments = json!({
        "scheme": "http", "username": "u ser", "password": "p:w", "host": "::1", "port": 80,
        "path": "a b", "query": {"k y": "a/b"}, "fragment": "f"
    });
    assert_eq!(
        computed("make_url", arguments).unwrap(),
        json!("http://u%20ser:p%3Aw@[::1]:80/a%20b?k+y=a/b#f")
    );
    assert!(computed("make_url", json!({"port": 70000})).is_err());
}

#[test]
fn only_a_near_miss_with_an_underscore_is_taken_for_a_misspelt_function() {
    assert_eq!(misspelt("get_parm"), Some("get_param"));
    assert_eq!(misspelt("get_parma"), Some("get_param"));
    assert_eq!(misspelt("params"), None);
    assert_eq!(misspelt("get_param"), None);
}
