//! What a member is made of beside its replica: each part is started here, and adds its services to the port.
//!
//! Knows that parts exist and in which order, and nothing of what they do.

use std::sync::Arc;

use anneal_provider::Registry;
use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;

use super::Config;
use crate::{
    dispatch::WayBack,
    engine,
    replica::Replica,
    service,
    submit::{Submitter, Workshop},
};

/// What every part is given; clones share it.
#[derive(Clone)]
pub struct Context {
    /// The replica.
    pub replica: Replica,
    /// Who carries actions out.
    pub providers: Registry,
    /// What the member was told.
    pub config: Arc<Config>,
    /// Which machine this is.
    pub host_id: String,
    /// HOST:PORT it listens on; empty without a listener.
    pub address: String,
    /// Nothing new starts once this is true.
    pub draining: watch::Sender<bool>,
    /// The end.
    pub stop: CancellationToken,
}

/// A part that has to come to rest before the member stops.
#[async_trait]
pub trait Part: Send + Sync {
    /// From now on nothing new starts.
    fn drain(&self);
    /// Waits until what runs has ended, and is reported.
    async fn idle(&self);
    /// Ends at once what still runs.
    async fn stop(&self);
}

/// Starts every part, and adds its services.
///
/// # Errors
/// What is wrong, for a person.
pub(super) async fn start(
    context: &Context,
    routes: &mut RoutesBuilder,
) -> Result<Vec<Arc<dyn Part>>, String> {
    let mut workshop = Workshop::new(Arc::new(context.providers.clone()));
    workshop.limits = Arc::new(context.config.limits.clone());
    let submitter = Submitter::new(context.replica.clone(), workshop);
    let way_back: Arc<dyn WayBack> = Arc::new(submitter.clone());
    let (engine, handles) = engine::start(context, routes, Some(way_back))?;
    service::mount(context, routes, submitter, handles.observer);
    Ok(vec![engine])
}
