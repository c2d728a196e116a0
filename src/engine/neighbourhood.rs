//! What is not TCP: ARP, neighbour discovery, pings; and the connections that wait for a neighbour.

use super::control::Need;
use super::stack::{Mark, Stack};
use crate::net::claim::Conflict;
use crate::net::frame::write_neighbour_request;
use crate::net::icmp::{self, Answer, Cause, Ignored, Reaction, TcpError, Then};
use crate::net::neighbour::{Event, Learned, Resolution};
use crate::tcp::{CloseReason, Counter, Handled, State, Tuple};
use crate::wire::arp::Arp;
use crate::wire::ethernet::Ethernet;
use crate::wire::icmpv4::Icmpv4;
use crate::wire::icmpv6::{self, Icmpv6};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;
use crate::wire::seq::SeqNumber;
use crate::wire::{MacAddr, Malformed, checksum};
use core::mem;

/// Where the segments of a connection go.
pub(super) enum NextHop {
    /// To this station.
    At(MacAddr),
    /// The neighbour is being asked for.
    Pending,
    /// It does not answer, or there is no route any more.
    Unreachable,
}

impl Stack {
    #[cold]
    pub(super) fn arp_arrives(&mut self, ethernet: &Ethernet<'_>) {
        match Arp::parse(ethernet.payload) {
            Ok(message) => {
                let reaction = icmp::on_arp(&self.routes, self.link, ethernet.src, &message);
                self.react(reaction, |handled| &handled.arp);
            }
            Err(malformed) => {
                let _: Option<()> = self.drop_malformed(malformed);
            }
        }
    }

    /// An ICMP message for us. Always `None`: it takes no further part in the burst.
    #[cold]
    pub(super) fn icmpv4_arrives<T>(&mut self, packet: &Ipv4<'_>, from: MacAddr) -> Option<T> {
        if !checksum::ok(packet.payload) {
            self.metrics.drops.checksum.bump();
            return None;
        }
        match Icmpv4::parse(packet.payload) {
            Ok(message) => {
                let reaction = icmp::on_icmpv4(&self.routes, from, packet, &message);
                self.react(reaction, |handled| &handled.icmp);
                None
            }
            Err(malformed) => self.drop_malformed(malformed),
        }
    }

    /// The same for ICMPv6.
    #[cold]
    pub(super) fn icmpv6_arrives<T>(&mut self, packet: &Ipv6<'_>, from: MacAddr) -> Option<T> {
        if !icmpv6::checksum_ok(packet.src, packet.dst, packet.payload) {
            self.metrics.drops.checksum.bump();
            return None;
        }
        let parsed: Result<_, Malformed> = Icmpv6::parse(packet.payload);
        match parsed {
            Ok(message) => {
                let reaction = icmp::on_icmpv6(&self.routes, self.link, from, packet, &message);
                self.react(
                    reaction,
                    match message {
                        Icmpv6::NeighbourSolicitation { .. }
                        | Icmpv6::NeighbourAdvertisement { .. } => |handled| &handled.ndp,
                        _ => |handled| &handled.icmpv6,
                    },
                );
                None
            }
            Err(malformed) => self.drop_malformed(malformed),
        }
    }

    /// Does what a message asks for, and counts its frame: in `kind` if it is handled, or by the reason
    /// for which it is dropped.
    fn react(&mut self, reaction: Reaction<'_>, kind: fn(&Handled) -> &Counter) {
        if let Some(lesson) = reaction.learn {
            let learned = self.neighbours.learn(lesson.ip, lesson.mac, self.now, lesson.claim);
            if let Learned::Resolved(_) | Learned::Updated(_) = learned {
                self.wake_waiting();
            }
        }
        match reaction.then {
            Then::Done => kind(&self.metrics.handled).bump(),
            Then::Answer(answer) => {
                self.send_answer(&answer);
                kind(&self.metrics.handled).bump();
            }
            Then::TcpError(error) => {
                let counted = match self.icmp_error(&error) {
                    true => kind(&self.metrics.handled),
                    false => &self.metrics.drops.icmp_ignored,
                };
                counted.bump();
            }
            Then::Conflict { mac: Some(mac), .. } if mac == self.link.mac => {
                self.metrics.drops.icmp_ignored.bump(); // our own, come back
            }
            Then::Conflict { ip, mac } => {
                // counts the frame
                self.address_conflict(Conflict { ip, mac: mac.unwrap_or(MacAddr::ZERO) });
            }
            Then::ListenerQuery(query) => {
                self.listener_query(&query);
                kind(&self.metrics.handled).bump();
            }
            Then::Ignored(why) => self.count_ignored(why),
        }
    }

