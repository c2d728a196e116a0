//! TIME-WAIT: the compact entry, and what it makes of a segment.
//!
//! When a connection enters TIME-WAIT its block is released and this entry remains: just what is
//! needed to answer and to recognise old duplicates.

use super::acceptable::in_window;
use super::config::{Config, TimeWaitPolicy};
use super::tuple::{Ip, Tuple};
use crate::time::Instant;
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::Segment;
use core::net::Ipv4Addr;

/// The addresses of an entry: 4 octets each for IPv4, 16 for IPv6.
pub trait Addresses: Copy + PartialEq {
    /// Packs the addresses of a tuple of this family.
    fn pack(tuple: &Tuple) -> Self;
    /// The local and the remote address.
    fn unpack(&self) -> (Ip, Ip);
}

/// A pair of IPv4 addresses, local and remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairV4(u32, u32);

impl Addresses for PairV4 {
    fn pack(tuple: &Tuple) -> Self {
        PairV4(tuple.local.v4_bits(), tuple.remote.v4_bits())
    }

    fn unpack(&self) -> (Ip, Ip) {
        (Ip::v4(Ipv4Addr::from(self.0)), Ip::v4(Ipv4Addr::from(self.1)))
    }
}

/// A pair of IPv6 addresses, local and remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairV6(Ip, Ip);

impl Addresses for PairV6 {
    fn pack(tuple: &Tuple) -> Self {
        PairV6(tuple.local, tuple.remote)
    }

    fn unpack(&self) -> (Ip, Ip) {
        (self.0, self.1)
    }
}

/// Both ends of a connection, packed: 12 octets over IPv4, 36 over IPv6.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ends<A> {
    addresses: A,
    local_port: u16,
    remote_port: u16,
}

impl<A: Addresses> Ends<A> {
    /// Packs a tuple of this family.
    #[inline]
    pub fn of(tuple: &Tuple) -> Self {
        let Tuple { local_port, remote_port, .. } = *tuple;
        Ends { addresses: A::pack(tuple), local_port, remote_port }
    }

    /// The 4-tuple.
    pub fn tuple(&self) -> Tuple {
        let (local, remote) = self.addresses.unpack();
        let (local_port, remote_port) = (self.local_port, self.remote_port);
        Tuple { local, remote, local_port, remote_port }
    }

    /// Are these the ends of `tuple` (which is of the same family)?
    #[inline]
    pub fn are_of(&self, tuple: &Tuple) -> bool {
        self.local_port == tuple.local_port
            && self.remote_port == tuple.remote_port
            && self.addresses == A::pack(tuple)
    }
}

/// What a connection leaves behind for 2·MSL: 32 octets over IPv4, two to a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TimeWait<A> {
    ends: Ends<A>,
    /// The sequence number after our FIN.
    pub snd_nxt: SeqNumber,
    /// The sequence number after the peer's FIN.
    pub rcv_nxt: SeqNumber,
    /// TS.Recent (RFC 7323 §4.3).
    ts_recent: u32,
    /// When 2·MSL run out, in ticks of the owner's choice; rewritten when they are restarted.
    pub deadline: u32,
    /// The window field of our last ACK, as it was on the wire.
    pub window: u16,
    /// From the highest bit on: the unit of time in which we sent last (7), ACKs sent in it that
    /// nothing but the peer's confusion asked for (4), timestamps in use (1), shift of the window (4).
    facts: u16,
}

const _: () = assert!(size_of::<TimeWait<PairV4>>() == 32);
const _: () = assert!(size_of::<TimeWait<PairV6>>() == 56);

const SCALE: u16 = 0xf;
const TIMESTAMPS: u16 = 1 << 4;
const ACKS_SHIFT: u32 = 5;
const MOST_ACKS: u16 = 0xf;
const SENT_SHIFT: u32 = 9;
const SENT_UNITS: u16 = 1 << 7;
/// The widest window that there can be (RFC 7323 §2.3): no ACK of the peer is further behind SND.NXT.
const WIDEST_WINDOW: i32 = 65_535 << 14;
/// When we sent last is kept in units of 2^30 ns, about a second, that come round after 137 s.
const UNIT_SHIFT: u32 = 30;

/// What a connection tells about itself when it enters TIME-WAIT.
#[derive(Clone, Copy, Debug)]
pub struct Farewell {
    /// The connection.
    pub tuple: Tuple,
    /// The sequence number after our FIN.
    pub snd_nxt: SeqNumber,
    /// The sequence number after the peer's FIN.
    pub rcv_nxt: SeqNumber,
    /// The window field of our last ACK.
    pub window: u16,
    /// The shift of that window.
    pub scale: u8,
    /// TS.Recent, if timestamps were in use.
    pub ts_recent: Option<u32>,
}

