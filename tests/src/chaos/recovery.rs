//! How long it took to go on after a kill, as the cloud saw it.
//!
//! A fencing token is the log index of its assignment. So a call whose token is past the end of every survivor's log
//! at the moment of the kill is under an assignment that was committed after it: an upper bound of when that was.

use anneal_client::{Client, Read, StackName};
use serde::{Deserialize, Serialize};

use crate::judge::Call;

/// A member that was killed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kill {
    /// Microseconds since 1970.
    pub(crate) at_us: u64,
    /// Whether it led.
    pub(crate) leader: bool,
    /// The largest log index that any survivor had.
    pub(crate) floor: u64,
    /// Stack and resource of what it was doing.
    pub(crate) held: Vec<(String, String)>,
}

/// The end of the longest log of some members.
pub(crate) async fn log_end(survivors: &[Client]) -> Result<u64, String> {
    let mut end = None;
    for client in survivors {
        if let Ok(status) = client.cluster_status(true).await {
            end = end.max(Some(status.last_log_index));
        }
    }
    end.ok_or_else(|| "no survivor says how long its log is".to_owned())
}

/// Stack and resource of what a member was doing, by the rows of some other.
pub(crate) async fn held_by(
    survivors: &[Client],
    member_id: u64,
) -> Result<Vec<(String, String)>, String> {
    let client = survivors.first().ok_or("nobody survived")?;
    let stacks = client.list_stacks(None, true).all().await;
    let local = Read {
        local: true,
        ..Read::default()
    };
    let mut held = Vec::new();
    for stack in stacks.map_err(|e| e.to_string())? {
        let name = StackName::within(&stack.namespace, &stack.name);
        // It may be gone by now.
        let resources = client.list_resources(&name, local, true).all().await;
        for resource in resources.unwrap_or_default() {
            if resource.engine == member_id {
                held.push((stack.name.clone(), resource.name));
            }
        }
    }
    Ok(held)
}

/// Milliseconds that passed from each kill of a leader to the first call under a new assignment; and from each kill
/// of an engine to the next call on each thing that it was doing.
pub(crate) fn recoveries<'a>(
    kills: &[Kill],
    calls: impl Iterator<Item = &'a Call> + Clone,
) -> (Vec<u64>, Vec<u64>) {
    let (mut of_leaders, mut of_engines) = (Vec::new(), Vec::new());
    for kill in kills {
        let later = calls
            .clone()
            .filter(|call| call.in_us > kill.at_us && call.token > kill.floor);
        let since = |call: &Call| (call.in_us - kill.at_us) / 1000;
        if kill.leader {
            of_leaders.extend(later.clone().map(since).min());
        }
        for (stack, name) in &kill.held {
            let on_it = |call: &&Call| call.stack == *stack && call.name == *name;
            of_engines.extend(later.clone().filter(on_it).map(since).min());
        }
    }
    (of_leaders, of_engines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Operation;

    fn call(name: &str, token: u64, in_ms: u64) -> Call {
        Call {
            operation: Operation::Find,
            stack: "s".to_owned(),
            name: name.to_owned(),
            instance: "i".to_owned(),
            key: None,
            token,
            fencing: true,
            in_us: in_ms * 1000,
            out_us: None,
            fault: None,
            did: None,
        }
    }

    #[test]
    fn a_call_under_an_assignment_from_before_the_kill_is_no_recovery() {
        let kill = Kill {
            at_us: 10_000,
            leader: true,
            floor: 70,
            held: vec![("s".to_owned(), "a".to_owned())],
        };
        let calls = [
            call("b", 69, 20),
            call("b", 71, 900),
            call("a", 72, 1_510),
            call("a", 73, 2_000),
        ];
        let times = recoveries(&[kill], calls.iter());
        assert_eq!(times, (vec![890], vec![1_500]));
    }
}
