//! UDP datagrams (RFC 768), as far as it takes to know that one is intact.

use core::net::IpAddr;

use super::{Malformed, PROTOCOL_UDP, checksum};

/// Octets of a header.
pub const HEADER_LEN: usize = 8;

/// A datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp<'a> {
    /// From which port; 0 if no answer is expected.
    pub src_port: u16,
    /// To which port.
    pub dst_port: u16,
    /// As it was sent; 0 = none.
    pub checksum: u16,
    /// The header and the data.
    pub octets: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Reads the payload of an IP packet. Padding may follow. The checksum is not looked at: see
    /// [`checksum_ok`](Self::checksum_ok).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let &[s0, s1, d0, d1, l0, l1, c0, c1] =
            bytes.first_chunk::<HEADER_LEN>().ok_or(Malformed::UdpLength)?;
        let octets = bytes
            .get(..usize::from(u16::from_be_bytes([l0, l1])))
            .filter(|octets| octets.len() >= HEADER_LEN)
            .ok_or(Malformed::UdpLength)?;
        let [src_port, dst_port, checksum] = [[s0, s1], [d0, d1], [c0, c1]].map(u16::from_be_bytes);
        Ok(Udp { src_port, dst_port, checksum, octets })
    }

    /// Is the checksum right? Over IPv4 there need not be one (RFC 768), over IPv6 there must be
    /// (RFC 8200 §8.1).
    pub fn checksum_ok(&self, src: IpAddr, dst: IpAddr) -> bool {
        if self.checksum == 0 {
            return src.is_ipv4();
        }
        let pseudo = checksum::pseudo(src, dst, PROTOCOL_UDP, self.octets.len());
        checksum::fold(pseudo + checksum::sum(self.octets)) == 0xffff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_checksums() {
        let (src, dst) = (IpAddr::from([198, 18, 0, 2]), IpAddr::from([198, 18, 0, 1]));
        let mut bytes = [0x9c, 0x40, 0, 53, 0, 11, 0, 0, 1, 2, 3, 0xee];
        let none = Udp::parse(&bytes).unwrap();
        assert_eq!((none.src_port, none.dst_port, none.octets.len()), (40_000, 53, 11));
        assert!(none.checksum_ok(src, dst), "none over IPv4");
        let (six, other) = ("2001:db8::2".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert!(!none.checksum_ok(six, other), "none over IPv6");
        for (from, to) in [(src, dst), (six, other)] {
            bytes[6..8].fill(0);
            let pseudo = checksum::pseudo(from, to, PROTOCOL_UDP, 11);
            let sum = checksum::finish(pseudo + checksum::sum(&bytes[..11]));
            bytes[6..8].copy_from_slice(&sum.to_be_bytes());
            assert!(Udp::parse(&bytes).unwrap().checksum_ok(from, to));
            bytes[9] ^= 1;
            assert!(!Udp::parse(&bytes).unwrap().checksum_ok(from, to));
            bytes[9] ^= 1;
        }
        for len in [0, 7, 13] {
            bytes[5] = len;
            assert_eq!(Udp::parse(&bytes), Err(Malformed::UdpLength), "length {len}");
        }
        assert_eq!(Udp::parse(&bytes[..7]), Err(Malformed::UdpLength));
    }
}
