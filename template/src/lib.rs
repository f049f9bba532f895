//! HOT templates, parameters and environments compiled to a graph of resource definitions.
