//! The hashed timer wheel. Knows ticks and keys, nothing of TCP.

pub mod bitmap;
pub mod wheel;

#[cfg(test)]
mod tests;

pub use wheel::{Fate, Progress, Wheel};
