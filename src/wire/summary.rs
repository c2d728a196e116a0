//! A frame in one line, for people, in the manner of `tcpdump -n`.
//!
//! Often only the beginning of a frame is at hand. Lengths come from the headers, and what is needed
//! of octets that were not copied is said to be missing, as `[|tcp]`. Sequence numbers are absolute.

use core::fmt::{self, Write};
use core::net::{IpAddr, Ipv6Addr};
use std::borrow::Cow;

use super::arp::{self, Arp, Operation};
use super::ethernet::{self, Ethernet};
use super::icmpv4::{self, Icmpv4};
use super::icmpv6::{self, Icmpv6};
use super::ipv4::{self, Ipv4};
use super::ipv6::{self, Ipv6};
use super::options::Options;
use super::quote::Quote;
use super::tcp::{self, Flags, Segment};
use super::{Malformed, PROTOCOL_ICMPV4, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP};

/// Longer than any packet of IP with its Ethernet header: what a frame says of itself never goes
/// beyond.
const LONGEST: usize = 1 << 17;
/// An ethertype below this is a length (IEEE 802.3).
const LEAST_ETHERTYPE: u16 = 0x600;

/// A frame of `length` octets that begins with `octets`, in one line. Whatever they are, it makes the
/// best of them.
pub fn line(octets: &[u8], length: usize) -> String {
    let length_told = length;
    let length = length.min(LONGEST);
    let known = octets.len().min(length);
    let octets = &octets[..known];
    // The parsers want the whole frame, so it gets its length back; what is put there is not read.
    let whole = if length > known {
        let mut whole = octets.to_vec();
        whole.resize(length, 0);
        Cow::Owned(whole)
    } else {
        Cow::Borrowed(octets)
    };
    let mut out = String::with_capacity(160);
    let written = match frame(&mut out, Part { octets: &whole, known }) {
        Ok(()) => Ok(()),
        Err(Stop::Malformed(why)) => write!(out, "malformed: {why}, frame of {length_told} octets"),
        Err(Stop::Cut(what)) => write!(out, "[|{what}], frame of {length_told} octets"),
        Err(Stop::Unwritten(error)) => Err(error),
    };
    written.expect("a string takes all");
    out
}

/// Why a line ends early.
enum Stop {
    /// The frame is not what it claims to be.
    Malformed(Malformed),
    /// The octets of this layer are not at hand.
    Cut(&'static str),
    /// The line could not be written.
    Unwritten(fmt::Error),
}

impl From<Malformed> for Stop {
    fn from(why: Malformed) -> Self {
        Stop::Malformed(why)
    }
}

impl From<fmt::Error> for Stop {
    fn from(error: fmt::Error) -> Self {
        Stop::Unwritten(error)
    }
}

type Told = Result<(), Stop>;

/// What one layer has of a frame.
#[derive(Clone, Copy)]
struct Part<'a> {
    octets: &'a [u8],
    /// How many of them are what they were; the others only stand for those that were not copied.
    known: usize,
}

impl<'a> Part<'a> {
    /// Goes on only if the first `len` octets are known, as far as the part has so many.
    fn needs(self, len: usize, what: &'static str) -> Told {
        if self.known >= len.min(self.octets.len()) { Ok(()) } else { Err(Stop::Cut(what)) }
    }

    /// Are all octets known?
    fn whole(self) -> bool {
        self.known == self.octets.len()
    }

    /// What follows `header` octets.
    fn inner(self, header: usize, payload: &'a [u8]) -> Self {
        Part { octets: payload, known: self.known.saturating_sub(header).min(payload.len()) }
    }
}

