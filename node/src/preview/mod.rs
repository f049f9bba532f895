//! What a submission would do, resource by resource, without doing it: worked out as for a proposal, with the
//! providers' plans, and with what follows for those that depend on what changes.
//!
//! Knows nothing of proposals and of gRPC. Changes nothing.

pub(crate) mod values;
mod walk;
mod weigh;

use std::{collections::BTreeSet, sync::Arc};

use anneal_proto::v1::{self, preview_item::Item};
use anneal_statemachine::{command::Difference, id::Text};
use tokio::runtime::Handle;

use self::walk::Walk;
use crate::{
    replica::Replica,
    submit::{Prepared, Received, Refused, Submitter, Workshop, plan_id},
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
    let prepared = submitter.prepare(Arc::clone(&received)).await?;
    let plan_id = plan_id(&header.namespace, &header.name, &prepared);
    let base_revision = prepared.base.as_ref().map_or(0, |now| now.revision.0);
    let warnings = prepared.warnings.clone();
    let resources = submitter
        .work(move |workshop, replica, runtime| {
            Walk::new(workshop, replica, runtime, prepared).resources()
        })
        .await?;
    let count = |action: &str| resources.iter().filter(|it| it.action == action).count() as u64;
    let summary = v1::PreviewSummary {
        plan_id,
        base_revision,
        create: count("create"),
        update: count("update"),
        replace: count("replace"),
        delete: count("delete"),
        take_back: count("take_back"),
        unchanged: count("unchanged"),
        warnings,
    };
    let item = |item| v1::PreviewItem { item: Some(item) };
    let resources = resources.into_iter().map(Item::Resource);
    Ok(std::iter::once(Item::Summary(summary))
        .chain(resources)
        .map(item)
        .collect())
}

/// The resources that a submission sets anew and must not replace: those that are protected now, or whose stack is.
pub(crate) fn protected_in(replica: &Replica, prepared: &Prepared) -> BTreeSet<Text> {
    let Some(now) = &prepared.base else {
        return BTreeSet::new();
    };
    let set = prepared.difference.set.iter().map(|set| &set.name);
    if now.options.protect {
        return set.cloned().collect();
    }
    let protected: BTreeSet<Text> =
        replica.read(|state| state.protected_in(now.id).cloned().collect());
    set.filter(|name| protected.contains(*name))
        .cloned()
        .collect()
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
