//! What runs on top of an engine: servers and client workloads.
