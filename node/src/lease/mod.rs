//! Engine registration, heartbeats, leases and expiry (design §5.1).
//!
//! `own` and `table` are the arithmetic of the two sides and know nothing of streams or the log; the other
//! modules carry out what they decide. No module here knows what runs under a lease.

pub mod clock;
pub mod own;
pub mod table;
