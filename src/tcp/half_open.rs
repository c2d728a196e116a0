//! Half-open connections (RFC 4987 §3.3, the SYN cache): what is kept between a SYN and the ACK that
//! completes the handshake, and what becomes of segments meanwhile.

use super::acceptable::in_window;
use super::config::Config;
use super::handshake::micros;
use super::time_wait::{Addresses, Ends};
use super::tuple::Tuple;
use crate::time::Instant;
use crate::wire::options::{Options, Timestamps};
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::{Flags, Segment};

/// The MSS of a peer that announces none (RFC 9293 MUST-15).
pub const DEFAULT_MSS_V4: u16 = 536;
/// The same for IPv6.
pub const DEFAULT_MSS_V6: u16 = 1_220;
/// The largest window that a SYN can announce: its field is never scaled (RFC 7323 §2.2).
pub(super) const LARGEST_UNSCALED: u32 = 65_535;

/// What a SYN and its answer agree on. A connection is made of it when the handshake is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The peer's initial sequence number.
    pub irs: SeqNumber,
    /// Ours.
    pub iss: SeqNumber,
    /// The window of the SYN.
    pub window: u16,
    /// The MSS that the peer announced, or the one that stands for none.
    pub mss: u16,
    /// The shift of the peer's windows, if scaling is agreed on.
    pub window_scale: Option<u8>,
    /// SACK is agreed on.
    pub sack: bool,
    /// The peer's last timestamp, if timestamps are agreed on.
    pub ts_recent: Option<u32>,
    /// ECN is agreed on.
    pub ecn: bool,
}

impl Handshake {
    /// What we agree to of a SYN (RFC 9293 §3.10.7.2, RFC 7323, RFC 2018, RFC 3168 §6.1.1).
    #[inline]
    pub fn of_syn(syn: &Segment<'_>, iss: SeqNumber, config: &Config, ipv4: bool) -> Self {
        let unstated = if ipv4 { DEFAULT_MSS_V4 } else { DEFAULT_MSS_V6 };
        let asks = (Flags::ECE | Flags::CWR).0;
        Handshake {
            irs: syn.seq,
            iss,
            window: syn.window,
            mss: syn.options.mss.unwrap_or(unstated),
            window_scale: syn.options.window_scale.filter(|_| config.window_scale),
            sack: config.sack && syn.options.sack_permitted,
            ts_recent: syn.options.timestamps.filter(|_| config.timestamps).map(|ts| ts.value),
            ecn: config.ecn && syn.flags.0 & asks == asks,
        }
    }

    /// The SYN as it was, as far as it matters to the connection.
    pub fn syn(&self, tuple: &Tuple) -> Segment<'static> {
        let asks = if self.ecn { Flags::ECE | Flags::CWR } else { Flags(0) };
        Segment {
            src_port: tuple.remote_port,
            dst_port: tuple.local_port,
            seq: self.irs,
            ack: SeqNumber::default(),
            flags: Flags::SYN | asks,
            window: self.window,
            urgent: 0,
            options: Options {
                mss: Some(self.mss),
                window_scale: self.window_scale,
                sack_permitted: self.sack,
                timestamps: self.ts_recent.map(|value| Timestamps { value, echo: 0 }),
                ..Options::NONE
            },
            payload: &[],
        }
    }

    /// The window field of an ACK before the handshake is complete: not less than the SYN-ACK announced.
    pub fn window_field(&self, config: &Config) -> u16 {
        let shift = self.window_scale.map_or(0, |_| config.scale_for_buffer());
        first_window(config).div_ceil(1 << shift) as u16
    }

    /// The SYN-ACK, which says `our_mss` and our `clock` of timestamps.
    #[inline]
    pub fn syn_ack(
        &self,
        tuple: &Tuple,
        config: &Config,
        our_mss: u16,
        clock: u32,
    ) -> Segment<'static> {
        let grants = if self.ecn { Flags::ECE } else { Flags(0) };
        Segment {
            src_port: tuple.local_port,
            dst_port: tuple.remote_port,
            seq: self.iss,
            ack: self.irs + 1,
            flags: Flags::SYN | Flags::ACK | grants,
            window: first_window(config) as u16,
            urgent: 0,
            options: Options {
                mss: Some(our_mss),
                window_scale: self.window_scale.map(|_| config.scale_for_buffer()),
                sack_permitted: self.sack,
                timestamps: self.ts_recent.map(|echo| Timestamps { value: clock, echo }),
                ..Options::NONE
            },
            payload: &[],
        }
    }
}

