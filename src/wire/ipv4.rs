//! IPv4 packets (RFC 791). Options are skipped.

use core::net::Ipv4Addr;

use super::{Malformed, checksum};

/// Octets of a header without options: what we write.
pub const HEADER_LEN: usize = 20;

/// A received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4<'a> {
    /// From whom.
    pub src: Ipv4Addr,
    /// To whom.
    pub dst: Ipv4Addr,
    /// What the payload is.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// DSCP (6 bits) and ECN (2 bits).
    pub tos: u8,
    /// Identification.
    pub ident: u16,
    /// Flags and fragment offset, as they are in the header.
    pub fragment: u16,
    /// The header with its options.
    pub header: &'a [u8],
    /// The payload up to the total length: Ethernet padding is cut off.
    pub payload: &'a [u8],
}

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

impl<'a> Ipv4<'a> {
    /// Reads a packet. Version and lengths are checked, the header checksum is not
    /// (see [`checksum_ok`](Self::checksum_ok)).
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fixed = bytes.first_chunk::<HEADER_LEN>().ok_or(Malformed::ShortIpv4)?;
        if fixed[0] >> 4 != 4 {
            return Err(Malformed::Ipv4Version);
        }
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        if header_len < HEADER_LEN {
            return Err(Malformed::Ipv4HeaderLength);
        }
        let total_len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        let (header, payload) = bytes
            .get(..total_len)
            .and_then(|packet| packet.split_at_checked(header_len))
            .ok_or(Malformed::Ipv4TotalLength)?;
        Ok(Ipv4 {
            src: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]),
            dst: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
            protocol: fixed[9],
            ttl: fixed[8],
            tos: fixed[1],
            ident: u16::from_be_bytes([fixed[4], fixed[5]]),
            fragment: u16::from_be_bytes([fixed[6], fixed[7]]),
            header,
            payload,
        })
    }

    /// Is the header checksum right?
    #[inline]
    pub fn checksum_ok(&self) -> bool {
        checksum::ok(self.header)
    }

    /// Is this a piece of a larger packet?
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        self.fragment & (MORE_FRAGMENTS | OFFSET) != 0
    }

    /// Where the payload belongs in the whole packet, in octets.
    pub const fn fragment_offset(&self) -> u32 {
        (self.fragment & OFFSET) as u32 * 8
    }

    /// Do more fragments follow this one?
    pub const fn more_fragments(&self) -> bool {
        self.fragment & MORE_FRAGMENTS != 0
    }

    /// May no router cut this packet up?
    pub const fn dont_fragment(&self) -> bool {
        self.fragment & DONT_FRAGMENT != 0
    }

    /// The ECN field (RFC 3168 §5): 0 not-ECT, 1 ECT(1), 2 ECT(0), 3 CE.
    #[inline]
    pub const fn ecn(&self) -> u8 {
        self.tos & 3
    }
}

/// The header of a packet to send: 20 octets, no options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Header {
    /// From whom.
    pub src: Ipv4Addr,
    /// To whom.
    pub dst: Ipv4Addr,
    /// What the payload is.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// DSCP (6 bits) and ECN (2 bits).
    pub tos: u8,
    /// Identification. Any value will do, 0 too, in a packet that may not be fragmented
    /// (RFC 6864 §4.1).
    pub ident: u16,
    /// May no router cut this packet up?
    pub dont_fragment: bool,
}

impl Ipv4Header {
    /// Writes the header of a packet with `payload_len` octets of payload, checksum filled in, and
    /// returns its length: [`HEADER_LEN`].
    ///
    /// # Panics
    /// If `out` is shorter than that, or the packet would be longer than 65,535 octets.
    #[inline]
    pub fn write(&self, out: &mut [u8], payload_len: usize) -> usize {
        let len = self.write_for_offload(out, payload_len);
        // of the fields: reading back what was just written waits for it to get there
        let words = |addr: Ipv4Addr| (addr.to_bits() >> 16) + (addr.to_bits() & 0xffff);
        let fragment = if self.dont_fragment { DONT_FRAGMENT } else { 0 };
        let sum = (0x4500 | u32::from(self.tos))
            + (HEADER_LEN + payload_len) as u32
            + u32::from(self.ident)
            + u32::from(fragment)
            + u32::from(u16::from_be_bytes([self.ttl, self.protocol]))
            + words(self.src)
            + words(self.dst);
        out[10..12].copy_from_slice(&checksum::finish(sum).to_be_bytes());
        len
    }

