//! ICMP for IPv4 (RFC 792): what an end point answers or takes note of.

use super::{Malformed, checksum};

/// Octets before the body of a message.
pub const HEADER_LEN: usize = 8;

/// Code of [`Icmpv4::Unreachable`]: a router would have had to fragment (RFC 1191).
pub const FRAGMENTATION_NEEDED: u8 = 4;

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmpv4<'a> {
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
        /// Why: 0 net, 1 host, 2 protocol, 3 port, 4 fragmentation needed, ...
        code: u8,
        /// With [`FRAGMENTATION_NEEDED`], the MTU of the next hop, or 0 from a router that does not
        /// tell (RFC 1191 §4).
        next_hop_mtu: u16,
        /// The packet's IP header and at least 8 octets of its payload:
        /// [`Quote::parse_ipv4`](super::quote::Quote::parse_ipv4).
        quoted: &'a [u8],
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

impl<'a> Icmpv4<'a> {
    /// Reads the payload of an IPv4 packet. The checksum is not looked at: see
    /// [`checksum::ok`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (&[kind, code, _, _, a, b, c, d], body) =
            bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::ShortIcmpv4)?;
        let ident = u16::from_be_bytes([a, b]);
        let sequence = u16::from_be_bytes([c, d]);
        Ok(match (kind, code) {
            (ECHO_REQUEST, 0) => Icmpv4::EchoRequest { ident, sequence, data: body },
            (ECHO_REPLY, 0) => Icmpv4::EchoReply { ident, sequence, data: body },
            (UNREACHABLE, code) => {
                Icmpv4::Unreachable { code, next_hop_mtu: sequence, quoted: body }
            }
            _ => Icmpv4::Other { kind, code, rest: [a, b, c, d], body },
        })
    }

    /// Octets that [`write`](Self::write) takes.
    pub fn len(&self) -> usize {
        HEADER_LEN + self.body().len()
    }

    /// Is there nothing in the message? Never: it has a header.
    pub fn is_empty(&self) -> bool {
        false
    }

    fn body(&self) -> &'a [u8] {
        match self {
            Icmpv4::EchoRequest { data, .. } | Icmpv4::EchoReply { data, .. } => data,
            Icmpv4::Unreachable { quoted, .. } => quoted,
            Icmpv4::Other { body, .. } => body,
        }
    }

    /// Writes the message, checksum filled in, and returns its length.
    ///
    /// # Panics
    /// If `out` is shorter than [`len`](Self::len).
    pub fn write(&self, out: &mut [u8]) -> usize {
        let pair = |a: u16, b: u16| {
            let ([a, b], [c, d]) = (a.to_be_bytes(), b.to_be_bytes());
            [a, b, c, d]
        };
        let (kind, code, rest) = match *self {
            Icmpv4::EchoRequest { ident, sequence, .. } => (ECHO_REQUEST, 0, pair(ident, sequence)),
            Icmpv4::EchoReply { ident, sequence, .. } => (ECHO_REPLY, 0, pair(ident, sequence)),
            Icmpv4::Unreachable { code, next_hop_mtu, .. } => {
                (UNREACHABLE, code, pair(0, next_hop_mtu))
            }
            Icmpv4::Other { kind, code, rest, .. } => (kind, code, rest),
        };
        let out = &mut out[..self.len()];
        out[..4].copy_from_slice(&[kind, code, 0, 0]);
        out[4..8].copy_from_slice(&rest);
        out[8..].copy_from_slice(self.body());
        let sum = checksum::finish(checksum::sum(out));
        out[2..4].copy_from_slice(&sum.to_be_bytes());
        out.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_ping() {
        // 0800 + 0001 + 0003 + 6162 + 474b = b0b1; its complement is 4f4e.
        let bytes = [8, 0, 0x4f, 0x4e, 0, 1, 0, 3, b'a', b'b', b'G', b'K'];
        assert!(checksum::ok(&bytes));
        let ping = Icmpv4::parse(&bytes).unwrap();
        assert_eq!(ping, Icmpv4::EchoRequest { ident: 1, sequence: 3, data: b"abGK" });
        let mut out = [0xee; 12];
        assert_eq!(ping.write(&mut out), 12);
        assert_eq!(out, bytes);
    }

    #[test]
    fn fragmentation_needed_tells_the_mtu() {
        let mut bytes = [0; 36];
        bytes[..8].copy_from_slice(&[3, 4, 0, 0, 0, 0, 0x05, 0x14]);
        let Ok(Icmpv4::Unreachable { code, next_hop_mtu, quoted }) = Icmpv4::parse(&bytes) else {
            panic!("not an unreachable message");
        };
        assert_eq!((code, next_hop_mtu, quoted.len()), (FRAGMENTATION_NEEDED, 1300, 28));
        assert_eq!(Icmpv4::parse(&bytes[..7]), Err(Malformed::ShortIcmpv4));
        bytes[0] = 8; // an echo request with a code is none
        assert!(matches!(Icmpv4::parse(&bytes), Ok(Icmpv4::Other { kind: 8, code: 4, .. })));
    }
}