/// Why a SYN may open a 4-tuple again that is in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReopenBy {
    /// Its timestamp is later than the last one of the old incarnation (RFC 6191 §2).
    Timestamp,
    /// Its sequence number is beyond the last one of the old incarnation (RFC 9293 §3.6.1 MAY-2).
    Sequence,
}

/// What TIME-WAIT makes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Drop it without a word.
    Ignore,
    /// Drop it and count it: it lacks the timestamp that was agreed on (RFC 7323 §3.2).
    MissingTimestamp,
    /// Drop a RST without a word, and count it (RFC 1337).
    IgnoreReset,
    /// Send the last ACK again, within the limit.
    Ack,
    /// It is acceptable: send the last ACK again, within the limit, and begin 2·MSL anew.
    AckAndRestart,
    /// The peer has not seen our last ACK: send it again and begin 2·MSL anew.
    AckFin,
    /// A new incarnation may begin at once.
    Reopen(ReopenBy),
    /// The entry dies now (a RST, with the protection of RFC 1337 switched off).
    Kill,
}

impl<A: Addresses> TimeWait<A> {
    /// The entry that `farewell`, whose last segment goes out `now`, leaves, to expire at `deadline`
    /// ticks.
    pub fn new(farewell: &Farewell, now: Instant, deadline: u32) -> Self {
        let timestamps = if farewell.ts_recent.is_some() { TIMESTAMPS } else { 0 };
        TimeWait {
            ends: Ends::of(&farewell.tuple),
            snd_nxt: farewell.snd_nxt,
            rcv_nxt: farewell.rcv_nxt,
            ts_recent: farewell.ts_recent.unwrap_or(0),
            deadline,
            window: farewell.window,
            facts: u16::from(farewell.scale) & SCALE | timestamps | unit_of(now) << SENT_SHIFT,
        }
    }

    /// The 4-tuple that waits.
    pub fn tuple(&self) -> Tuple {
        self.ends.tuple()
    }

    /// Is this the entry of `tuple` (which is of the same family)?
    #[inline]
    pub fn is_for(&self, tuple: &Tuple) -> bool {
        self.ends.are_of(tuple)
    }

    /// TS.Recent, if timestamps were in use.
    #[inline]
    pub fn ts_recent(&self) -> Option<u32> {
        (self.facts & TIMESTAMPS != 0).then_some(self.ts_recent)
    }

    /// The receive window of our last ACK, in octets.
    #[inline]
    fn receive_window(&self) -> u32 {
        u32::from(self.window) << (self.facts & SCALE)
    }

    /// What becomes of a segment (RFC 9293 §3.10.7.4, the rows for TIME-WAIT). Changes nothing.
    ///
    /// | segment | its sequence number | verdict |
    /// | --- | --- | --- |
    /// | RST | any | ignored (RFC 1337) |
    /// | RST, RFC 1337 off | RCV.NXT; any other | dies; ignored (RFC 5961 §3.2) |
    /// | SYN | as RFC 6191 or MAY-2 want it | reopens |
    /// | SYN, SYN-ACK | any other | ACK (RFC 5961 §4.2) |
    /// | neither ACK, SYN nor RST | any | ignored (fifth check) |
    /// | without the timestamp agreed on | any | dropped and counted (RFC 7323 §3.2) |
    /// | with an old timestamp | any | ACK (RFC 7323 §5.3) |
    /// | FIN | that of the peer's FIN | ACK, restart |
    /// | any | outside the window | ACK (first check) |
    /// | ACK of what was never sent, or too old | in the window | ACK (RFC 5961 §5.2) |
    /// | ACK alone | in the window | ignored: it asks for nothing |
    /// | text, FIN | in the window | ACK, restart |
    pub fn judge(&self, segment: &Segment<'_>, config: &Config) -> Verdict {
        let flags = segment.flags;
        if flags.rst() {
            return match (config.rfc1337, segment.seq == self.rcv_nxt) {
                (false, true) => Verdict::Kill,
                _ => Verdict::IgnoreReset,
            };
        }
        if flags.syn()
            && !flags.ack()
            && let Some(reason) = self.may_reopen(segment, config)
        {
            return Verdict::Reopen(reason);
        }
        if flags.syn() {
            return Verdict::Ack;
        }
        if !flags.ack() {
            return Verdict::Ignore;
        }
        match (self.ts_recent(), segment.options.timestamps) {
            (Some(_), None) if !config.tolerate_missing_timestamps => {
                return Verdict::MissingTimestamp;
            }
            (Some(recent), Some(ts)) if (ts.value.wrapping_sub(recent) as i32) < 0 => {
                return Verdict::Ack;
            }
            _ => {}
        }
        if flags.fin() && segment.end() == self.rcv_nxt {
            return Verdict::AckFin;
        }
        let octets = segment.seq_len();
        let acceptable = in_window(segment.seq, octets, self.rcv_nxt, self.receive_window());
        let valid_ack = (0..=WIDEST_WINDOW).contains(&segment.ack.steps_to(self.snd_nxt));
        match acceptable && valid_ack {
            false => Verdict::Ack,
            true if octets == 0 => Verdict::Ignore,
            true => Verdict::AckAndRestart,
        }
    }

