//! Patches as incidents: what is touched, what is refused, and that a patched stack is the same as a stack
//! made from the patched whole.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{CompiledPatch, PatchInput, compile_patch};
use crate::compile::{Input, SourceText, compile};
use crate::definition::{Compiled, Files, Fragment, Head, ParameterValues};
use crate::limits::Limits;
use crate::render::render_template;
use crate::schema::{AttributeSchema, MapCatalog, TypeSchema};
use crate::stack_view::StackView;

fn catalog() -> MapCatalog {
    let any = TypeSchema {
        any_property: true,
        any_attribute: true,
        ..TypeSchema::default()
    };
    let strict = TypeSchema {
        any_property: true,
        attributes: BTreeMap::from([("value".to_owned(), AttributeSchema::default())]),
        ..TypeSchema::default()
    };
    MapCatalog {
        types: BTreeMap::from([("Any".to_owned(), any), ("Strict".to_owned(), strict)]),
    }
}

fn files() -> Files {
    let content: Arc<[u8]> = Arc::from(&b"text"[..]);
    Files::from([("file".to_owned(), content)])
}

fn compiled(template: &str, parameters: &BTreeMap<String, Json>) -> Result<Compiled, String> {
    compile(&Input {
        stack_name: "shop",
        namespace: "default",
        template: SourceText {
            name: "t.yaml",
            text: template,
        },
        environments: &[SourceText {
            name: "e.yaml",
            text: "resource_registry: {Alias: Any}",
        }],
        parameters,
        files: &files(),
        previous: None,
        catalog: &catalog(),
        limits: &Limits::default(),
    })
    .map_err(|problems| problems.to_string())
}

/// A stored stack in memory, which notes what it was asked.
struct Stored {
    compiled: Compiled,
    asked: RefCell<BTreeSet<String>>,
}

impl Stored {
    fn of(template: &str) -> Self {
        Self {
            compiled: compiled(template, &BTreeMap::new()).unwrap(),
            asked: RefCell::default(),
        }
    }

    fn needs(&self, name: &str) -> Vec<String> {
        let resource = self.compiled.resources.iter().find(|r| r.name == name);
        let Some(definition) = resource.and_then(|r| r.definition.as_ref()) else {
            return Vec::new();
        };
        let references = definition.references.iter().map(|r| r.resource.clone());
        references
            .chain(definition.depends_on.iter().cloned())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    fn patch(&self, text: &str) -> Result<CompiledPatch, String> {
        compile_patch(&PatchInput {
            stack_name: "shop",
            namespace: "default",
            view: self,
            patch: SourceText {
                name: "p.yaml",
                text,
            },
            parameters: &BTreeMap::new(),
            files: &files(),
            catalog: &catalog(),
            limits: &Limits::default(),
        })
        .map_err(|problems| problems.to_string())
    }

    /// The stack with the patch on it.
    fn patched(&self, patch: CompiledPatch) -> Compiled {
        let mut whole = self.compiled.clone();
        whole.resources.retain(|r| {
            !patch.removed.contains(&r.name) && !patch.resources.iter().any(|p| p.name == r.name)
        });
        whole.resources.extend(patch.resources);
        whole.resources.sort_by(|a, b| a.name.cmp(&b.name));
        whole.head = patch.head.unwrap_or(whole.head);
        whole.parameters = patch.parameters.unwrap_or(whole.parameters);
        whole.outputs = patch.outputs;
        whole
    }

    /// Patches, and checks that the patched whole compiles to the same.
    fn patch_and_check(&self, text: &str) -> CompiledPatch {
        let patch = self.patch(text).unwrap();
        let incremental = self.patched(patch.clone());
        let fragments = incremental
            .resources
            .iter()
            .map(|r| (&r.name, &r.fragment.text));
        let rendered = render_template(&incremental.head.text, fragments).unwrap();
        let given = incremental
            .parameters
            .iter()
            .filter(|(_, value)| value.given);
        let given = given
            .map(|(name, value)| (name.clone(), value.value.clone()))
            .collect();
        let mut whole = compiled(&rendered, &given).unwrap();
        whole.resources.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(whole, incremental, "{rendered}");
        patch
    }
}

impl StackView for Stored {
    fn head(&self) -> Head {
        self.compiled.head.clone()
    }

    fn environment(&self) -> String {
        self.compiled.environment.clone()
    }

    fn parameters(&self) -> ParameterValues {
        self.compiled.parameters.clone()
    }

    fn type_of(&self, resource: &str) -> Option<String> {
        self.asked.borrow_mut().insert(resource.to_owned());
        let resource = self
            .compiled
            .resources
            .iter()
            .find(|r| r.name == resource)?;
        resource
            .definition
            .as_ref()
            .map(|definition| definition.type_name.to_string())
    }

