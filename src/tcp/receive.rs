//! Segment text and FIN: RFC 9293 §3.10.7.4, seventh and eighth check; RFC 5681 §4.2 (when to ACK).

use super::buffer::{CHUNK_BYTES, Pool};
use super::connection::{Arrival, CloseReason, Connection, Context, Flag, RECEIVE_RESERVE};
use super::handshake::micros;
use super::memory::note_pressure;
use super::reassembly::{DropReason, Inserted, Limits, Pools};
use super::state::{State, StateEvent};
use crate::time::Instant;
use crate::wire::options::SackBlocks;
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::Segment;

/// Segments with data that one ACK may answer (RFC 9293 §3.8.6.3: at least every second).
const SEGMENTS_PER_ACK: u8 = 2;

impl Connection {
    /// Takes the text of a segment whose ACK has been dealt with, and its FIN.
    pub(super) fn take_text<'a>(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'a>,
        arrival: &mut Arrival<'a>,
    ) {
        let mut payload = segment.payload;
        let mut fin = segment.flags.fin();
        if payload.is_empty() && !fin {
            return;
        }
        if !self.state.may_receive() {
            return;
        }
        if segment.flags.urg() {
            self.note_urgent(segment, arrival); // RFC 9293 MUST-66: even if the window is closed
        }
        let mut seq = segment.seq;
        // what came before RCV.NXT is old
        let old = seq.steps_to(self.rcv_nxt);
        let mut reported = false;
        if old > 0 {
            let skip = payload.len().min(old as usize);
            if skip > 0 {
                self.received_twice(seq, seq + skip as u32);
                reported = true;
            }
            payload = &payload[skip..];
            seq += skip as u32;
            self.set(Flag::AckNow);
        }
        // what lies beyond the window was not asked for
        let room = seq.steps_to(self.rcv_adv).max(0) as usize;
        if payload.len() > room {
            payload = &payload[..room];
            fin = false;
            self.set(Flag::AckNow);
        }
        if payload.is_empty() && !(fin && seq.at_or_after(self.rcv_nxt)) {
            return;
        }
        self.note_congestion(cx, segment); // RFC 3168 §6.1.5: only of text within the window
        if self.is(Flag::Released) && !payload.is_empty() {
            // RFC 1122 §4.2.2.13: nobody is left to read it
            cx.counters.abort_on_data.bump();
            arrival.reset = Some(self.textless_seq());
            return self.end(cx, arrival, CloseReason::Aborted);
        }
        if seq != self.rcv_nxt {
            return self.keep_out_of_order(cx, seq, payload, fin);
        }
        let too_long = |pool: &Pool| payload.len() > pool.available() as usize * CHUNK_BYTES;
        if too_long(cx.pool) && !self.reassembly.is_empty() {
            // what is next in order counts for more (RFC 2018 §8 allows to go back on a SACK)
            cx.counters.ofo_pruned.bump();
            self.clear_reassembly(cx);
        }
        let lacks_memory = too_long(cx.pool);
        // what the application may take at once needs no memory; what it leaves is sent again
        fin = fin && !lacks_memory;
        let must_be_kept = !self.receive.is_empty() || !self.reassembly.is_empty();
        if (lacks_memory && must_be_kept) || self.holds_its_share_unread(cx.pool, payload.len()) {
            note_pressure(cx);
            cx.counters.rcvq_drop.bump();
            return self.set(Flag::AckNow);
        }
        let filled_gap = !self.reassembly.is_empty();
        if filled_gap {
            if !reported {
                self.report_held(cx, seq, seq + payload.len() as u32);
            }
            // what waited comes after this: both go through the chain, to stay in order
            let taken = self.receive.append(cx.pool, payload);
            self.rcv_nxt += taken as u32;
            arrival.readable = true;
            if taken < payload.len() {
                return self.set(Flag::AckNow);
            }
            // nothing can follow a FIN: what waits beyond this one is let go with it
            fin = fin || self.take_what_waited(cx);
        } else {
            arrival.deliver = payload;
            self.rcv_nxt += payload.len() as u32;
        }
        if self.rcv_nxt.at_or_after(self.tune_seq) {
            self.tune_window(cx);
        }
        self.schedule_ack(cx, filled_gap);
        if fin {
            self.take_fin(cx, arrival);
        }
    }

    /// Moves what is now in order into the receive chain. True if that reaches the peer's FIN.
    fn take_what_waited(&mut self, cx: &mut Context<'_>) -> bool {
        let pools = Pools { segments: cx.reassembly, bytes: cx.pool };
        let taken = self.reassembly.take_in_order(pools, self.rcv_nxt, &mut self.receive);
        self.rcv_nxt += taken.octets;
        taken.fin
    }

    fn keep_out_of_order(
        &mut self,
        cx: &mut Context<'_>,
        seq: SeqNumber,
        payload: &[u8],
        fin: bool,
    ) {
        self.set(Flag::AckNow); // RFC 5681 §4.2: tell the sender of the gap at once
        self.set(Flag::AckEach);
        self.report_held(cx, seq, seq + payload.len() as u32);
        if cx.pool.available() <= RECEIVE_RESERVE {
            return cx.counters.ofo_drop.bump(); // memory is left for what is next in order
        }
        // a segment takes a chunk at least, however little it carries
        let bytes = cx.pool.share_bytes();
        let share = cx.reassembly.share().min(bytes / CHUNK_BYTES as u32);
        let limits = Limits {
            octets: cx.config.receive_buffer.min(bytes),
            segments: share.min(cx.config.reassembly_segments.into()),
        };
        let pools = Pools { segments: cx.reassembly, bytes: cx.pool };
        match self.reassembly.insert(pools, &limits, self.rcv_nxt, seq, payload, fin) {
            Inserted::Kept { .. } => cx.counters.ofo_queue.bump(),
            Inserted::Duplicate => {}
            Inserted::Dropped(reason) => {
                cx.counters.ofo_drop.bump();
                let by_share = match reason {
                    DropReason::TooManySegments => limits.segments == share,
                    DropReason::TooManyOctets => limits.octets == bytes,
                    _ => false,
                };
                if by_share {
                    cx.counters.ofo_share.bump();
                    note_pressure(cx);
                }
            }
        }
    }

    /// RFC 3168 §6.1.3: CE is echoed until the peer says that it has slowed down.
    #[inline]
    fn note_congestion(&mut self, cx: &Context<'_>, segment: &Segment<'_>) {
        if !self.is(Flag::Ecn) {
            return;
        }
        if segment.flags.cwr() {
            self.take(Flag::OweEce);
        }
        if cx.congestion_experienced {
            cx.counters.ce_received.bump();
            self.set(Flag::OweEce);
            self.set(Flag::AckNow);
        }
    }

    /// Something arrived a second time: the next ACK says so (RFC 2883 §4).
    pub(super) fn received_twice(&mut self, start: SeqNumber, end: SeqNumber) {
        if self.is(Flag::Sack) {
            self.dsack = (start, end);
            self.set(Flag::AckEach);
        }
    }

    /// If octets of `start..end` are held out of order, the next ACK reports the first of them as
    /// received twice (RFC 2883 §4.2).
    fn report_held(&mut self, cx: &Context<'_>, start: SeqNumber, end: SeqNumber) {
        if self.is(Flag::Sack)
            && let Some((start, end)) = self.reassembly.first_held(cx.reassembly, start, end)
        {
            self.received_twice(start, end);
        }
    }

    /// Reports what had arrived before of a segment that is dropped: its octets before RCV.NXT, or
    /// else the first ones that are held (RFC 2883 §4.2, §4.3).
    #[cold]
    pub(super) fn report_dropped(&mut self, cx: &Context<'_>, start: SeqNumber, end: SeqNumber) {
        if start.before(self.rcv_nxt) {
            self.received_twice(start, end.earlier(self.rcv_nxt));
        } else {
            self.report_held(cx, start, end);
        }
    }

    /// Is the peer to be told that something arrived twice?
    pub(super) fn owes_dsack(&self) -> bool {
        self.dsack.0 != self.dsack.1
    }

    /// Is there anything to report by SACK?
    #[inline]
    pub(super) fn has_blocks(&self) -> bool {
        self.is(Flag::Sack) && (!self.reassembly.is_empty() || self.owes_dsack())
    }

    /// How many blocks there are to report: as many as an option has room for, or fewer.
    #[cold]
    pub(super) fn count_blocks(&self, cx: &Context<'_>) -> usize {
        let held = self.reassembly.blocks(cx.reassembly).take(SackBlocks::MAX).count();
        (held + usize::from(self.owes_dsack())).min(SackBlocks::MAX)
    }

    /// The blocks that the next segment reports: what arrived twice first, then the range around it
    /// (RFC 2883 §4), then the others, the one that changed last first (RFC 2018 §4).
    #[cold]
    pub(super) fn sack_blocks(&self, cx: &Context<'_>) -> SackBlocks {
        if !self.owes_dsack() {
            return self.reassembly.recent_blocks(cx.reassembly, None);
        }
        let (start, end) = self.dsack;
        let mut blocks = SackBlocks::EMPTY;
        blocks.push(start, end);
        for (start, end) in self.reassembly.recent_blocks(cx.reassembly, Some(start)).iter() {
            if !blocks.push(start, end) {
                break;
            }
        }
        blocks
    }

    /// RFC 5681 §4.2: every second segment, at once if a gap was filled or the connection is young,
    /// else within the delay.
    fn schedule_ack(&mut self, cx: &mut Context<'_>, filled_gap: bool) {
        // far more than two while the port has no room for the ACK
        self.pending_acks = self.pending_acks.saturating_add(1);
        if filled_gap || self.pending_acks >= SEGMENTS_PER_ACK {
            self.set(Flag::AckNow);
        } else if self.quick_acks > 0 {
            self.quick_acks -= 1;
            self.set(Flag::AckNow);
        } else {
            self.ack_at = self.ack_at.min(cx.now + cx.config.delayed_ack);
        }
    }

    /// RFC 9293 §3.10.7.4, eighth check.
    fn take_fin(&mut self, cx: &mut Context<'_>, arrival: &mut Arrival<'_>) {
        self.rcv_nxt += 1;
        self.rcv_adv = self.rcv_adv.later(self.rcv_nxt);
        self.set(Flag::FinReceived);
        self.set(Flag::AckNow);
        self.clear_reassembly(cx); // nothing can follow a FIN
        arrival.peer_closed = true;
        if let Some(next) = self.state.next(StateEvent::FinArrives) {
            self.state = next;
            arrival.time_wait = next == State::TimeWait;
        }
    }

    /// Bytes that the application had no use for yet: keeps them as far as memory lasts. No ACK has
    /// told of the rest yet, and no FIN follows it (see `take_text`): the peer sends it again.
    pub fn keep_unread(&mut self, cx: &mut Context<'_>, bytes: &[u8]) {
        let taken = self.receive.append(cx.pool, bytes);
        if taken < bytes.len() {
            note_pressure(cx);
            cx.counters.rcvq_drop.bump();
            self.rcv_nxt = self.rcv_nxt - (bytes.len() - taken) as u32;
            self.set(Flag::AckNow);
        }
    }

    /// Drops `n` octets that the application has read, and announces the room if it is worth it.
    pub fn consume_unread(&mut self, cx: &mut Context<'_>, n: u32) {
        self.receive.consume(cx.pool, n as usize);
        self.announce_room(cx);
    }

    /// After a read: an ACK goes out if the window can grow by two segments or half the buffer
    /// (RFC 9293 §3.8.6.2.2).
    pub(crate) fn announce_room(&mut self, cx: &Context<'_>) {
        if !self.state.may_receive() {
            return;
        }
        let growth = self.receive_window().abs_diff(self.window_to_offer(cx.config, cx.pool));
        let limit = self.receive_limit_now(cx.config, cx.pool);
        if growth >= (2 * u32::from(self.mss)).min(limit / 2).max(1) {
            self.set(Flag::AckNow);
        }
    }

    /// Octets that may be unread now: at first a little, and twice as much each time that the peer
    /// uses it up, to the limit.
    pub(super) fn receive_limit(&self, config: &super::config::Config) -> u32 {
        let limit = u64::from(config.receive_window) << self.rcv_doublings;
        limit.min(config.receive_buffer.into()) as u32
    }

    /// The peer has filled the window that was announced when this round began. If that took it
    /// less than two round trips, the window is what holds it back, and doubles.
    #[cold]
    fn tune_window(&mut self, cx: &Context<'_>) {
        if self.is(Flag::Released) {
            return;
        }
        let started_us = u64::from(self.tune_start_high) << 32 | u64::from(self.tune_start_us);
        let took_us = (cx.now.nanos() / 1_000).wrapping_sub(started_us) & 0xffff_ffff_ffff;
        let (srtt_us, limit) = (self.rtt.srtt_us, self.receive_limit(cx.config));
        let quick = srtt_us == 0 || took_us < u64::from(srtt_us) * 2;
        if quick && limit < cx.config.receive_buffer && self.rcv_doublings < 30 {
            self.rcv_doublings += 1;
        }
        self.tune_seq = self.rcv_adv.later(self.rcv_nxt + 1);
        self.start_tuning(cx.now);
    }

    /// The peer begins to fill the window, now: in 48 bits of microseconds, which last for nine years.
    pub(super) fn start_tuning(&mut self, now: Instant) {
        self.tune_start_us = micros(now);
        self.tune_start_high = ((now.nanos() / 1_000) >> 32) as u16;
    }

    /// RFC 9293 §3.10.7.4, sixth check; the pointer is that of RFC 6093 §3.
    #[cold]
    fn note_urgent(&mut self, segment: &Segment<'_>, arrival: &mut Arrival<'_>) {
        let end = segment.seq + u32::from(segment.urgent);
        let known = if self.is(Flag::UrgentAhead) { self.rcv_up } else { self.rcv_nxt };
        if segment.urgent == 0 || end.at_or_before(known) {
            return;
        }
        self.rcv_up = end;
        self.set(Flag::UrgentAhead);
        arrival.urgent = self.urgent_ahead();
    }

    /// Octets to read up to the end of the peer's urgent data (RFC 9293 §3.8.5), `None` if all of it
    /// was read.
    pub fn urgent_ahead(&self) -> Option<u32> {
        let read = self.rcv_nxt - self.receive.len();
        let left = read.steps_to(self.rcv_up);
        (self.is(Flag::UrgentAhead) && left > 0).then_some(left as u32)
    }

    /// The window to announce as its field says it.
    #[inline]
    pub(super) fn window_field(&self, config: &super::config::Config, pool: &Pool) -> u32 {
        let mut window = self.window_to_offer(config, pool) >> self.rcv_scale;
        if window << self.rcv_scale < self.receive_window() {
            window += 1; // rounding down would move the right edge left (RFC 7323 §2.4)
        }
        window.min(0xffff)
    }

    /// The window to announce, in octets: what the buffer has room for, but the right edge never
    /// moves left, and moves right only by a worthwhile step (RFC 9293 §3.8.6.2.2, MUST-39).
    pub(super) fn window_to_offer(&self, config: &super::config::Config, pool: &Pool) -> u32 {
        let announced = self.receive_window();
        let largest = 0xffff << self.rcv_scale;
        let limit = self.receive_limit_now(config, pool);
        let room = limit.saturating_sub(self.receive.len()).min(largest);
        let step = u32::from(self.mss).min(limit / 2);
        if room < announced + step { announced } else { room }
    }
}
