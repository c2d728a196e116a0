//! The loop that owns a queue pair, run to completion: receive, demux, dispatch, expire, output.
//!
//! ```text
//!   frames ─▶ receive: parse, hash, look up ─▶ connection | TIME-WAIT | listener ─▶ App callbacks
//!                                                  │                                  │
//!   frames ◀─ output: headers, bytes ◀── list of connections with something to send ◀─┘
//!                                   timer wheels, at every poll
//! ```
//!
//! [`Engine`] is the stack with an application on top; [`App`] is the callback face and [`Sockets`]
//! the face of handles. [`Runner`] drives an engine over a [`Port`](crate::port::Port).

mod app;
mod config;
mod connect;
mod control;
mod demux;
mod dispatch;
mod error;
mod expire;
pub mod flow_hash;
pub mod flow_table;
pub mod footprint;
mod frame;
mod gauges;
mod info;
mod listener;
mod listing;
mod mailbox;
mod memory;
mod metrics;
mod neighbourhood;
mod output;
mod passive;
mod presence;
mod pressure;
mod receive;
mod runner;
pub mod slab;
mod socket;
mod socket_options;
mod stack;
pub mod store;
mod stuck;
mod syn_cache;
mod syn_limit;
mod time_wait;
pub mod time_waits;
mod unreachable;

pub use app::{App, Io};
pub use config::{Config, ConfigError, Limits};
pub use connect::ConnectOptions;
pub use dispatch::Engine;
pub use error::Error;
pub use footprint::Reserved;
pub use gauges::{Calendar, Lag};
pub use info::TcpInfo;
pub use listener::{ListenOptions, ListenerId};
pub use listing::{Filter, Listed, Question, Told};
pub use mailbox::{InForce, Mailbox, NotSent, Request};
pub use metrics::Metrics;
pub use presence::PresenceGauge;
pub use pressure::Outlet;
pub use runner::{Cycles, Runner};
pub use socket::{Closing, Readiness, Sockets};
pub use stack::{ConnId, Stack};
