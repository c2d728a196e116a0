//! Zero-copy views and writers of what is on the wire.

pub mod seq;
