//! What runs on top of an engine: servers, and the clients that load them.
//!
//! | application | serves | port by habit |
//! | --- | --- | --- |
//! | [`echo::Echo`] | every octet back (RFC 862) | 7 |
//! | [`discard::Discard`] | nothing (RFC 863) | 9 |
//! | [`chargen::Chargen`] | a pattern without end (RFC 864) | 19 |
//! | [`http::Http`] | HTTP/1.1 | 80 |
//! | [`workload::Responder`] | requests and responses of fixed sizes | – |
//!
//! The clients are in [`workload`]. An application is one value owned by one engine; what other
//! threads may read of it are the counters of [`Tally`].

pub mod chargen;
mod chunked;
pub mod deadlines;
pub mod discard;
pub mod echo;
pub mod http;
pub mod per_connection;
pub mod tally;
pub mod workload;

pub use per_connection::{PER_CONNECTION_BYTES, PerConnection};
pub use tally::Tally;

use crate::engine::Io;

/// Switches Nagle's algorithm off: who answers requests, or waits for answers, must not wait for the
/// acknowledgement of one segment before it sends the short rest of a message.
fn no_delay(io: &mut Io<'_>) {
    // Fails only for a connection that is gone, and this one has just been opened.
    let _ = io.set_nodelay(true);
}
