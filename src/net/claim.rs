//! Our addresses on the link: checked before they are used, announced, and defended (RFC 5227 for
//! IPv4, RFC 4862 §5.4 and RFC 4861 §7.2.6 for IPv6).
//!
//! ```text
//!  checking ── no other station has them ──▶ announcing ──▶ held ◀─┐ another claims one:
//!     │                                                      └─────┘ announced again, at most
//!     └── another station has one ──▶ yielded                        once in ten seconds
//! ```
//! All addresses go through this together. Sans I/O: [`Claim::poll`] says what is to be sent.
//!
//! The times of a check are shorter than those of RFC 5227 §1.1 and RFC 4862 §5.1: those spread the
//! hosts of a large network that start together over seconds. A station that has the address answers
//! within milliseconds, and an endpoint for tests and measurements is started by hand again and again.

use super::frame::Link;
use super::route::Routes;
use crate::time::Instant;
use crate::wire::MacAddr;
use crate::wire::arp::{Arp, Operation};
use crate::wire::icmpv6::{Icmpv6, NEIGHBOUR_HOP_LIMIT};
use crate::wire::ipv6::Ipv6;
use core::net::IpAddr;
use core::time::Duration;

/// Between two announcements at the start (RFC 5227 §1.1: ANNOUNCE_INTERVAL).
pub const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// An address is not defended again within this time (RFC 5227 §1.1: DEFEND_INTERVAL).
pub const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// What is done if another station has one of our addresses when we start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDuplicate {
    /// None of our addresses is used: the engine stays silent.
    #[default]
    Yield,
    /// All are used all the same.
    Keep,
}

/// How an engine takes its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimConfig {
    /// Probes for each address before it is used (RFC 5227 §1.1: PROBE_NUM); 0 = it is used at once.
    pub probes: u8,
    /// From one probe to the next, and from the last one to the use of the address.
    pub interval: Duration,
    /// Announcements of each address when it is taken (RFC 5227 §1.1: ANNOUNCE_NUM).
    pub announcements: u8,
    /// What a duplicate does.
    pub on_duplicate: OnDuplicate,
}

impl Default for ClaimConfig {
    /// No check and no announcement: for links on which nobody else can be.
    fn default() -> Self {
        ClaimConfig {
            probes: 0,
            interval: Duration::from_millis(100),
            announcements: 0,
            on_duplicate: OnDuplicate::Yield,
        }
    }
}

impl ClaimConfig {
    /// For a link with others: three probes within `time`, two announcements.
    pub fn on_a_link(time: Duration, on_duplicate: OnDuplicate) -> Self {
        ClaimConfig { probes: 3, interval: time / 3, announcements: 2, on_duplicate }
    }
}

/// What is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// Does anybody have this address?
    Probe(IpAddr),
    /// It is ours.
    Announce(IpAddr),
}

/// Another station that has an address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub ip: IpAddr,
    /// The other station.
    pub mac: MacAddr,
}

/// Where our addresses are on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// They are not used yet.
    Checking,
    /// They are used, and told of.
    Announcing,
    /// They are used.
    Held,
    /// One of them is another station's: none is used.
    Yielded,
}

/// See the module.
#[derive(Debug)]
pub struct Claim {
    config: ClaimConfig,
    /// Our addresses, each with the time from which on it may be defended.
    addresses: Vec<(IpAddr, Instant)>,
    phase: Phase,
    /// Rounds of probes or announcements that are over.
    rounds: u8,
    /// The address whose turn is next in this round.
    place: usize,
    /// When the next round begins; `FAR` = never.
    due: Instant,
}

impl Claim {
    /// Nothing is sent before the first [`poll`](Self::poll).
    pub fn new(config: ClaimConfig, addresses: impl Iterator<Item = IpAddr>) -> Self {
        let phase = if config.probes > 0 { Phase::Checking } else { Phase::Announcing };
        let addresses = addresses.map(|ip| (ip, Instant::ZERO)).collect();
        Claim { config, addresses, phase, rounds: 0, place: 0, due: Instant::ZERO }
    }

