//! The wire: client API, engine traffic, peer traffic and the durable log format. No logic.
