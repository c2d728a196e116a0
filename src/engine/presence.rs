//! Our presence on the link: addresses are checked, announced and defended, multicast groups joined.
//! What is decided is in [`net::claim`](crate::net::claim) and [`net::mld`](crate::net::mld).

use super::control::Need;
use super::stack::Stack;
use crate::net::address::{Interface, solicited_node};
use crate::net::claim::{
    Claim, ClaimConfig, Conflict, Phase, Say, conflict_in_arp, conflict_in_icmpv6,
};
use crate::net::frame::{self, Link};
use crate::net::mld::{MOST_GROUPS, Memberships};
use crate::net::range::HostRange;
use crate::net::route::Routes;
use crate::port::{Frames, RxChecksum};
use crate::tcp::Counter;
use crate::time::Instant;
use crate::wire::arp::Arp;
use crate::wire::ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV6, Ethernet};
use crate::wire::icmpv6::{self, Icmpv6};
use crate::wire::ipv6::Ipv6;
use crate::wire::mld::Query;
use crate::wire::{MacAddr, PROTOCOL_ICMPV6};
use core::net::{IpAddr, Ipv6Addr};
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

/// What other threads may know of our presence.
#[derive(Debug, Default)]
pub struct PresenceGauge {
    /// Times that an address was announced because another station claimed it.
    pub defended: Counter,
    phase: AtomicU64,
    /// Our addresses, in the order in which `last` counts them.
    addresses: OnceLock<Vec<IpAddr>>,
    /// The last conflict: one more than the number of the address, and 48 bits of the station.
    last: AtomicU64,
}

impl PresenceGauge {
    /// Where our addresses are on their way.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Checking,
            1 => Phase::Announcing,
            2 => Phase::Held,
            _ => Phase::Yielded,
        }
    }

    /// The last station that claimed an address of ours.
    pub fn last_conflict(&self) -> Option<Conflict> {
        let last = self.last.load(Ordering::Acquire);
        let place = usize::try_from(last >> 48).ok()?.checked_sub(1)?;
        let mac = core::array::from_fn(|at| (last >> (40 - 8 * at)) as u8);
        Some(Conflict { ip: *self.addresses.get()?.get(place)?, mac: MacAddr(mac) })
    }

    fn publish(&self, phase: Phase) {
        let phase = match phase {
            Phase::Checking => 0,
            Phase::Announcing => 1,
            Phase::Held => 2,
            Phase::Yielded => 3,
        };
        self.phase.store(phase, Ordering::Release);
    }

    fn note(&self, conflict: Conflict) {
        let addresses = self.addresses.get().map_or(&[][..], Vec::as_slice);
        let Some(place) = addresses.iter().position(|ip| *ip == conflict.ip) else { return };
        let mac = conflict.mac.0.iter().fold(0, |bits, octet| bits << 8 | u64::from(*octet));
        self.last.store((place as u64 + 1) << 48 | mac, Ordering::Release);
    }
}

/// What an engine keeps for it.
pub(super) struct Presence {
    claim: Claim,
    groups: Memberships,
    reports_groups: bool,
    begun: bool,
    /// When either has something to say.
    due: Instant,
}

impl Presence {
    pub fn new(
        config: ClaimConfig,
        reports_groups: bool,
        interface: &Interface,
        routes: &Routes,
        seed: &[u8; 32],
    ) -> Self {
        let ours = routes.addresses().iter().map(|cidr| cidr.addr);
        let in_ranges = interface.ranges.iter().flat_map(|&net| {
            let range = HostRange::of(net);
            let count = if range.is_ipv4() { 0 } else { range.count().min(MOST_GROUPS as u32) };
            (0..count).map(move |number| range.nth(number))
        });
        let groups = ours.clone().chain(in_ranges).filter_map(|addr| match addr {
            IpAddr::V6(addr) => Some(solicited_node(addr)),
            IpAddr::V4(_) => None,
        });
        let word = seed[8..16].try_into().expect("eight octets");
        Presence {
            groups: Memberships::new(groups.collect(), u64::from_le_bytes(word)),
            claim: Claim::new(config, ours),
            reports_groups,
            begun: false,
            due: Instant::ZERO,
        }
    }

    /// Must our addresses not be used?
    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.claim.is_waiting()
    }

    #[inline]
    pub fn is_due(&self, now: Instant) -> bool {
        self.due <= now
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        Some(self.due).filter(|due| *due < Instant::FAR)
    }
}

impl Stack {
    /// Takes our addresses: says what is due by now.
    #[cold]
    pub(super) fn poll_presence(&mut self) {
        let presence = &mut self.presence;
        if !core::mem::replace(&mut presence.begun, true) {
            let gauge = &self.metrics.presence;
            let addresses = self.routes.addresses().iter().map(|cidr| cidr.addr).collect();
            let _ = gauge.addresses.set(addresses);
            if presence.reports_groups {
                presence.groups.join(self.now); // RFC 4862 §5.4.2: before the check
            }
        }
        let waited = self.presence.claim.is_waiting();
        while let Some(say) = self.presence.claim.poll(self.now) {
            self.say(say);
        }
        let presence = &mut self.presence;
        if waited && !presence.claim.is_waiting() && presence.reports_groups {
            presence.groups.join(self.now); // from the link-local address now
        }
        self.report_groups();
        self.presence_changed();
    }

