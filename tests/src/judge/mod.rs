//! Verdicts over the cloud's journal and inventory (made twice, out of order, fenced in vain, lost, orphaned), over what
//! clients and watchers saw, and over what members said of themselves.
//!
//! Pure functions: they know neither the product nor the harness, and each has a test that feeds it guilty evidence.

mod acts;
mod calls;
pub mod linear;
mod local;
mod made;
mod order;
mod revisions;
mod stock;
mod terms;
mod tokens;
mod watches;

pub use acts::done_without_a_call;
pub use calls::{Call, calls};
pub use local::{LocalRead, Made, Restart, Seen, read_too_early, went_back};
pub use made::made_twice;
pub use order::out_of_order;
pub use revisions::{Change, assigned_too_late};
pub use stock::{Declared, Stock, not_as_declared, stock};
pub use terms::{Sample, forgot, two_leaders};
pub use tokens::accepted_backwards;
pub use watches::{
    End, Event, Heard, Place, Recording, Scope, Start, all_events, broken_watches, is_covered,
    revisions,
};

#[cfg(test)]
pub(crate) mod guilty;
