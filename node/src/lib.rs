//! A cluster member: consensus, storage, dispatcher, executor and services.

mod budget;
pub mod codec;
pub mod dispatch;
pub mod engine;
pub mod execute;
pub mod failpoint;
#[cfg(test)]
#[path = "../../provider/src/hostile.rs"]
mod hostile;
pub mod lease;
pub mod member;
pub mod network;
pub mod observe;
mod pace;
pub mod preview;
pub mod replica;
pub mod service;
pub mod storage;
pub mod submit;

pub use member::{Config, Member};
