//! Reads what a resource waits for beyond what it refers to.

use std::collections::BTreeSet;

use crate::fold::{Folder, Neighbour};
use crate::place::Step;
use crate::tree::{Entry, NodeKind, NodeRef};

/// Reads `depends_on`: a name or a list of names. Problems are told.
pub(super) fn read_depends_on<'t>(
    entry: Entry<'t>,
    own: &str,
    names: &mut BTreeSet<String>,
    folder: &mut Folder<'_, 't, '_>,
) {
    folder.place.enter(Step::Key("depends_on"));
    match entry.value.kind() {
        NodeKind::Null => {}
        NodeKind::Text => add_dependency(entry.value, own, names, folder),
        NodeKind::List => {
            for (index, item) in entry.value.items().into_iter().flatten().enumerate() {
                folder.place.enter(Step::Index(index));
                add_dependency(item, own, names, folder);
                folder.place.leave();
            }
        }
        _ => {
            folder.error(
                entry.value,
                format!(
                    "must be a name or a list of names, not {}",
                    entry.value.in_words()
                ),
            );
        }
    }
    folder.place.leave();
}

fn add_dependency<'t>(
    node: NodeRef<'t>,
    own: &str,
    names: &mut BTreeSet<String>,
    folder: &mut Folder<'_, 't, '_>,
) {
    let Some(name) = node.text() else {
        folder.error(
            node,
            format!("must be the name of a resource, not {}", node.in_words()),
        );
        return;
    };
    if name == own {
        folder.error(node, "a resource cannot depend on itself");
        return;
    }
    match folder.scope.neighbours.neighbour(name) {
        // Nothing to wait for.
        Neighbour::LeftOut => {}
        Neighbour::Typed(_) | Neighbour::Untyped => {
            names.insert(name.to_owned());
        }
        Neighbour::Missing => {
            let path = folder.place.text();
            let known = folder.scope.neighbours.names();
            folder.reporter.unknown(node, path, "resource", name, known);
        }
    }
}
