//! A call and its end, in every way in which it may end. It must not know assignments.

use anneal_statemachine::command::{ActionResult, Done, ErrorClass, Failure, Input, Looked, Value};
use anneal_statemachine::digest::value_digest;
use anneal_statemachine::id::{InstanceId, Text};
use anneal_statemachine::row::Action;
use bytes::Bytes;

use super::dice::Dice;
use super::world::{Answer, Call, Content, Verb, attributes};

use super::engines::{Around, Engine, Stage, StepResult};

impl Engine {
    pub fn effect(
        &mut self,
        instance: InstanceId,
        around: &mut Around,
        dice: &mut Dice,
    ) -> StepResult {
        let me = self.name.expect("a running engine has registered");
        let running = self.running.get(&instance).expect("checked").clone();
        let mut call = running.call.clone().expect("begun");
        if around.now_ms >= self.lease_until_ms || around.now_ms > running.not_after_ms {
            around
                .coverage
                .note("call aborted at the end of lease or time");
            if dice.percent(50) {
                call.in_time = false;
                around.landing.push(call);
            }
            let lost = ActionResult::NoVerdict {
                message: "aborted".into(),
                physical_id: None,
            };
            return self.told(
                instance,
                lost,
                Some(format!("engine {me} aborts its call on i{instance}")),
            );
        }
        let verb = call.verb;
        if verb != Verb::Look && dice.percent(around.faults.no_verdict) {
            return self.break_off(instance, call, around, dice);
        }
        if verb == Verb::Create && dice.percent(around.faults.half_way) {
            return self.stop_half_way(instance, call, around, dice);
        }
        if verb == Verb::Look && dice.percent(around.faults.no_verdict) {
            around.coverage.note("a look ends without a verdict");
            let lost = ActionResult::NoVerdict {
                message: "broken off".into(),
                physical_id: None,
            };
            return self.told(instance, lost, None);
        }
        let answer = around.world.perform(&call, around.now_ms);
        let said = Some(format!(
            "  world: {verb:?} of i{} by {me}: {answer:?}",
            call.instance
        ));
        self.running.get_mut(&instance).expect("checked").stage = Stage::Effected(answer);
        StepResult { report: None, said }
    }

    /// The call breaks: with its effect, without it, or with an effect still to come.
    pub fn break_off(
        &mut self,
        instance: InstanceId,
        mut call: Call,
        around: &mut Around,
        dice: &mut Dice,
    ) -> StepResult {
        let mut physical = None;
        match dice.below(3) {
            0 => around.coverage.note("no verdict, no effect"),
            1 => {
                around.coverage.note("no verdict after the effect");
                if let Answer::Present(id, _) = around.world.perform(&call, around.now_ms)
                    && dice.percent(40)
                {
                    physical = Some(Text::from(id));
                }
            }
            _ => {
                around.coverage.note("no verdict, the effect comes later");
                call.in_time = false;
                around.landing.push(call.clone());
            }
        }
        let said = format!(
            "the {:?} of i{} breaks off (id {physical:?})",
            call.verb, call.instance
        );
        let result = if dice.percent(50) {
            ActionResult::NoVerdict {
                message: "connection lost".into(),
                physical_id: physical,
            }
        } else {
            let mut failed = failure(dice, 20, false, None);
            failed.physical_id = physical;
            ActionResult::Failed(failed)
        };
        self.told(instance, result, Some(said))
    }

    /// The create leaves something broken.
    pub fn stop_half_way(
        &mut self,
        instance: InstanceId,
        mut call: Call,
        around: &mut Around,
        dice: &mut Dice,
    ) -> StepResult {
        around.coverage.note("a create stops half-way");
        if let Some(content) = &mut call.content {
            content.plain = 999_999_999;
        }
        let answer = around.world.perform(&call, around.now_ms);
        let Answer::Present(id, _) = answer else {
            let said = format!("  world: create of i{}: {answer:?}", call.instance);
            self.running.get_mut(&instance).expect("checked").stage = Stage::Effected(answer);
            return StepResult {
                report: None,
                said: Some(said),
            };
        };
        let mut failed = failure(dice, around.faults.permanent, false, None);
        failed.left_something = true;
        failed.physical_id = dice.percent(80).then(|| Text::from(id.as_str()));
        let said = format!(
            "the create of i{} stops half-way, leaving {id}",
            call.instance
        );
        self.told(instance, ActionResult::Failed(failed), Some(said))
    }

