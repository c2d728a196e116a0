//! Frames go out: first what belongs to no connection, then the connections that have something to
//! send, in the order in which they came by it.

use super::control::Need;
use super::frame::{Checksums, Envelope, write_segment};
use super::neighbourhood::NextHop;
use super::stack::{Mark, Stack, context};
use crate::port::{Frames, TxOffload};
use crate::tcp::{CloseReason, Outgoing, State, Tuple};
use crate::wire::options::{Options, Timestamps};
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::{self, MacAddr, ethernet, ipv6};

/// The longest frame without payload: Ethernet with a tag, IPv6, and TCP with all the options that
/// there can be.
const LONGEST_HEADERS: usize =
    ethernet::TAGGED_HEADER_LEN + ipv6::HEADER_LEN + wire::tcp::MAX_HEADER_LEN;

/// What a segment without payload says.
pub(super) struct Bare {
    pub seq: SeqNumber,
    pub ack: Option<SeqNumber>,
    pub flags: Flags,
    pub window: u16,
    pub timestamps: Option<Timestamps>,
}

impl Bare {
    /// `<SEQ=seq><CTL=RST>`, with an ACK if there is something to acknowledge.
    pub fn reset(seq: SeqNumber, ack: Option<SeqNumber>) -> Self {
        Bare { seq, ack, flags: Flags::RST, window: 0, timestamps: None }
    }

    /// The same for a connection, with its timestamps if it uses any (RFC 7323 §3.2: SHOULD).
    pub fn with_timestamps(self, timestamps: Option<Timestamps>) -> Self {
        Bare { timestamps, ..self }
    }
}

/// What an ACK says that no connection stands behind, but for our timestamp.
pub(super) struct LastAck {
    pub seq: SeqNumber,
    pub ack: SeqNumber,
    pub window: u16,
    /// To be echoed, if timestamps are in use.
    pub ts_recent: Option<u32>,
}

/// The last segment of a connection that is gone: its RST, or its ACK of the peer's FIN.
pub(super) struct Owed {
    pub tuple: Tuple,
    pub to: MacAddr,
    pub bare: Bare,
}

/// The header of a segment of a connection.
#[inline]
fn header_of(tuple: &Tuple, outgoing: &Outgoing) -> Segment<'static> {
    Segment {
        src_port: tuple.local_port,
        dst_port: tuple.remote_port,
        seq: outgoing.seq,
        ack: outgoing.ack,
        flags: outgoing.flags,
        window: outgoing.window,
        urgent: outgoing.urgent,
        options: outgoing.options,
        payload: &[],
    }
}

impl Stack {
    /// Copies the next frame that belongs to no connection into `room`; such frames go first.
    #[inline]
    pub(super) fn next_free_frame(&mut self, room: &mut [u8]) -> Option<(usize, TxOffload)> {
        let written = self.next_control_frame(room)?;
        self.metrics.tx_packets.bump();
        self.metrics.tx_bytes.add(written.0 as u64);
        Some(written)
    }

    /// Writes the next frame of a connection into `room` and returns its length, or `None` if there is
    /// nothing to send.
    pub(super) fn next_frame(
        &mut self,
        room: &mut [u8],
        checksums: Checksums,
    ) -> Option<(usize, TxOffload)> {
        let written = self
            .next_connection_frame(room, checksums)
            // a connection may have found that its neighbour is to be asked for
            .or_else(|| self.next_control_frame(room))?;
        self.metrics.tx_packets.bump();
        self.metrics.tx_bytes.add(written.0 as u64);
        Some(written)
    }

    #[inline]
    fn next_control_frame(&mut self, room: &mut [u8]) -> Option<(usize, TxOffload)> {
        if self.control.is_empty() {
            if self.owed.is_empty() {
                return None;
            }
            self.recall_owed();
        }
        let frame = self.control.pop()?;
        room[..frame.len()].copy_from_slice(frame);
        Some((frame.len(), TxOffload::None))
    }

    fn next_connection_frame(
        &mut self,
        room: &mut [u8],
        checksums: Checksums,
    ) -> Option<(usize, TxOffload)> {
        while let Some(&index) = self.dirty.front() {
            if !self.conns.contains(index) || !self.conns[index].is(Mark::Dirty) {
                self.dirty.pop_front(); // it is gone, or another has its place
                continue;
            }
            let hop = self.next_hop_of(index);
            if let NextHop::Pending = hop {
                self.clean(index);
                self.wait_for_neighbour(index);
                self.poll_neighbours();
                continue;
            }
            let mut cx = context!(self);
            let outgoing = self.conns[index].tcp.next_segment(&mut cx);
            if !outgoing.is_some_and(|segment| segment.more) {
                self.clean(index);
            }
            self.sync_timer(index);
            self.note_small_window(index);
            match (outgoing, hop) {
                (Some(outgoing), NextHop::At(to)) => {
                    self.metrics.tcp.out_segs.bump();
                    return Some(self.write_outgoing(index, &outgoing, to, room, checksums));
                }
                (Some(_), _) => self.lost_on_the_way(index),
                (None, _) => {}
            }
        }
        None
    }

    /// Takes the first connection off the list.
    fn clean(&mut self, index: u32) {
        self.dirty.pop_front();
        self.conns[index].unmark(Mark::Dirty);
    }

    /// The neighbour does not answer. An attempt to connect fails; what is established goes on as if
    /// the segment had been lost, and its time-outs decide.
    #[cold]
    fn lost_on_the_way(&mut self, index: u32) {
        let tcp = &mut self.conns[index].tcp;
        if tcp.state() == State::SynSent {
            tcp.abort();
            self.finish(index, CloseReason::Unreachable);
        }
    }