fn frame(out: &mut String, part: Part<'_>) -> Told {
    part.needs(ethernet::HEADER_LEN, "ether")?;
    let tagged = part.octets.get(12..14) == Some(&ethernet::ETHERTYPE_VLAN.to_be_bytes());
    if tagged {
        part.needs(ethernet::TAGGED_HEADER_LEN, "vlan")?;
    }
    let frame = Ethernet::parse(part.octets)?;
    if let Some(tci) = frame.vlan {
        write!(out, "vlan {} p {} ", tci & 0xfff, tci >> 13)?;
    }
    let header = ethernet::header_len(frame.vlan);
    let inner = part.inner(header, frame.payload);
    match frame.ethertype {
        ethernet::ETHERTYPE_ARP => neighbour(out, inner),
        ethernet::ETHERTYPE_IPV4 => ipv4(out, inner),
        ethernet::ETHERTYPE_IPV6 => ipv6(out, inner),
        kind => {
            let Ethernet { src, dst, .. } = frame;
            write!(out, "{src} > {dst}: ")?;
            if kind < LEAST_ETHERTYPE {
                out.push_str("802.3");
            } else {
                write!(out, "ethertype {kind:#06x}")?;
            }
            write!(out, ", length {}", frame.payload.len())?;
            Ok(())
        }
    }
}

fn neighbour(out: &mut String, part: Part<'_>) -> Told {
    out.push_str("ARP ");
    part.needs(arp::LEN, "arp")?;
    let Arp { operation, sender_mac, sender_ip, target_ip, .. } = Arp::parse(part.octets)?;
    match operation {
        Operation::Request => write!(out, "who-has {target_ip} tell {sender_ip}")?,
        Operation::Reply => write!(out, "reply {sender_ip} is-at {sender_mac}")?,
    }
    write!(out, ", length {}", part.octets.len())?;
    Ok(())
}

fn ipv4(out: &mut String, part: Part<'_>) -> Told {
    out.push_str("IP ");
    part.needs(ipv4::HEADER_LEN, "ip")?;
    let packet = Ipv4::parse(part.octets)?;
    let ends = (packet.src.into(), packet.dst.into());
    let inner = part.inner(packet.header.len(), packet.payload);
    if packet.is_fragment() {
        let (from, protocol) = (packet.fragment_offset(), packet.protocol);
        let more = if packet.more_fragments() { "+" } else { "" };
        let len = packet.payload.len();
        let Ipv4 { src, dst, ident, .. } = packet;
        write!(out, "{src} > {dst}: fragment {ident}:{len}@{from}{more} of protocol {protocol}")?;
        return Ok(());
    }
    transport(out, packet.protocol, ends, inner)
}

fn ipv6(out: &mut String, part: Part<'_>) -> Told {
    out.push_str("IP6 ");
    part.needs(ipv6::HEADER_LEN, "ip6")?;
    let packet = match Ipv6::parse(part.octets) {
        Ok(packet) => packet,
        // This may be the fault of what was not copied, so nothing can be said.
        Err(Malformed::Ipv6Extension | Malformed::Ipv6Option | Malformed::Ipv6Routing)
            if !part.whole() =>
        {
            return Err(Stop::Cut("ip6 extension"));
        }
        Err(why) => return Err(why.into()),
    };
    let ends = (packet.src.into(), packet.dst.into());
    if packet.header.len() > part.known {
        write!(out, "{} > {}: ", packet.src, packet.dst)?;
        return Err(Stop::Cut("ip6 extension"));
    }
    let inner = part.inner(packet.header.len(), packet.payload);
    if packet.is_fragment() {
        let (protocol, len) = (packet.protocol, packet.payload.len());
        write!(out, "{} > {}: fragment of protocol {protocol}, ", packet.src, packet.dst)?;
        write!(out, "length {len}")?;
        return Ok(());
    }
    transport(out, packet.protocol, ends, inner)
}

