//! The face of handles: what an application does to connections, and non-blocking sockets.

use super::app::{App, Io};
use super::error::Error;
use super::listener::ListenerId;
use super::output::Bare;
use super::stack::{ConnId, Mark, Stack, context};
use crate::tcp::{CloseReason, Flag, State};
use core::net::SocketAddr;
use core::time::Duration;

/// The application of an engine that is used through handles: it keeps what arrives until it is
/// read, and connections until they are closed.
///
/// ```
/// use lastack::engine::{Config, Engine, ListenOptions, Sockets};
/// use lastack::net::address::Interface;
/// use lastack::wire::MacAddr;
///
/// let address = "198.18.0.1/24".parse().unwrap();
/// let interface = Interface::new(MacAddr([2, 0, 0, 0, 0, 1]), vec![address]);
/// let mut engine = Engine::new(Config::new(interface, [7; 32]), Sockets).unwrap();
/// let listener = engine.listen("198.18.0.1:80".parse().unwrap(), ListenOptions::default()).unwrap();
/// assert!(engine.accept(listener).is_err()); // nobody has called yet
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Sockets;

impl App for Sockets {
    const HANDLES: bool = true;

    fn on_open(&mut self, io: &mut Io<'_>) {
        io.stack.note_ready(io.index);
    }

    fn on_data(&mut self, io: &mut Io<'_>, _: &[u8]) -> usize {
        io.stack.note_ready(io.index);
        0
    }

    fn on_writable(&mut self, io: &mut Io<'_>) {
        io.stack.note_ready(io.index);
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        io.stack.note_ready(io.index);
    }

    fn on_closed(&mut self, io: &mut Io<'_>, _: CloseReason) {
        io.stack.note_ready(io.index);
    }
}

/// What a handle is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// A read gives bytes, the end of the stream, or an error.
    pub readable: bool,
    /// A write takes bytes, or gives an error.
    pub writable: bool,
    /// The peer has closed its side.
    pub peer_closed: bool,
    /// The connection is over.
    pub closed: bool,
}

/// What became of a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The handle is gone. With a time of SO_LINGER all is acknowledged; without one, what was queued
    /// is still delivered in the background, as long as the connection lasts.
    Done,
    /// SO_LINGER: not all is acknowledged yet. Close again when the handle is ready.
    Pending,
    /// SO_LINGER: its time is over ("would block"). The handle is gone; the octets that were left
    /// are still sent in the background.
    Expired {
        /// Octets not acknowledged, the FIN not counted.
        left: u32,
    },
    /// SO_LINGER: the handle is gone, and the connection ended in this way before all was
    /// acknowledged. With unread bytes it was this close that reset it.
    Failed(CloseReason),
}

impl Stack {
    /// Takes the oldest connection that a listener has ready.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if there is none, [`Error::BadHandle`] if there is no such listener.
    pub fn accept(&mut self, listener: ListenerId) -> Result<ConnId, Error> {
        loop {
            let ready = &mut self.listeners.get_mut(listener).ok_or(Error::BadHandle)?.ready;
            let conn = ready.pop_front().ok_or(Error::WouldBlock)?;
            if let Some(index) = self.index_of(conn) {
                self.leave_backlog(index);
                self.conns[index].listener = None;
                return Ok(conn);
            }
        }
    }

    /// Connections that a listener has ready to be accepted.
    pub fn acceptable(&self, listener: ListenerId) -> usize {
        self.listeners.get(listener).map_or(0, |listener| listener.ready.len())
    }

