//! The sections of a template, and the head: all of it but the resources. Knows no resource types.

use crate::literal::{Reporter, write_json};
use crate::tree::{NodeKind, NodeRef};

/// Sections, in the order of the normal form.
const SECTIONS: &[&str] = &[
    "heat_template_version",
    "description",
    "parameter_groups",
    "parameters",
    "conditions",
    "resources",
    "outputs",
];

/// Versions of the language, as dates and as names of releases. All are read as the last one.
const VERSIONS: &[&str] = &[
    "2013-05-23",
    "2014-10-16",
    "2015-04-30",
    "2015-10-15",
    "2016-04-08",
    "2016-10-14",
    "newton",
    "2017-02-24",
    "ocata",
    "2017-09-01",
    "pike",
    "2018-03-02",
    "queens",
    "2018-08-31",
    "rocky",
    "2021-04-16",
    "wallaby",
];

/// The sections of a template that are there.
#[derive(Default)]
pub(crate) struct Sections<'t> {
    pub(crate) parameters: Option<NodeRef<'t>>,
    pub(crate) parameter_groups: Option<NodeRef<'t>>,
    pub(crate) conditions: Option<NodeRef<'t>>,
    pub(crate) resources: Option<NodeRef<'t>>,
    pub(crate) outputs: Option<NodeRef<'t>>,
}

/// Finds the sections, and what is wrong with the outermost level.
pub(crate) fn sections<'t>(root: NodeRef<'t>, reporter: &mut Reporter<'_>) -> Option<Sections<'t>> {
    let Some(entries) = root.entries() else {
        reporter.error(
            root,
            "",
            format!("a template is a map, not {}", root.in_words()),
        );
        return None;
    };
    let mut found = Sections::default();
    let mut versioned = false;
    for entry in entries {
        let value = entry.value;
        match entry.name() {
            "heat_template_version" => {
                versioned = true;
                check_version(value, reporter);
            }
            "description" => {
                reporter.text(value, "description");
            }
            "parameters" => found.parameters = Some(value),
            "parameter_groups" => found.parameter_groups = Some(value),
            "conditions" => found.conditions = Some(value),
            "resources" => found.resources = Some(value),
            "outputs" => found.outputs = Some(value),
            old @ ("AWSTemplateFormatVersion" | "HeatTemplateFormatVersion") => {
                versioned = true;
                reporter.error(
                    entry.key,
                    old,
                    "a CloudFormation template; only HOT (heat_template_version) is taken",
                );
            }
            other => {
                reporter.unknown(entry.key, other, "section", other, SECTIONS.iter().copied());
            }
        }
    }
    if !versioned {
        reporter.error(
            root,
            "heat_template_version",
            "it is missing; the newest is 2021-04-16",
        );
    }
    Some(found)
}

fn check_version(value: NodeRef<'_>, reporter: &mut Reporter<'_>) {
    let path = "heat_template_version";
    let Some(version) = reporter.text(value, path) else {
        if value.kind() == NodeKind::Null {
            reporter.error(value, path, "it is empty; the newest is 2021-04-16");
        }
        return;
    };
    if !VERSIONS.contains(&version) {
        reporter.unknown(value, path, "version", version, VERSIONS.iter().copied());
    }
}

/// The normal form of all but the resources. `outputs`: what stands for the outputs, as JSON.
pub(crate) fn normal_form(root: NodeRef<'_>, outputs: Option<&str>) -> String {
    let mut out = String::from("{");
    let mut put = |name: &str, write: &mut dyn FnMut(&mut String)| {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&format!("\"{name}\":"));
        write(&mut out);
    };
    for section in SECTIONS.iter().filter(|section| **section != "resources") {
        match (*section, outputs, root.get(section)) {
            ("outputs", Some(json), _) => put(section, &mut |out| out.push_str(json)),
            // A version is a word, whatever YAML makes of it.
            ("heat_template_version", _, Some(value)) => {
                put(section, &mut |out| write_json(value, &[value.index()], out))
            }
            (_, _, Some(value)) => put(section, &mut |out| write_json(value, &[], out)),
            (_, _, None) => {}
        }
    }
    out.push('}');
    out
}
