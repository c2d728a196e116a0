//! What ARP, ICMP and neighbour messages to us ask for: a judgement, carried out by the engine.
//!
//! The engine checks the checksum first, and judges a [`TcpError`] by RFC 5927 where the connection
//! is. Each answer here is to a question, no longer than that and sent to who asked, so none is
//! limited: the errors that we send of our own accord are ([`unreachable`](super::unreachable)).

#[cfg(test)]
mod tests;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::address::{ALL_NODES, is_host};
use super::frame::{self, Link};
use super::neighbour::Claim;
use super::route::Routes;
use crate::wire::MacAddr;
use crate::wire::arp::{Arp, Operation};
use crate::wire::icmpv4::{FRAGMENTATION_NEEDED, Icmpv4};
use crate::wire::icmpv6::{Icmpv6, NEIGHBOUR_HOP_LIMIT};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;
use crate::wire::mld::{self, Query};
use crate::wire::quote::Quote;
use crate::wire::seq::SeqNumber;

/// What a message makes us do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaction<'a> {
    /// What it tells of a neighbour, for [`Neighbours::learn`](super::neighbour::Neighbours::learn).
    pub learn: Option<Lesson>,
    /// What is to be done then.
    pub then: Then<'a>,
}

/// The arguments of [`Neighbours::learn`](super::neighbour::Neighbours::learn), but for the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// The neighbour.
    pub ip: IpAddr,
    /// Its station, if the message says so.
    pub mac: Option<MacAddr>,
    /// What the message counts for.
    pub claim: Claim,
}

/// What is to be done about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then<'a> {
    /// Nothing more: the message has served its purpose.
    Done,
    /// An answer is to be sent.
    Answer(Answer<'a>),
    /// A connection may be concerned.
    TcpError(TcpError),
    /// Another station claims an address of ours (RFC 5227 §2.4, RFC 4862 §5.4).
    Conflict {
        /// Our address.
        ip: IpAddr,
        /// Who claims it.
        mac: Option<MacAddr>,
    },
    /// A router or switch asks which multicast groups we listen to (RFC 3810 §6.2).
    ListenerQuery(Query),
    /// Nothing, for this reason.
    Ignored(Ignored),
}

/// Why a message was ignored, to count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// It is for another host.
    NotForUs,
    /// Its source is not the address of one other host.
    Source,
    /// A ping to a group (RFC 1122 §3.2.2.6).
    Group,
    /// A neighbour message that may have come through a router (RFC 4861 §7.1).
    HopLimit,
    /// A neighbour message that breaks another rule of RFC 4861 §7.1.
    Neighbour,
    /// An error about a packet that we did not send, or not over TCP.
    Quote,
    /// A type that we have no use for.
    Type,
}

impl Ignored {
    /// The name of the reason as counters show it.
    pub const fn name(self) -> &'static str {
        match self {
            Ignored::NotForUs => "NotForUs",
            Ignored::Source => "Source",
            Ignored::Group => "Group",
            Ignored::HopLimit => "HopLimit",
            Ignored::Neighbour => "Neighbour",
            Ignored::Quote => "Quote",
            Ignored::Type => "Type",
        }
    }
}

/// An answer to be sent. It goes to the station that asked, so no neighbour need be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// An ARP reply.
    Arp {
        /// To whom.
        to: MacAddr,
        /// The address asked for, which is ours.
        ours: Ipv4Addr,
        /// Who asked.
        asker: (MacAddr, Ipv4Addr),
    },
    /// An ICMP message: an echo reply.
    Icmpv4 {
        /// To whom.
        to: MacAddr,
        /// Our address.
        src: Ipv4Addr,
        /// Who asked.
        dst: Ipv4Addr,
        /// The reply.
        message: Icmpv4<'a>,
    },
    /// An ICMPv6 message: an echo reply or a neighbour advertisement.
    Icmpv6 {
        /// To whom.
        to: MacAddr,
        /// Our address.
        src: Ipv6Addr,
        /// Who asked.
        dst: Ipv6Addr,
        /// The reply.
        message: Icmpv6<'a>,
    },
}

