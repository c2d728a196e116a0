//! A kernel-bypass TCP endpoint: complete, fast per core, honest in latency.

// They panic when nobody reads the stream any more.
#![deny(clippy::print_stderr, clippy::print_stdout)]

pub mod app;
pub mod cli;
pub mod engine;
pub mod measure;
pub mod net;
pub mod port;
mod siphash;
pub mod tcp;
pub mod time;
pub mod timer;
pub mod wire;