    fn report_groups(&mut self) {
        let link_local = self.routes.addresses().iter().find_map(|cidr| match cidr.addr {
            IpAddr::V6(addr) if addr.is_unicast_link_local() => Some(addr),
            _ => None,
        });
        // RFC 3810 §5.2.13: the unspecified address until there is one
        let waits = self.presence.claim.is_waiting();
        let source = link_local.filter(|_| !waits).unwrap_or(Ipv6Addr::UNSPECIFIED);
        let link = self.link;
        while let Some(report) = self.presence.groups.poll(self.now) {
            let write = |room: &mut [u8]| frame::write_listener_report(room, link, source, &report);
            if !self.control.push(Need::Once, write) {
                self.metrics.drops.control_queue.bump();
            }
        }
    }

    fn say(&mut self, say: Say) {
        let link = self.link;
        let write = |room: &mut [u8]| match say {
            Say::Probe(ip) => frame::write_probe(room, link, ip),
            Say::Announce(ip) => frame::write_announcement(room, link, ip),
        };
        if !self.control.push(Need::Once, write) {
            self.metrics.drops.control_queue.bump();
        }
    }

    fn presence_changed(&mut self) {
        let Presence { claim, groups, begun, due, .. } = &mut self.presence;
        if *begun {
            *due = claim.next_deadline().min(groups.next_deadline());
        }
        self.metrics.presence.publish(claim.phase());
    }

    /// Another station claims an address of ours.
    #[cold]
    pub(super) fn address_conflict(&mut self, conflict: Conflict) {
        self.metrics.drops.address_conflict.bump();
        self.metrics.presence.note(conflict);
        if self.presence.claim.hear(conflict, self.now) {
            self.metrics.presence.defended.bump();
            self.say(Say::Announce(conflict.ip));
        }
        self.presence_changed();
    }

    /// A router or a switch asks which groups we listen to.
    pub(super) fn listener_query(&mut self, query: &Query) {
        if self.presence.reports_groups {
            self.presence.groups.on_query(query, self.now);
            self.presence_changed();
        }
    }

    /// Frames that arrive before our addresses are ours: looked at for other stations that have
    /// them, and dropped.
    #[cold]
    pub(super) fn check_burst<F: Frames + ?Sized>(&mut self, count: usize, frames: &F) {
        for index in 0..count {
            let frame = frames.frame(index);
            self.metrics.rx_packets.bump();
            self.metrics.rx_bytes.add(frame.bytes.len() as u64);
            let conflict = Ethernet::parse(frame.bytes).ok().and_then(|ethernet| {
                let bad = ethernet.vlan_id() != self.vlan_id || frame.checksum == RxChecksum::Bad;
                if bad { None } else { conflict_in(&self.routes, self.link, &ethernet) }
            });
            match conflict {
                Some(conflict) => self.address_conflict(conflict),
                None => self.metrics.drops.address_unchecked.bump(),
            }
        }
    }

    /// Ends the check of our addresses before its time, because nobody else can be on the link yet.
    pub fn skip_address_check(&mut self) {
        self.presence.claim.skip_check();
        self.presence_changed();
    }

    /// The link has come up: other stations are told again who we are, and what we knew of them is
    /// doubted.
    pub fn note_link_up(&mut self) {
        self.neighbours.doubt_all(self.now);
        self.presence.claim.announce_again();
        if self.presence.reports_groups {
            self.presence.groups.join(self.now);
        }
        self.presence_changed();
    }

    /// Our Ethernet address is another from now on; other stations are told (RFC 4861 §7.2.6).
    /// The addresses stay as they are, the link-local one as well.
    pub fn set_mac(&mut self, mac: MacAddr) {
        self.link = Link { mac, ..self.link };
        self.presence.claim.announce_again();
        self.presence_changed();
    }
}

fn conflict_in(routes: &Routes, link: Link, ethernet: &Ethernet<'_>) -> Option<Conflict> {
    match ethernet.ethertype {
        ETHERTYPE_ARP => conflict_in_arp(routes, link, &Arp::parse(ethernet.payload).ok()?),
        ETHERTYPE_IPV6 => {
            let packet = Ipv6::parse(ethernet.payload).ok()?;
            let intact = packet.protocol == PROTOCOL_ICMPV6
                && !packet.is_fragment()
                && icmpv6::checksum_ok(packet.src, packet.dst, packet.payload);
            let message = Icmpv6::parse(packet.payload).ok().filter(|_| intact)?;
            conflict_in_icmpv6(routes, link, ethernet.src, &packet, &message)
        }
        _ => None,
    }
}