    /// Reads bytes into `out`. `Ok(0)` is the end of the stream: the peer has closed and all that it
    /// sent was read. After a reset, what had arrived before it is read first.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if there is nothing to read yet, [`Error::InProgress`] before the
    /// handshake is over, and the reason if the connection has failed.
    pub fn read(&mut self, conn: ConnId, out: &mut [u8]) -> Result<usize, Error> {
        let index = self.open_index(conn)?;
        if out.is_empty() {
            return Ok(0);
        }
        let taken = self.read_at(index, out);
        if taken > 0 {
            return Ok(taken);
        }
        let block = &self.conns[index];
        match (block.ended, block.tcp.state()) {
            (Some(CloseReason::Finished), _) => Ok(0),
            (Some(reason), _) => Err(reason.into()),
            _ if block.tcp.is(Flag::FinReceived) => Ok(0),
            (None, State::SynSent | State::SynReceived) => Err(Error::InProgress),
            (None, _) => Err(Error::WouldBlock),
        }
    }

    /// Hands over bytes to send and returns how many were taken. Before the handshake is over they
    /// are queued (RFC 9293 §3.10.2).
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if there is no room now, in the send buffer or in the memory of the engine
    /// (the handle is ready again when there is), [`Error::BrokenPipe`] after [`shutdown`](Self::shutdown), and the reason
    /// if the connection has failed.
    pub fn write(&mut self, conn: ConnId, bytes: &[u8]) -> Result<usize, Error> {
        let index = self.open_index(conn)?;
        let block = &self.conns[index];
        if block.tcp.is(Flag::FinQueued) {
            return Err(match block.ended {
                None | Some(CloseReason::Finished) => Error::BrokenPipe,
                Some(reason) => reason.into(),
            });
        }
        if let Some(reason) = block.ended {
            return Err(reason.into());
        }
        match self.write_at(index, bytes) {
            0 if bytes.is_empty() => Ok(0),
            0 => Err(Error::WouldBlock),
            taken => Ok(taken),
        }
    }

    /// Closes the sending side: a FIN follows what is queued. Reading goes on.
    ///
    /// # Errors
    /// [`Error::BrokenPipe`] if it was closed before, [`Error::NotConnected`] if the connection is
    /// over.
    pub fn shutdown(&mut self, conn: ConnId) -> Result<(), Error> {
        let index = self.open_index(conn)?;
        if self.conns[index].ended.is_some() {
            return Err(Error::NotConnected);
        }
        if self.shutdown_at(index) { Ok(()) } else { Err(Error::BrokenPipe) }
    }

    /// Closes the handle. With SO_LINGER off it is gone at once and what is queued is delivered in
    /// the background; with a time it is [`Closing::Pending`] until all is acknowledged, the time is
    /// over or the connection has failed ([`Closing::Failed`]); with a time of zero the connection is reset. With unread bytes the peer gets a RST
    /// (RFC 2525 §2.17).
    ///
    /// # Errors
    /// [`Error::BadHandle`] if it was closed before.
    pub fn close(&mut self, conn: ConnId) -> Result<Closing, Error> {
        let index = self.open_index(conn)?;
        let block = &self.conns[index];
        let linger_ms = block.linger_ms;
        let waits = linger_ms != u32::MAX && linger_ms != 0;
        if let Some(reason) = block.ended {
            self.conns[index].tcp.set(Flag::Released);
            self.free(index);
            let failed = waits && reason != CloseReason::Finished;
            return Ok(if failed { Closing::Failed(reason) } else { Closing::Done });
        }
        if !waits || !block.tcp.receive.is_empty() {
            self.close_at(index);
            return Ok(if waits { Closing::Failed(CloseReason::Aborted) } else { Closing::Done });
        }
        if block.tcp.all_is_acknowledged() {
            self.release(index);
            return Ok(Closing::Done);
        }
        if block.is(Mark::LingerOver) {
            let left = block.tcp.send.len();
            self.release(index);
            return Ok(Closing::Expired { left });
        }
        if !block.tcp.is(Flag::Lingering) {
            self.shutdown_at(index);
            let until = self.now + Duration::from_millis(linger_ms.into());
            self.conns[index].tcp.linger_until(until);
            self.sync_timer(index);
        }
        Ok(Closing::Pending)
    }

