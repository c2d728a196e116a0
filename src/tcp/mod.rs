//! The TCP protocol, sans I/O.
