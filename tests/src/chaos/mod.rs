//! Breaking it on purpose: real members, a client load, faults from a seed, and in the end the question whether
//! anything was lost, made twice, left over, or done out of order. See `docs/chaos.md`.

pub mod content;
mod ending;
mod evidence;
mod failure;
mod faults;
mod finish;
pub mod history;
mod load;
mod model;
mod reads;
pub mod record;
mod recovery;
mod report;
mod ruling;
mod run;
mod shared;
mod stop;
mod times;
mod total;
mod verdict;
mod watch;
mod who;
mod witnesses;

pub use evidence::Evidence;
pub use failure::Failure;
pub use faults::{Kind, Need, Planned, all, plan};
pub use report::{Outcomes, Report};
pub use ruling::{Ruling, rule};
pub use run::{Settings, run};
pub use stop::{Stop, Stopper};
pub use times::{Recovery, Times};
pub use total::Total;