    #[inline]
    fn write_outgoing(
        &mut self,
        index: u32,
        outgoing: &Outgoing,
        to: MacAddr,
        room: &mut [u8],
        checksums: Checksums,
    ) -> (usize, TxOffload) {
        let tcp = &mut self.conns[index].tcp;
        let tuple = tcp.tuple;
        let segment = header_of(&tuple, outgoing);
        let (link, pool) = (self.link, &self.pool);
        let ect = outgoing.ect;
        let envelope = Envelope { link, to, tuple: &tuple, checksums, ect };
        let len = usize::from(outgoing.len);
        write_segment(room, envelope, &segment, len, |payload| {
            if !payload.is_empty() {
                tcp.send.copy_at(pool, outgoing.offset, payload);
            }
        })
    }

    /// Such an ACK, with our timestamp of now.
    pub(super) fn bare_ack(&self, tuple: &Tuple, last: &LastAck) -> Bare {
        let stamp = |echo| Timestamps { value: self.timestamp_clock(tuple), echo };
        Bare {
            seq: last.seq,
            ack: Some(last.ack),
            flags: Flags::ACK,
            window: last.window,
            timestamps: last.ts_recent.map(stamp),
        }
    }

    /// Queues a segment without payload that no connection stands behind (any more), and that the peer
    /// will ask for again if it is not sent.
    pub(super) fn send_bare(&mut self, tuple: &Tuple, to: MacAddr, bare: &Bare) {
        if !self.queue_bare(tuple, to, bare, Need::CanBeAskedAgain) {
            self.metrics.drops.answer_shed.bump();
        }
    }

    /// The same, if there is as much need for it. False if there was no room.
    fn queue_bare(&mut self, tuple: &Tuple, to: MacAddr, bare: &Bare, need: Need) -> bool {
        let segment = Segment {
            src_port: tuple.local_port,
            dst_port: tuple.remote_port,
            seq: bare.seq,
            ack: bare.ack.unwrap_or_default(),
            flags: if bare.ack.is_some() { bare.flags | Flags::ACK } else { bare.flags },
            window: bare.window,
            urgent: 0,
            options: Options { timestamps: bare.timestamps, ..Options::NONE },
            payload: &[],
        };
        let queued = self.queue_segment(tuple, to, &segment, need);
        if queued && bare.flags.rst() {
            self.metrics.tcp.out_rsts.bump();
        }
        queued
    }

    /// Queues a segment without payload. False if there was no room for it.
    #[must_use]
    pub(super) fn queue_segment(
        &mut self,
        tuple: &Tuple,
        to: MacAddr,
        segment: &Segment<'_>,
        need: Need,
    ) -> bool {
        let link = self.link;
        let queued = self.control.push(need, |room| {
            let checksums = Checksums::Software;
            let envelope = Envelope { link, to, tuple, checksums, ect: false };
            Some(write_segment(room, envelope, segment, 0, |_| {}).0)
        });
        if queued {
            self.metrics.tcp.out_segs.bump();
        }
        queued
    }

    /// Sends a segment without payload in the buffer of frame `index`, which is not needed any more.
    /// False if that cannot be.
    #[inline]
    pub(super) fn send_in_place<F: Frames + ?Sized>(
        &mut self,
        tuple: &Tuple,
        to: MacAddr,
        segment: &Segment<'_>,
        index: usize,
        frames: &mut F,
    ) -> bool {
        let envelope =
            Envelope { link: self.link, to, tuple, checksums: Checksums::Software, ect: false };
        let mut sent = 0;
        let done = frames.answer(index, LONGEST_HEADERS, |room| {
            sent = write_segment(room, envelope, segment, 0, |_| {}).0;
            sent
        });
        if done {
            self.metrics.tcp.out_segs.bump();
            self.metrics.tx_packets.bump();
            self.metrics.tx_bytes.add(sent as u64);
        }
        done
    }

    /// Queues the ACK that a connection owes for one segment alone (RFC 5681 §4.2), before the next
    /// one of the burst arrives.
    #[cold]
    pub(super) fn send_ack_of_its_own(&mut self, index: u32) {
        let NextHop::At(to) = self.next_hop_of(index) else { return };
        let cx = context!(self);
        let Some(outgoing) = self.conns[index].tcp.ack_of_its_own(&cx) else { return };
        let tuple = self.conns[index].tcp.tuple;
        let segment = header_of(&tuple, &outgoing);
        if !self.queue_segment(&tuple, to, &segment, Need::Once) {
            self.metrics.drops.control_queue.bump();
        }
    }

    /// Queues a segment without payload for a connection, if its neighbour is known.
    pub(super) fn send_bare_for(&mut self, index: u32, bare: &Bare) {
        let tuple = self.conns[index].tcp.tuple;
        if let NextHop::At(to) = self.next_hop_of(index) {
            self.send_bare(&tuple, to, bare);
        }
    }

    /// Queues the segment with which a connection ends, or remembers it: its RST, or the ACK of the peer's
    /// FIN, which a time-out of the peer would bring, but late.
    pub(super) fn send_last(&mut self, index: u32, bare: Bare) {
        let tuple = self.conns[index].tcp.tuple;
        if let NextHop::At(to) = self.next_hop_of(index)
            && !self.queue_bare(&tuple, to, &bare, Need::Once)
        {
            self.remember(Owed { tuple, to, bare });
        }
    }
}
