//! Inputs made to hurt: a clear error or a right answer, in bounded memory, on a thread with a small stack.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anneal_template::{
    Compiled, Files, Input, Known, Limits, Lookup, Problems, SourceText, compile, evaluate,
    evaluate_output,
};

mod catalog;

/// What a caller's thread may have: engines run on tokio's blocking threads.
const STACK_BYTES: usize = 1 << 20;

fn compiled_with(template: &str, files: Files, limits: Limits) -> Result<Compiled, Problems> {
    let template = template.to_owned();
    let run = move || {
        let catalog = catalog::catalog();
        compile(&Input {
            stack_name: "shop",
            namespace: "default",
            template: SourceText {
                name: "t",
                text: &template,
            },
            environments: &[],
            parameters: &BTreeMap::new(),
            files: &files,
            previous: None,
            catalog: &catalog,
            limits: &limits,
        })
    };
    std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap()
}

fn compiled(template: &str) -> Result<Compiled, String> {
    compiled_with(template, Files::new(), Limits::default())
        .map_err(|problems| problems.to_string())
}

const HEAD: &str = "heat_template_version: 2021-04-16\n";

struct Nothing;

impl Lookup for Nothing {
    fn stack_id(&self) -> Option<String> {
        None
    }
    fn reference_id(&self, _: &str) -> Option<Known> {
        Some(Known {
            value: serde_json::json!("id"),
            sensitive: false,
        })
    }
    fn attribute(&self, _: &str, _: &str) -> Option<Known> {
        Some(Known {
            value: serde_json::json!(["a"]),
            sensitive: false,
        })
    }
}

#[test]
fn the_deepest_legal_nesting_is_compiled_and_evaluated_and_one_more_is_told() {
    // Root, outputs, o are three levels.
    let nested = |levels: usize| {
        format!(
            "{HEAD}outputs: {{o: {{value: {}1{}}}}}\n",
            "[".repeat(levels),
            "]".repeat(levels)
        )
    };
    let deepest = compiled(&nested(125)).unwrap();
    evaluate_output(&deepest.outputs[0].body, &Nothing).unwrap();
    assert!(
        compiled(&nested(126))
            .unwrap_err()
            .contains("nested deeper than 128 levels")
    );
}

#[test]
fn functions_within_functions_end_in_a_clear_error_not_in_the_engine() {
    let inside = |levels: usize| {
        let (open, close) = ("{list_join: [\"\", [".repeat(levels), "]]}".repeat(levels));
        let value = format!("{open}{{get_attr: [v, value, 0]}}{close}");
        format!(
            "{HEAD}resources:\n  v: {{type: \"OS::Heat::Value\", properties: {{value: 1}}}}\n  \
             w: {{type: \"OS::Heat::Value\", properties: {{value: {value}}}}}\n"
        )
    };
    let fine = compiled(&inside(25)).unwrap();
    let definition = fine
        .resources
        .iter()
        .find(|r| r.name == "w")
        .unwrap()
        .definition
        .as_ref()
        .unwrap();
    assert_eq!(
        evaluate(&definition.body, &Nothing).unwrap().properties["value"],
        serde_json::json!("a")
    );
    for levels in 26..50 {
        match compiled(&inside(levels)) {
            Ok(compiled) => {
                let definition = compiled
                    .resources
                    .iter()
                    .find(|r| r.name == "w")
                    .unwrap()
                    .definition
                    .as_ref()
                    .unwrap();
                evaluate(&definition.body, &Nothing).unwrap();
            }
            Err(problems) => assert!(problems.contains("nested deeper"), "{problems}"),
        }
    }
}

#[test]
fn an_output_too_deep_for_the_engine_is_told() {
    let value = format!(
        "{}{{get_attr: [v, value]}}{}",
        "{list_join: [\"\", [".repeat(41),
        "]]}".repeat(41)
    );
    let text = format!(
        "{HEAD}resources: {{v: {{type: \"OS::Heat::Value\", properties: {{value: 1}}}}}}\noutputs: {{o: {{value: {value}}}}}\n"
    );
    assert!(compiled(&text).unwrap_err().contains("nested deeper"));
}

#[test]
fn a_chain_of_conditions_is_bounded() {
    let mut text = format!("{HEAD}conditions:\n  c0: true\n");
    for n in (1..10_000).rev() {
        writeln!(text, "  c{n}: {{not: c{}}}", n - 1).unwrap();
    }
    assert!(
        compiled(&text)
            .unwrap_err()
            .contains("name each other more than 64 deep")
    );
}

#[test]
fn many_problems_are_counted_and_the_first_ones_listed() {
    let mut text = format!("{HEAD}resources:\n");
    for n in 0..5_000 {
        writeln!(
            text,
            "  r{n}: {{type: \"OS::Heat::Value\", properties: {{value: {{get_resource: x{n}}}}}}}"
        )
        .unwrap();
    }
    let problems = compiled_with(&text, Files::new(), Limits::default()).unwrap_err();
    assert_eq!((problems.list.len(), problems.total), (100, 5_000));
    assert_eq!(problems.list[0].line, 3);
}

#[test]
fn a_file_used_by_everybody_cannot_fill_the_memory() {
    let mut text = format!("{HEAD}resources:\n");
    for n in 0..100 {
        writeln!(
            text,
            "  r{n}: {{type: \"OS::Heat::Value\", properties: {{value: {{get_file: big}}}}}}"
        )
        .unwrap();
    }
    let files = Files::from([("big".to_owned(), Arc::from(vec![b'x'; 1 << 20]))]);
    let limits = Limits {
        compiled_bytes: 10 << 20,
        ..Limits::default()
    };
    let problems = compiled_with(&text, files.clone(), limits).unwrap_err();
    assert!(problems.to_string().contains("all definitions together"));
    let limits = Limits {
        scalar_bytes: 1 << 19,
        ..Limits::default()
    };
    assert!(
        compiled_with(&text, files, limits)
            .unwrap_err()
            .to_string()
            .contains("1048576 bytes long")
    );
}

#[test]
fn too_many_resources_are_told_by_number() {
    let mut text = format!("{HEAD}resources:\n");
    for n in 0..11 {
        writeln!(text, "  r{n}: {{type: \"OS::Heat::None\"}}").unwrap();
    }
    let limits = Limits {
        resources: 10,
        ..Limits::default()
    };
    let problems = compiled_with(&text, Files::new(), limits).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "t:3:3: resources: there are 11 resources; at most 10 are taken\n"
    );
}

#[test]
fn twice_the_resources_take_about_twice_the_time() {
    let seconds = |count: usize| {
        let mut text = format!("{HEAD}resources:\n");
        for n in 0..count {
            let before = n.saturating_sub(1);
            writeln!(text, "  r{n}:\n    type: OS::Heat::Value\n    properties:\n      value: {{get_resource: r{before}x}}").unwrap();
            writeln!(text, "  r{n}x:\n    type: OS::Heat::None").unwrap();
        }
        let start = Instant::now();
        compiled(&text).unwrap();
        start.elapsed()
    };
    seconds(100);
    let (small, large) = (seconds(2_000), seconds(16_000));
    // 8 times as many; quadratic work would take 64 times as long. The machine may be busy.
    assert!(
        large < small * 40 + Duration::from_millis(200),
        "{small:?} became {large:?}"
    );
}
