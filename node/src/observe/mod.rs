//! Background observation and `check`: reads of settled instances, asked for outside the log (design §3.2).
//!
//! Decides nothing about drift: what is found is proposed, and the state machine judges it.

pub mod walk;
