//! An HTTP/1.1 server (RFC 9110, RFC 9112) for tests and load.
//!
//! | target | answer |
//! | --- | --- |
//! | `/` | a small page |
//! | `/bytes/N` | `N` octets, `N` up to 2^40; octet `i` is `i mod 251` |
//! | anything else | 404 |
//!
//! GET and HEAD; other methods of RFC 9110 get 405, unknown ones 501. Persistent connections by the
//! rules of HTTP/1.1 and 1.0, pipelining in order, request bodies skipped by Content-Length. There is
//! no transfer coding (501) and no clock, hence no Date field (RFC 9110 §6.6.1).
//!
//! [`session::Session`] is the protocol without I/O: octets in, octets out, in any split. This file
//! ties one to each connection.

mod request;
mod response;
pub mod session;
#[cfg(test)]
mod tests;

use super::no_delay;
use super::per_connection::PerConnection;
use super::tally::{Ending, Tally};
use crate::engine::{App, Io};
use crate::tcp::CloseReason;
pub use response::body_octet;
use session::{Next, Scratch, Session, Sink};
use std::sync::Arc;

/// The HTTP server.
#[derive(Debug)]
pub struct Http {
    tally: Arc<Tally>,
    sessions: PerConnection<Session>,
    scratch: Scratch,
}

impl Http {
    /// A server for up to `max_connections`, that counts into `tally`.
    pub fn new(tally: Arc<Tally>, max_connections: u32) -> Self {
        Http { tally, sessions: PerConnection::new(max_connections), scratch: Scratch::new() }
    }
}

struct Wire<'a, 'b> {
    io: &'a mut Io<'b>,
    tally: &'a Tally,
}

impl Sink for Wire<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let taken = self.io.write(bytes);
        self.tally.bytes_sent.add(taken as u64);
        taken
    }

    fn answered(&mut self) {
        self.tally.requests.bump();
    }
}

fn carry_out(next: Next, io: &mut Io<'_>) {
    match next {
        Next::GoOn => {}
        Next::Close => io.close(),
        Next::Shutdown => io.shutdown(),
        Next::Abort => io.abort(),
    }
}

impl App for Http {
    fn on_open(&mut self, io: &mut Io<'_>) {
        no_delay(io);
        self.tally.accepted();
        self.sessions.start(io.conn());
    }

    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        let session = self.sessions.of(io.conn());
        let (used, next) =
            session.input(data, &mut self.scratch, &mut Wire { io, tally: &self.tally });
        self.tally.bytes_received.add(used as u64);
        carry_out(next, io);
        used
    }

    fn on_writable(&mut self, io: &mut Io<'_>) {
        let session = self.sessions.of(io.conn());
        session.resume(&mut self.scratch, &mut Wire { io, tally: &self.tally });
        if !session.wants_input() {
            return;
        }
        if io.unread() > 0 {
            // Requests that waited for this response.
            io.redeliver();
        } else {
            carry_out(session.settle(), io);
        }
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        let next = self.sessions.of(io.conn()).peer_closed();
        carry_out(next, io);
    }

    fn on_closed(&mut self, io: &mut Io<'_>, reason: CloseReason) {
        // Lets go of what the session held of a request.
        self.sessions.start(io.conn());
        self.tally.ended(Ending::of_established(reason));
    }
}
