//! The TCP protocol, sans I/O: segments and a clock value go in; segments, events, verdicts and
//! deadlines come out. Nothing here reads a clock, owns a port or knows of a table of connections.

pub mod acceptable;
mod acknowledge;
pub mod buffer;
mod close;
pub mod config;
pub mod congestion;
pub mod connection;
pub mod cookie;
pub mod counters;
mod departures;
pub mod ephemeral;
pub mod half_open;
mod handshake;
pub mod isn;
mod loss;
mod memory;
pub mod reassembly;
mod receive;
pub mod recovery;
pub mod rtt;
pub mod scoreboard;
mod send;
pub mod state;
mod tail;
pub mod time_wait;
pub mod timers;
pub mod tuple;

pub use config::{Config, KeepAlive, SynCookies, TimeWaitPolicy};
pub use connection::{Arrival, Birth, CloseReason, Connection, Context, Flag, Outgoing};
pub use counters::{Counter, Counters, Drops, Handled};
pub use departures::Departures;
pub use state::State;
pub use tuple::{Ip, Tuple};
