//! Texts and bytes that nobody would write: problems or a right answer, never a panic. More of them:
//! `PROPTEST_CASES=100000`.

use std::collections::BTreeMap;

use anneal_template::{
    Compiled, Files, Fragment, Head, Input, Known, Limits, Lookup, ParameterValues, PatchInput,
    Problems, SourceText, StackView, compile, compile_patch, evaluate, evaluate_output,
    evaluate_partial, files_used,
};
use proptest::prelude::*;
use serde_json::json;

mod catalog;

const TEMPLATES: [&str; 7] = [
    include_str!("golden/web.yaml"),
    include_str!("golden/environment.yaml"),
    include_str!("golden/left_out.yaml"),
    include_str!("golden/hidden.yaml"),
    include_str!("golden/problems.yaml"),
    include_str!("golden/environment.env.yaml"),
    PATCH,
];

const PATCH: &str = "parameters: {size: 3}
resources:
  a: {type: OS::Heat::Value, properties: {value: {get_param: size}}}
  b:
    type: OS::Heat::Value
    depends_on: [a]
    properties: {value: {list_join: [',', [{get_attr: [a, value]}, x]]}}
remove: [c]
outputs: {o: {value: {get_attr: [b, value]}}}
";

/// Words that mean something to one reader or another.
const WORDS: [&str; 24] = [
    "{get_param: x}",
    "{get_attr: [a, value]}",
    "{get_file: f}",
    "repeat:",
    "for_each:",
    "if:",
    "- ",
    "? ",
    "&a ",
    "*a",
    "<<: ",
    "!!binary ",
    "|+\n",
    ">-\n",
    "---\n",
    "%YAML 1.1\n",
    "\t",
    "\u{feff}",
    "\u{2028}",
    "0x",
    "1e999",
    "-9223372036854775808",
    "é😀",
    "$call",
];

#[derive(Clone, Debug)]
enum Harm {
    Cut(usize),
    Drop(usize, usize),
    Insert(usize, &'static str),
    Byte(usize, u8),
    Splice(usize, usize),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        any::<usize>().prop_map(Harm::Cut),
        (any::<usize>(), 1_usize..40).prop_map(|(at, count)| Harm::Drop(at, count)),
        (any::<usize>(), prop::sample::select(WORDS.to_vec()))
            .prop_map(|(at, word)| Harm::Insert(at, word)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Harm::Byte(at, byte)),
        (any::<usize>(), any::<usize>()).prop_map(|(which, from)| Harm::Splice(which, from)),
    ]
}

fn spoil(mut bytes: Vec<u8>, harm: &Harm, others: &[Vec<u8>]) -> Vec<u8> {
    let at = |at: usize| at % (bytes.len() + 1);
    match harm {
        Harm::Cut(place) => bytes.truncate(at(*place)),
        Harm::Drop(place, count) => {
            let from = at(*place);
            bytes.drain(from..(from + count).min(bytes.len()));
        }
        Harm::Insert(place, word) => {
            let from = at(*place);
            bytes.splice(from..from, word.bytes());
        }
        Harm::Byte(place, byte) => {
            let from = at(*place);
            if let Some(old) = bytes.get_mut(from) {
                *old = *byte;
            }
        }
        Harm::Splice(which, from) => {
            let other = &others[which % others.len()];
            bytes.extend(&other[from % (other.len() + 1)..]);
        }
    }
    bytes
}

fn spoilt(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let picked = (
        any::<prop::sample::Index>(),
        prop::collection::vec(harm(), 0..5),
    );
    picked.prop_map(move |(index, harms)| {
        let bytes = index.get(&samples).clone();
        harms
            .iter()
            .fold(bytes, |bytes, harm| spoil(bytes, harm, &samples))
    })
}

fn hostile_text() -> impl Strategy<Value = String> {
    let samples = TEMPLATES.map(|text| text.as_bytes().to_vec()).to_vec();
    prop_oneof![
        1 => any::<String>(),
        6 => spoilt(samples).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ]
}

