//! The deterministic heart: commands in, outcomes, row changes and events out.