    /// As [`write`](Self::write), with 0 in the checksum field: the port fills it in.
    ///
    /// # Panics
    /// As [`write`](Self::write).
    #[inline]
    pub fn write_for_offload(&self, out: &mut [u8], payload_len: usize) -> usize {
        let total_len = u16::try_from(HEADER_LEN + payload_len)
            .expect("an IPv4 packet of at most 65,535 octets");
        let fragment = if self.dont_fragment { DONT_FRAGMENT } else { 0 };
        let out = &mut out[..HEADER_LEN];
        out[0] = 0x45;
        out[1] = self.tos;
        out[2..4].copy_from_slice(&total_len.to_be_bytes());
        out[4..6].copy_from_slice(&self.ident.to_be_bytes());
        out[6..8].copy_from_slice(&fragment.to_be_bytes());
        out[8] = self.ttl;
        out[9] = self.protocol;
        out[10..12].copy_from_slice(&[0, 0]);
        out[12..16].copy_from_slice(&self.src.octets());
        out[16..20].copy_from_slice(&self.dst.octets());
        HEADER_LEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header that RFC 1071 discussions are fond of: UDP from 192.168.0.1 to 192.168.0.199.
    const KNOWN: [u8; 20] = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00,
        0x01, 0xc0, 0xa8, 0x00, 0xc7,
    ];

    #[test]
    fn reads_and_writes_a_known_header() {
        let mut bytes = [0; 0x73 + 7];
        bytes[..20].copy_from_slice(&KNOWN);
        let packet = Ipv4::parse(&bytes).unwrap();
        assert!(packet.checksum_ok() && !packet.is_fragment() && packet.dont_fragment());
        assert_eq!(packet.payload.len(), 0x73 - 20, "the padding is cut off");
        let header = Ipv4Header {
            src: packet.src,
            dst: packet.dst,
            protocol: 17,
            ttl: 64,
            tos: 0,
            ident: 0,
            dont_fragment: true,
        };
        let mut out = [0xee; 20];
        assert_eq!(header.write(&mut out, 0x73 - 20), 20);
        assert_eq!(out, KNOWN);
        header.write_for_offload(&mut out, 0x73 - 20);
        assert_eq!(out[10..12], [0, 0]);
    }

    #[test]
    fn every_check_has_its_name() {
        let table: [(usize, u8, Malformed); 6] = [
            (0, 0x65, Malformed::Ipv4Version),
            (0, 0x44, Malformed::Ipv4HeaderLength),
            (0, 0x46, Malformed::Ipv4TotalLength), // header 24, total 20
            (3, 19, Malformed::Ipv4TotalLength),
            (3, 21, Malformed::Ipv4TotalLength),
            (2, 1, Malformed::Ipv4TotalLength),
        ];
        let mut good = KNOWN;
        good[3] = 20;
        good[2] = 0;
        assert!(Ipv4::parse(&good).unwrap().payload.is_empty());
        for (at, value, reason) in table {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(Ipv4::parse(&bad), Err(reason), "octet {at} = {value}");
        }
        assert_eq!(Ipv4::parse(&good[..19]), Err(Malformed::ShortIpv4));
    }

    #[test]
    fn fragments_are_known() {
        let mut bytes = KNOWN;
        bytes[3] = 20;
        for (field, fragment, offset) in
            [(0x2000, true, 0), (0x0001, true, 8), (0x3fff, true, 65_528), (0x8000, false, 0)]
        {
            bytes[6..8].copy_from_slice(&u16::to_be_bytes(field));
            let packet = Ipv4::parse(&bytes).unwrap();
            assert_eq!((packet.is_fragment(), packet.fragment_offset()), (fragment, offset));
        }
    }
}
