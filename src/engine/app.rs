//! The callback face: an application that is called as things happen.

use super::error::Error;
use super::stack::{ConnId, Stack};
use crate::tcp::CloseReason;
use crate::time::Instant;
use core::net::SocketAddr;

/// What runs on top of an engine. All calls come from the thread that drives the engine.
///
/// The order for one connection: `on_open`, any number of `on_data` and `on_writable`, at most one
/// `on_peer_closed`, and last `on_closed`. A connect that fails gets only `on_closed`; a handshake
/// of a peer that fails gets nothing.
pub trait App {
    /// Do connections outlive their end until the application closes them, and do listeners keep
    /// established ones until they are accepted? So for the handles of [`Sockets`](super::Sockets).
    const HANDLES: bool = false;

    /// A connection is established, by us or by a peer.
    fn on_open(&mut self, io: &mut Io<'_>) {
        let _ = io;
    }

    /// New bytes, in order, borrowed from the buffer they arrived in. Returns how many were
    /// consumed; the engine keeps the rest and shrinks the window by it. They come again, with what
    /// followed, after the next arrival or [`Io::redeliver`].
    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize;

    /// There is room to write again, after a write that was cut short.
    fn on_writable(&mut self, io: &mut Io<'_>) {
        let _ = io;
    }

    /// The peer has announced urgent data (RFC 6093: it stays in line), or more of it: it ends
    /// `ahead` octets after what was consumed so far.
    fn on_urgent(&mut self, io: &mut Io<'_>, ahead: u32) {
        let _ = (io, ahead);
    }

    /// The peer will send nothing more, and all that it sent was consumed.
    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        let _ = io;
    }

    /// The connection is over: it reached CLOSED or TIME-WAIT, was reset, or could not be opened.
    fn on_closed(&mut self, io: &mut Io<'_>, reason: CloseReason) {
        let _ = (io, reason);
    }

    /// Once a poll: time to open connections or follow a schedule.
    fn on_poll(&mut self, stack: &mut Stack) {
        let _ = stack;
    }

    /// When [`on_poll`](Self::on_poll) wants to be called at the latest.
    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

/// One connection, in the hands of a callback.
pub struct Io<'a> {
    pub(super) stack: &'a mut Stack,
    pub(super) index: u32,
}

impl Io<'_> {
    /// The handle of the connection.
    pub fn conn(&self) -> ConnId {
        self.stack.id_of(self.index)
    }

    /// The time of this poll.
    pub fn now(&self) -> Instant {
        self.stack.now()
    }

    /// Hands over bytes to send; returns how many there was room for. After fewer than all,
    /// [`App::on_writable`] is called when there is room again.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        self.stack.write_at(self.index, bytes)
    }

    /// Hands over bytes to send, and what was handed over so far is urgent (RFC 9293 §3.8.5).
    pub fn write_urgent(&mut self, bytes: &[u8]) -> usize {
        self.stack.write_urgent_at(self.index, bytes)
    }

    /// Octets that a write would take now.
    pub fn write_room(&self) -> usize {
        self.stack.write_room_at(self.index)
    }

    /// Octets handed over and not yet acknowledged by the peer.
    pub fn unacked(&self) -> usize {
        self.stack.conns[self.index].tcp.send.len() as usize
    }

    /// Reads bytes that were kept because `on_data` did not consume them.
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        self.stack.read_at(self.index, out)
    }

    /// Octets that were kept.
    pub fn unread(&self) -> usize {
        self.stack.conns[self.index].tcp.receive.len() as usize
    }

    /// Asks for [`App::on_data`] to be called again with what was kept, after this callback.
    pub fn redeliver(&mut self) {
        self.stack.ask_redelivery(self.index);
    }

    /// Closes the sending side: a FIN follows what is queued. The peer may go on sending.
    pub fn shutdown(&mut self) {
        self.stack.shutdown_at(self.index);
    }

    /// Closes both sides. What is queued is still delivered; what the peer has yet to say is not
    /// wanted any more. With unread bytes the peer gets a RST (RFC 2525 §2.17).
    pub fn close(&mut self) {
        self.stack.close_at(self.index);
    }

    /// Ends the connection at once with a RST; what is queued is discarded.
    pub fn abort(&mut self) {
        self.stack.abort_at(self.index, CloseReason::Aborted);
    }

    /// The value that the application has attached to the connection.
    pub fn user(&self) -> u64 {
        self.stack.conns[self.index].user
    }

    /// Attaches a value to the connection.
    pub fn set_user(&mut self, user: u64) {
        self.stack.conns[self.index].user = user;
    }

    /// Did we open it?
    pub fn is_active(&self) -> bool {
        self.stack.conns[self.index].tcp.is(crate::tcp::Flag::Active)
    }

    /// Our end.
    pub fn local_addr(&self) -> SocketAddr {
        self.stack.conns[self.index].tcp.tuple.local_addr()
    }

    /// The peer's end.
    pub fn remote_addr(&self) -> SocketAddr {
        self.stack.conns[self.index].tcp.tuple.remote_addr()
    }

    /// The whole stack: to open another connection, say.
    pub fn stack(&mut self) -> &mut Stack {
        self.stack
    }

    /// Switches Nagle's algorithm off (or on).
    ///
    /// # Errors
    /// Never, for a connection in a callback; the signature is that of the handle.
    pub fn set_nodelay(&mut self, on: bool) -> Result<(), Error> {
        let conn = self.conn();
        self.stack.set_nodelay(conn, on)
    }
}