/// The window that a SYN-ACK announces, in octets.
fn first_window(config: &Config) -> u32 {
    config.receive_window.min(config.receive_buffer).min(LARGEST_UNSCALED)
}

/// How a SYN-ACK fared, for the first round trip and the first window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// When it was sent, on the clock of microseconds, if that is known and it was sent once (Karn).
    pub sent_us: Option<u32>,
    /// How often it was sent again.
    pub retries: u8,
}

/// Who gave the entry, for whoever keeps it: a listener as two numbers, and the station to answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The listener.
    pub listener: [u16; 2],
    /// The Ethernet address that the SYN came from.
    pub station: [u8; 6],
}

/// A half-open connection: 48 octets over IPv4, 72 over IPv6.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HalfOpen<A> {
    ends: Ends<A>,
    irs: SeqNumber,
    iss: SeqNumber,
    ts_recent: u32,
    /// When something is to be done, in ticks of the owner's choice.
    pub deadline: u32,
    /// When the first SYN-ACK left, in microseconds. From the first other answer on (`ANSWERED`): the
    /// second of the last answer in 16 bits, and in 8 bits each how many segments of either kind have
    /// been answered in it.
    sent: u32,
    window: u16,
    mss: u16,
    /// Who gave it.
    pub origin: Origin,
    /// SYN-ACKs that were sent again.
    pub retries: u8,
    /// From the highest bit on: ECN, SACK, timestamps, something but the first SYN was answered, and in
    /// four bits the shift of the peer's windows, 15 for no scaling.
    facts: u8,
}

const _: () = assert!(size_of::<HalfOpen<super::time_wait::PairV4>>() == 48);
const _: () = assert!(size_of::<HalfOpen<super::time_wait::PairV6>>() == 72);

const NO_SCALE: u8 = 0xf;
const ANSWERED: u8 = 1 << 4;
const TIMESTAMPS: u8 = 1 << 5;
const SACK: u8 = 1 << 6;
const ECN: u8 = 1 << 7;

/// What an answer is for; each kind has its own limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerTo {
    /// The SYN that came again.
    Syn,
    /// Any other segment.
    Other,
}

/// What becomes of a segment that arrives for a half-open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Ignore,
    /// Drop it and count it: it lacks the timestamp that was agreed on (RFC 7323 §3.2).
    MissingTimestamp,
    /// It is the SYN again: answer it again, as the first time.
    AnswerSyn,
    /// Send an ACK of where we are (RFC 5961, RFC 9293 §3.10.7.4).
    Challenge,
    /// Answer with `<SEQ=n><CTL=RST>`.
    Reset(SeqNumber),
    /// The peer gave it up.
    Forget,
    /// The handshake is complete: the segment is the first one of the connection.
    Complete,
}

impl<A: Addresses> HalfOpen<A> {
    /// An entry for a SYN that is answered `now`, whose SYN-ACK is to be sent again at `deadline`.
    #[inline]
    pub fn new(
        tuple: &Tuple,
        handshake: &Handshake,
        origin: Origin,
        now: Instant,
        deadline: u32,
    ) -> Self {
        let Handshake { irs, iss, window, mss, window_scale, sack, ts_recent, ecn } = *handshake;
        let fact = |is: bool, bit: u8| if is { bit } else { 0 };
        HalfOpen {
            ends: Ends::of(tuple),
            irs,
            iss,
            ts_recent: ts_recent.unwrap_or(0),
            deadline,
            sent: micros(now),
            window,
            mss,
            origin,
            retries: 0,
            facts: window_scale.map_or(NO_SCALE, |shift| shift.min(14))
                | fact(ts_recent.is_some(), TIMESTAMPS)
                | fact(sack, SACK)
                | fact(ecn, ECN),
        }
    }