    /// Ends the connection at once with a RST; what is queued is discarded. The handle is still to be
    /// closed.
    ///
    /// # Errors
    /// [`Error::NotConnected`] if the connection is over.
    pub fn abort(&mut self, conn: ConnId) -> Result<(), Error> {
        let index = self.open_index(conn)?;
        if self.conns[index].ended.is_some() {
            return Err(Error::NotConnected);
        }
        self.abort_at(index, CloseReason::Aborted);
        Ok(())
    }

    /// Is the connection established?
    ///
    /// # Errors
    /// [`Error::InProgress`] while the handshake goes on, and the reason if the connection has
    /// failed.
    pub fn status(&self, conn: ConnId) -> Result<(), Error> {
        let index = self.open_index(conn)?;
        let block = &self.conns[index];
        match (block.ended, block.tcp.state()) {
            (Some(reason), _) => Err(reason.into()),
            (None, State::SynSent | State::SynReceived) => Err(Error::InProgress),
            (None, _) => Ok(()),
        }
    }

    /// What a handle is ready for.
    ///
    /// # Errors
    /// [`Error::BadHandle`] if it was closed.
    pub fn readiness(&self, conn: ConnId) -> Result<Readiness, Error> {
        let block = &self.conns[self.open_index(conn)?];
        let (tcp, closed) = (&block.tcp, block.ended.is_some());
        let peer_closed = tcp.is(Flag::FinReceived);
        let done = block.is(Mark::LingerOver) || tcp.all_is_acknowledged();
        Ok(Readiness {
            readable: !tcp.receive.is_empty() || peer_closed || closed,
            writable: closed
                || (tcp.state().is_synchronized()
                    && !tcp.is(Flag::FinQueued)
                    && tcp.write_room(&self.config, &self.pool) > 0),
            peer_closed,
            closed: closed || (tcp.is(Flag::Lingering) && done),
        })
    }

    /// The next handle to which something has happened since it was last given here.
    pub fn next_ready(&mut self) -> Option<ConnId> {
        while let Some((index, generation)) = self.ready.pop_front() {
            let Some(block) = self.conns.get_mut(index) else { continue };
            if block.generation == generation {
                block.unmark(Mark::ReadyListed);
                return Some(ConnId { index, generation });
            }
        }
        None
    }

    /// Octets that have arrived in order and were not read.
    ///
    /// # Errors
    /// [`Error::BadHandle`] if the handle was closed.
    pub fn unread(&self, conn: ConnId) -> Result<u32, Error> {
        Ok(self.conns[self.open_index(conn)?].tcp.receive.len())
    }

    /// Octets that were written and that the peer has not acknowledged.
    ///
    /// # Errors
    /// [`Error::BadHandle`] if the handle was closed.
    pub fn unacked(&self, conn: ConnId) -> Result<u32, Error> {
        Ok(self.conns[self.open_index(conn)?].tcp.send.len())
    }

    /// Our end and the peer's.
    ///
    /// # Errors
    /// [`Error::BadHandle`] if the handle was closed.
    pub fn addresses(&self, conn: ConnId) -> Result<(SocketAddr, SocketAddr), Error> {
        let tuple = &self.conns[self.open_index(conn)?].tcp.tuple;
        Ok((tuple.local_addr(), tuple.remote_addr()))
    }

    /// The value attached to a connection.
    ///
    /// # Errors
    /// [`Error::BadHandle`] if the handle was closed.
    pub fn user(&self, conn: ConnId) -> Result<u64, Error> {
        Ok(self.conns[self.open_index(conn)?].user)
    }

    /// Attaches a value to a connection.
    ///
    /// # Errors
    /// [`Error::BadHandle`] if the handle was closed.
    pub fn set_user(&mut self, conn: ConnId, user: u64) -> Result<(), Error> {
        let index = self.open_index(conn)?;
        self.conns[index].user = user;
        Ok(())
    }

