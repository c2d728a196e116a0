//! Neighbours, routes and ICMP.
//!
//! Sans I/O, as the protocol is: frames and a clock value go in; answers, requests and deadlines
//! come out as values, which [`frame`] writes. Nothing here reads a clock or knows a port.

pub mod address;
pub mod claim;
pub mod frame;
pub mod icmp;
pub mod mld;
pub mod neighbour;
pub mod range;
pub mod route;
pub mod unreachable;