    /// The 4-tuple.
    pub fn tuple(&self) -> Tuple {
        self.ends.tuple()
    }

    /// Is this the entry of `tuple` (which is of the same family)?
    #[inline]
    pub fn is_for(&self, tuple: &Tuple) -> bool {
        self.ends.are_of(tuple)
    }

    /// What is agreed on.
    pub fn handshake(&self) -> Handshake {
        let is = |bit: u8| self.facts & bit != 0;
        let shift = self.facts & NO_SCALE;
        Handshake {
            irs: self.irs,
            iss: self.iss,
            window: self.window,
            mss: self.mss,
            window_scale: (shift != NO_SCALE).then_some(shift),
            sack: is(SACK),
            ts_recent: is(TIMESTAMPS).then_some(self.ts_recent),
            ecn: is(ECN),
        }
    }

    /// How the SYN-ACK fared.
    pub fn answer(&self) -> Answer {
        let once = self.facts & ANSWERED == 0;
        Answer { sent_us: once.then_some(self.sent), retries: self.retries }
    }

    /// Counts an answer, and says whether it may go out: at most `limit` of a kind in a second
    /// (RFC 5961 §7). The round trip of the SYN-ACK is not measured any more: its time gives way to
    /// the count.
    pub fn take_answer(&mut self, to: AnswerTo, now: Instant, limit: u8) -> bool {
        let second = (now.nanos() / 1_000_000_000) as u16;
        if self.facts & ANSWERED == 0 || (self.sent >> 16) as u16 != second {
            self.facts |= ANSWERED;
            self.sent = u32::from(second) << 16;
        }
        let shift = match to {
            AnswerTo::Syn => 0,
            AnswerTo::Other => 8,
        };
        let may = ((self.sent >> shift) as u8) < limit;
        if may {
            self.sent += 1 << shift;
        }
        may
    }

    /// What becomes of a segment in SYN-RECEIVED (RFC 9293 §3.10.7.4, RFC 5961, RFC 7323 §5.3).
    /// Changes nothing but the timestamp, to that of a SYN that comes again.
    pub fn judge(&mut self, segment: &Segment<'_>, config: &Config) -> Verdict {
        let (flags, rcv_nxt) = (segment.flags, self.irs + 1);
        if flags.syn() && !flags.ack() && segment.seq == self.irs {
            if let Some(ts) = segment.options.timestamps
                && (ts.value.wrapping_sub(self.ts_recent) as i32) > 0
            {
                self.ts_recent = ts.value;
            }
            return Verdict::AnswerSyn;
        }
        if self.facts & TIMESTAMPS != 0 && !flags.rst() {
            match segment.options.timestamps {
                None if config.tolerate_missing_timestamps => {}
                None => return Verdict::MissingTimestamp, // RFC 7323 §3.2
                Some(ts) if (ts.value.wrapping_sub(self.ts_recent) as i32) < 0 => {
                    return Verdict::Challenge; // RFC 7323 §5.3 R1
                }
                Some(_) => {}
            }
        }
        if !in_window(segment.seq, segment.seq_len(), rcv_nxt, first_window(config)) {
            return if flags.rst() { Verdict::Ignore } else { Verdict::Challenge };
        }
        if flags.rst() {
            // RFC 5961 §3.2
            return if segment.seq == rcv_nxt { Verdict::Forget } else { Verdict::Challenge };
        }
        if flags.syn() {
            return Verdict::Challenge; // RFC 5961 §4.2
        }
        if !flags.ack() {
            return Verdict::Ignore;
        }
        if segment.ack != self.iss + 1 {
            return Verdict::Reset(segment.ack);
        }
        Verdict::Complete
    }
}
