//! ICMP for IPv6 (RFC 4443) and neighbour discovery (RFC 4861): what an end point needs.

use core::net::Ipv6Addr;

use super::{MacAddr, Malformed, PROTOCOL_ICMPV6, checksum};

/// Octets before the body of a message.
pub const HEADER_LEN: usize = 8;
/// The hop limit of neighbour messages: proof that no router passed them on (RFC 4861 §7.1).
pub const NEIGHBOUR_HOP_LIMIT: u8 = 255;

const UNREACHABLE: u8 = 1;
const PACKET_TOO_BIG: u8 = 2;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;

const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmpv6<'a> {
    /// Ping.
    EchoRequest {
        /// Whose ping.
        ident: u16,
        /// Which one.
        sequence: u16,
        /// To be sent back.
        data: &'a [u8],
    },
    /// Pong.
    EchoReply {
        /// Whose ping.
        ident: u16,
        /// Which one.
        sequence: u16,
        /// As it was sent.
        data: &'a [u8],
    },
    /// A packet could not be delivered.
    Unreachable {
        /// Why: 0 no route, 1 prohibited, 3 address, 4 port, ...
        code: u8,
        /// The packet, as much of it as fits:
        /// [`Quote::parse_ipv6`](super::quote::Quote::parse_ipv6).
        quoted: &'a [u8],
    },
    /// A packet was too long for a link on its way (RFC 8201).
    PacketTooBig {
        /// The MTU of that link.
        mtu: u32,
        /// The packet, as much of it as fits.
        quoted: &'a [u8],
    },
    /// Who has this address?
    NeighbourSolicitation {
        /// The address asked for.
        target: Ipv6Addr,
        /// The link-layer address of who asks.
        source_link: Option<MacAddr>,
    },
    /// I have this address.
    NeighbourAdvertisement {
        /// Is the sender a router?
        router: bool,
        /// Does this answer a solicitation?
        solicited: bool,
        /// Shall it replace what the receiver knows?
        override_known: bool,
        /// The address told of.
        target: Ipv6Addr,
        /// Its link-layer address.
        target_link: Option<MacAddr>,
    },
    /// Any other message.
    Other {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
        /// The second half of the header.
        rest: [u8; 4],
        /// What follows.
        body: &'a [u8],
    },
}

/// Is the checksum of an ICMPv6 message right?
pub fn checksum_ok(src: Ipv6Addr, dst: Ipv6Addr, message: &[u8]) -> bool {
    let pseudo = checksum::pseudo_ipv6(src, dst, PROTOCOL_ICMPV6, message.len() as u32);
    checksum::fold(pseudo + checksum::sum(message)) == 0xffff
}

