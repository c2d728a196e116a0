//! Congestion control: how much may be in flight (RFC 5681).

pub mod control;
pub mod controller;
pub mod cubic;
pub mod hystart;
pub mod reno;

pub use control::{Ack, Control};
pub use controller::{Algorithm, Controller};
