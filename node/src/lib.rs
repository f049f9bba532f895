//! A cluster member: consensus, storage, dispatcher, executor and services.

pub mod dispatch;
pub mod execute;
pub mod lease;
pub mod observe;