    /// May an ACK go out that is not for a repeated FIN? At most `limit` in a second, and no more than
    /// 15 (RFC 5961 §7).
    pub fn take_ack_quota(&mut self, now: Instant, limit: u8) -> bool {
        let sent = self.facts >> SENT_SHIFT;
        let acks = if sent == unit_of(now) { self.facts >> ACKS_SHIFT & MOST_ACKS } else { 0 };
        let may = acks < u16::from(limit).min(MOST_ACKS);
        if may {
            self.note_sent(now, acks + 1);
        }
        may
    }

    /// The last ACK goes out again because of a repeated FIN.
    pub fn note_fin_ack_sent(&mut self, now: Instant) {
        let same = self.facts >> SENT_SHIFT == unit_of(now);
        self.note_sent(now, if same { self.facts >> ACKS_SHIFT & MOST_ACKS } else { 0 });
    }

    fn note_sent(&mut self, now: Instant, acks: u16) {
        let kept = self.facts & (SCALE | TIMESTAMPS);
        self.facts = kept | acks << ACKS_SHIFT | unit_of(now) << SENT_SHIFT;
    }

    /// May we open this 4-tuple again ourselves? Both ends must have timestamps, and ours must have
    /// gone on since we sent last, so that the peer takes the new incarnation for newer than anything
    /// of the old one (RFC 6191 §2). A second is waited for: a peer's clock of the slowest kind
    /// (RFC 7323 §5.4) has gone on by then.
    pub fn may_be_opened(&self, now: Instant, config: &Config) -> bool {
        let age = unit_of(now).wrapping_sub(self.facts >> SENT_SHIFT) % SENT_UNITS;
        config.time_wait == TimeWaitPolicy::Reuse
            && config.timestamps
            && self.facts & TIMESTAMPS != 0
            && age >= 2
    }

    /// May this SYN begin a new incarnation (RFC 6191 §2; RFC 9293 §3.6.1 MAY-2)?
    fn may_reopen(&self, syn: &Segment<'_>, config: &Config) -> Option<ReopenBy> {
        if config.time_wait == TimeWaitPolicy::Strict {
            return None;
        }
        let by_sequence = syn.seq.after(self.rcv_nxt - 1).then_some(ReopenBy::Sequence);
        match (self.ts_recent(), syn.options.timestamps) {
            (Some(old), Some(new)) => match new.value.wrapping_sub(old) as i32 {
                0 => by_sequence,
                age => (age > 0).then_some(ReopenBy::Timestamp),
            },
            // the old incarnation had no timestamps: PAWS will tell its segments from new ones
            (None, Some(_)) if config.timestamps => Some(ReopenBy::Timestamp),
            (_, _) => by_sequence,
        }
    }
}