    /// Where our addresses are on their way.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Must our addresses not be used?
    #[inline]
    pub fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Checking | Phase::Yielded)
    }

    /// When [`poll`](Self::poll) next has something to say; `FAR` = never.
    #[inline]
    pub fn next_deadline(&self) -> Instant {
        self.due
    }

    /// What is to be sent by `now`; ask until it is `None`.
    pub fn poll(&mut self, now: Instant) -> Option<Say> {
        if now < self.due {
            return None;
        }
        if self.place == 0 {
            if self.phase == Phase::Checking && self.rounds == self.config.probes {
                (self.phase, self.rounds) = (Phase::Announcing, 0);
            }
            if self.phase == Phase::Announcing && self.rounds == self.config.announcements {
                (self.phase, self.due) = (Phase::Held, Instant::FAR);
                return None;
            }
        }
        let Some(&(ip, _)) = self.addresses.get(self.place) else {
            let checks = self.phase == Phase::Checking;
            let wait = if checks { self.config.interval } else { ANNOUNCE_INTERVAL };
            (self.place, self.rounds, self.due) = (0, self.rounds + 1, now + wait);
            return None;
        };
        self.place += 1;
        Some(if self.phase == Phase::Checking { Say::Probe(ip) } else { Say::Announce(ip) })
    }

    /// Uses the addresses without (any more of) a check: there is nobody on the link yet.
    pub fn skip_check(&mut self) {
        if self.phase == Phase::Checking {
            (self.phase, self.rounds, self.place) = (Phase::Announcing, 0, 0);
            self.due = Instant::ZERO;
        }
    }

    /// The link is there again, or our Ethernet address has changed: others are told once more
    /// (RFC 5227 §2.3, RFC 4861 §7.2.6).
    pub fn announce_again(&mut self) {
        if !self.is_waiting() {
            (self.phase, self.rounds, self.place) = (Phase::Announcing, 0, 0);
            self.due = Instant::ZERO;
        }
    }

    /// Another station has an address of ours. Says whether the address is to be announced now: we
    /// were told by hand to have it, so it is defended for ever, but only so often (RFC 5227 §2.4 c).
    pub fn hear(&mut self, conflict: Conflict, now: Instant) -> bool {
        if self.phase == Phase::Checking {
            if self.config.on_duplicate == OnDuplicate::Yield {
                (self.phase, self.due) = (Phase::Yielded, Instant::FAR);
            }
            return false;
        }
        let ours = self.addresses.iter_mut().find(|(ip, _)| *ip == conflict.ip);
        let Some((_, from)) = ours.filter(|(_, from)| *from <= now) else { return false };
        *from = now + DEFEND_INTERVAL;
        self.config.announcements > 0 && self.phase != Phase::Yielded
    }
}

/// Does this ARP message show that another station has, or is about to take, an address of ours
/// (RFC 5227 §2.1.1)? For the time of the check.
pub fn conflict_in_arp(routes: &Routes, link: Link, message: &Arp) -> Option<Conflict> {
    let Arp { operation, sender_mac: mac, sender_ip, target_ip, .. } = *message;
    let probes_ours = operation == Operation::Request
        && sender_ip.is_unspecified()
        && routes.is_our_ipv4(target_ip);
    let ip = if probes_ours { target_ip } else { sender_ip };
    (mac != link.mac && routes.is_our_ipv4(ip)).then_some(Conflict { ip: ip.into(), mac })
}

