//! What a submission would do, resource by resource, without doing it: worked out as for a proposal, with the
//! providers' plans, and with what follows for those that depend on what changes.
//!
//! Knows nothing of proposals and of gRPC. Changes nothing.

pub(crate) mod values;
mod walk;
mod weigh;

use std::{collections::BTreeSet, sync::Arc};

use anneal_proto::v1::{self, preview_item::Item};
use anneal_statemachine::{
    command::Difference,
    id::{StackId, Text},
    row::DesiredRow,
};
use tokio::runtime::Handle;

use self::walk::Walk;
use crate::{
    replica::Replica,
    submit::{PAGE, Prepared, Received, Refused, Submitter, Workshop, plan_id},
};

/// Previews a submission: a summary, then every resource in the order of names.
///
/// # Errors
/// As those of the submission itself.
pub async fn preview(
    submitter: &Submitter,
    received: Arc<Received>,
) -> Result<Vec<v1::PreviewItem>, Refused> {
    let header = &received.header;
    submitter
        .wait_for_rest(&header.namespace, &header.name)
        .await?;
    submitter
        .work(move |workshop, replica, runtime| {
            let prepared = workshop.prepare(&received, replica, runtime)?;
            let header = &received.header;
            let mut summary = v1::PreviewSummary {
                plan_id: plan_id(&header.namespace, &header.name, &prepared),
                base_revision: prepared.base.as_ref().map_or(0, |now| now.revision.0),
                warnings: prepared.warnings.clone(),
                ..Default::default()
            };
            let resources = Walk::new(workshop, replica, runtime, prepared).resources()?;
            let count =
                |action: &str| resources.iter().filter(|it| it.action == action).count() as u64;
            summary.create = count("create");
            summary.update = count("update");
            summary.replace = count("replace");
            summary.delete = count("delete");
            summary.take_back = count("take_back");
            summary.unchanged = count("unchanged");
            let resources = resources.into_iter().map(Item::Resource);
            let items = std::iter::once(Item::Summary(summary)).chain(resources);
            let item = |item| v1::PreviewItem { item: Some(item) };
            Ok(items.map(item).collect())
        })
        .await
}

/// The resources that a submission sets anew and must not replace: those that are protected now, or whose stack is.
pub(crate) fn protected_in(replica: &Replica, prepared: &Prepared) -> BTreeSet<Text> {
    let Some(now) = &prepared.base else {
        return BTreeSet::new();
    };
    let set = prepared.difference.set.iter().map(|set| &set.name);
    match now.options.protect {
        true => set.cloned().collect(),
        false => protected_among(replica, now.id, set),
    }
}

/// Those of these resources of a stack that are protected now.
fn protected_among<'a>(
    replica: &Replica,
    stack: StackId,
    mut names: impl Iterator<Item = &'a Text>,
) -> BTreeSet<Text> {
    let mut protected = BTreeSet::new();
    if replica.read(|state| state.protected(stack)) == 0 {
        return protected;
    }
    loop {
        let page: Vec<&Text> = names.by_ref().take(PAGE).collect();
        if page.is_empty() {
            return protected;
        }
        replica.read(|state| {
            let declared = |name: &Text| state.declared(stack, name);
            let page = page.into_iter();
            let page = page.filter(|name| declared(name).is_some_and(DesiredRow::protects));
            protected.extend(page.cloned());
        });
    }
}

/// Refuses a submission that would replace something protected, as far as that can be told ahead.
///
/// # Errors
/// [`Refused::Protected`] names the first such resource.
pub(crate) fn spare_protected(
    workshop: &Workshop,
    replica: &Replica,
    runtime: &Handle,
    prepared: &Prepared,
) -> Result<(), Refused> {
    let protected = protected_in(replica, prepared);
    let set = prepared.difference.set.iter();
    let set = set.filter(|set| protected.contains(&set.name));
    let only_these = Prepared {
        base: prepared.base.clone(),
        difference: Difference {
            set: set.cloned().collect(),
            ..Difference::default()
        },
        warnings: Vec::new(),
    };
    match Walk::new(workshop, replica, runtime, only_these).first_replaced()? {
        Some((name, because)) => Err(Refused::Protected { name, because }),
        None => Ok(()),
    }
}
