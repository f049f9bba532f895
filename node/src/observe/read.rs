//! The engine's side of observation: reads what the leader asks for, and says what is different.
//!
//! Only settled instances with no action on them are read. What is read here is not yet drift: the state machine
//! drops it if the instance has changed since.

use std::sync::Arc;
use std::time::Duration;

use anneal_proto::engine::v1 as proto;
use anneal_provider::{
    BootTime, CallContext, Observed, Prior, PropertyDifference, ReadRequest, Values as Properties,
};
use anneal_statemachine::command::{ObserveItem, Reference, Seen};
use anneal_statemachine::id::{InstanceId, Text};
use anneal_statemachine::row::DefinitionRow;
use anneal_statemachine::view::Phase;
use prost::Message;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::mask::{Masked, masked};
use crate::codec;
use crate::execute::order::Surroundings;
use crate::execute::values::{Produced, Stored, Values};
use crate::lease::Engine;
use crate::replica::{Replica, Rows};

/// Reads at a time: some wait for something outside, and none may crowd out actions.
const READS_AT_A_TIME: usize = 16;
/// How long one read may take: a thing that does not answer for that long is not seen at all.
const READ_TIME: Duration = Duration::from_secs(30);

/// What reading needs.
pub(super) struct Reader {
    pub(super) replica: Replica,
    pub(super) engine: Arc<Engine>,
    pub(super) surroundings: Surroundings,
    pub(super) answers: mpsc::Sender<proto::ObservationAnswer>,
}

/// One instance, as memory has it.
struct Settled {
    instance: InstanceId,
    origin: InstanceId,
    last_change: u64,
    stack_id: String,
    stack: Text,
    resource: Text,
    physical_id: Option<Text>,
    drifted: bool,
    host_bound: bool,
    definition: Arc<DefinitionRow>,
    sources: Vec<(Reference, Option<InstanceId>)>,
}

/// What a read came to.
enum Outcome {
    Same,
    Different(Seen, Vec<Masked>),
    Failed(String),
    PassedOver(String),
}

/// Reads what is asked for, for as long as the member runs.
pub(super) async fn run(reader: Reader, mut requests: mpsc::Receiver<proto::ObservationRequest>) {
    let reader = Arc::new(reader);
    let room = Arc::new(Semaphore::new(READS_AT_A_TIME));
    while let Some(request) = requests.recv().await {
        for asked in request.instances {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let reader = Arc::clone(&reader);
            let sequence = request.sequence;
            tokio::spawn(async move {
                reader.answer(sequence, InstanceId(asked.instance)).await;
                drop(permit);
            });
        }
    }
}

impl Reader {
    async fn answer(&self, sequence: u64, instance: InstanceId) {
        let (seen, outcome) = match self.settled(instance) {
            Ok(settled) => {
                let seen = settled.last_change;
                (
                    seen,
                    self.read(&settled).await.unwrap_or_else(|error| {
                        Outcome::Failed(format!("this member can't read its rows: {error}"))
                    }),
                )
            }
            Err(outcome) => (0, outcome),
        };
        let found = found(instance, seen, outcome);
        let answer = proto::ObservationAnswer {
            sequence,
            instance: instance.0,
            seen,
            found: Some(found),
        };
        // The link has gone, and with it whoever asked.
        let _ = self.answers.send(answer).await;
    }

    /// The instance, if it is to be read at all.
    fn settled(&self, instance: InstanceId) -> Result<Settled, Outcome> {
        let over = |why: &str| Outcome::PassedOver(why.to_owned());
        if !self.engine.holds_lease() {
            return Err(over("the engine has no lease"));
        }
        let digest = self
            .replica
            .read(|machine| machine.instance(instance).map(|found| found.row.definition));
        let digest = digest.ok_or_else(|| over("it is gone"))?;
        let reader = self.replica.rows();
        let definition = reader.newest().definition(digest);
        let definition = match definition {
            Ok(Some(definition)) => Arc::new(definition),
            Ok(None) => return Err(over("its definition is gone")),
            Err(error) => return Err(Outcome::Failed(error.to_string())),
        };
        self.replica.read(|machine| {
            let gone = || over("it is gone");
            let row = machine.instance(instance).ok_or_else(gone)?.row;
            let resource = machine.resource(row.resource).ok_or_else(gone)?;
            let stack = machine.stack(resource.stack).ok_or_else(gone)?;
            let readable = row.assignment.is_none()
                && resource
                    .current
                    .is_some_and(|current| current.id == instance)
                && resource.phase == Some(Phase::Settled);
            if !readable {
                return Err(over("it is not settled"));
            }
            let source = |reference: &Reference| {
                (
                    reference.clone(),
                    machine.built_on(instance, &reference.resource),
                )
            };
            Ok(Settled {
                instance,
                origin: row.origin,
                last_change: row.last_change,
                stack_id: resource.stack.to_string(),
                stack: stack.row.name.clone(),
                resource: resource.name.clone(),
                physical_id: row.physical_id.clone(),
                drifted: row.drift.is_some(),
                host_bound: row.traits.host_bound,
                sources: definition.references.iter().map(source).collect(),
                definition: Arc::clone(&definition),
            })
        })
    }

