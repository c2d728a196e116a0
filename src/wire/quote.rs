//! The packet that an ICMP error quotes: cut off, so it is read more leniently than a packet.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::seq::SeqNumber;
use super::{Malformed, PROTOCOL_TCP};

/// What an ICMP error says of the packet that it is about. For a TCP segment these are the 8 octets
/// that RFC 792 promises: enough for RFC 5927 §4.1 to judge by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// From whom the packet was: us.
    pub src: IpAddr,
    /// To whom it was.
    pub dst: IpAddr,
    /// Its protocol.
    pub protocol: u8,
    /// The first octets of its payload.
    pub transport: [u8; 8],
}

impl Quote {
    /// Reads the quoted packet of an ICMPv4 error. A later fragment has no ports, so it is refused.
    pub fn parse_ipv4(bytes: &[u8]) -> Result<Self, Malformed> {
        let fixed = bytes.first_chunk::<20>().ok_or(Malformed::ShortQuote)?;
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        if fixed[0] >> 4 != 4 {
            return Err(Malformed::Ipv4Version);
        }
        if header_len < 20 {
            return Err(Malformed::Ipv4HeaderLength);
        }
        let offset = u16::from_be_bytes([fixed[6], fixed[7]]) & 0x1fff;
        let transport = bytes
            .get(header_len..)
            .and_then(|payload| payload.first_chunk::<8>())
            .filter(|_| offset == 0)
            .ok_or(Malformed::ShortQuote)?;
        let address = |at: usize| {
            Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]).into()
        };
        Ok(Quote { src: address(12), dst: address(16), protocol: fixed[9], transport: *transport })
    }

    /// Reads the quoted packet of an ICMPv6 error. We send no extension headers, so none are
    /// skipped: what has some was not sent by us.
    pub fn parse_ipv6(bytes: &[u8]) -> Result<Self, Malformed> {
        let (fixed, rest) = bytes.split_first_chunk::<40>().ok_or(Malformed::ShortQuote)?;
        if fixed[0] >> 4 != 6 {
            return Err(Malformed::Ipv6Version);
        }
        let transport = rest.first_chunk::<8>().ok_or(Malformed::ShortQuote)?;
        let address = |at: usize| {
            let octets: [u8; 16] = core::array::from_fn(|i| fixed[at + i]);
            Ipv6Addr::from(octets).into()
        };
        Ok(Quote { src: address(8), dst: address(24), protocol: fixed[6], transport: *transport })
    }

    /// Source port, destination port and sequence number, if the packet was TCP.
    pub fn tcp(&self) -> Option<(u16, u16, SeqNumber)> {
        let [a, b, c, d, e, f, g, h] = self.transport;
        (self.protocol == PROTOCOL_TCP).then(|| {
            (
                u16::from_be_bytes([a, b]),
                u16::from_be_bytes([c, d]),
                SeqNumber::new(u32::from_be_bytes([e, f, g, h])),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ipv4::Ipv4Header, ipv6::Ipv6Header};

    const TRANSPORT: [u8; 8] = [0x9c, 0x40, 0, 80, 0, 0, 1, 0];

    #[test]
    fn a_cut_off_ipv4_packet_is_enough() {
        let header = Ipv4Header {
            src: Ipv4Addr::new(198, 18, 0, 1),
            dst: Ipv4Addr::new(198, 18, 0, 2),
            protocol: PROTOCOL_TCP,
            ttl: 1,
            tos: 0,
            ident: 0,
            dont_fragment: true,
        };
        let mut bytes = [0; 28];
        header.write(&mut bytes, 1480);
        bytes[20..].copy_from_slice(&TRANSPORT);
        let quote = Quote::parse_ipv4(&bytes).unwrap();
        assert_eq!(quote.src, IpAddr::from([198, 18, 0, 1]));
        assert_eq!(quote.dst, IpAddr::from([198, 18, 0, 2]));
        assert_eq!(quote.tcp(), Some((40_000, 80, SeqNumber::new(256))));
        assert_eq!(Quote::parse_ipv4(&bytes[..27]), Err(Malformed::ShortQuote));
        bytes[9] = 17;
        assert_eq!(Quote::parse_ipv4(&bytes).unwrap().tcp(), None);
        bytes[7] = 1;
        assert_eq!(Quote::parse_ipv4(&bytes), Err(Malformed::ShortQuote), "a later fragment");
    }

    #[test]
    fn a_cut_off_ipv6_packet_is_enough() {
        let header = Ipv6Header {
            src: "2001:db8::1".parse().unwrap(),
            dst: "2001:db8::2".parse().unwrap(),
            next_header: PROTOCOL_TCP,
            hop_limit: 1,
            traffic_class: 0,
            flow_label: 0,
        };
        let mut bytes = [0; 48];
        header.write(&mut bytes, 1440);
        bytes[40..].copy_from_slice(&TRANSPORT);
        let quote = Quote::parse_ipv6(&bytes).unwrap();
        assert_eq!((quote.src, quote.dst), (header.src.into(), header.dst.into()));
        assert_eq!(quote.tcp(), Some((40_000, 80, SeqNumber::new(256))));
        assert_eq!(Quote::parse_ipv6(&bytes[..47]), Err(Malformed::ShortQuote));
        assert_eq!(Quote::parse_ipv6(&[0x45; 48]), Err(Malformed::Ipv6Version));
    }
}