impl<'a> Icmpv6<'a> {
    /// Reads the payload of an IPv6 packet. The checksum is not looked at (see [`checksum_ok`]), nor
    /// is the hop limit, which RFC 4861 §7.1 wants at [`NEIGHBOUR_HOP_LIMIT`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (&[kind, code, _, _, a, b, c, d], body) =
            bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::ShortIcmpv6)?;
        let ident = u16::from_be_bytes([a, b]);
        let sequence = u16::from_be_bytes([c, d]);
        Ok(match (kind, code) {
            (ECHO_REQUEST, 0) => Icmpv6::EchoRequest { ident, sequence, data: body },
            (ECHO_REPLY, 0) => Icmpv6::EchoReply { ident, sequence, data: body },
            (UNREACHABLE, code) => Icmpv6::Unreachable { code, quoted: body },
            // RFC 4443 §3.2: the receiver takes any code.
            (PACKET_TOO_BIG, _) => {
                Icmpv6::PacketTooBig { mtu: u32::from_be_bytes([a, b, c, d]), quoted: body }
            }
            (SOLICITATION | ADVERTISEMENT, code) => {
                let (target, options) =
                    body.split_first_chunk::<16>().ok_or(Malformed::ShortIcmpv6)?;
                let target = Ipv6Addr::from(*target);
                if code != 0 || target.is_multicast() {
                    return Err(Malformed::NeighbourMessage);
                }
                if kind == SOLICITATION {
                    let source_link = link_address(options, SOURCE_LINK_ADDRESS)?;
                    Icmpv6::NeighbourSolicitation { target, source_link }
                } else {
                    Icmpv6::NeighbourAdvertisement {
                        router: a & ROUTER != 0,
                        solicited: a & SOLICITED != 0,
                        override_known: a & OVERRIDE != 0,
                        target,
                        target_link: link_address(options, TARGET_LINK_ADDRESS)?,
                    }
                }
            }
            _ => Icmpv6::Other { kind, code, rest: [a, b, c, d], body },
        })
    }

    /// Octets that [`write`](Self::write) takes.
    pub fn len(&self) -> usize {
        HEADER_LEN
            + match self {
                Icmpv6::EchoRequest { data, .. } | Icmpv6::EchoReply { data, .. } => data.len(),
                Icmpv6::Unreachable { quoted, .. } | Icmpv6::PacketTooBig { quoted, .. } => {
                    quoted.len()
                }
                Icmpv6::NeighbourSolicitation { source_link: link, .. }
                | Icmpv6::NeighbourAdvertisement { target_link: link, .. } => {
                    if link.is_some() {
                        24
                    } else {
                        16
                    }
                }
                Icmpv6::Other { body, .. } => body.len(),
            }
    }

    /// Is there nothing in the message? Never: it has a header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the message, checksum for these addresses filled in, and returns its length.
    ///
    /// # Panics
    /// If `out` is shorter than [`len`](Self::len).
    pub fn write(&self, out: &mut [u8], src: Ipv6Addr, dst: Ipv6Addr) -> usize {
        let out = &mut out[..self.len()];
        let (header, body) = out.split_at_mut(HEADER_LEN);
        header.fill(0);
        let mut raw = |kind: u8, code: u8, rest: [u8; 4], data: &[u8]| {
            header[..2].copy_from_slice(&[kind, code]);
            header[4..].copy_from_slice(&rest);
            body[..data.len()].copy_from_slice(data);
        };
        let pair = |a: u16, b: u16| {
            let ([a, b], [c, d]) = (a.to_be_bytes(), b.to_be_bytes());
            [a, b, c, d]
        };
        match *self {
            Icmpv6::EchoRequest { ident, sequence, data } => {
                raw(ECHO_REQUEST, 0, pair(ident, sequence), data);
            }
            Icmpv6::EchoReply { ident, sequence, data } => {
                raw(ECHO_REPLY, 0, pair(ident, sequence), data);
            }
            Icmpv6::Unreachable { code, quoted } => raw(UNREACHABLE, code, [0; 4], quoted),
            Icmpv6::PacketTooBig { mtu, quoted } => {
                raw(PACKET_TOO_BIG, 0, mtu.to_be_bytes(), quoted);
            }
            Icmpv6::NeighbourSolicitation { target, source_link } => {
                raw(SOLICITATION, 0, [0; 4], &target.octets());
                write_link_address(&mut body[16..], SOURCE_LINK_ADDRESS, source_link);
            }
            Icmpv6::NeighbourAdvertisement {
                router,
                solicited,
                override_known,
                target,
                target_link,
            } => {
                let bit = |set: bool, mask: u8| if set { mask } else { 0 };
                let flags =
                    bit(router, ROUTER) | bit(solicited, SOLICITED) | bit(override_known, OVERRIDE);
                raw(ADVERTISEMENT, 0, [flags, 0, 0, 0], &target.octets());
                write_link_address(&mut body[16..], TARGET_LINK_ADDRESS, target_link);
            }
            Icmpv6::Other { kind, code, rest, body } => raw(kind, code, rest, body),
        }
        let pseudo = checksum::pseudo_ipv6(src, dst, PROTOCOL_ICMPV6, out.len() as u32);
        let sum = checksum::finish(pseudo + checksum::sum(out));
        out[2..4].copy_from_slice(&sum.to_be_bytes());
        out.len()
    }
}