fn transport(out: &mut String, protocol: u8, ends: (IpAddr, IpAddr), part: Part<'_>) -> Told {
    let (src, dst) = ends;
    match (protocol, part.octets) {
        (PROTOCOL_TCP | PROTOCOL_UDP, &[a, b, c, d, ..]) if part.known >= 4 => {
            let (from, to) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            write!(out, "{src}.{from} > {dst}.{to}: ")?;
        }
        _ => write!(out, "{src} > {dst}: ")?,
    }
    match (protocol, src) {
        (PROTOCOL_TCP, _) => segment(out, part),
        (PROTOCOL_ICMPV4, IpAddr::V4(_)) => icmp(out, part),
        (PROTOCOL_ICMPV6, IpAddr::V6(_)) => icmp6(out, part),
        (PROTOCOL_UDP, _) => {
            part.needs(4, "udp")?;
            write!(out, "UDP, length {}", part.octets.len().saturating_sub(8))?;
            Ok(())
        }
        _ => {
            write!(out, "protocol {protocol}, length {}", part.octets.len())?;
            Ok(())
        }
    }
}

fn segment(out: &mut String, part: Part<'_>) -> Told {
    part.needs(tcp::HEADER_LEN, "tcp")?;
    let Segment { seq, ack, flags, window, urgent, payload, .. } = Segment::parse(part.octets)?;
    let (seq, len) = (seq.value(), payload.len() as u32);
    out.push_str("Flags [");
    write_flags(out, flags);
    out.push(']');
    if len > 0 {
        write!(out, ", seq {seq}:{}", seq.wrapping_add(len))?;
    } else if flags.intersects(Flags::SYN | Flags::FIN | Flags::RST) {
        write!(out, ", seq {seq}")?;
    }
    if flags.ack() {
        write!(out, ", ack {}", ack.value())?;
    }
    write!(out, ", win {window}")?;
    if flags.urg() {
        write!(out, ", urg {urgent}")?;
    }
    let header = part.octets.len() - payload.len();
    if header > tcp::HEADER_LEN {
        let end = header.min(part.known);
        out.push_str(", options [");
        options(out, &part.octets[tcp::HEADER_LEN..end], end < header)?;
        out.push(']');
    }
    write!(out, ", length {len}")?;
    Ok(())
}

fn write_flags(out: &mut String, flags: Flags) {
    let letters = [
        (Flags::FIN, 'F'),
        (Flags::SYN, 'S'),
        (Flags::RST, 'R'),
        (Flags::PSH, 'P'),
        (Flags::ACK, '.'),
        (Flags::URG, 'U'),
        (Flags::ECE, 'E'),
        (Flags::CWR, 'W'),
    ];
    if flags == Flags::NONE {
        out.push_str("none");
    }
    out.extend(letters.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| letter));
}

/// Options in the order in which they came. `cut` says that there were more octets of them.
fn options(out: &mut String, mut octets: &[u8], cut: bool) -> fmt::Result {
    let mut between = "";
    while let [kind, rest @ ..] = octets {
        out.push_str(core::mem::replace(&mut between, ","));
        match kind {
            0 => return out.write_str("eol"),
            1 => {
                out.push_str("nop");
                octets = rest;
                continue;
            }
            _ => {}
        }
        let len = rest.first().map(|&len| usize::from(len));
        match len.and_then(|len| octets.split_at_checked(len)) {
            Some((one @ [_, _, ..], next)) => {
                option(out, *kind, one)?;
                octets = next;
            }
            None if cut => break,
            _ => return write!(out, "bad-{kind}"),
        }
    }
    if cut { out.write_str("[|tcp]") } else { Ok(()) }
}

/// One option that has the length that it says.
fn option(out: &mut String, kind: u8, octets: &[u8]) -> fmt::Result {
    let Options { mss, window_scale, sack_permitted, timestamps, sack } = Options::parse(octets);
    if let Some(mss) = mss {
        write!(out, "mss {mss}")
    } else if window_scale.is_some() {
        write!(out, "wscale {}", octets[2]) // as it was sent, which may be more than counts
    } else if sack_permitted {
        out.write_str("sackOK")
    } else if let Some(stamps) = timestamps {
        write!(out, "TS val {} ecr {}", stamps.value, stamps.echo)
    } else if !sack.is_empty() {
        write!(out, "sack {} ", sack.len())?;
        sack.iter().try_for_each(|(a, b)| write!(out, "{{{}:{}}}", a.value(), b.value()))
    } else {
        write!(out, "unknown-{kind}")
    }
}

