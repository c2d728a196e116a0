//! The connection: its block, and the doors through which segments, timers and the application come.
//!
//! A connection is sans-I/O. Segments go in through [`on_segment`](Connection::on_segment), time
//! through [`on_timer`](Connection::on_timer), and what is to be sent comes out of
//! [`next_segment`](Connection::next_segment). The rules lie in files of their own: `acceptable`,
//! `handshake`, `acknowledge`, `receive`, `close` for what arrives; `send`, `timers` for what leaves.

use super::buffer::{Chain, Pool};
use super::config::Config;
use super::congestion::Controller;
use super::counters::Counters;
use super::departures::Departures;
use super::reassembly::{Pools, Reassembly, ReassemblyPool};
use super::recovery::RecoveryPool;
use super::rtt::RttEstimator;
use super::state::State;
use super::tuple::Tuple;
use crate::time::Instant;
use crate::wire::options::Options;
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::{Flags, Segment};

/// Chunks of the pool that are kept for what arrives in order: enough for the longest segment of a
/// jumbo frame.
pub(super) const RECEIVE_RESERVE: u32 = 6;

/// What every door of a connection needs beside the connection.
pub struct Context<'a> {
    /// The time.
    pub now: Instant,
    /// Habits and limits.
    pub config: &'a Config,
    /// Memory for bytes.
    pub pool: &'a mut Pool,
    /// Memory for out-of-order segments.
    pub reassembly: &'a mut ReassemblyPool,
    /// Memory for what was lost.
    pub recovery: &'a mut RecoveryPool,
    /// What happened.
    pub counters: &'a Counters,
    /// What the port has not sent yet.
    pub departures: &'a Departures,
    /// The arriving packet has met congestion: CE in its IP header (RFC 3168 §5).
    pub congestion_experienced: bool,
}

/// Yes-or-no facts of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Flag {
    /// We opened it.
    Active = 1 << 0,
    /// It has been established (so its end counts as a close and not as a failed attempt).
    WasEstablished = 1 << 1,
    /// Timestamps are in use both ways.
    Timestamps = 1 << 2,
    /// Window scaling is in use both ways.
    WindowScale = 1 << 3,
    /// An ACK must go out now.
    AckNow = 1 << 4,
    /// Our FIN follows what is queued.
    FinQueued = 1 << 5,
    /// Our FIN has been sent at least once.
    FinSent = 1 << 6,
    /// The peer's FIN has been received in order.
    FinReceived = 1 << 7,
    /// Nagle's algorithm is off.
    NoDelay = 1 << 8,
    /// SACK is in use.
    Sack = 1 << 9,
    /// The retransmission timer runs for a closed window.
    Persist = 1 << 10,
    /// Send one octet whatever the window.
    Probe = 1 << 11,
    /// Something was lost and is to be sent again.
    Lost = 1 << 12,
    /// The round trip of `rtt_seq` is being timed.
    Timing = 1 << 13,
    /// The application wants to know when there is room again.
    WantsRoom = 1 << 14,
    /// The application has closed: it neither reads nor writes any more.
    Released = 1 << 15,
    /// Keep-alive is on.
    KeepAlive = 1 << 16,
    /// A keep-alive probe is to be sent.
    KeepAliveProbe = 1 << 17,
    /// The application waits for the outcome of its close (SO_LINGER); `life_at` bounds the wait.
    Lingering = 1 << 18,
    /// Our FIN has been acknowledged.
    FinAcked = 1 << 19,
    /// A tail loss probe is to be sent.
    ProbeTail = 1 << 20,
    /// The retransmission timer runs out before the time-out: for a tail loss probe, or for a SYN
    /// that is to go again.
    EarlyTimer = 1 << 21,
    /// The retransmission timer runs for what was overtaken.
    ReorderTimer = 1 << 22,
    /// Segments have been seen to arrive out of order.
    Reordered = 1 << 23,
    /// ECN is in use both ways.
    Ecn = 1 << 24,
    /// The peer is to be told of congestion until it says CWR.
    OweEce = 1 << 25,
    /// The peer is to be told that the window was reduced.
    OweCwr = 1 << 26,
    /// Only full segments leave.
    Cork = 1 << 27,
    /// `ack_at` is when the pace, or the cork, lets the next segment go.
    Paced = 1 << 28,
    /// The peer has announced urgent data up to `rcv_up` that has not all arrived.
    UrgentAhead = 1 << 29,
    /// We have urgent data up to `snd_up` that is not acknowledged.
    Urgent = 1 << 30,
    /// The ACK that is owed speaks of this segment alone: one for each that is out of order or
    /// arrives twice (RFC 5681 §4.2).
    AckEach = 1 << 31,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Both directions were closed and all was acknowledged.
    Finished,
    /// The peer reset it.
    Reset,
    /// The peer refused it: a RST answered our SYN.
    Refused,
    /// The peer did not answer for too long.
    TimedOut,
    /// We aborted it.
    Aborted,
    /// There is no way to the peer.
    Unreachable,
}