impl Answer<'_> {
    /// Writes the whole frame and returns its length; `None` if `out` has no room for it.
    pub fn write(&self, link: Link, out: &mut [u8]) -> Option<usize> {
        match self {
            Answer::Arp { to, ours, asker: (target_mac, target_ip) } => {
                let message = Arp {
                    operation: Operation::Reply,
                    sender_mac: link.mac,
                    sender_ip: *ours,
                    target_mac: *target_mac,
                    target_ip: *target_ip,
                };
                frame::write_arp(out, link, *to, &message)
            }
            Answer::Icmpv4 { to, src, dst, message } => {
                frame::write_icmpv4(out, link, *to, *src, *dst, message)
            }
            Answer::Icmpv6 { to, src, dst, message } => {
                frame::write_icmpv6(out, link, *to, *src, *dst, message)
            }
        }
    }
}

/// An ICMP error about a segment that claims to be ours. Anyone can send one: whether the sequence
/// number is in flight (RFC 5927 §4.1) is for the connection to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpError {
    /// Our side of the quoted segment.
    pub local: SocketAddr,
    /// The other side.
    pub remote: SocketAddr,
    /// The quoted sequence number.
    pub seq: SeqNumber,
    /// What happened.
    pub cause: Cause,
}

/// What an ICMP error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It will hardly get better: protocol or port unreachable, prohibited (RFC 1122 §4.2.3.9 and
    /// RFC 4443 §3.1). RFC 5927 §5.2 has established connections treat it as transient.
    Hard {
        /// ICMP type.
        kind: u8,
        /// ICMP code.
        code: u8,
    },
    /// It may pass: net or host unreachable, time exceeded and the like.
    Transient {
        /// ICMP type.
        kind: u8,
        /// ICMP code.
        code: u8,
    },
    /// The packet was too long for a link on its way (RFC 1191, RFC 8201).
    TooBig {
        /// The MTU of that link in octets, as the message says: 0 from an old IPv4 router, and
        /// perhaps below what the family guarantees.
        mtu: u32,
    },
}

fn only(then: Then<'_>) -> Reaction<'_> {
    Reaction { learn: None, then }
}

fn ignored<'a>(why: Ignored) -> Reaction<'a> {
    only(Then::Ignored(why))
}

/// What an ARP message asks for (RFC 826, RFC 5227). `from` is the source of its frame.
pub fn on_arp(routes: &Routes, link: Link, from: MacAddr, message: &Arp) -> Reaction<'static> {
    let Arp { operation, sender_mac, sender_ip, target_ip, .. } = *message;
    if !sender_mac.is_individual() {
        return ignored(Ignored::Source);
    }
    if routes.is_our_ipv4(sender_ip) {
        return match sender_mac == link.mac {
            true => ignored(Ignored::Source), // our own, come back
            false => only(Then::Conflict { ip: sender_ip.into(), mac: Some(sender_mac) }),
        };
    }
    // A probe has no sender address (RFC 5227 §1.1).
    let probe = operation == Operation::Request && sender_ip.is_unspecified();
    if !probe && !routes.is_possible_source(sender_ip.into()) {
        return ignored(Ignored::Source);
    }
    let for_us = routes.is_our_ipv4(target_ip);
    let claim = match (for_us, operation) {
        (true, Operation::Reply) => Claim::Answer { replace: true },
        (true, Operation::Request) => Claim::Question,
        (false, _) => Claim::Overheard { replace: true },
    };
    // Who is not on the link is no neighbour.
    let learn = routes.is_neighbour(sender_ip.into()).then_some(Lesson {
        ip: sender_ip.into(),
        mac: Some(sender_mac),
        claim,
    });
    let then = match operation {
        Operation::Request if for_us => {
            Then::Answer(Answer::Arp { to: from, ours: target_ip, asker: (sender_mac, sender_ip) })
        }
        _ if learn.is_some() => Then::Done,
        _ => Then::Ignored(Ignored::NotForUs),
    };
    Reaction { learn, then }
}