    pub fn tell(
        &mut self,
        instance: InstanceId,
        answer: &Answer,
        around: &mut Around,
        dice: &mut Dice,
    ) -> StepResult {
        let running = self.running.get(&instance).expect("checked").clone();
        let powers = around.world.kinds[running.call.as_ref().expect("begun").kind].clone();
        let unhealthy = dice.percent(around.faults.unhealthy);
        let result = match (running.action, answer) {
            (Action::Look, _) if !powers.looks && !powers.derived => {
                around.coverage.note("a provider cannot look");
                ActionResult::Looked(Looked::CannotLook {
                    message: "blind".into(),
                })
            }
            (Action::Look, Answer::Present(id, content)) => {
                let done = done(id, content, running.inputs.clone(), false);
                if running.aim.as_ref() == Some(content) {
                    around.coverage.note("a look finds what was aimed at");
                    ActionResult::Looked(Looked::AsAimed(done))
                } else {
                    around.coverage.note("a look finds something else");
                    ActionResult::Looked(Looked::Otherwise(done))
                }
            }
            (Action::Look, Answer::Absent) => {
                around.coverage.note("a look finds nothing");
                ActionResult::Looked(Looked::Absent)
            }
            (Action::Delete, Answer::Absent) => {
                if dice.percent(30) {
                    ActionResult::Gone
                } else {
                    ActionResult::Done(Done::default())
                }
            }
            (_, Answer::Present(id, content)) if running.aim.as_ref() != Some(content) => {
                around
                    .coverage
                    .note("a repeated create finds an older object");
                let physical_id = Some(Text::from(id.as_str()));
                ActionResult::NoVerdict {
                    message: "made earlier, otherwise".into(),
                    physical_id,
                }
            }
            (_, Answer::Present(id, content)) => {
                if unhealthy {
                    around.coverage.note("made, but not well");
                }
                ActionResult::Done(done(id, content, running.inputs.clone(), unhealthy))
            }
            (_, Answer::Absent) => {
                around.coverage.note("an update finds nothing");
                ActionResult::Gone
            }
            (_, Answer::NeedsReplace) => {
                around.coverage.note("a provider demands a replacement");
                ActionResult::NeedsReplace {
                    because: "shape".into(),
                }
            }
            (_, Answer::Conflict) => {
                around.coverage.note("a name is taken");
                let name = running
                    .call
                    .as_ref()
                    .and_then(|c| c.content.as_ref()?.name.clone());
                ActionResult::Conflict {
                    message: "the name is taken".into(),
                    physical_id: name.map(Text::from),
                }
            }
            (_, Answer::Refused) => ActionResult::NoVerdict {
                message: "refused".into(),
                physical_id: None,
            },
        };
        self.told(instance, result, None)
    }
}

/// What an engine reports of an object.
pub fn done(physical: &str, content: &Content, inputs: Vec<Input>, unhealthy: bool) -> Done {
    let values = attributes(physical, content)
        .into_iter()
        .map(|(name, bytes)| Value {
            name: (name != "id").then(|| Text::from(name.as_str())),
            digest: value_digest(&bytes),
            bytes: Bytes::from(bytes),
            sensitive: false,
        })
        .collect();
    Done {
        physical_id: Some(physical.into()),
        values,
        private: Some(Bytes::from_static(b"private")),
        properties: Some(Bytes::from(format!("{content:?}"))),
        inputs,
        unhealthy,
    }
}

pub fn failure(
    dice: &mut Dice,
    permanent: u64,
    before_effect: bool,
    retry_after_ms: Option<u64>,
) -> Failure {
    let class = if dice.percent(permanent) {
        ErrorClass::Permanent
    } else if dice.percent(25) {
        ErrorClass::Quota
    } else {
        ErrorClass::Transient
    };
    Failure {
        class,
        before_effect,
        left_something: false,
        message: "the provider says no".into(),
        retry_after_ms: retry_after_ms.or_else(|| dice.percent(20).then(|| dice.below(3_000))),
        physical_id: None,
        left: None,
    }
}