/// What happened with the arrival of a segment, for the engine to carry out.
#[derive(Debug, Default)]
pub struct Arrival<'a> {
    /// New bytes in order, borrowed from the segment. `rcv_nxt` counts them already.
    pub deliver: &'a [u8],
    /// The connection was just established.
    pub opened: bool,
    /// Bytes that had waited out of order have joined the receive chain.
    pub readable: bool,
    /// All the peer's bytes have arrived, and its FIN.
    pub peer_closed: bool,
    /// There is room again for an application that asked for it.
    pub writable: bool,
    /// There would be room again for such an application, but for the memory of the engine.
    pub lacks_memory: bool,
    /// The peer announced urgent data, or more of it (RFC 9293 §3.8.5): what has yet to be read up
    /// to its end, in octets, unread ones included.
    pub urgent: Option<u32>,
    /// Answer with `<SEQ=n><CTL=RST>`.
    pub reset: Option<SeqNumber>,
    /// Enter TIME-WAIT: the block may be replaced by a compact entry.
    pub time_wait: bool,
    /// The connection has ended.
    pub ended: Option<CloseReason>,
}

/// A segment to be sent; the payload is `len` octets of the send chain from `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Sequence number of its first octet.
    pub seq: SeqNumber,
    /// Acknowledgment number (0 unless the ACK flag is set).
    pub ack: SeqNumber,
    /// Flags.
    pub flags: Flags,
    /// The window field, scaled.
    pub window: u16,
    /// Options.
    pub options: Options,
    /// Where the payload begins in the send chain.
    pub offset: u32,
    /// Octets of payload.
    pub len: u16,
    /// There may be more to send.
    pub more: bool,
    /// The urgent pointer, if the flag is set.
    pub urgent: u16,
    /// The packet can be marked instead of dropped: ECT(0) (RFC 3168 §6.1.2).
    pub ect: bool,
}