fn compiled(template: &str, environment: &str) -> Result<Compiled, Problems> {
    let catalog = catalog::catalog();
    compile(&Input {
        stack_name: "shop",
        namespace: "default",
        template: SourceText {
            name: "t",
            text: template,
        },
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

/// A stored stack of two resources, or of whatever bytes a damaged one has.
struct Stored {
    head: String,
    environment: String,
    fragment: String,
}

impl StackView for Stored {
    fn head(&self) -> Head {
        Head {
            text: self.head.clone(),
            files: Vec::new(),
        }
    }
    fn environment(&self) -> String {
        self.environment.clone()
    }
    fn parameters(&self) -> ParameterValues {
        ParameterValues::new()
    }
    fn type_of(&self, resource: &str) -> Option<String> {
        ["a", "c"]
            .contains(&resource)
            .then(|| "OS::Heat::Value".to_owned())
    }
    fn fragment(&self, resource: &str) -> Option<Fragment> {
        ["a", "c"].contains(&resource).then(|| Fragment {
            text: self.fragment.clone(),
            parameters: vec!["size".to_owned()],
            files: Vec::new(),
        })
    }
    fn users_of_parameter(&self, _: &str) -> Vec<String> {
        vec!["a".to_owned()]
    }
    fn dependents_of(&self, resource: &str) -> Vec<String> {
        match resource {
            "c" => vec!["a".to_owned()],
            _ => Vec::new(),
        }
    }
    fn dependencies_of(&self, resource: &str) -> Vec<String> {
        match resource {
            "a" => vec!["c".to_owned()],
            _ => Vec::new(),
        }
    }
}

const HEAD: &str =
    r#"{"heat_template_version":"2021-04-16","parameters":{"size":{"type":"number","default":1}}}"#;
const FRAGMENT: &str = r#"{"properties":{"value":{"get_param":"size"}},"type":"OS::Heat::Value"}"#;

fn patched(stored: &Stored, patch: &str) -> bool {
    compile_patch(&PatchInput {
        stack_name: "shop",
        namespace: "default",
        view: stored,
        patch: SourceText {
            name: "p",
            text: patch,
        },
        parameters: &BTreeMap::new(),
        files: &Files::new(),
        catalog: &catalog::catalog(),
        limits: &Limits::default(),
    })
    .is_ok()
}

fn sound() -> Stored {
    Stored {
        head: HEAD.to_owned(),
        environment: String::new(),
        fragment: FRAGMENT.to_owned(),
    }
}

#[test]
fn the_sound_patch_compiles() {
    assert!(patched(
        &sound(),
        "resources: {a: {properties: {value: 2}, type: OS::Heat::Value}}"
    ));
}

/// Answers everything with one value, of whatever kind.
struct Answers(serde_json::Value);

impl Lookup for Answers {
    fn stack_id(&self) -> Option<String> {
        Some("1".to_owned())
    }
    fn reference_id(&self, _: &str) -> Option<Known> {
        self.attribute("", "")
    }
    fn attribute(&self, _: &str, _: &str) -> Option<Known> {
        Some(Known {
            value: self.0.clone(),
            sensitive: true,
        })
    }
}

/// Bodies as the compiler writes them.
fn bodies() -> Vec<Vec<u8>> {
    let mut found = vec![
        br#"{"v":1,"value":{"$call":["get_attr",["web","address",0]]}}"#.to_vec(),
        br#"{"properties":{"a":{"$call":["list_join",[",",[{"$sensitive":"s"},{"$$x":1}]]]}},"type":"T","v":1}"#.to_vec(),
    ];
    for template in TEMPLATES {
        if let Ok(compiled) = compiled(template, "") {
            found.extend(compiled.outputs.into_iter().map(|output| output.body));
            let definitions = compiled.resources.into_iter().filter_map(|r| r.definition);
            found.extend(definitions.map(|definition| definition.body));
        }
    }
    found
}

proptest! {
    #[test]
    fn templates_and_environments(template in hostile_text(), environment in hostile_text()) {
        let text = SourceText { name: "t", text: &template };
        let _ = files_used(text, &Limits::default());
        let _ = compiled(&template, "");
        let _ = compiled(TEMPLATES[1], &environment);
        if let Ok(found) = compiled(&template, &environment) {
            let answers = Answers(json!(["a", {"b": 1}]));
            for output in &found.outputs {
                let _ = evaluate_output(&output.body, &answers);
            }
            for definition in found.resources.iter().filter_map(|r| r.definition.as_ref()) {
                let _ = evaluate(&definition.body, &answers);
            }
        }
    }

    #[test]
    fn patch_documents(patch in hostile_text(), stored in hostile_text()) {
        patched(&sound(), &patch);
        // What is stored was ours once; if it is damaged, that is a problem and no panic.
        patched(&Stored { head: stored.clone(), ..sound() }, PATCH);
        patched(&Stored { fragment: stored.clone(), ..sound() }, PATCH);
        patched(&Stored { environment: stored, ..sound() }, PATCH);
    }

    #[test]
    fn bodies_of_definitions(body in spoilt(bodies()), value in prop::sample::select(vec![
        json!(null), json!(1.5e300), json!("text"), json!([[], {}]), json!({"a": {"b": [1]}}), json!(-1),
    ])) {
        let answers = Answers(value);
        let _ = evaluate(&body, &answers);
        let _ = evaluate_partial(&body, &answers);
        let _ = evaluate_output(&body, &answers);
    }
}
