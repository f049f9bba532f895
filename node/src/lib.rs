//! A cluster member: consensus, storage, dispatcher, executor and services.

pub mod codec;
pub mod dispatch;
pub mod execute;
pub mod lease;
pub mod network;
pub mod observe;
pub mod replica;
pub mod storage;
