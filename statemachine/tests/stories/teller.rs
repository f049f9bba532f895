//! Tells a story to a state machine, line by line, and writes down what it says. After every entry the
//! state is loaded anew from its rows, so that each story is also a proof of law 3.

use crate::script::{TYPES, difference, milliseconds};
use anneal_statemachine::StateMachine;
use anneal_statemachine::command::{
    ActionResult, AssignItem, AssignWork, Change, ChangeStack, Command, CommandKind, Done,
    ErrorClass, Failure, Input, Left, Looked, ObserveItem, RegisterEngine, ReportItem, Seen, Stamp,
    Value,
};
use anneal_statemachine::digest::value_digest;
use anneal_statemachine::event::Event;
use anneal_statemachine::id::{EngineRef, InstanceId, RequestId, ResourceId, Revision, StackId};
use anneal_statemachine::outcome::{Outcome, StackStops, WaitReason};
use anneal_statemachine::row::{Observed, RowKey, RowValue};
use anneal_statemachine::view::{AssignmentView, InstanceView, StackView, Work};
use std::collections::BTreeMap;

pub(crate) struct Teller {
    machine: StateMachine,
    rows: BTreeMap<RowKey, RowValue>,
    index: u64,
    now_ms: u64,
    requests: u8,
    stack: Option<StackId>,
    /// Assignments as they were given, by resource name and action: what an engine remembers.
    given: BTreeMap<(String, String), AssignmentView>,
}

impl Teller {
    pub(crate) fn new() -> Teller {
        Teller {
            machine: StateMachine::new(),
            rows: BTreeMap::new(),
            index: 0,
            now_ms: 0,
            requests: 0,
            stack: None,
            given: BTreeMap::new(),
        }
    }