/// The same of a neighbour message, from the station `from` (RFC 4862 §5.4.3 and §5.4.4).
pub fn conflict_in_icmpv6(
    routes: &Routes,
    link: Link,
    from: MacAddr,
    packet: &Ipv6<'_>,
    message: &Icmpv6<'_>,
) -> Option<Conflict> {
    if packet.hop_limit != NEIGHBOUR_HOP_LIMIT {
        return None;
    }
    let (target, mac) = match *message {
        Icmpv6::NeighbourAdvertisement { target, target_link, .. } => {
            (target, target_link.unwrap_or(from))
        }
        // one that asks from an address looks for a neighbour, and has no claim
        Icmpv6::NeighbourSolicitation { target, source_link: None }
            if packet.src.is_unspecified() =>
        {
            (target, from)
        }
        _ => return None,
    };
    // our own message, come back
    let is_echo = mac == link.mac || from == link.mac;
    (!is_echo && routes.is_our_ipv6(target)).then_some(Conflict { ip: target.into(), mac })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

    fn at(ms: u64) -> Instant {
        Instant::from_millis(5_000 + ms)
    }

    fn ips() -> [IpAddr; 2] {
        ["198.18.0.1", "2001:db8::1"].map(|ip| ip.parse().unwrap())
    }

    fn said(claim: &mut Claim, now: Instant) -> Vec<Say> {
        core::iter::from_fn(|| claim.poll(now)).collect()
    }

    fn on_a_link(on_duplicate: OnDuplicate) -> Claim {
        let config = ClaimConfig::on_a_link(Duration::from_millis(300), on_duplicate);
        Claim::new(config, ips().into_iter())
    }

    #[test]
    fn three_probes_then_two_announcements_of_each_address() {
        let mut claim = on_a_link(OnDuplicate::Yield);
        let (probes, announcements) = (ips().map(Say::Probe), ips().map(Say::Announce));
        for ms in [0, 100, 200] {
            assert_eq!(said(&mut claim, at(ms)), probes);
            assert_eq!(claim.next_deadline(), at(ms + 100));
            assert_eq!(said(&mut claim, at(ms + 99)), []);
            assert!(claim.is_waiting());
        }
        assert_eq!(said(&mut claim, at(300)), announcements);
        assert!(!claim.is_waiting());
        assert_eq!(said(&mut claim, at(2_299)), []);
        assert_eq!(said(&mut claim, at(2_300)), announcements);
        assert_eq!(said(&mut claim, at(4_300)), []);
        assert_eq!((claim.phase(), claim.next_deadline()), (Phase::Held, Instant::FAR));
        claim.announce_again();
        assert_eq!(said(&mut claim, at(9_000)), announcements);
    }

    #[test]
    fn by_default_nothing_is_said() {
        let mut claim = Claim::new(ClaimConfig::default(), ips().into_iter());
        assert!(!claim.is_waiting());
        assert_eq!(said(&mut claim, at(0)), []);
        assert_eq!(claim.next_deadline(), Instant::FAR);
        assert!(!claim.hear(Conflict { ip: ips()[0], mac: OTHER }, at(1)));
    }

    #[test]
    fn a_duplicate_silences_us_or_does_not() {
        for on_duplicate in [OnDuplicate::Yield, OnDuplicate::Keep] {
            let mut claim = on_a_link(on_duplicate);
            said(&mut claim, at(0));
            assert!(!claim.hear(Conflict { ip: ips()[1], mac: OTHER }, at(50)));
            let kept = on_duplicate == OnDuplicate::Keep;
            assert_eq!(said(&mut claim, at(100)).len(), if kept { 2 } else { 0 });
            said(&mut claim, at(200));
            assert_eq!(said(&mut claim, at(300)).is_empty(), !kept);
            assert_eq!(claim.is_waiting(), !kept);
            claim.skip_check();
            claim.announce_again();
            assert_eq!(claim.is_waiting(), !kept, "what is yielded stays so");
        }
    }

    #[test]
    fn an_address_is_defended_once_in_ten_seconds() {
        let mut claim = on_a_link(OnDuplicate::Yield);
        claim.skip_check();
        assert_eq!(said(&mut claim, at(0)), ips().map(Say::Announce));
        let conflict = |n: usize| Conflict { ip: ips()[n], mac: OTHER };
        assert!(claim.hear(conflict(0), at(1_000)));
        assert!(!claim.hear(conflict(0), at(1_001)));
        assert!(claim.hear(conflict(1), at(1_002)), "each has a limit of its own");
        assert!(!claim.hear(conflict(0), at(10_999)));
        assert!(claim.hear(conflict(0), at(11_000)));
        let foreign = Conflict { ip: [198, 18, 0, 77].into(), mac: OTHER };
        assert!(!claim.hear(foreign, at(30_000)), "one of a range is not defended");
    }
}
