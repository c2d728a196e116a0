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
//! Clients have so much [`Patience`]: none holds a connection or memory for ever.
//!
//! [`session::Session`] is the protocol without I/O: octets in, octets out, in any split. This file
//! ties one to each connection.

mod request;
mod response;
pub mod session;
#[cfg(test)]
mod tests;

use super::deadlines::Deadlines;
use super::no_delay;
use super::per_connection::PerConnection;
use super::tally::{Ending, Tally};
use crate::engine::{App, ConnId, Io, Stack};
use crate::tcp::CloseReason;
use crate::time::Instant;
use core::time::Duration;
pub use response::body_octet;
use session::{Next, Scratch, Session, Sink, Waits};
use std::sync::Arc;

/// How long the server waits for its clients, and how much it keeps of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the first octet of a head to its last. What comes later is answered with 408.
    pub header: Duration,
    /// For a request, or for more of a body.
    pub idle: Duration,
    /// For the client to take more of a response. Then the connection is reset.
    pub write: Duration,
    /// For the client to close after the last response. Then the connection is reset.
    pub linger: Duration,
    /// Octets of memory for all heads that have arrived in part. More requests get 503.
    pub half_heads: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            write: Duration::from_secs(30),
            linger: Duration::from_secs(5),
            half_heads: 64 << 20,
        }
    }
}

/// A session, and what the server waits for.
#[derive(Debug, Default)]
struct Visit {
    session: Session,
    conn: Option<ConnId>,
    /// What the deadline is of, and of which half head.
    watched: Option<(Waits, u32)>,
}

/// The HTTP server.
#[derive(Debug)]
pub struct Http {
    tally: Arc<Tally>,
    visits: PerConnection<Visit>,
    scratch: Scratch,
    patience: Patience,
    deadlines: Deadlines,
}

impl Http {
    /// A server for up to `max_connections`, that counts into `tally`.
    pub fn new(tally: Arc<Tally>, max_connections: u32) -> Self {
        let patience = Patience::default();
        Http {
            tally,
            visits: PerConnection::new(max_connections),
            scratch: Scratch::new().with_half_heads(patience.half_heads),
            patience,
            deadlines: Deadlines::new(max_connections),
        }
    }

    /// The same with another patience.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.scratch = Scratch::new().with_half_heads(patience.half_heads);
        self.patience = patience;
        self
    }

    /// Sets the deadline for what a session waits for now. Octets that move it on were `moved`.
    #[inline]
    fn watch(&mut self, conn: ConnId, moved: bool, now: Instant) {
        let visit = self.visits.of(conn);
        let waits = (visit.session.waits(), visit.session.half_heads());
        let time = match waits.0 {
            // whatever comes meanwhile, these have one time in all
            Waits::Head | Waits::End if visit.watched == Some(waits) => return,
            Waits::Room if visit.watched == Some(waits) && !moved => return,
            Waits::Head => self.patience.header,
            Waits::Request | Waits::Body => self.patience.idle,
            Waits::Room => self.patience.write,
            Waits::End => self.patience.linger,
        };
        visit.watched = Some(waits);
        self.deadlines.set(conn.index, now + time);
    }

    /// The deadline of a connection has passed.
    #[cold]
    fn overdue(&mut self, index: u32, stack: &mut Stack) {
        let Some(visit) = self.visits.all().get_mut(index as usize) else { return };
        let Some(conn) = visit.conn else { return };
        // What has gone to its end meanwhile is the stack's: these calls fail, and need not succeed.
        let _ = match visit.session.waits() {
            // a client that has not taken what it was sent is not waited for
            Waits::Request if stack.unacked(conn).is_ok_and(|octets| octets == 0) => {
                stack.close(conn).map(drop)
            }
            Waits::Request | Waits::Body | Waits::Room | Waits::End => stack.abort(conn),
            Waits::Head => {
                let out = &mut Late { stack, conn, tally: &self.tally };
                let next = visit.session.give_up(&mut self.scratch, out);
                self.watch(conn, true, stack.now());
                match next {
                    Next::GoOn => Ok(()),
                    Next::Close => stack.close(conn).map(drop),
                    Next::Shutdown => stack.shutdown(conn),
                    Next::Abort => stack.abort(conn),
                }
            }
        };
    }
}

/// A connection that is written to outside of its callbacks.
struct Late<'a> {
    stack: &'a mut Stack,
    conn: ConnId,
    tally: &'a Tally,
}

impl Sink for Late<'_> {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let taken = self.stack.write(self.conn, bytes).unwrap_or(0);
        self.tally.bytes_sent.add(taken as u64);
        taken
    }

    fn answered(&mut self) {
        self.tally.requests.bump();
    }
}

struct Wire<'a, 'b> {
    io: &'a mut Io<'b>,
    tally: &'a Tally,
    /// Was anything written?
    moved: bool,
}

impl Sink for Wire<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let taken = self.io.write(bytes);
        self.moved |= taken > 0;
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
    fn on_poll(&mut self, stack: &mut Stack) {
        self.deadlines.expire(stack.now());
        while let Some(index) = self.deadlines.pop() {
            self.overdue(index, stack);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    fn on_open(&mut self, io: &mut Io<'_>) {
        no_delay(io);
        self.tally.accepted();
        let conn = io.conn();
        self.visits.start(conn).conn = Some(conn);
        self.watch(conn, true, io.now());
    }

    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        let (conn, now) = (io.conn(), io.now());
        let session = &mut self.visits.of(conn).session;
        let mut wire = Wire { io, tally: &self.tally, moved: false };
        let (used, next) = session.input(data, &mut self.scratch, &mut wire);
        let moved = wire.moved;
        self.tally.bytes_received.add(used as u64);
        self.watch(conn, moved, now);
        carry_out(next, io);
        used
    }

    fn on_writable(&mut self, io: &mut Io<'_>) {
        let (conn, now) = (io.conn(), io.now());
        let session = &mut self.visits.of(conn).session;
        let mut wire = Wire { io, tally: &self.tally, moved: false };
        session.resume(&mut self.scratch, &mut wire);
        let moved = wire.moved;
        if session.wants_input() {
            if io.unread() > 0 {
                // Requests that waited for this response.
                io.redeliver();
            } else {
                carry_out(session.settle(), io);
            }
        }
        self.watch(conn, moved, now);
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        let next = self.visits.of(io.conn()).session.peer_closed();
        carry_out(next, io);
    }

    fn on_closed(&mut self, io: &mut Io<'_>, reason: CloseReason) {
        let conn = io.conn();
        self.visits.of(conn).session.forget_head(&mut self.scratch);
        self.visits.start(conn);
        self.deadlines.clear(conn.index);
        self.tally.ended(Ending::of_established(reason));
    }
}