/// The block of one connection. Sequence variables have their names of RFC 9293 §3.3.1.
#[derive(Debug)]
#[repr(C)]
pub struct Connection {
    // what each arrival reads
    pub(crate) tuple: Tuple,
    pub(crate) flags: u32,
    pub(crate) snd_una: SeqNumber,
    pub(crate) snd_nxt: SeqNumber,
    pub(crate) snd_max: SeqNumber,
    pub(crate) rcv_nxt: SeqNumber,
    /// The right edge of the window that was announced; it never moves left.
    pub(crate) rcv_adv: SeqNumber,
    pub(crate) state: State,
    pub(crate) snd_scale: u8,
    pub(crate) rcv_scale: u8,
    pub(crate) retries: u8,
    // what most arrivals and departures touch
    pub(crate) send: Chain,
    pub(crate) receive: Chain,
    pub(crate) snd_wnd: u32,
    pub(crate) snd_wl1: SeqNumber,
    pub(crate) snd_wl2: SeqNumber,
    pub(crate) max_snd_wnd: u32,
    pub(crate) last_ack_sent: SeqNumber,
    pub(crate) ts_recent: u32,
    /// When TS.Recent was taken (see `ts_age_clock`).
    pub(crate) ts_recent_at: u16,
    /// The upper bits of `tune_start_us`.
    pub(crate) tune_start_high: u16,
    pub(crate) ts_offset: u32,
    pub(crate) mss: u16,
    pub(crate) quick_acks: u8,
    pub(crate) pending_acks: u8,
    pub(crate) congestion: Controller,
    pub(crate) rtt: RttEstimator,
    pub(crate) rtt_seq: SeqNumber,
    pub(crate) rtt_start_us: u32,
    pub(crate) retransmit_at: Instant,
    pub(crate) ack_at: Instant,
    pub(crate) life_at: Instant,
    /// When the pace lets the next segment go, or the cork what it holds back.
    pub(crate) pace_at: Instant,
    /// Where RCV.NXT must get to before the receive window may double, and since when it is on the
    /// way there. If the application has let go of the connection nothing is received any more, and it
    /// is where SND.UNA must be at `life_at`.
    pub(crate) tune_seq: SeqNumber,
    pub(crate) tune_start_us: u32,
    // what few touch
    pub(crate) reassembly: Reassembly,
    /// SND.MAX when the last loss was found (RFC 6582 §3.2).
    pub(crate) recover: SeqNumber,
    /// SND.MAX when the window was reduced last: once a round trip is enough.
    pub(crate) reduced_at: SeqNumber,
    /// What is kept while something is missing, as a link into the pool; 0 = nothing.
    pub(crate) recovery: u32,
    /// What arrived a second time and is to be reported (RFC 2883); nothing if it is empty.
    pub(crate) dsack: (SeqNumber, SeqNumber),
    /// The end of the urgent data: of ours, of the peer's.
    pub(crate) snd_up: SeqNumber,
    pub(crate) rcv_up: SeqNumber,
    /// Since when nothing new was acknowledged, in ms: the lower bits, the upper ones are in
    /// `stalled_high` (see `set_stalled`, `stalled_for_ms`).
    pub(crate) stalled_ms: u32,
    pub(crate) challenge_second: u16,
    pub(crate) challenges: u8,
    /// By how many quarters of the least round trip the reordering window is wider than one, and
    /// for how many recoveries (RFC 8985 §6.2 step 4).
    pub(crate) reorder_steps: u8,
    pub(crate) reorder_lasts: u8,
    /// How often the receive window has doubled.
    pub(crate) rcv_doublings: u8,
    pub(crate) probes: u8,
    /// The sender has filled the congestion window in this round trip (RFC 7661 §4.3).
    pub(crate) fills_window: bool,
    /// The MSS that we announce.
    pub(crate) our_mss: u16,
    pub(crate) stalled_high: u8,
    /// `pace_at` is when the cork has held back enough.
    pub(crate) held_by_cork: bool,
}

/// How a connection begins: what the engine chose for it.
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    /// The two ends.
    pub tuple: Tuple,
    /// Our initial sequence number.
    pub iss: SeqNumber,
    /// What is added to the clock for our timestamps.
    pub ts_offset: u32,
    /// The largest segment that our link takes, in octets of TCP payload.
    pub link_mss: u16,
}

impl Connection {
    /// A connection in SYN-SENT whose SYN is still to go out (RFC 9293 §3.10.1).
    pub fn open(birth: &Birth, config: &Config) -> Self {
        let mut new = Self::new(birth, config, State::SynSent);
        new.set(Flag::Active);
        new
    }

    /// A connection in SYN-RECEIVED for a SYN that a listener took (RFC 9293 §3.10.7.2).
    pub fn accept(birth: &Birth, config: &Config, now: Instant, syn: &Segment<'_>) -> Self {
        let mut new = Self::new(birth, config, State::SynReceived);
        new.take_syn(config, now, syn);
        new
    }