/// What an ICMP message asks for. `from` is the source of its frame.
pub fn on_icmpv4<'a>(
    routes: &Routes,
    from: MacAddr,
    packet: &Ipv4<'_>,
    message: &Icmpv4<'a>,
) -> Reaction<'a> {
    // RFC 1122 §3.2.2.6 lets us ignore echo requests to groups.
    if !routes.is_our_ipv4(packet.dst) {
        return ignored(Ignored::NotForUs);
    }
    if !routes.is_possible_source(packet.src.into()) {
        return ignored(Ignored::Source);
    }
    match *message {
        Icmpv4::EchoRequest { ident, sequence, data } => only(Then::Answer(Answer::Icmpv4 {
            to: from,
            src: packet.dst,
            dst: packet.src,
            message: Icmpv4::EchoReply { ident, sequence, data },
        })),
        Icmpv4::Unreachable { code: FRAGMENTATION_NEEDED, next_hop_mtu, quoted } => tcp_error(
            routes,
            Quote::parse_ipv4(quoted).ok(),
            Cause::TooBig { mtu: next_hop_mtu.into() },
        ),
        Icmpv4::Unreachable { code, quoted, .. } => {
            let cause = match code {
                // Protocol, port; prohibited for net, host, or by filter (RFC 1812 §5.2.7.1).
                2 | 3 | 9 | 10 | 13 => Cause::Hard { kind: 3, code },
                _ => Cause::Transient { kind: 3, code },
            };
            tcp_error(routes, Quote::parse_ipv4(quoted).ok(), cause)
        }
        // Time exceeded, parameter problem (RFC 1122 §4.2.3.9).
        Icmpv4::Other { kind: kind @ (11 | 12), code, body, .. } => {
            tcp_error(routes, Quote::parse_ipv4(body).ok(), Cause::Transient { kind, code })
        }
        Icmpv4::EchoReply { .. } | Icmpv4::Other { .. } => ignored(Ignored::Type),
    }
}

/// What an ICMPv6 message asks for. `from` is the source of its frame.
pub fn on_icmpv6<'a>(
    routes: &Routes,
    link: Link,
    from: MacAddr,
    packet: &Ipv6<'_>,
    message: &Icmpv6<'a>,
) -> Reaction<'a> {
    let to_us = routes.is_our_ipv6(packet.dst);
    if !to_us && !routes.is_our_group(packet.dst) {
        return ignored(Ignored::NotForUs);
    }
    match *message {
        Icmpv6::NeighbourSolicitation { target, source_link } => {
            return on_solicitation(routes, link, from, packet, target, source_link);
        }
        Icmpv6::NeighbourAdvertisement {
            solicited, override_known, target, target_link, ..
        } => {
            // RFC 4861 §7.1.2.
            if packet.hop_limit != NEIGHBOUR_HOP_LIMIT {
                return ignored(Ignored::HopLimit);
            }
            if packet.dst.is_multicast() && solicited {
                return ignored(Ignored::Neighbour);
            }
            if !is_host(packet.src.into()) || target_link.is_some_and(|mac| !mac.is_individual()) {
                return ignored(Ignored::Source);
            }
            if routes.is_our_ipv6(target) {
                return only(Then::Conflict { ip: target.into(), mac: target_link });
            }
            if routes.is_our_ipv6(packet.src) {
                return ignored(Ignored::Source);
            }
            let claim = match solicited {
                true => Claim::Answer { replace: override_known },
                false => Claim::Overheard { replace: override_known },
            };
            let learn = Some(Lesson { ip: target.into(), mac: target_link, claim });
            return Reaction { learn, then: Then::Done };
        }
        Icmpv6::Other { kind: mld::QUERY, code: 0, rest, body } => {
            // RFC 3810 §6.2 and §5.1.14
            if packet.hop_limit != 1 {
                return ignored(Ignored::HopLimit);
            }
            if !packet.src.is_unicast_link_local() {
                return ignored(Ignored::Source);
            }
            return match Query::parse(rest, body) {
                Ok(query) => only(Then::ListenerQuery(query)),
                Err(_) => ignored(Ignored::Neighbour),
            };
        }
        _ => {}
    }
    if !routes.is_possible_source(packet.src.into()) {
        return ignored(Ignored::Source);
    }
    match *message {
        // RFC 4443 §4.2 would let us answer. Over IPv4 we do not (RFC 1122 §3.2.2.6), so that one frame
        // does not make every host of the link answer.
        Icmpv6::EchoRequest { .. } if !to_us => ignored(Ignored::Group),
        Icmpv6::EchoRequest { ident, sequence, data } => only(Then::Answer(Answer::Icmpv6 {
            to: from,
            src: packet.dst,
            dst: packet.src,
            message: Icmpv6::EchoReply { ident, sequence, data },
        })),
        Icmpv6::PacketTooBig { mtu, quoted } => {
            tcp_error(routes, Quote::parse_ipv6(quoted).ok(), Cause::TooBig { mtu })
        }
        Icmpv6::Unreachable { code, quoted } => {
            let cause = match code {
                // Prohibited, port, source address failed policy, route rejected.
                1 | 4 | 5 | 6 => Cause::Hard { kind: 1, code },
                _ => Cause::Transient { kind: 1, code },
            };
            tcp_error(routes, Quote::parse_ipv6(quoted).ok(), cause)
        }
        // Time exceeded, parameter problem.
        Icmpv6::Other { kind: kind @ (3 | 4), code, body, .. } => {
            tcp_error(routes, Quote::parse_ipv6(body).ok(), Cause::Transient { kind, code })
        }
        _ => ignored(Ignored::Type),
    }
}

