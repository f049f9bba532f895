//! How many actions of each type may begin now, where its provider's world bears only so many.
//!
//! Pure: moments are arguments. Volatile: a new leader begins with a full second's worth, and counts what runs.

use std::collections::BTreeMap;

use anneal_provider::{Limits, Registry};
use anneal_statemachine::id::Text;

use crate::budget::Budget;

/// Between decisions while a rate is used up: what a budget gathers meanwhile shares an entry of the log.
const GATHER_MS: u64 = 20;

/// All types that have a limit.
#[derive(Debug, Default)]
pub struct Rates {
    limited: BTreeMap<Text, Limited>,
}

#[derive(Debug)]
struct Limited {
    limits: Limits,
    budget: Option<Budget>,
    /// What may begin now by the rate alone.
    available: usize,
    under_way: usize,
    /// Something was to begin in the last decision, and the rate was used up.
    wanting: bool,
}

impl Rates {
    /// The limits that the types of a registry declare.
    pub fn new(registry: &Registry) -> Self {
        let schemas = registry.schemas();
        Self::of(schemas.map(|schema| (schema.name.as_str(), schema.limits)))
    }

    fn of<'a>(types: impl Iterator<Item = (&'a str, Limits)>) -> Self {
        let limited = |(name, limits): (&str, Limits)| {
            let limited = Limited {
                budget: limits
                    .max_calls_per_second
                    .map(|most| Budget::new(most.into(), 0)),
                available: usize::MAX,
                under_way: 0,
                wanting: false,
                limits,
            };
            (Text::from(name), limited)
        };
        let limits = types.filter(|(_, limits)| *limits != Limits::default());
        Self {
            limited: limits.map(limited).collect(),
        }
    }

    /// A decision begins.
    pub fn refill(&mut self, now_ms: u64) {
        for limited in self.limited.values_mut() {
            limited.wanting = false;
            if let Some(budget) = &mut limited.budget {
                limited.available = budget.available(now_ms);
            }
        }
    }

    /// How many actions of a type may begin beside those that began since the decision did.
    pub fn room(&mut self, type_name: &str) -> usize {
        let Some(limited) = self.limited.get_mut(type_name) else {
            return usize::MAX;
        };
        limited.wanting |= limited.available == 0;
        let most = limited.limits.max_concurrent_calls;
        let idle = most.map_or(usize::MAX, |most| {
            usize::try_from(most)
                .unwrap_or(usize::MAX)
                .saturating_sub(limited.under_way)
        });
        limited.available.min(idle)
    }

    /// An action is given to an engine.
    pub fn spend(&mut self, type_name: &str) {
        if let Some(limited) = self.limited.get_mut(type_name)
            && let Some(budget) = &mut limited.budget
        {
            budget.spend(1);
            limited.available = limited.available.saturating_sub(1);
        }
    }

    /// One more runs.
    pub fn began(&mut self, type_name: &str) {
        if let Some(limited) = self.limited.get_mut(type_name) {
            limited.under_way += 1;
        }
    }

    /// One less runs.
    pub fn ended(&mut self, type_name: &str) {
        if let Some(limited) = self.limited.get_mut(type_name) {
            limited.under_way = limited.under_way.saturating_sub(1);
        }
    }

    /// How long until a type that the last decision had to keep waiting may begin something; none if none waits for
    /// its rate.
    pub fn wait_ms(&self) -> Option<u64> {
        let wanting = self.limited.values().filter(|limited| limited.wanting);
        let waits = wanting.filter_map(|limited| Some(limited.budget.as_ref()?.wait_ms()));
        waits.min().map(|wait_ms| wait_ms.max(GATHER_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "T";

    fn rates(per_second: Option<u32>, concurrent: Option<u32>) -> Rates {
        let limits = Limits {
            max_calls_per_second: per_second,
            max_concurrent_calls: concurrent,
        };
        Rates::of([(TYPE, limits), ("Free", Limits::default())].into_iter())
    }

    /// Begins what may begin now; returns how many that is.
    fn begin(rates: &mut Rates, now_ms: u64) -> usize {
        rates.refill(now_ms);
        let mut begun = 0;
        while rates.room(TYPE) > 0 {
            rates.spend(TYPE);
            rates.began(TYPE);
            begun += 1;
        }
        begun
    }

    #[test]
    fn a_type_keeps_to_its_rate_and_says_when_it_goes_on() {
        let mut rates = rates(Some(10), None);
        assert_eq!(begin(&mut rates, 0), 10, "a second's worth at once");
        assert_eq!(rates.wait_ms(), Some(100));
        assert_eq!(begin(&mut rates, 99), 0);
        assert_eq!(begin(&mut rates, 350), 3);
        assert_eq!(begin(&mut rates, 60_000), 10, "and no more after a rest");
        rates.refill(70_000);
        assert_eq!(rates.wait_ms(), None, "nobody waits");
        assert_eq!(rates.room("Free"), usize::MAX);
    }

    #[test]
    fn a_type_keeps_to_its_number_at_a_time() {
        let mut rates = rates(None, Some(2));
        assert_eq!(begin(&mut rates, 0), 2);
        assert_eq!(begin(&mut rates, 60_000), 0);
        assert_eq!(rates.wait_ms(), None, "time alone does not help");
        rates.ended(TYPE);
        assert_eq!(begin(&mut rates, 60_000), 1);
    }
}
