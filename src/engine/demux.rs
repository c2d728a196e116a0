//! Segments that no connection of ours is there for: SYNs for listeners, and strays.

use super::listener::ListenerId;
use super::output::Bare;
use super::receive::Staged;
use super::stack::{Mark, Stack, context, keyed};
use crate::tcp::isn::isn;
use crate::tcp::{Birth, Connection, Tuple};
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::Segment;

impl Stack {
    /// A segment for which there is neither a connection nor a TIME-WAIT entry: LISTEN
    /// (RFC 9293 §3.10.7.2) or CLOSED (§3.10.7.1).
    pub(super) fn no_connection(&mut self, staged: &Staged, segment: &Segment<'_>) {
        let flags = segment.flags;
        let listener = self.listeners.find(staged.tuple.local.to_std(), staged.tuple.local_port);
        if flags.rst() {
            return;
        }
        match listener {
            Some(listener) if flags.syn() && !flags.ack() => {
                let iss = isn(self.now, keyed(&self.secrets.sequence, &staged.tuple).0 as u32);
                self.open_passive(listener, staged, segment, iss);
            }
            Some(_) if !flags.ack() => {} // neither SYN nor ACK: nothing to answer in LISTEN
            _ => {
                self.metrics.tcp.no_connection.bump();
                let reset = if flags.ack() {
                    Bare::reset(segment.ack, None)
                } else {
                    Bare::reset(SeqNumber::new(0), Some(segment.end()))
                };
                self.send_bare(&staged.tuple, staged.from, &reset);
            }
        }
    }

    /// A listener takes a SYN. False if there is no room: the SYN is dropped, and the peer will send
    /// it again.
    pub(super) fn open_passive(
        &mut self,
        listener: ListenerId,
        staged: &Staged,
        syn: &Segment<'_>,
        iss: SeqNumber,
    ) {
        let counters = &self.metrics.tcp;
        counters.syn_received.bump();
        if self.backlog_is_full(listener) {
            counters.listen_overflows.bump();
            counters.listen_drops.bump();
            return;
        }
        let birth = self.birth(staged.tuple, iss);
        let tcp = Connection::accept(&birth, &self.config, self.now, syn);
        let Some(index) = self.admit(tcp, staged.hash) else {
            self.metrics.tcp.listen_drops.bump();
            return;
        };
        let block = &mut self.conns[index];
        block.listener = Some(listener);
        block.mark(Mark::InBacklog);
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.backlog += 1;
        }
        self.metrics.tcp.passive_opens.bump();
        self.set_dirty(index);
    }

    pub(super) fn backlog_is_full(&self, listener: ListenerId) -> bool {
        let full = |l: &super::listener::Listener| l.backlog >= l.options.backlog;
        self.listeners.get(listener).is_none_or(full)
            || self.conns.len() as u32 >= self.conns.limit()
    }

    /// How a connection of this 4-tuple begins.
    pub(super) fn birth(&self, tuple: Tuple, iss: SeqNumber) -> Birth {
        let ts_offset = self.timestamp_offset(&tuple);
        Birth { tuple, iss, ts_offset, link_mss: self.link_mss(tuple.is_v4()) }
    }
}

impl Stack {
    /// Sends what a connection is told to answer with.
    pub(super) fn reset_for(&mut self, index: u32, seq: SeqNumber) {
        self.send_bare_for(index, &Bare::reset(seq, None));
    }

    /// As `write_at`, urgently: see [`Io::write_urgent`](super::Io::write_urgent).
    pub(super) fn write_urgent_at(&mut self, index: u32, bytes: &[u8]) -> usize {
        let mut cx = context!(self);
        let taken = self.conns[index].tcp.write_urgent(&mut cx, bytes);
        self.set_dirty(index);
        taken
    }

    /// Writes for the application: see [`Io::write`](super::Io::write).
    pub(super) fn write_at(&mut self, index: u32, bytes: &[u8]) -> usize {
        let mut cx = context!(self);
        let taken = self.conns[index].tcp.write(&mut cx, bytes);
        self.set_dirty(index);
        taken
    }
}
