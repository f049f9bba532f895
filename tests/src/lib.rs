//! End-to-end tests against real processes, and the benchmark.