/// The unit of time in which `now` lies.
#[inline]
fn unit_of(now: Instant) -> u16 {
    (now.nanos() >> UNIT_SHIFT) as u16 % SENT_UNITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::options::{Options, Timestamps};
    use crate::wire::tcp::Flags;

    fn entry(timestamps: bool) -> TimeWait<PairV4> {
        let tuple =
            Tuple::new("198.18.0.1:80".parse().unwrap(), "198.18.0.2:40000".parse().unwrap());
        let farewell = Farewell {
            tuple,
            snd_nxt: SeqNumber::new(5_000),
            rcv_nxt: SeqNumber::new(9_000),
            window: 1_000,
            scale: 0,
            ts_recent: timestamps.then_some(100),
        };
        let entry = TimeWait::new(&farewell, Instant::ZERO, 7);
        assert_eq!(entry.tuple(), tuple);
        assert!(entry.is_for(&tuple));
        entry
    }

    fn segment(flags: Flags, seq: u32, payload: &[u8], ts: Option<u32>) -> Segment<'_> {
        Segment {
            src_port: 40_000,
            dst_port: 80,
            seq: SeqNumber::new(seq),
            ack: SeqNumber::new(5_000),
            flags,
            window: 100,
            urgent: 0,
            options: Options {
                timestamps: ts.map(|value| Timestamps { value, echo: 0 }),
                ..Options::default()
            },
            payload,
        }
    }

    #[test]
    fn verdicts() {
        let fin = Flags::FIN.with(Flags::ACK);
        let syn_ack = Flags::SYN.with(Flags::ACK);
        let table = [
            ("repeated FIN", fin, 8_999, &b""[..], Verdict::AckFin),
            ("repeated FIN with its data", fin, 8_990, b"012345678", Verdict::AckFin),
            ("data in the window", Flags::ACK, 9_100, b"x", Verdict::AckAndRestart),
            ("old data", Flags::ACK, 8_000, b"x", Verdict::Ack),
            ("data beyond the window", Flags::ACK, 20_000, b"x", Verdict::Ack),
            ("bare ACK", Flags::ACK, 9_000, b"", Verdict::Ignore),
            ("keep-alive", Flags::ACK, 8_999, b"", Verdict::Ack),
            ("FIN without ACK", Flags::FIN, 8_999, b"", Verdict::Ignore),
            ("text without ACK", Flags::PSH, 9_000, b"x", Verdict::Ignore),
            ("RST", Flags::RST, 9_000, b"", Verdict::IgnoreReset),
            ("newer SYN", Flags::SYN, 9_000, b"", Verdict::Reopen(ReopenBy::Sequence)),
            ("SYN below the last octet", Flags::SYN, 8_999, b"", Verdict::Ack),
            ("old SYN", Flags::SYN, 8_000, b"", Verdict::Ack),
            ("SYN-ACK", syn_ack, 9_001, b"", Verdict::Ack),
        ];
        for (what, flags, seq, payload, verdict) in table {
            let found = entry(false).judge(&segment(flags, seq, payload, None), &Config::default());
            assert_eq!(found, verdict, "{what}");
        }
    }

    #[test]
    fn timestamps_decide_over_sequence_numbers() {
        let judge = |seq, ts| {
            entry(true).judge(&segment(Flags::SYN, seq, b"", Some(ts)), &Config::default())
        };
        assert_eq!(judge(1_000, 101), Verdict::Reopen(ReopenBy::Timestamp));
        assert_eq!(judge(1_000, 100), Verdict::Ack);
        assert_eq!(judge(9_001, 100), Verdict::Reopen(ReopenBy::Sequence));
        assert_eq!(judge(9_001, 99), Verdict::Ack);
        let old = segment(Flags::FIN.with(Flags::ACK), 8_999, b"", Some(99));
        assert_eq!(entry(true).judge(&old, &Config::default()), Verdict::Ack);
    }

    #[test]
    fn switches() {
        let strict = Config { time_wait: TimeWaitPolicy::Strict, ..Config::default() };
        let syn = segment(Flags::SYN, 9_500, b"", None);
        assert_eq!(entry(false).judge(&syn, &strict), Verdict::Ack);
        let literal = Config { rfc1337: false, ..Config::default() };
        let reset = |seq| segment(Flags::RST, seq, b"", None);
        assert_eq!(entry(false).judge(&reset(9_000), &literal), Verdict::Kill);
        assert_eq!(entry(false).judge(&reset(9_001), &literal), Verdict::IgnoreReset);
        assert_eq!(entry(false).judge(&reset(8_999), &literal), Verdict::IgnoreReset);
    }

    #[test]
    fn acknowledgments_are_limited_for_each_second() {
        let mut entry = entry(true);
        let at = |units: u64, ns: u64| Instant::from_nanos((units << UNIT_SHIFT) + ns);
        for (unit, limit, expected) in [(0, 10, 10), (1, 3, 3), (1, 3, 0), (2, 200, 15), (3, 0, 0)]
        {
            let sent = (0..100).filter(|&ns| entry.take_ack_quota(at(unit, ns), limit)).count();
            assert_eq!(sent, expected, "{limit} in unit {unit}");
        }
        assert_eq!((entry.ts_recent(), entry.receive_window()), (Some(100), 1_000));
    }

    #[test]
    fn we_open_again_when_our_clock_has_gone_on() {
        let may = |entry: &TimeWait<PairV4>, units: u64, config: &Config| {
            entry.may_be_opened(Instant::from_nanos(units << UNIT_SHIFT), config)
        };
        let config = Config::default();
        let mut with = entry(true);
        assert_eq!([0, 1, 2, 127].map(|at| may(&with, at, &config)), [false, false, true, true]);
        with.note_fin_ack_sent(Instant::from_nanos(2 << UNIT_SHIFT));
        assert_eq!([3, 4, 129].map(|at| may(&with, at, &config)), [false, true, true]);
        assert!(!may(&entry(false), 2, &config));
        let strict = Config { time_wait: TimeWaitPolicy::Strict, ..Config::default() };
        assert!(!may(&with, 60, &strict));
        assert!(!may(&with, 60, &Config { timestamps: false, ..Config::default() }));
    }
}
