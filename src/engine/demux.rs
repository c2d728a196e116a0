//! Segments that no connection of ours is there for: SYNs for listeners, and strays.

use super::output::Bare;
use super::receive::Staged;
use super::stack::{Stack, context};
use crate::tcp::half_open::Handshake;
use crate::tcp::{Birth, Tuple};
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::Segment;

/// What becomes of a segment that no connection is there for.
pub(super) enum Unclaimed {
    /// It has been dealt with.
    Done,
    /// It is the first one of a connection that a cookie has made: this is its index.
    Connection(u32),
    /// A SYN: its answer brings a cookie of this handshake.
    Cookie(Handshake),
}

impl Stack {
    /// A segment for which there is neither a connection nor a TIME-WAIT entry: LISTEN
    /// (RFC 9293 §3.10.7.2) or CLOSED (§3.10.7.1).
    pub(super) fn no_connection(&mut self, staged: &Staged, segment: &Segment<'_>) -> Unclaimed {
        // Here and for no other segment: a connection, or what is left of one, has a remote end that it
        // was opened to or that has passed here (RFC 1122 §3.2.1.3, RFC 9293 MUST-63).
        if !self.routes.is_possible_source(staged.tuple.remote.to_std()) {
            self.drop_impossible_source();
            return Unclaimed::Done;
        }
        let flags = segment.flags;
        let listener = self.listeners.find(staged.tuple.local, staged.tuple.local_port);
        if flags.rst() {
            return Unclaimed::Done;
        }
        if let Some(listener) = listener
            && flags.ack()
            && !flags.syn()
            && let Ok(made) = self.cookie_arrives(listener, staged, segment)
        {
            return made.map_or(Unclaimed::Done, Unclaimed::Connection);
        }
        match listener {
            Some(listener) if flags.syn() && !flags.ack() => {
                return self.syn_arrives(listener, staged, segment);
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
        Unclaimed::Done
    }

    #[cold]
    fn drop_impossible_source(&mut self) {
        self.metrics.drops.bad_source.bump();
        self.not_for_tcp += 1;
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
        let timestamps = self.conns[index].tcp.timestamps_of_reset(self.now);
        self.send_bare_for(index, &Bare::reset(seq, None).with_timestamps(timestamps));
    }

    /// As `write_at`, urgently: see [`Io::write_urgent`](super::Io::write_urgent).
    pub(super) fn write_urgent_at(&mut self, index: u32, bytes: &[u8]) -> usize {
        let mut cx = context!(self);
        let taken = self.conns[index].tcp.write_urgent(&mut cx, bytes);
        if taken < bytes.len() {
            self.note_refusal(index);
        }
        self.set_dirty(index);
        taken
    }

    /// Writes for the application: see [`Io::write`](super::Io::write).
    pub(super) fn write_at(&mut self, index: u32, bytes: &[u8]) -> usize {
        let mut cx = context!(self);
        let taken = self.conns[index].tcp.write(&mut cx, bytes);
        if taken < bytes.len() {
            self.note_refusal(index);
        }
        self.set_dirty(index);
        taken
    }
}
