//! TIME-WAIT: the compact entry, and what it makes of a segment.
//!
//! When a connection enters TIME-WAIT its block is released and this entry remains: just what is
//! needed to answer and to recognise old duplicates.

use super::acceptable::in_window;
use super::config::{Config, TimeWaitPolicy};
use super::tuple::{Ip, Tuple};
use crate::wire::options::Timestamps;
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

/// What a connection leaves behind for 2·MSL.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TimeWait<A> {
    addresses: A,
    local_port: u16,
    remote_port: u16,
    /// The sequence number after our FIN.
    pub snd_nxt: SeqNumber,
    /// The sequence number after the peer's FIN.
    pub rcv_nxt: SeqNumber,
    /// The window field of our last ACK, as it was on the wire.
    pub window: u16,
    /// The shift of that window.
    pub scale: u8,
    /// Were timestamps in use?
    pub timestamps: bool,
    /// TS.Recent (RFC 7323 §4.3).
    pub ts_recent: u32,
    /// What is added to the clock for our timestamps.
    pub ts_offset: u32,
    /// When 2·MSL run out, in ticks of the owner's choice; rewritten when they are restarted.
    pub deadline: u32,
}

const _: () = assert!(size_of::<TimeWait<PairV4>>() <= 36);
const _: () = assert!(size_of::<TimeWait<PairV6>>() <= 60);

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
    /// What is added to the clock for our timestamps.
    pub ts_offset: u32,
}

/// What TIME-WAIT makes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Drop it without a word.
    Ignore,
    /// Drop a RST without a word, and count it (RFC 1337).
    IgnoreReset,
    /// Send the last ACK again.
    Ack,
    /// The peer has not seen our last ACK: send it again and begin 2·MSL anew.
    AckAndRestart,
    /// A new incarnation may begin at once.
    Reopen,
    /// The entry dies now (a RST, with the protection of RFC 1337 switched off).
    Kill,
}

impl<A: Addresses> TimeWait<A> {
    /// The entry that `farewell` leaves, to expire at `deadline` ticks.
    pub fn new(farewell: &Farewell, deadline: u32) -> Self {
        TimeWait {
            addresses: A::pack(&farewell.tuple),
            local_port: farewell.tuple.local_port,
            remote_port: farewell.tuple.remote_port,
            snd_nxt: farewell.snd_nxt,
            rcv_nxt: farewell.rcv_nxt,
            window: farewell.window,
            scale: farewell.scale,
            timestamps: farewell.ts_recent.is_some(),
            ts_recent: farewell.ts_recent.unwrap_or(0),
            ts_offset: farewell.ts_offset,
            deadline,
        }
    }

    /// The 4-tuple that waits.
    pub fn tuple(&self) -> Tuple {
        let (local, remote) = self.addresses.unpack();
        let (local_port, remote_port) = (self.local_port, self.remote_port);
        Tuple { local, remote, local_port, remote_port }
    }

    /// Is this the entry of `tuple` (which is of the same family)?
    #[inline]
    pub fn is_for(&self, tuple: &Tuple) -> bool {
        self.local_port == tuple.local_port
            && self.remote_port == tuple.remote_port
            && self.addresses == A::pack(tuple)
    }

    /// What becomes of a segment (RFC 9293 §3.10.7.4, the rows for TIME-WAIT). Changes nothing.
    pub fn judge(&self, segment: &Segment<'_>, config: &Config) -> Verdict {
        let flags = segment.flags;
        if flags.rst() {
            // RFC 1337 §3, fix F1; RFC 5961 §3.2: only the exact sequence number could reset
            return match (config.rfc1337, segment.seq == self.rcv_nxt) {
                (false, true) => Verdict::Kill,
                _ => Verdict::IgnoreReset,
            };
        }
        if flags.syn() && !flags.ack() && self.may_reopen(segment, config) {
            return Verdict::Reopen;
        }
        if segment.seq_len() == 0 {
            // a bare ACK asks for nothing; answering it could start two stacks answering each other
            return Verdict::Ignore;
        }
        if self.is_old_by_timestamp(segment.options.timestamps) {
            return Verdict::Ack; // RFC 7323 §5.3 R1
        }
        let repeated_fin = flags.fin() && segment.end() == self.rcv_nxt;
        let window = u32::from(self.window) << self.scale;
        if repeated_fin || in_window(segment.seq, segment.seq_len(), self.rcv_nxt, window) {
            return if flags.syn() { Verdict::Ack } else { Verdict::AckAndRestart };
        }
        Verdict::Ack // RFC 9293 §3.10.7.4, first check: not acceptable, hence acknowledged
    }

    /// May this SYN begin a new incarnation (RFC 6191 §2; RFC 9293 §3.6.1 MAY-2)?
    fn may_reopen(&self, syn: &Segment<'_>, config: &Config) -> bool {
        if config.time_wait == TimeWaitPolicy::Strict {
            return false;
        }
        let sequence_is_newer = syn.seq.after(self.rcv_nxt - 1);
        match (self.timestamps, syn.options.timestamps) {
            (true, Some(new)) => match new.value.wrapping_sub(self.ts_recent) as i32 {
                0 => sequence_is_newer,
                age => age > 0,
            },
            // the old incarnation had no timestamps: PAWS will tell its segments from new ones
            (false, Some(_)) => config.timestamps || sequence_is_newer,
            (_, None) => sequence_is_newer,
        }
    }

    fn is_old_by_timestamp(&self, timestamps: Option<Timestamps>) -> bool {
        self.timestamps
            && timestamps.is_some_and(|ts| (ts.value.wrapping_sub(self.ts_recent) as i32) < 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::options::Options;
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
            ts_offset: 0,
        };
        let entry = TimeWait::new(&farewell, 7);
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
            ("repeated FIN", fin, 8_999, &b""[..], Verdict::AckAndRestart),
            ("repeated FIN with its data", fin, 8_990, b"012345678", Verdict::AckAndRestart),
            ("data in the window", Flags::ACK, 9_100, b"x", Verdict::AckAndRestart),
            ("old data", Flags::ACK, 8_000, b"x", Verdict::Ack),
            ("data beyond the window", Flags::ACK, 20_000, b"x", Verdict::Ack),
            ("bare ACK", Flags::ACK, 9_000, b"", Verdict::Ignore),
            ("RST", Flags::RST, 9_000, b"", Verdict::IgnoreReset),
            ("newer SYN", Flags::SYN, 9_000, b"", Verdict::Reopen),
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
        assert_eq!(judge(1_000, 101), Verdict::Reopen);
        assert_eq!(judge(1_000, 100), Verdict::Ack);
        assert_eq!(judge(9_001, 100), Verdict::Reopen);
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
    }
}
