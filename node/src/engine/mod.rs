//! A member's share of the work, put together: its engine (lease, executor, reader) and, for when it leads, the
//! dispatcher.
//!
//! Only wiring: it knows what there is and in which order it starts and stops, and nothing of what it does.

use std::sync::Arc;
use std::time::Duration;

use anneal_provider::default_host_dir;
use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tonic::service::RoutesBuilder;

use crate::dispatch::{self, Dispatch, WayBack};
use crate::execute::{self, Execution, Surroundings};
use crate::lease::link::Link;
use crate::lease::reach::{CurrentHub, Reach};
use crate::lease::{self, Engine, EngineService, Hub, LeaseView, Profile};
use crate::member::{Context, Part};
use crate::observe::{self, Observer};

/// Calls that were told to end when the member stops have this long to do so.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// What others on this member may ask of it.
#[derive(Clone)]
pub struct Handles {
    /// This member's engine; none if it has no capacity.
    pub engine: Option<Arc<Engine>>,
    /// The engine streams, while this member leads.
    pub hub: CurrentHub,
    /// Observation, while this member leads.
    pub observer: watch::Receiver<Option<Observer>>,
}

impl Handles {
    /// How an engine's lease stands, by the clock of the leader; none if this member does not lead.
    pub fn lease(&self, engine: anneal_statemachine::id::EngineRef) -> Option<LeaseView> {
        Some(self.hub.borrow().as_ref()?.view(engine))
    }
}

/// Starts it all, and adds its service.
///
/// # Errors
/// If the kernel has no timer to give.
pub fn start(
    context: &Context,
    routes: &mut RoutesBuilder,
    way_back: Option<Arc<dyn WayBack>>,
) -> Result<(Arc<dyn Part>, Handles), String> {
    let hub = watch::Sender::new(None);
    let observer = watch::Sender::new(None);
    let registry = Arc::new(context.providers.clone());
    routes.add_service(EngineService::server(
        context.replica.clone(),
        hub.subscribe(),
    ));
    let mut handles = Handles {
        engine: None,
        hub: hub.subscribe(),
        observer: observer.subscribe(),
    };
    let mut running = Vec::new();
    if context.config.capacity > 0 {
        let engine = Arc::new(Engine::new(profile(context)));
        running = start_engine(context, &engine, handles.hub.clone())
            .map_err(|error| format!("the engine can't keep its lease: {error}"))?;
        handles.engine = Some(engine);
    }
    let dispatcher = dispatch::start(Dispatch {
        replica: context.replica.clone(),
        registry,
        leases: context.config.leases,
        way_back,
        observation: observe::Settings::default(),
        history: context.config.history,
        hub,
        observer,
    });
    running.push(dispatcher.abort_handle());
    context.replica.oversee("the dispatcher", dispatcher);
    let part = EnginePart {
        engine: handles.engine.clone(),
        hub: handles.hub.clone(),
        running,
    };
    Ok((Arc::new(part), handles))
}

fn profile(context: &Context) -> Profile {
    Profile {
        member: context.replica.member_id(),
        address: context.address.clone(),
        host: context.host_id.clone(),
        capacity: context.config.capacity,
        offers: context.providers.type_names().map(str::to_owned).collect(),
        labels: context.config.labels.clone(),
    }
}

fn start_engine(
    context: &Context,
    engine: &Arc<Engine>,
    hub: CurrentHub,
) -> std::io::Result<Vec<AbortHandle>> {
    let replica = &context.replica;
    let surroundings = Surroundings {
        registry: Arc::new(context.providers.clone()),
        cluster_id: replica.addressee().cluster_id.as_str().into(),
        host_dir: default_host_dir().into(),
        lease: engine.lease_end(),
    };
    let executor = execute::start(Execution {
        replica: replica.clone(),
        engine: Arc::clone(engine),
        surroundings: surroundings.clone(),
    });
    let (reader, requests, answers) =
        observe::start_reading(replica.clone(), Arc::clone(engine), surroundings);
    let link = Link {
        engine: Arc::clone(engine),
        leaders: Arc::new(Reach::new(replica.clone(), hub)),
        heartbeat: Duration::from_millis(context.config.leases.heartbeat_ms),
        requests,
        answers,
    };
    let link = tokio::spawn(link.run());
    let guard = lease::guard(Arc::clone(engine))?;
    let tasks = [
        ("the executor", executor),
        ("the reader of what is observed", reader),
        ("the link to the leader", link),
        ("the guard of the lease", guard),
    ];
    let running = tasks.iter().map(|(_, task)| task.abort_handle()).collect();
    for (what, task) in tasks {
        replica.oversee(what, task);
    }
    Ok(running)
}

struct EnginePart {
    engine: Option<Arc<Engine>>,
    hub: CurrentHub,
    running: Vec<AbortHandle>,
}

#[async_trait]
impl Part for EnginePart {
    fn drain(&self) {
        if let Some(engine) = &self.engine {
            engine.drain();
        }
    }

    async fn idle(&self) {
        if let Some(engine) = &self.engine {
            engine.drained().await;
        }
    }

    async fn stop(&self) {
        if let Some(engine) = &self.engine {
            engine.surrender();
            // What does not end by itself ends with the process, and is looked at by whoever comes after.
            let _ = tokio::time::timeout(LAST_CALLS, engine.calls_ended()).await;
        }
        for task in &self.running {
            task.abort();
        }
        if let Some(hub) = self.hub.borrow().as_ref() {
            Hub::close(hub, "the member stops");
        }
    }
}