/// Looks for the link-layer address option `wanted`. RFC 4861 §4.6: lengths are in units of 8
/// octets and never 0; options of other kinds are skipped.
fn link_address(mut options: &[u8], wanted: u8) -> Result<Option<MacAddr>, Malformed> {
    let mut found = None;
    while !options.is_empty() {
        let [kind, len, ..] = *options else { return Err(Malformed::NeighbourMessage) };
        let (option, rest) = options
            .split_at_checked(usize::from(len) * 8)
            .filter(|(option, _)| !option.is_empty())
            .ok_or(Malformed::NeighbourMessage)?;
        if kind == wanted
            && let [_, _, a, b, c, d, e, f] = *option
        {
            found = found.or(Some(MacAddr([a, b, c, d, e, f])));
        }
        options = rest;
    }
    Ok(found)
}

fn write_link_address(out: &mut [u8], kind: u8, link: Option<MacAddr>) {
    if let Some(MacAddr(mac)) = link {
        out[..2].copy_from_slice(&[kind, 1]);
        out[2..8].copy_from_slice(&mac);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xa]);

    fn target() -> Ipv6Addr {
        "2001:db8::2".parse().unwrap()
    }

    #[test]
    fn a_known_solicitation() {
        let (src, dst) = ("2001:db8::1".parse().unwrap(), "ff02::1:ff00:2".parse().unwrap());
        let message = Icmpv6::NeighbourSolicitation { target: target(), source_link: Some(MAC) };
        let mut out = [0xee; 32];
        assert_eq!(message.write(&mut out, src, dst), 32);
        assert_eq!(out[..2], [135, 0]);
        assert_eq!(out[4..10], [0, 0, 0, 0, 0x20, 0x01]);
        assert_eq!(out[24..], [1, 1, 2, 0, 0, 0, 0, 0xa]);
        // Pseudo header: 2001+0db8+0001 + ff02+0001+ff00+0002 + 0020 + 003a = 22c19
        // Message: 8700 + 2001+0db8+0002 + 0101+0200+0000+000a = b7c6; folded sum e3e1.
        assert_eq!(out[2..4], (!0xe3e1u16).to_be_bytes());
        assert!(checksum_ok(src, dst, &out));
        assert!(!checksum_ok(dst, target(), &out));
        assert_eq!(Icmpv6::parse(&out), Ok(message));
    }

    #[test]
    fn neighbour_messages_are_checked() {
        let mut good = [0; 40];
        let message = Icmpv6::NeighbourAdvertisement {
            router: false,
            solicited: true,
            override_known: true,
            target: target(),
            target_link: Some(MAC),
        };
        assert_eq!(message.write(&mut good, target(), target()), 32);
        assert_eq!(good[4], 0x60);
        assert_eq!(Icmpv6::parse(&good[..32]), Ok(message));
        assert_eq!(Icmpv6::parse(&good[..23]), Err(Malformed::ShortIcmpv6));

        // An unknown option of one unit is skipped, before or after.
        good[32..34].copy_from_slice(&[14, 1]);
        assert_eq!(Icmpv6::parse(&good), Ok(message));

        let table =
            [(1, 1, "code"), (8, 0xff, "multicast target"), (25, 0, "length 0"), (25, 3, "cut")];
        for (at, value, why) in table {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(Icmpv6::parse(&bad), Err(Malformed::NeighbourMessage), "{why}");
        }
        assert_eq!(Icmpv6::parse(&good[..25]), Err(Malformed::NeighbourMessage), "half an option");
        // An address of another length, or under another kind, is no Ethernet address.
        good[24] = 1;
        assert!(matches!(
            Icmpv6::parse(&good),
            Ok(Icmpv6::NeighbourAdvertisement { target_link: None, .. })
        ));
    }

    #[test]
    fn packet_too_big_tells_the_mtu() {
        let bytes = [2, 7, 0, 0, 0, 0, 0x05, 0x00, 9];
        assert_eq!(Icmpv6::parse(&bytes), Ok(Icmpv6::PacketTooBig { mtu: 1280, quoted: &[9] }));
        assert_eq!(Icmpv6::parse(&bytes[..7]), Err(Malformed::ShortIcmpv6));
    }
}
