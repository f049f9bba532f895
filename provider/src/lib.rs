//! The Provider trait and the built-in providers.
