//! The shape of one history, drawn from its seed: providers, hosts, sizes, and how often things go wrong. It must
//! not know what happens later.

use super::dice::Dice;
use super::engines::Faults;
use super::world::Powers;

/// The shape of one history.
#[derive(Clone, Debug)]
pub struct Config {
    /// The kinds of provider.
    pub kinds: Vec<Powers>,
    /// The hosts of the members, by member id from 1.
    pub members: Vec<String>,
    /// Number of stack names.
    pub stacks: u64,
    /// Most resources in one that people write.
    pub most_resources: u64,
    /// Most resources in one that the cluster takes.
    pub max_resources: u64,
    /// Names that named objects share.
    pub object_names: u64,
    /// Percent of pairs of resources that are connected.
    pub density: u64,
    /// Calls that an engine carries out at a time.
    pub capacity: u32,
    /// How much of a queue one entry takes.
    pub per_entry: u32,
    /// How often calls go wrong.
    pub faults: Faults,
    /// Percent of steps that disturb engines, the world or the leader.
    pub storm: u64,
    /// Much stands on much, and queues last.
    pub deep: bool,
    /// Number of steps before the faults are off.
    pub steps: u64,
}

/// How long an engine's lease lasts, in ms of state time.
pub const LEASE_MS: u64 = 1_000;
/// What the leader waits beyond it.
pub const MARGIN_MS: u64 = 200;

impl Config {
    /// The shape that belongs to a seed.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let hosts = dice.within(1, 3);
        let kinds = (0..dice.within(1, 4))
            .map(|n| powers(n, &mut dice))
            .collect();
        let calm = dice.percent(15);
        let rate = |dice: &mut Dice, most: u64| if calm { 0 } else { dice.below(most + 1) };
        let faults = Faults {
            before: rate(&mut dice, 15),
            half_way: rate(&mut dice, 12),
            no_verdict: rate(&mut dice, 15),
            unhealthy: rate(&mut dice, 6),
            decline: rate(&mut dice, 6),
            stale: rate(&mut dice, 25),
            permanent: rate(&mut dice, 30),
            overrun: rate(&mut dice, 100),
            post: rate(&mut dice, 25),
        };
        Config {
            kinds,
            members: (0..dice.within(1, 4))
                .map(|n| format!("h{}", n % hosts))
                .collect(),
            stacks: dice.within(1, 2),
            most_resources: dice.within(1, 7),
            max_resources: 1_000_000,
            object_names: dice.within(2, 8),
            density: dice.within(10, 60),
            capacity: 8,
            per_entry: if dice.percent(40) {
                dice.within(1, 4) as u32
            } else {
                10_000
            },
            faults,
            storm: rate(&mut dice, 30),
            deep: false,
            steps: dice.within(40, 260),
        }
        .deepened(seed)
        .tightened(seed)
    }

    /// In every seventh history there is not always room.
    fn tightened(mut self, seed: u64) -> Self {
        if seed % 7 == 3 {
            self.max_resources = self.most_resources.div_ceil(2);
        }
        self
    }

    /// Every sixth history has much that stands on much, and queues that last: changes, losses and restarts come upon
    /// cones that are half-way through.
    fn deepened(mut self, seed: u64) -> Self {
        if seed % 6 != 5 {
            return self;
        }
        let mut dice = Dice::new(seed ^ 0xdee9);
        self.deep = true;
        self.most_resources = dice.within(4, 9);
        self.density = dice.within(40, 95);
        self.per_entry = dice.within(1, 3) as u32;
        self.steps = dice.within(150, 350);
        for kind in &mut self.kinds {
            kind.host_bound |= !kind.derived && dice.percent(40);
        }
        if dice.percent(50) {
            let overrun = self.faults.overrun;
            self.faults = Faults {
                overrun,
                ..Faults::default()
            };
        }
        self
    }
}

fn powers(n: u64, dice: &mut Dice) -> Powers {
    let derived = dice.percent(12);
    Powers {
        name: format!("T{n}"),
        host_bound: !derived && dice.percent(30),
        keys: !derived && dice.percent(50),
        fences: !derived && dice.percent(35),
        names: !derived && dice.percent(25),
        looks: !derived && dice.percent(85),
        derived,
        lag_ms: if dice.percent(40) {
            dice.within(50, 800)
        } else {
            0
        },
    }
}
