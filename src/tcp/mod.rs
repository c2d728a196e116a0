//! The TCP protocol, sans I/O.

pub mod buffer;
pub mod reassembly;