    fn count_ignored(&self, why: Ignored) {
        let drops = &self.metrics.drops;
        let counted = match why {
            Ignored::NotForUs => &drops.not_our_address,
            Ignored::Source => &drops.bad_source,
            Ignored::Group => &drops.group_frame,
            Ignored::HopLimit | Ignored::Neighbour => &drops.ndp_invalid,
            Ignored::Quote | Ignored::Type => &drops.icmp_ignored,
        };
        counted.bump();
    }

    /// Queues an answer to the station that asked.
    pub(super) fn send_answer(&mut self, answer: &Answer<'_>) {
        let link = self.link;
        if !self.control.push(Need::CanBeAskedAgain, |room| answer.write(link, room)) {
            self.metrics.drops.answer_shed.bump();
        }
    }

    /// An ICMP error that quotes a segment of ours. One that says there is no way ends an attempt to
    /// connect (RFC 1122 §4.2.3.9); established connections let their own time-outs decide
    /// (RFC 5927 §5.2). False if it changes nothing.
    fn icmp_error(&mut self, error: &TcpError) -> bool {
        let tuple = Tuple::new(error.local, error.remote);
        let found = self.look_up(&tuple, self.hash(&tuple));
        if let (Some((super::flow_table::Kind::Connection, index)), Cause::Hard { .. }) =
            (found, error.cause)
        {
            let tcp = &mut self.conns[index].tcp;
            if tcp.state() == State::SynSent && tcp.is_in_flight(error.seq) {
                tcp.abort();
                self.finish(index, CloseReason::Unreachable);
                return true;
            }
        }
        false
    }

    /// Time passes for the neighbours: questions go out, hopeless waits end.
    pub(super) fn poll_neighbours(&mut self) {
        while let Some(event) = self.neighbours.poll(self.now) {
            match event {
                Event::Ask { ip, to } => {
                    let (link, source) = (self.link, self.routes.source_for(ip));
                    let write =
                        |room: &mut [u8]| write_neighbour_request(room, link, to, source?, ip);
                    if !self.control.push(Need::Once, write) {
                        self.metrics.drops.control_queue.bump();
                    }
                }
                Event::Unreachable { .. } => self.wake_waiting(),
            }
        }
    }

    /// The station that the segments of a connection go to.
    #[inline]
    pub(super) fn next_hop_of(&mut self, index: u32) -> NextHop {
        let known = self.conns[index].neighbour;
        if let Some(mac) = known.and_then(|id| self.neighbours.mac(id, self.now)) {
            return NextHop::At(mac);
        }
        self.resolve_next_hop(index)
    }

    #[cold]
    fn resolve_next_hop(&mut self, index: u32) -> NextHop {
        let remote = self.conns[index].tcp.tuple().remote.to_std();
        let Some(hop) = self.routes.next_hop(remote) else { return NextHop::Unreachable };
        match self.neighbours.resolve(hop, self.now) {
            Resolution::Resolved(mac, id) => {
                self.conns[index].neighbour = Some(id);
                NextHop::At(mac)
            }
            Resolution::Pending(_) => NextHop::Pending,
            Resolution::Unreachable(_) | Resolution::Full => NextHop::Unreachable,
        }
    }

    /// A segment arrived for a connection that was here `before`: if it has moved, its neighbour is
    /// reachable (RFC 4861 §7.3.1).
    #[cold]
    pub(super) fn confirm_neighbour(&mut self, index: u32, before: (SeqNumber, SeqNumber)) {
        let block = &self.conns[index];
        if block.tcp.progress() != before
            && let Some(id) = block.neighbour
        {
            self.neighbours.confirm(id, self.now);
        }
    }

    /// A connection was not answered in time: perhaps its neighbour is no longer where it was
    /// (RFC 1122 §2.3.2.1).
    #[cold]
    pub(super) fn doubt_neighbour(&mut self, index: u32) {
        let block = &self.conns[index];
        if let Some(id) = block.neighbour {
            self.neighbours.doubt(id, block.tcp.unanswered(), self.now);
            self.poll_neighbours();
        }
    }

    /// A connection waits until its neighbour is known, or known not to answer.
    pub(super) fn wait_for_neighbour(&mut self, index: u32) {
        let block = &mut self.conns[index];
        if !block.is(Mark::AwaitsNeighbour) {
            block.mark(Mark::AwaitsNeighbour);
            self.waiting.push((index, block.generation));
        }
    }

    /// All that wait try again.
    fn wake_waiting(&mut self) {
        for (index, generation) in mem::take(&mut self.waiting) {
            let Some(block) = self.conns.get_mut(index) else { continue };
            if block.generation == generation && block.unmark(Mark::AwaitsNeighbour) {
                self.set_dirty(index);
            }
        }
    }
}