    pub(crate) fn tell(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "wait" => {
                self.now_ms += milliseconds(words[1]);
                Vec::new()
            }
            "engine" => {
                let engine = RegisterEngine {
                    member: words[1].parse().expect("a member is a number"),
                    host: words[3].into(),
                    address: "127.0.0.1:7400".into(),
                    capacity: 8,
                    offers: TYPES.iter().map(|name| (*name).into()).collect(),
                    labels: Vec::new(),
                    // `after I`: it follows that incarnation, or is refused.
                    follows: words
                        .get(5)
                        .map(|i| i.parse().expect("an index is a number")),
                };
                self.apply(CommandKind::RegisterEngine(engine))
            }
            "expire" => {
                let engine = self.engine(words[1]);
                self.apply(CommandKind::ExpireEngine(engine))
            }
            "forget" => {
                let request = self.request();
                self.apply(CommandKind::ForgetHost {
                    request,
                    host: words[2].into(),
                })
            }
            "create" => {
                let said = self.change(Change::Create {
                    difference: difference(&words[1..]),
                });
                self.stack = self.machine.stack_named("default", "demo");
                said
            }
            "update" => {
                let base = self.revision();
                self.change(Change::Update {
                    base,
                    difference: difference(&words[1..]),
                })
            }
            "rollback" => {
                let is_due = |stack: &StackView<'_>| stack.stops == Some(StackStops::RollbackDue);
                let due = self.machine.stacks().find(is_due);
                let due = due.expect("a rollback is due").row;
                let (failed, to) = (due.revision, due.settled_revision);
                self.change(Change::Rollback {
                    base: failed,
                    to,
                    difference: difference(&words[1..]),
                    failed: Some(failed),
                })
            }
            "delete" => {
                let base = words
                    .get(1)
                    .map(|base| Revision(base.parse().expect("a revision")));
                self.change(Change::Delete { base })
            }
            "pause" => self.change(Change::Pause),
            "resume" => self.change(Change::Resume),
            "assign" => self.assign(words[1], &words[2..]),
            "chunk" => self.chunk(words[1], &words[2..]),
            "report" => self.report(words[1], words[2], &words[3..]),
            "observe" => self.observe(words[1], words[2]),
            "fire" => self.apply(CommandKind::FireDeadlines),
            "retry" => self.retry(words[1]),
            "resolve" => self.resolve(words[1], words.get(2).copied()),
            "show" => self.show(),
            "kept" => self.kept(words[1]),
            other => panic!("no story knows the word {other}"),
        }
    }

    fn apply(&mut self, kind: CommandKind) -> Vec<String> {
        self.index += 1;
        let stamp = Stamp {
            state_ms: self.now_ms,
            wall_ms: self.now_ms,
        };
        let applied = self.machine.apply(self.index, Command { stamp, kind });
        for change in applied.rows {
            match change.value {
                Some(value) => self.rows.insert(change.key, value),
                None => self.rows.remove(&change.key),
            };
        }
        self.machine = StateMachine::load(self.rows.clone()).expect("the rows make a state");
        let mut said = Vec::new();
        if let Outcome::Rejected(rejection) = &applied.outcome {
            said.push(format!("rejected: {rejection}"));
        }
        if let Outcome::Assigned(answers) = &applied.outcome {
            let refusals = answers.iter().filter_map(|answer| answer.as_ref().err());
            said.extend(refusals.map(|refusal| format!("refused: {refusal}")));
            self.remember(
                answers
                    .iter()
                    .filter_map(|answer| answer.as_ref().ok().map(|given| given.instance)),
                &mut said,
            );
        }
        if let Outcome::Reported(judgements) = &applied.outcome {
            said.extend(
                judgements
                    .iter()
                    .map(|judgement| format!("judged: {judgement:?}")),
            );
        }
        said.extend(applied.events.iter().map(event));
        said
    }

    fn remember(&mut self, instances: impl Iterator<Item = InstanceId>, said: &mut Vec<String>) {
        for instance in instances {
            let view = self
                .machine
                .assignment(instance)
                .expect("it was just given");
            said.push(format!(
                "given: {} {} (instance {}) to engine {}, token {}, key {}",
                view.action, view.name, view.instance, view.engine.member, view.token, view.key
            ));
            self.given
                .insert((view.name.to_string(), view.action.to_string()), view);
        }
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        let mut id = [0; 16];
        id[..6].copy_from_slice(&self.now_ms.to_be_bytes()[2..]);
        id[15] = self.requests;
        RequestId(id)
    }

    fn change(&mut self, change: Change) -> Vec<String> {
        let request = self.request();
        self.apply(CommandKind::ChangeStack(ChangeStack {
            request,
            namespace: "default".into(),
            name: "demo".into(),
            change,
        }))
    }

    fn revision(&self) -> Revision {
        let stack = self.machine.stack(self.stack.expect("there is a stack"));
        stack.expect("the stack is there").row.revision
    }

    fn engine(&self, member: &str) -> EngineRef {
        let member = member.parse().expect("a member is a number");
        self.machine
            .engine(member)
            .expect("the engine is there")
            .engine
    }

    fn resource(&self, name: &str) -> ResourceId {
        let stack = self.stack.expect("there is a stack");
        self.machine
            .resource_named(stack, name)
            .expect("the resource is there")
    }

    /// Gives everything that is ready (and named, if names are given) to an engine.
    fn assign(&mut self, member: &str, names: &[&str]) -> Vec<String> {
        let engine = self.engine(member);
        let stack = self.stack.expect("there is a stack");
        let ready: Vec<Work> = self.machine.ready_in(stack, self.now_ms).collect();
        let mut items = Vec::new();
        for work in ready {
            let view = self.machine.work(work).expect("what is ready may start");
            let resource = self.machine.resource(view.resource).expect("it is there");
            if !names.is_empty() && !names.contains(&&**resource.name) {
                continue;
            }
            items.push(AssignItem {
                work: match work {
                    Work::Make(resource) => AssignWork::Make {
                        resource,
                        definition: view.definition,
                    },
                    Work::Look(instance) => AssignWork::Look { instance },
                    Work::Delete(instance) => AssignWork::Delete { instance },
                },
                engine,
                not_after_ms: self.now_ms + 10_000,
                chunk: None,
            });
        }
        if items.is_empty() {
            return vec!["nothing is ready".to_owned()];
        }
        self.apply(CommandKind::Assign { items })
    }

    /// Gives the deletion of the current instances of these resources to an engine, or their making where they have none,
    /// in this order, as one chunk.
    fn chunk(&mut self, member: &str, names: &[&str]) -> Vec<String> {
        let engine = self.engine(member);
        let work = |name: &&str| {
            let id = self.resource(name);
            let view = self.machine.resource(id).expect("it is there");
            let desired = view.desired.and_then(|desired| desired.definition);
            match view.current {
                Some(current) => AssignWork::Delete {
                    instance: current.id,
                },
                None => AssignWork::Make {
                    resource: id,
                    definition: desired.expect("it is wanted"),
                },
            }
        };
        let item = |work| AssignItem {
            work,
            engine,
            not_after_ms: self.now_ms + 10_000,
            chunk: Some(0),
        };
        let items = names.iter().map(work).map(item).collect();
        self.apply(CommandKind::Assign { items })
    }

    /// Reports for the assignment of `name` that was given last: `report ACTION NAME RESULT …`.
    fn report(&mut self, action: &str, name: &str, result: &[&str]) -> Vec<String> {
        let view = self.given.get(&(name.to_owned(), action.to_owned()));
        let view = view.expect("it was given").clone();
        let result = self.result(&view, result);
        self.apply(CommandKind::Report {
            items: vec![ReportItem {
                instance: view.instance,
                token: view.token,
                engine: view.engine,
                result,
            }],
        })
    }

    fn result(&self, view: &AssignmentView, words: &[&str]) -> ActionResult {
        let id = words.get(1).filter(|id| **id != "-").map(|id| (*id).into());
        let failure = |class, before_effect, left_something| {
            ActionResult::Failed(Failure {
                class,
                before_effect,
                left_something,
                message: words[1..].join(" ").into(),
                retry_after_ms: None,
                physical_id: None,
                left: None,
            })
        };
        match words[0] {
            "done" => ActionResult::Done(self.done(view, id)),
            "gone" => ActionResult::Gone,
            "needs_replace" => ActionResult::NeedsReplace {
                because: words[1..].join(" ").into(),
            },
            "declined" => ActionResult::Declined {
                reason: words[1..].join(" ").into(),
            },
            "no_verdict" => ActionResult::NoVerdict {
                message: words[1..].join(" ").into(),
                physical_id: None,
            },
            "conflict" => ActionResult::Conflict {
                message: "the name is taken".into(),
                physical_id: id,
            },
            "late_id" => ActionResult::LatePhysicalId {
                physical_id: id.expect("late_id says which"),
            },
            "absent" => ActionResult::Looked(Looked::Absent),
            "as_aimed" => ActionResult::Looked(Looked::AsAimed(self.done(view, id))),
            "cannot_look" => ActionResult::Looked(Looked::CannotLook {
                message: words[1..].join(" ").into(),
            }),
            "otherwise" => ActionResult::Looked(Looked::Otherwise(self.done(view, id))),
            "transient" => failure(ErrorClass::Transient, true, false),
            "permanent" => failure(ErrorClass::Permanent, true, false),
            "half_way" => match failure(ErrorClass::Permanent, false, true) {
                ActionResult::Failed(failure) => ActionResult::Failed(Failure {
                    message: words[2..].join(" ").into(),
                    left: id.as_ref().map(|id| {
                        Box::new(Left {
                            values: self.done(view, Some(id.clone())).values,
                            private: format!("how to delete {id}").into(),
                        })
                    }),
                    physical_id: id,
                    ..failure
                }),
                other => other,
            },
            other => panic!("no story knows the result {other}"),
        }
    }

    fn done(&self, view: &AssignmentView, physical_id: Option<std::sync::Arc<str>>) -> Done {
        let id = physical_id
            .clone()
            .or(view.physical_id.clone())
            .unwrap_or_else(|| "nameless".into());
        let value = |name: Option<&str>, text: &str| Value {
            name: name.map(Into::into),
            digest: value_digest(text.as_bytes()),
            bytes: bytes::Bytes::copy_from_slice(text.as_bytes()),
            sensitive: false,
        };
        Done {
            physical_id,
            values: vec![value(None, &id), value(Some("path"), &format!("/{id}"))],
            inputs: self.inputs(view),
            ..Done::default()
        }
    }

    fn inputs(&self, view: &AssignmentView) -> Vec<Input> {
        let (_, references) = self
            .machine
            .definition(view.definition)
            .expect("it is known");
        let current = |name: &str| {
            let resource = self.machine.resource_named(view.stack, name)?;
            self.machine.resource(resource)?.current
        };
        let digest = |reference: &anneal_statemachine::command::Reference| {
            let row = current(&reference.resource)?.row;
            let outputs = &row.outputs;
            Some(
                outputs
                    .iter()
                    .find(|output| output.name == reference.attribute)?
                    .digest,
            )
        };
        let input = |reference| {
            let digest =
                digest(reference).unwrap_or_else(anneal_statemachine::digest::missing_value);
            Input {
                resource: reference.resource.clone(),
                attribute: reference.attribute.clone(),
                digest,
            }
        };
        references.iter().map(input).collect()
    }

    fn observe(&mut self, name: &str, seen: &str) -> Vec<String> {
        let resource = self
            .machine
            .resource(self.resource(name))
            .expect("it is there");
        let current = resource.current.expect("it has an instance");
        let item = ObserveItem {
            instance: current.id,
            last_change: current.row.last_change,
            seen: match seen {
                "vanished" => Seen::Vanished,
                "changed" => Seen::Changed {
                    difference: "content: edited by hand".into(),
                },
                other => panic!("no story sees {other}"),
            },
        };
        self.apply(CommandKind::Observe { items: vec![item] })
    }

    fn retry(&mut self, name: &str) -> Vec<String> {
        let request = self.request();
        let stack = self.stack.expect("there is a stack");
        self.apply(CommandKind::Retry {
            request,
            stack,
            resource: name.into(),
        })
    }

    fn resolve(&mut self, name: &str, physical_id: Option<&str>) -> Vec<String> {
        let request = self.request();
        let stack = self.stack.expect("there is a stack");
        self.apply(CommandKind::Resolve {
            request,
            stack,
            resource: name.into(),
            instance: None,
            physical_id: physical_id.map(Into::into),
        })
    }

    /// What is kept of a resource's instances for others and for their provider.
    fn kept(&self, name: &str) -> Vec<String> {
        let resource = self.resource(name);
        let current = self
            .machine
            .resource(resource)
            .expect("it is there")
            .current;
        let instances = current.into_iter().chain(self.machine.deposed(resource));
        let ids: Vec<InstanceId> = instances.map(|instance| instance.id).collect();
        let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
        let line = |(key, value): (&RowKey, &RowValue)| match (key, value) {
            (RowKey::Attribute(id, name), RowValue::Attribute(row)) if ids.contains(id) => {
                let name = name.as_deref().unwrap_or("reference id");
                Some(format!("instance {id} {name}: {}", text(&row.bytes)))
            }
            (RowKey::Private(id), RowValue::Private(bytes)) if ids.contains(id) => {
                Some(format!("instance {id} private: {}", text(bytes)))
            }
            _ => None,
        };
        self.rows.iter().filter_map(line).collect()
    }

    /// The stack, its resources and instances, each with the reason why nothing happens to it.
    fn show(&self) -> Vec<String> {
        let Some(stack) = self.stack.and_then(|stack| self.machine.stack(stack)) else {
            return vec!["there is no stack".to_owned()];
        };
        let mut lines = vec![format!(
            "demo: {} at revision {}",
            stack.status.word(),
            stack.row.revision
        )];
        for id in self.machine.resources_after(stack.id, None) {
            let view = self.machine.resource(id).expect("it is there");
            let reason = self.machine.explain(id).expect("it is there");
            let phase = view.phase.map_or("unlisted", |phase| phase.word());
            lines.push(format!("{}: {phase}, {reason}", view.name));
            for instance in view.current.into_iter().chain(self.machine.deposed(id)) {
                lines.push(self.show_instance(instance));
            }
        }
        lines
    }

    fn show_instance(&self, instance: InstanceView<'_>) -> String {
        let row = instance.row;
        let id = row.physical_id.as_ref();
        let named = id.map(|id| format!(" as {id}")).unwrap_or_default();
        let wanted = if instance.wanted {
            "wanted"
        } else {
            "unwanted"
        };
        let reason = self.machine.explain_instance(instance.id);
        let reason = match reason.expect("it is there") {
            WaitReason::Settled => String::new(),
            reason => format!(", {reason}"),
        };
        format!(
            "  instance {} {}{named}, {wanted}{reason}",
            instance.id,
            observed(row.observed)
        )
    }
}

fn observed(observed: Observed) -> &'static str {
    match observed {
        Observed::Absent => "absent",
        Observed::Unknown => "unknown",
        Observed::Present { healthy: true } => "present",
        Observed::Present { healthy: false } => "present, not well",
    }
}

fn event(event: &Event) -> String {
    let resource = event
        .resource
        .as_ref()
        .map(|(_, name)| format!(" {name}"))
        .unwrap_or_default();
    format!("{}{resource}: {}", event.kind, event.text)
}