fn icmp(out: &mut String, part: Part<'_>) -> Told {
    out.push_str("ICMP ");
    part.needs(icmpv4::HEADER_LEN, "icmp")?;
    match Icmpv4::parse(part.octets)? {
        Icmpv4::EchoRequest { ident, sequence, .. } => {
            write!(out, "echo request, id {ident}, seq {sequence}")?;
        }
        Icmpv4::EchoReply { ident, sequence, .. } => {
            write!(out, "echo reply, id {ident}, seq {sequence}")?;
        }
        Icmpv4::Unreachable { code, next_hop_mtu, quoted } => {
            write!(out, "unreachable, code {code}")?;
            if code == icmpv4::FRAGMENTATION_NEEDED {
                write!(out, ", mtu {next_hop_mtu}")?;
            }
            quote(out, part.inner(icmpv4::HEADER_LEN, quoted), Quote::parse_ipv4)?;
        }
        Icmpv4::Other { kind, code, .. } => write!(out, "type {kind}, code {code}")?,
    }
    write!(out, ", length {}", part.octets.len())?;
    Ok(())
}

fn icmp6(out: &mut String, part: Part<'_>) -> Told {
    out.push_str("ICMP6 ");
    part.needs(icmpv6::HEADER_LEN, "icmp6")?;
    let told = match Icmpv6::parse(part.octets) {
        Err(Malformed::NeighbourMessage) if !part.whole() => return Err(Stop::Cut("icmp6")),
        told => told?,
    };
    let target = |out: &mut String, what: &str, target: Ipv6Addr| {
        part.needs(24, "icmp6")?;
        write!(out, "{what} {target}").map_err(Stop::from)
    };
    let quoted_in = |out: &mut String, quoted| {
        quote(out, part.inner(icmpv6::HEADER_LEN, quoted), Quote::parse_ipv6)
    };
    match told {
        Icmpv6::EchoRequest { ident, sequence, .. } => {
            write!(out, "echo request, id {ident}, seq {sequence}")?;
        }
        Icmpv6::EchoReply { ident, sequence, .. } => {
            write!(out, "echo reply, id {ident}, seq {sequence}")?;
        }
        Icmpv6::Unreachable { code, quoted } => {
            write!(out, "unreachable, code {code}")?;
            quoted_in(out, quoted)?;
        }
        Icmpv6::PacketTooBig { mtu, quoted } => {
            write!(out, "packet too big, mtu {mtu}")?;
            quoted_in(out, quoted)?;
        }
        Icmpv6::NeighbourSolicitation { target: asked, .. } => {
            target(out, "neighbour solicitation, who has", asked)?;
        }
        Icmpv6::NeighbourAdvertisement { target: told_of, target_link, .. } => {
            target(out, "neighbour advertisement,", told_of)?;
            if let Some(link) = target_link {
                part.needs(part.octets.len(), "icmp6")?;
                write!(out, " is at {link}")?;
            }
        }
        Icmpv6::Other { kind, code, .. } => write!(out, "type {kind}, code {code}")?,
    }
    write!(out, ", length {}", part.octets.len())?;
    Ok(())
}

/// The packet that an error is about, as far as it can be read.
fn quote(
    out: &mut String,
    part: Part<'_>,
    parse: fn(&[u8]) -> Result<Quote, Malformed>,
) -> fmt::Result {
    let quote = match parse(&part.octets[..part.known]) {
        Ok(quote) => quote,
        Err(Malformed::ShortQuote) if !part.whole() => return out.write_str(", of [|ip]"),
        Err(why) => return write!(out, ", of malformed: {why}"),
    };
    let Quote { src, dst, protocol, .. } = quote;
    match quote.tcp() {
        Some((from, to, seq)) => {
            write!(out, ", of {src}.{from} > {dst}.{to}: seq {}", seq.value())
        }
        None => write!(out, ", of {src} > {dst}: protocol {protocol}"),
    }
}

#[cfg(test)]
mod tests;
