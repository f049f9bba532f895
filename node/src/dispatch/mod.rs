//! The leader's dispatcher: takes what is ready and gives it to engines, fairly across stacks (design §5.2).
//!
//! Policy only. Whether an action may start at all is decided in the state machine, when the proposal is
//! applied; nothing here may rely on its own picture being the present one.

pub mod load;
pub mod turns;