    /// The index of a connection whose handle was not closed.
    pub(super) fn open_index(&self, conn: ConnId) -> Result<u32, Error> {
        self.index_of(conn)
            .filter(|&index| !self.conns[index].tcp.is(Flag::Released))
            .ok_or(Error::BadHandle)
    }

    pub(super) fn write_room_at(&self, index: u32) -> usize {
        let tcp = &self.conns[index].tcp;
        let may = tcp.state().may_send() && !tcp.is(Flag::FinQueued);
        if may { tcp.write_room(&self.config, &self.pool) as usize } else { 0 }
    }

    pub(super) fn read_at(&mut self, index: u32, out: &mut [u8]) -> usize {
        let cx = context!(self);
        let tcp = &mut self.conns[index].tcp;
        let taken = tcp.receive.read(cx.pool, out);
        if taken > 0 {
            tcp.announce_room(&cx);
            self.note_small_window(index);
            self.set_dirty(index);
        }
        taken
    }

    pub(super) fn ask_redelivery(&mut self, index: u32) {
        let block = &mut self.conns[index];
        if !block.is(Mark::Redeliver) {
            block.mark(Mark::Redeliver);
            self.to_tell.push_back((index, block.generation));
        }
    }

    pub(super) fn shutdown_at(&mut self, index: u32) -> bool {
        let mut cx = context!(self);
        let closed = self.conns[index].tcp.shutdown(&mut cx);
        if closed {
            self.set_dirty(index);
            self.sync_timer(index);
        }
        closed
    }

    /// Closes both sides: SO_LINGER with a time of zero, or unread bytes, make it a reset.
    pub(super) fn close_at(&mut self, index: u32) {
        let block = &self.conns[index];
        if block.ended.is_some() || block.tcp.is(Flag::Released) {
            return;
        }
        let counters = &self.metrics.tcp;
        if block.linger_ms == 0 {
            counters.abort_on_linger.bump();
        } else if self.leaves_unread(index) {
            counters.abort_on_close.bump();
        } else if block.tcp.state() != State::SynSent {
            self.shutdown_at(index);
            self.release(index);
            return;
        }
        // RFC 9293 §3.10.4: in SYN-SENT there is nothing to close but the attempt
        self.abort_at(index, CloseReason::Aborted);
        self.conns[index].tcp.set(Flag::Released);
    }

    /// Would a close now throw away bytes that the application has not seen?
    fn leaves_unread(&self, index: u32) -> bool {
        let kept = self.conns[index].tcp.receive.len();
        let offered = self.offered.filter(|&(of, _)| of == index).map_or(0, |(_, octets)| octets);
        kept > offered
    }

    /// The application lets go; the stack brings it to an end.
    fn release(&mut self, index: u32) {
        let mut cx = context!(self);
        let tcp = &mut self.conns[index].tcp;
        tcp.release(&mut cx);
        tcp.receive.clear(cx.pool);
        self.sync_timer(index);
    }

    pub(super) fn abort_at(&mut self, index: u32, reason: CloseReason) {
        let block = &mut self.conns[index];
        if block.ended.is_some() {
            return;
        }
        let ack = block.tcp.rcv_nxt;
        if let Some(seq) = block.tcp.abort() {
            let timestamps = block.tcp.timestamps_of_reset(self.now);
            let reset = Bare::reset(seq, Some(ack)).with_timestamps(timestamps);
            self.send_last(index, reset);
        }
        let mut cx = context!(self);
        self.conns[index].tcp.discard_after_abort(&mut cx);
        self.finish(index, reason);
    }

    /// Puts a handle on the list of those to which something has happened.
    pub(super) fn note_ready(&mut self, index: u32) {
        let block = &mut self.conns[index];
        if !block.is(Mark::ReadyListed) {
            block.mark(Mark::ReadyListed);
            self.ready.push_back((index, block.generation));
        }
    }
}