    async fn read(&self, settled: &Settled) -> std::io::Result<Outcome> {
        let type_name = &settled.definition.type_name;
        let Some(provider) = self.surroundings.registry.provider(type_name) else {
            return Ok(Outcome::Failed(format!(
                "no provider has the type {type_name}"
            )));
        };
        let before = {
            let reader = self.replica.rows();
            Before::read(&reader.newest(), settled.instance)?
        };
        let request = ReadRequest {
            type_name,
            prior: Prior {
                properties: before.properties.as_ref(),
                attributes: Some(&before.attributes),
                physical_id: settled.physical_id.as_deref(),
                private: &before.private,
            },
            aim: None,
        };
        let ctx = self.context(settled);
        let read = tokio::time::timeout(READ_TIME, provider.read(&ctx, request));
        Ok(match read.await {
            Err(_) => Outcome::Failed(format!("no answer within {} s", READ_TIME.as_secs())),
            Ok(Err(failure)) => Outcome::Failed(failure.message),
            Ok(Ok(Observed::Absent { because })) => {
                tracing::info!(instance = %settled.instance, ?because, "an instance has vanished");
                Outcome::Different(Seen::Vanished, Vec::new())
            }
            Ok(Ok(Observed::Present(found))) if found.differences.is_empty() => {
                // Sameness is only worth telling where a difference was told before.
                if settled.drifted {
                    Outcome::Different(Seen::Same, Vec::new())
                } else {
                    Outcome::Same
                }
            }
            Ok(Ok(Observed::Present(found))) => {
                let differences = self.masked(settled, &found.differences)?;
                Outcome::Different(changed(&differences), differences)
            }
        })
    }

    /// The differences with what is secret in this resource masked, whoever it came from.
    fn masked(
        &self,
        settled: &Settled,
        differences: &[PropertyDifference],
    ) -> std::io::Result<Vec<Masked>> {
        let reader = self.replica.rows();
        let rows = reader.newest();
        let values = Values::collect(
            settled.stack_id.clone(),
            &settled.definition.references,
            &Produced::default(),
            |reference| {
                let (_, source) = settled
                    .sources
                    .iter()
                    .find(|(asked, _)| asked == reference)?;
                let row = rows
                    .attribute((*source)?, reference.attribute.as_ref())
                    .ok()?;
                Some(row.map(Stored::from))
            },
        );
        let evaluated = values
            .ok()
            .and_then(|values| anneal_template::evaluate(&settled.definition.body, &values).ok());
        let schema = self
            .surroundings
            .registry
            .schema(&settled.definition.type_name);
        Ok(masked(
            differences,
            evaluated.as_ref().map(|evaluated| &*evaluated.sensitive),
            schema,
        ))
    }

    fn context(&self, settled: &Settled) -> CallContext {
        let cluster = &self.surroundings.cluster_id;
        CallContext {
            instance_id: format!("{cluster}-{}", settled.origin),
            idempotency_key: format!("{cluster}-{}-read", settled.instance),
            // A read that nobody was assigned fences nobody.
            fencing_token: 0,
            host_bound: settled.host_bound,
            stack: settled.stack.clone(),
            resource: settled.resource.clone(),
            not_after: BootTime::now().after(READ_TIME),
            lease: self.surroundings.lease.clone(),
            cancel: CancellationToken::new(),
            host_dir: Arc::clone(&self.surroundings.host_dir),
            progress: None,
        }
    }
}

fn changed(differences: &[Masked]) -> Seen {
    let lines: Vec<String> = differences
        .iter()
        .map(|difference| {
            let Masked {
                path,
                desired,
                found,
            } = difference;
            format!("{path}: should be {desired}, is {found}")
        })
        .collect();
    Seen::Changed {
        difference: lines.join("; ").into(),
    }
}

fn found(
    instance: InstanceId,
    last_change: u64,
    outcome: Outcome,
) -> proto::observation_answer::Found {
    use proto::observation_answer::Found;
    match outcome {
        Outcome::Same => Found::Same(proto::Sameness {}),
        Outcome::Failed(reason) => Found::Failed(proto::NotRead { reason }),
        Outcome::PassedOver(reason) => Found::PassedOver(proto::NotRead { reason }),
        Outcome::Different(seen, differences) => {
            let item = ObserveItem {
                instance,
                last_change,
                seen,
            };
            Found::Different(proto::ObservedDifference {
                observed: codec::observed(&item).encode_to_vec().into(),
                differences: differences
                    .into_iter()
                    .map(
                        |Masked {
                             path,
                             desired,
                             found,
                         }| proto::PropertyDifference {
                            path,
                            desired,
                            found,
                        },
                    )
                    .collect(),
            })
        }
    }
}

/// What was known of the instance.
struct Before {
    properties: Option<Properties>,
    attributes: Properties,
    private: bytes::Bytes,
}

impl Before {
    fn read(rows: &Rows<'_>, instance: InstanceId) -> std::io::Result<Self> {
        let properties = rows.properties(instance)?;
        Ok(Self {
            properties: properties.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
            attributes: rows
                .attributes(instance)?
                .into_iter()
                .filter_map(|(name, row)| {
                    Some((name.to_string(), serde_json::from_slice(&row.bytes).ok()?))
                })
                .collect(),
            private: rows.private(instance)?.unwrap_or_default(),
        })
    }
}
