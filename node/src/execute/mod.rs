//! The executor of every member: carries out what the replicated state assigns to this engine (design §5.3-5.7).
//!
//! It looks at its own replica alone. It knows nothing of the dispatcher, and never decides what should be done.

pub mod outbox;