/// RFC 4861 §7.1.1 and §7.2.3.
fn on_solicitation<'a>(
    routes: &Routes,
    link: Link,
    from: MacAddr,
    packet: &Ipv6<'_>,
    target: Ipv6Addr,
    source_link: Option<MacAddr>,
) -> Reaction<'a> {
    if packet.hop_limit != NEIGHBOUR_HOP_LIMIT {
        return ignored(Ignored::HopLimit);
    }
    // Duplicate address detection asks from no address, hence has no station to tell, and asks the
    // group of the target.
    let detection = packet.src.is_unspecified();
    if detection && (source_link.is_some() || !packet.dst.is_multicast()) {
        return ignored(Ignored::Neighbour);
    }
    if !routes.is_our_ipv6(target) {
        return ignored(Ignored::NotForUs);
    }
    let possible = detection || routes.is_possible_source(packet.src.into());
    if !possible || source_link.is_some_and(|mac| !mac.is_individual()) {
        return ignored(Ignored::Source);
    }
    let learn = source_link.map(|mac| Lesson {
        ip: packet.src.into(),
        mac: Some(mac),
        claim: Claim::Question,
    });
    let (to, dst) = if detection {
        (MacAddr::for_ipv6_multicast(ALL_NODES), ALL_NODES)
    } else {
        (source_link.unwrap_or(from), packet.src)
    };
    let message = Icmpv6::NeighbourAdvertisement {
        router: false,
        solicited: !detection,
        override_known: true,
        target,
        target_link: Some(link.mac),
    };
    Reaction { learn, then: Then::Answer(Answer::Icmpv6 { to, src: target, dst, message }) }
}

fn tcp_error<'a>(routes: &Routes, quote: Option<Quote>, cause: Cause) -> Reaction<'a> {
    let ours = quote.filter(|quote| routes.is_ours(quote.src));
    let Some((quote, (src_port, dst_port, seq))) = ours.and_then(|q| Some((q, q.tcp()?))) else {
        return ignored(Ignored::Quote);
    };
    only(Then::TcpError(TcpError {
        local: SocketAddr::new(quote.src, src_port),
        remote: SocketAddr::new(quote.dst, dst_port),
        seq,
        cause,
    }))
}