    fn new(birth: &Birth, config: &Config, state: State) -> Self {
        let mss = birth.link_mss.min(config.mss.unwrap_or(u16::MAX));
        let mut flags = 0;
        if config.nodelay {
            flags |= Flag::NoDelay as u32;
        }
        if config.keep_alive.is_some() {
            flags |= Flag::KeepAlive as u32;
        }
        Connection {
            tuple: birth.tuple,
            flags,
            snd_una: birth.iss,
            snd_nxt: birth.iss,
            snd_max: birth.iss,
            rcv_nxt: SeqNumber::default(),
            rcv_adv: SeqNumber::default(),
            state,
            snd_scale: 0,
            rcv_scale: 0,
            retries: 0,
            send: Chain::default(),
            receive: Chain::default(),
            snd_wnd: 0,
            snd_wl1: SeqNumber::default(),
            snd_wl2: SeqNumber::default(),
            max_snd_wnd: 0,
            last_ack_sent: SeqNumber::default(),
            ts_recent: 0,
            ts_recent_at: 0,
            tune_start_high: 0,
            ts_offset: birth.ts_offset,
            mss,
            quick_acks: config.quick_acks,
            pending_acks: 0,
            congestion: Controller::new(
                config.congestion,
                config.hystart,
                config.initial_window,
                mss.into(),
            ),
            rtt: RttEstimator::default(),
            rtt_seq: SeqNumber::default(),
            rtt_start_us: 0,
            retransmit_at: Instant::FAR,
            ack_at: Instant::FAR,
            life_at: Instant::FAR,
            pace_at: Instant::ZERO,
            tune_seq: SeqNumber::default(),
            tune_start_us: 0,
            reassembly: Reassembly::default(),
            recover: birth.iss,
            reduced_at: birth.iss,
            recovery: 0,
            dsack: Default::default(),
            snd_up: birth.iss,
            rcv_up: SeqNumber::default(),
            stalled_ms: 0,
            challenge_second: 0,
            challenges: 0,
            reorder_steps: 0,
            reorder_lasts: 0,
            rcv_doublings: 0,
            probes: 0,
            fills_window: false,
            our_mss: mss,
            stalled_high: 0,
            held_by_cork: false,
        }
    }

    /// A segment arrives (RFC 9293 §3.10.7.3 and §3.10.7.4).
    pub fn on_segment<'a>(&mut self, cx: &mut Context<'_>, segment: &Segment<'a>) -> Arrival<'a> {
        let mut arrival = Arrival::default();
        match self.state {
            State::SynSent => self.arrives_in_syn_sent(cx, segment, &mut arrival),
            State::Closed | State::Listen | State::TimeWait => {}
            _ => self.arrives_synchronized(cx, segment, &mut arrival),
        }
        self.assert_invariants();
        arrival
    }