    fn fragment(&self, resource: &str) -> Option<Fragment> {
        self.asked.borrow_mut().insert(resource.to_owned());
        self.compiled
            .resources
            .iter()
            .find(|r| r.name == resource)
            .map(|r| r.fragment.clone())
    }

    fn users_of_parameter(&self, parameter: &str) -> Vec<String> {
        let uses = |f: &Fragment| f.parameters.iter().any(|p| p == parameter);
        self.compiled
            .resources
            .iter()
            .filter(|r| uses(&r.fragment))
            .map(|r| r.name.clone())
            .collect()
    }

    fn dependents_of(&self, resource: &str) -> Vec<String> {
        self.asked.borrow_mut().insert(resource.to_owned());
        let all = self.compiled.resources.iter().map(|r| r.name.clone());
        all.filter(|name| self.needs(name).iter().any(|needed| needed == resource))
            .collect()
    }

    fn dependencies_of(&self, resource: &str) -> Vec<String> {
        self.asked.borrow_mut().insert(resource.to_owned());
        self.needs(resource)
    }
}

const SHOP: &str = "
heat_template_version: 2021-04-16
parameters:
  size: {type: string, default: small, constraints: [{allowed_values: [small, large]}]}
  zone: {type: string, default: a, immutable: true}
  big: {type: boolean, default: false}
conditions: {big: {get_param: big}}
resources:
  base: {type: Strict}
  web: {type: Any, properties: {size: {get_param: size}, base: {get_attr: [base, value]}, page: {get_file: file}}}
  front: {type: Any, properties: {web: {get_resource: web}}}
  extra: {type: Any, condition: big}
  other: {type: Alias, depends_on: [extra], properties: {x: 0644}}
outputs:
  size: {value: {get_param: size}}
  web: {value: {get_attr: [web, address]}}
";

fn names(patch: &CompiledPatch) -> Vec<&str> {
    patch.resources.iter().map(|r| r.name.as_str()).collect()
}

#[test]
fn a_resource_that_is_set_is_compiled_alone() {
    let stored = Stored::of(SHOP);
    let patch = stored.patch_and_check("resources: {other: {type: Alias, properties: {x: 1}}}");
    assert_eq!(names(&patch), ["other"]);
    assert!(patch.head.is_none() && patch.parameters.is_none());
}

#[test]
fn new_resources_come_in_order_and_may_refer_to_stored_ones() {
    let stored = Stored::of(SHOP);
    let patch = stored.patch_and_check(
        "resources:\n  b: {type: Any, properties: {x: {get_resource: z}}}\n  z: {type: Any, depends_on: front}\n",
    );
    assert_eq!(names(&patch), ["z", "b"]);
}

#[test]
fn a_changed_parameter_compiles_its_users_and_nothing_else() {
    let stored = Stored::of(SHOP);
    let patch = stored.patch_and_check("parameters: {size: large}");
    assert_eq!(names(&patch), ["web"]);
    assert_eq!(patch.parameters.unwrap()["size"].value, json!("large"));
    assert!(!stored.asked.borrow().contains("other"));
    assert!(
        stored
            .patch("parameters: {size: small}")
            .unwrap()
            .resources
            .is_empty()
    );
}

#[test]
fn a_parameter_can_go_back_to_its_default() {
    let mut stored = Stored::of(SHOP);
    stored.compiled = stored.patched(stored.patch("parameters: {size: large}").unwrap());
    let patch = stored.patch_and_check("parameters: {size: null}");
    assert_eq!(patch.parameters.unwrap()["size"].value, json!("small"));
}

#[test]
fn wrong_parameters_are_refused_where_they_stand() {
    let stored = Stored::of(SHOP);
    let error = stored
        .patch("parameters:\n  size: tiny\n  zone: b\n  sise: large\n")
        .unwrap_err();
    let wanted = "\
p.yaml:2:9: parameters.size: \"tiny\" does not satisfy allowed_values: \"small\", \"large\"
p.yaml:3:9: parameters.zone: it is immutable: its value cannot change in an update
p.yaml:4:9: parameters.sise: unknown parameter \"sise\"; did you mean size?
";
    assert_eq!(error, wanted);
}

#[test]
fn a_condition_that_turns_makes_and_unmakes_resources() {
    let stored = Stored::of(SHOP);
    let patch = stored.patch("parameters: {big: true}").unwrap();
    assert_eq!(names(&patch), ["extra"]);
    assert!(patch.resources[0].definition.is_some());
    let mut stored = stored;
    stored.compiled = stored.patched(patch);
    let user = stored
        .patch("resources: {user: {type: Any, properties: {x: {get_resource: extra}}}}")
        .unwrap();
    stored.compiled = stored.patched(user);
    let error = stored.patch("parameters: {big: false}").unwrap_err();
    assert_eq!(
        error,
        "the stored template: resources.user.properties.x.get_resource: the resource \"extra\" is left out: its condition is false\n"
    );
}

#[test]
fn what_is_still_needed_is_not_removed() {
    let stored = Stored::of(SHOP);
    let error = stored
        .patch("remove:\n  - base\n  - nothing\n")
        .unwrap_err();
    assert_eq!(
        error,
        "p.yaml:2:5: remove: the resource \"base\" is still needed by web\np.yaml:3:5: remove: unknown resource \"nothing\"\n"
    );
    let error = stored.patch("remove: [web, front]").unwrap_err();
    assert_eq!(
        error,
        "the stored template: outputs.web.value.get_attr: unknown resource \"web\"\n"
    );
    let patch = stored.patch_and_check("remove: [web, front, base]\noutputs: {web: null}");
    assert_eq!(patch.removed, ["base", "front", "web"]);
    assert!(patch.resources.is_empty());
    stored.patch_and_check("remove: base\nresources: {web: {type: Any}}");
}

#[test]
fn a_type_that_lost_an_attribute_is_told_by_who_used_it() {
    let stored = Stored::of(
        SHOP.replace("base: {type: Strict}", "base: {type: Any}")
            .as_str(),
    );
    let stored_fine = stored.patch("resources: {base: {type: Strict}}").unwrap();
    assert_eq!(names(&stored_fine), ["base", "web"]);
    let stored = Stored::of(
        &SHOP
            .replace("base: {type: Strict}", "base: {type: Any}")
            .replace("[base, value]", "[base, v]"),
    );
    let error = stored
        .patch("resources: {base: {type: Strict}}")
        .unwrap_err();
    assert!(
        error.contains(
            "resources.web.properties.base.get_attr: unknown attribute of \"base\": \"v\""
        ),
        "{error}"
    );
}

#[test]
fn a_circle_through_stored_resources_is_told_as_its_path() {
    let stored = Stored::of(SHOP);
    let error = stored
        .patch("resources:\n  base: {type: Strict, properties: {x: {get_resource: front}}}\n")
        .unwrap_err();
    assert_eq!(
        error,
        "p.yaml:2:3: resources.base: resources need each other in a circle: base → front → web → base\n"
    );
    let error = stored
        .patch(
            "resources: {base: {type: Strict, depends_on: new}, new: {type: Any, depends_on: web}}",
        )
        .unwrap_err();
    assert!(error.contains("base → new → web → base"), "{error}");
    stored.patch_and_check("resources: {base: {type: Strict, depends_on: web}, web: {type: Any}}");
}

#[test]
fn outputs_are_set_and_taken_away_and_the_rest_stays() {
    let stored = Stored::of(SHOP);
    let patch = stored.patch_and_check("outputs: {new: {value: {get_file: file}}, size: null}");
    assert_eq!(
        patch
            .outputs
            .iter()
            .map(|o| o.name.as_str())
            .collect::<Vec<_>>(),
        ["new", "web"]
    );
    assert_eq!(patch.head.unwrap().files.len(), 1);
    assert!(patch.resources.is_empty());
}

#[test]
fn everything_wrong_in_a_patch_is_told_at_once() {
    let stored = Stored::of(SHOP);
    let error = stored
        .patch("resource: {}\nremove: [web]\nresources:\n  web: {type: Any}\n  new: {type: Anyy, properties: {x: {get_attr: [bas, v]}}}\n")
        .unwrap_err();
    let wanted = "\
p.yaml:1:1: resource: unknown section of a patch \"resource\"; did you mean resources?
p.yaml:2:10: remove: the resource \"web\" is still needed by front
p.yaml:4:3: resources.web: it is both set and removed
p.yaml:5:15: resources.new.type: unknown resource type \"Anyy\"; did you mean Any?
p.yaml:5:48: resources.new.properties.x.get_attr: unknown resource \"bas\"
";
    assert_eq!(error, wanted);
}

#[test]
fn an_empty_patch_changes_nothing() {
    let stored = Stored::of(SHOP);
    for text in ["", "{}", "resources:\n"] {
        let patch = stored.patch_and_check(text);
        assert!(
            patch.resources.is_empty()
                && patch.removed.is_empty()
                && patch.head.is_none()
                && patch.parameters.is_none()
        );
    }
}
