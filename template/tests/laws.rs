//! What holds for every template: what is stored compiles to the same again, the order of keys means nothing, and no
//! text makes the compiler fall over.

use std::collections::BTreeMap;

use anneal_template::{
    Compiled, Files, Input, Limits, Problems, SourceText, compile, files_used, render_template,
};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

mod catalog;

fn compiled(text: &str, environment: &str) -> Result<Compiled, Problems> {
    let catalog = catalog::catalog();
    compile(&Input {
        stack_name: "shop",
        namespace: "default",
        template: SourceText { name: "t", text },
        environments: &[SourceText {
            name: "e",
            text: environment,
        }],
        parameters: &BTreeMap::new(),
        files: &Files::new(),
        previous: None,
        catalog: &catalog,
        limits: &Limits::default(),
    })
}

/// Texts that YAML could misread, among others.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ]{0,6}",
        "[-:#{}\\[\\],&*!|>'\"%@`?~=<.0-9a-z \n\t$]{0,8}",
        prop::sample::select(vec![
            "yes",
            "0644",
            "1e3",
            "1.0",
            "null",
            "~",
            "",
            "<<",
            "2021-01-01",
            "$call",
            "é😀\u{2028}\n"
        ])
        .prop_map(str::to_owned),
    ]
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_filter_map("finite", |f| f.is_finite().then(|| json!(f))),
        text().prop_map(Json::from),
    ]
}

/// A value of the property language; `before`: resources that may be referred to.
fn value(before: usize) -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        4 => scalar(),
        1 => prop::sample::select(vec!["s", "n", "j", "l", "h", "OS::stack_name", "OS::stack_id"]).prop_map(|p| json!({"get_param": p})),
        1 => Just(json!({"get_param": ["j", "a", 0]})),
        1 => (0..before.max(1)).prop_map(move |r| {
            if before == 0 { json!("none yet") } else { json!({"get_attr": [format!("r{r}"), "value", "x", 0]}) }
        }),
        1 => (0..before.max(1)).prop_map(move |r| {
            if before == 0 { json!(1) } else { json!({"get_resource": format!("r{r}")}) }
        }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((text(), inner.clone()), 2..4)
                .prop_map(|pairs| Json::Object(pairs.into_iter().collect::<Map<_, _>>())),
            (text(), inner.clone(), inner.clone()).prop_map(|(key, a, b)| json!({"map_merge": [{key: a, "k": 1}, {"k": b}]})),
            (text(), inner.clone()).prop_map(|(text, v)| json!({"str_replace": {"template": text, "params": {"a": v}}})),
            (prop::sample::select(vec!["yes", "no"]), inner.clone(), inner.clone())
                .prop_map(|(condition, a, b)| json!({"if": [condition, a, b]})),
            inner.clone().prop_map(|v| json!([{"if": ["no", v]}, {"list_join": [",", ["a", "b"]]}])),
            inner.prop_map(|v| json!({"repeat": {"for_each": {"%i%": {"get_param": "l"}}, "template": {"%i%": v}}})),
        ]
    })
}

fn template() -> impl Strategy<Value = Json> {
    (1..5usize)
        .prop_flat_map(|count| {
            let values: Vec<_> = (0..count).map(|before| value(before).boxed()).collect();
            (values, prop::collection::vec(any::<u8>(), count), value(count), text())
        })
        .prop_map(|(values, choices, output, description)| {
            let mut resources = Map::new();
            for (at, (value, choice)) in values.into_iter().zip(choices).enumerate() {
                let mut resource = json!({"type": "OS::Heat::None", "properties": {"p": value, "yes": "no"}});
                if choice % 4 == 0 && at > 0 {
                    resource["depends_on"] = json!([format!("r{}", at - 1)]);
                }
                if choice % 5 == 0 {
                    resource["metadata"] = json!({"m": {"get_param": "s"}, "0644": 644});
                }
                resources.insert(format!("r{at}"), resource);
            }
            json!({
                "heat_template_version": "2021-04-16",
                "description": description,
                "parameters": {
                    "s": {"type": "string", "default": "text: {x}"}, "n": {"type": "number", "default": 1.5},
                    "j": {"type": "json", "default": {"a": ["x"]}}, "l": {"type": "comma_delimited_list", "default": "p,q"},
                    "h": {"type": "string", "default": "hidden", "hidden": true},
                },
                "conditions": {"yes": {"equals": [{"get_param": "s"}, "text: {x}"]}, "no": {"not": "yes"}},
                "resources": resources,
                "outputs": {"o": {"value": output}},
            })
        })
}

/// The same with the keys of every map turned round, but where their order has a meaning.
fn turned(json: &Json) -> Json {
    match json {
        Json::Object(map) if map.contains_key("for_each") => json.clone(),
        Json::Object(map) => Json::Object(
            map.iter()
                .rev()
                .map(|(k, v)| (k.clone(), turned(v)))
                .collect(),
        ),
        Json::Array(items) => Json::Array(items.iter().map(turned).collect()),
        scalar => scalar.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_stored_compiles_to_the_very_same(template in template()) {
        let text = template.to_string();
        let first = compiled(&text, "");
        prop_assume!(first.is_ok());
        let mut first = first.unwrap();
        first.warnings.clear();
        let mut fragments: Vec<_> = first.resources.iter().map(|r| (&r.name, &r.fragment.text)).collect();
        fragments.sort();
        let rendered = render_template(&first.head.text, fragments).unwrap();
        let mut second = compiled(&rendered, &first.environment)
            .map_err(|problems| TestCaseError::fail(format!("{problems}{rendered}")))?;
        second.warnings.clear();
        prop_assert_eq!(first, second, "{}", rendered);
    }

    #[test]
    fn the_order_of_keys_means_nothing(template in template()) {
        let first = compiled(&template.to_string(), "");
        prop_assume!(first.is_ok());
        let second = compiled(&turned(&template).to_string(), "");
        let bodies = |compiled: Result<Compiled, Problems>| -> Vec<_> {
            let compiled = compiled.unwrap();
            compiled.resources.into_iter().map(|r| (r.name, r.definition)).collect()
        };
        prop_assert_eq!(bodies(first), bodies(second));
    }

    #[test]
    fn no_text_makes_it_fall_over(text in "[-a-c:#{}\\[\\],&*!|>'\"%?~<\n\t 0.]{0,60}") {
        let _ = compiled(&text, &text);
        let _ = files_used(SourceText { name: "t", text: &text }, &Limits::default());
    }

    #[test]
    fn no_damage_to_a_template_makes_it_fall_over(
        template in template(), cut in any::<prop::sample::Index>(), length in 0..6usize, put in "[-:{}\\[\\]*&a\" \n]{0,3}"
    ) {
        let rendered = compiled(&template.to_string(), "").ok().and_then(|compiled| {
            let fragments: Vec<_> = compiled.resources.iter().map(|r| (&r.name, &r.fragment.text)).collect();
            render_template(&compiled.head.text, fragments).ok()
        });
        for text in [rendered.unwrap_or_default(), template.to_string()] {
            let characters: Vec<char> = text.chars().collect();
            if characters.is_empty() {
                continue;
            }
            let at = cut.index(characters.len());
            let rest = characters.iter().skip(at + length);
            let damaged: String = characters[..at].iter().copied().chain(put.chars()).chain(rest.copied()).collect();
            let _ = compiled(&damaged, "");
        }
    }
}