    /// RFC 9293 §3.10.7.4, in its order: sequence number, RST, SYN, ACK, text, FIN.
    fn arrives_synchronized<'a>(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'a>,
        arrival: &mut Arrival<'a>,
    ) {
        use super::acceptable::Judgement;
        let without_syn;
        let segment = match self.judge(cx, segment) {
            Judgement::Accept => segment,
            Judgement::Drop => return,
            Judgement::Reset => return self.take_reset(cx, arrival),
            Judgement::AcceptWithoutSyn => {
                let flags = Flags(segment.flags.0 & !Flags::SYN.0);
                without_syn = Segment { seq: segment.seq + 1, flags, ..*segment };
                &without_syn
            }
        };
        if self.state == State::SynReceived && !self.check_handshake_ack(cx, segment, arrival) {
            return;
        }
        if !self.acknowledge(cx, segment, arrival) {
            return;
        }
        self.note_timestamp(cx.now, segment);
        self.take_text(cx, segment, arrival);
        self.keep_alive_heard(cx);
    }

    /// Takes bytes to send, as many as the buffer and the pool have room for, and returns how many.
    pub fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> usize {
        if !self.state.may_send() || self.is(Flag::FinQueued) {
            return 0;
        }
        let room = self.write_room(cx.config, cx.pool) as usize;
        let taken = self.send.append(cx.pool, &bytes[..bytes.len().min(room)]);
        if taken < bytes.len() {
            self.refuse_room(cx);
        }
        taken
    }

    /// As [`write`](Self::write), and what was queued so far is urgent (RFC 9293 §3.8.5; RFC 6093
    /// §6 advises against it).
    pub fn write_urgent(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> usize {
        let taken = self.write(cx, bytes);
        if taken > 0 {
            self.snd_up = self.snd_una + self.send.len();
            if !self.state.is_synchronized() {
                self.snd_up += 1; // the SYN comes first
            }
            self.set(Flag::Urgent);
        }
        taken
    }

    /// Is this flag set?
    #[inline]
    pub fn is(&self, flag: Flag) -> bool {
        self.flags & flag as u32 != 0
    }

    /// Sets a flag.
    #[inline]
    pub(crate) fn set(&mut self, flag: Flag) {
        self.flags |= flag as u32;
    }

    /// Clears a flag and says whether it was set.
    #[inline]
    pub(crate) fn take(&mut self, flag: Flag) -> bool {
        let was = self.is(flag);
        self.flags &= !(flag as u32);
        was
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// SND.UNA and RCV.NXT: both stay where they are unless packets arrive in both directions
    /// (RFC 4861 §7.3.1).
    pub fn progress(&self) -> (SeqNumber, SeqNumber) {
        (self.snd_una, self.rcv_nxt)
    }

    /// Time-outs in a row that the peer has not answered: of retransmissions, or of keep-alive.
    #[inline]
    pub fn unanswered(&self) -> u8 {
        self.retries.max(self.probes)
    }

    /// The two ends.
    pub fn tuple(&self) -> &Tuple {
        &self.tuple
    }

    /// Is there, or may there be, something to send right now?
    #[inline]
    pub fn wants_output(&self) -> bool {
        const DUE: u32 = Flag::AckNow as u32
            | Flag::Lost as u32
            | Flag::ProbeTail as u32
            | Flag::Probe as u32
            | Flag::KeepAliveProbe as u32;
        let sent = self.snd_una.steps_to(self.snd_nxt) as u32;
        match self.state {
            State::Closed | State::Listen | State::TimeWait => false,
            State::SynSent | State::SynReceived => sent == 0 || self.flags & DUE != 0,
            _ => {
                let owed = self.send.len() + u32::from(self.owes_fin());
                self.flags & DUE != 0 || sent < owed
            }
        }
    }

    /// Is our FIN queued, or sent and not acknowledged?
    #[inline]
    pub(super) fn owes_fin(&self) -> bool {
        self.is(Flag::FinQueued) && !self.is(Flag::FinAcked)
    }

    /// Gives back all memory that the connection holds.
    pub fn release_memory(&mut self, cx: &mut Context<'_>) {
        self.send.clear(cx.pool);
        self.receive.clear(cx.pool);
        self.clear_reassembly(cx);
        self.clear_recovery(cx);
    }

    pub(super) fn clear_reassembly(&mut self, cx: &mut Context<'_>) {
        if !self.reassembly.is_empty() {
            self.reassembly.clear(Pools { segments: cx.reassembly, bytes: cx.pool });
            if self.dsack.1.after(self.rcv_nxt) {
                self.dsack = Default::default(); // it would read as a block that is held
            }
        }
    }

    /// What must hold after each public step.
    #[inline]
    pub(super) fn assert_invariants(&self) {
        debug_assert!(self.snd_una.at_or_before(self.snd_nxt), "{self:?}");
        debug_assert!(self.snd_nxt.at_or_before(self.snd_max), "{self:?}");
        if self.state.is_synchronized() && self.state != State::TimeWait {
            debug_assert!(self.rcv_nxt.at_or_before(self.rcv_adv + 1), "{self:?}");
            let sent = self.snd_una.steps_to(self.snd_max) as u32;
            debug_assert!(sent <= self.send.len() + 1, "{self:?}");
        }
    }
}

const _: () = assert!(size_of::<Connection>() <= 304);
