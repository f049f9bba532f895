//! Engine registration, heartbeats, leases and expiry (design §5.1).
//!
//! `own` and `table` are the arithmetic of the two sides and know nothing of streams or the log; `link` and `hub`
//! are the two ends of an engine's stream. No module here knows what runs under a lease.

pub mod clock;
pub mod engine;
mod guard;
pub mod hub;
pub mod link;
pub mod own;
pub mod quorum;
pub mod reach;
pub mod service;
pub mod table;

pub use engine::{Engine, Profile};
pub use guard::guard;
pub use hub::Hub;
pub use service::EngineService;
pub use table::{LeaseSettings, LeaseView};
