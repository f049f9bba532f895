//! A cluster member: consensus, storage, dispatcher, executor and services.
