//! Verdicts over the cloud's journal and inventory: made twice, out of order, fenced in vain, lost, orphaned.
//!
//! Pure functions: they know neither the product nor the harness, and each has a test that feeds it a guilty journal.

mod calls;
pub mod linear;
mod made;
mod order;
mod stock;
mod tokens;

pub use calls::{Call, calls};
pub use made::made_twice;
pub use order::out_of_order;
pub use stock::{Declared, Stock, not_as_declared, stock};
pub use tokens::accepted_backwards;

#[cfg(test)]
pub(crate) mod guilty;
