//! IPv6 packets (RFC 8200). Extension headers are skipped where the RFC lets an end node do so.

use core::net::Ipv6Addr;

use super::Malformed;

/// Octets of the fixed header: what we write.
pub const HEADER_LEN: usize = 40;
/// Extension headers that are looked at before a packet is refused. RFC 8200 §4.1 wants each but
/// destination options at most once, so that no honest packet comes near.
pub const MAX_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// A received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6<'a> {
    /// From whom.
    pub src: Ipv6Addr,
    /// To whom.
    pub dst: Ipv6Addr,
    /// What the payload is: the next header after all that were skipped.
    pub protocol: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// DSCP (6 bits) and ECN (2 bits).
    pub traffic_class: u8,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// The fixed header with the extension headers that were skipped.
    pub header: &'a [u8],
    /// The payload up to the payload length: Ethernet padding is cut off. Of a fragment, what
    /// follows the fragment header.
    pub payload: &'a [u8],
    fragment: bool,
}

impl<'a> Ipv6<'a> {
    /// Reads a packet and skips its extension headers.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (fixed, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::ShortIpv6)?;
        let first = u32::from_be_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]);
        if first >> 28 != 6 {
            return Err(Malformed::Ipv6Version);
        }
        let payload_len = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let payload = rest.get(..payload_len).ok_or(Malformed::Ipv6PayloadLength)?;
        let address = |at: usize| {
            let octets: [u8; 16] = core::array::from_fn(|i| fixed[at + i]);
            Ipv6Addr::from(octets)
        };
        let mut packet = Ipv6 {
            src: address(8),
            dst: address(24),
            protocol: fixed[6],
            hop_limit: fixed[7],
            traffic_class: (first >> 20) as u8,
            flow_label: first & 0xf_ffff,
            header: &bytes[..HEADER_LEN],
            payload,
            fragment: false,
        };
        if matches!(packet.protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION) {
            packet.skip_extensions(bytes)?;
        }
        Ok(packet)
    }

    /// RFC 8200 §4: moves `protocol` and `payload` past the extension headers.
    #[cold]
    fn skip_extensions(&mut self, bytes: &'a [u8]) -> Result<(), Malformed> {
        for nth in 0.. {
            let kind = self.protocol;
            if !matches!(kind, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION) {
                break;
            }
            if nth == MAX_EXTENSIONS {
                return Err(Malformed::Ipv6Extension);
            }
            let fixed = self.payload.first_chunk::<8>().ok_or(Malformed::Ipv6Extension)?;
            let len = if kind == FRAGMENT { 8 } else { (usize::from(fixed[1]) + 1) * 8 };
            let (extension, rest) =
                self.payload.split_at_checked(len).ok_or(Malformed::Ipv6Extension)?;
            match kind {
                // §4.1: only right after the fixed header.
                HOP_BY_HOP if nth > 0 => return Err(Malformed::Ipv6Extension),
                HOP_BY_HOP | DESTINATION => check_options(&extension[2..])?,
                // §4.4: with no segments left the type does not matter.
                ROUTING if fixed[3] != 0 => return Err(Malformed::Ipv6Routing),
                FRAGMENT => {
                    // RFC 6946: the only fragment of its packet is taken as the whole packet.
                    self.fragment = u16::from_be_bytes([fixed[2], fixed[3]]) & 0xfff9 != 0;
                }
                _ => {}
            }
            self.protocol = fixed[0];
            self.payload = rest;
            if self.fragment {
                break;
            }
        }
        let header_len =
            HEADER_LEN + usize::from(u16::from_be_bytes([bytes[4], bytes[5]])) - self.payload.len();
        self.header = &bytes[..header_len];
        Ok(())
    }

    /// Is this a piece of a larger packet?
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        self.fragment
    }

    /// Where in the packet the number of its protocol stands: in the fixed header or in the last
    /// extension header.
    pub fn protocol_at(&self) -> usize {
        let (mut at, mut kind, mut next) = (6, self.header[6], HEADER_LEN);
        while next < self.header.len() {
            let len =
                if kind == FRAGMENT { 8 } else { (usize::from(self.header[next + 1]) + 1) * 8 };
            (at, kind, next) = (next, self.header[next], next + len);
        }
        at
    }

    /// The ECN field (RFC 3168 §5): 0 not-ECT, 1 ECT(1), 2 ECT(0), 3 CE.
    #[inline]
    pub const fn ecn(&self) -> u8 {
        self.traffic_class & 3
    }
}

/// RFC 8200 §4.2: the two high bits of an unknown option say whether it may be skipped. Those that
/// every node knows (Pad1, PadN) and router alert have them at 0 as well.
fn check_options(mut options: &[u8]) -> Result<(), Malformed> {
    while let [kind, rest @ ..] = options {
        options = if *kind == 0 {
            rest
        } else {
            let (len, data) = rest.split_first().ok_or(Malformed::Ipv6Extension)?;
            if kind >> 6 != 0 {
                return Err(Malformed::Ipv6Option);
            }
            data.get(usize::from(*len)..).ok_or(Malformed::Ipv6Extension)?
        };
    }
    Ok(())
}

/// The header of a packet to send: 40 octets, no extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Header {
    /// From whom.
    pub src: Ipv6Addr,
    /// To whom.
    pub dst: Ipv6Addr,
    /// What the payload is.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// DSCP (6 bits) and ECN (2 bits).
    pub traffic_class: u8,
    /// Flow label; its low 20 bits are used.
    pub flow_label: u32,
}

impl Ipv6Header {
    /// Writes the header of a packet with `payload_len` octets of payload and returns its length:
    /// [`HEADER_LEN`].
    ///
    /// # Panics
    /// If `out` is shorter than that, or the payload is longer than 65,535 octets.
    #[inline]
    pub fn write(&self, out: &mut [u8], payload_len: usize) -> usize {
        let payload_len =
            u16::try_from(payload_len).expect("an IPv6 payload of at most 65,535 octets");
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | (self.flow_label & 0xf_ffff);
        let out = &mut out[..HEADER_LEN];
        out[..4].copy_from_slice(&first.to_be_bytes());
        out[4..6].copy_from_slice(&payload_len.to_be_bytes());
        out[6] = self.next_header;
        out[7] = self.hop_limit;
        out[8..24].copy_from_slice(&self.src.octets());
        out[24..].copy_from_slice(&self.dst.octets());
        HEADER_LEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet from 2001:db8::1 to 2001:db8::2 with this next header and payload.
    fn packet(next_header: u8, payload: &[u8]) -> Vec<u8> {
        let header = Ipv6Header {
            src: "2001:db8::1".parse().unwrap(),
            dst: "2001:db8::2".parse().unwrap(),
            next_header,
            hop_limit: 64,
            traffic_class: 0xb9,
            flow_label: 0xabcde,
        };
        let mut bytes = vec![0; HEADER_LEN];
        header.write(&mut bytes, payload.len());
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn reads_the_fixed_header() {
        let mut bytes = packet(6, &[1, 2, 3]);
        assert_eq!(bytes[..8], [0x6b, 0x9a, 0xbc, 0xde, 0, 3, 6, 64]);
        bytes.extend([0; 9]);
        let read = Ipv6::parse(&bytes).unwrap();
        assert_eq!((read.traffic_class, read.flow_label, read.ecn()), (0xb9, 0xabcde, 1));
        assert_eq!((read.protocol, read.payload), (6, &[1, 2, 3][..]), "no padding");
        assert_eq!(read.src, "2001:db8::1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(read.dst, "2001:db8::2".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn extension_headers_by_rfc_8200() {
        const PAD: [u8; 8] = [6, 0, 1, 4, 0, 0, 0, 0];
        let then = |kind: u8, mut rest: Vec<u8>| {
            rest[0] = kind;
            rest
        };
        let with = |next: u8, pieces: &[&[u8]]| packet(next, &pieces.concat());
        let ok = |bytes: Vec<u8>| {
            let read = Ipv6::parse(&bytes).unwrap();
            assert_eq!(read.header.len() + read.payload.len(), bytes.len());
            (read.protocol, read.payload.to_vec(), read.is_fragment())
        };
        let data: &[u8] = &[0xaa; 5];
        let at = |bytes: Vec<u8>| Ipv6::parse(&bytes).unwrap().protocol_at();
        assert_eq!(at(with(6, &[data])), 6);
        assert_eq!(at(with(0, &[&then(60, PAD.into()), &PAD, data])), 48);
        assert_eq!(at(with(44, &[&[60, 0, 0, 0, 0, 0, 0, 1], &PAD, data])), 48);
        assert_eq!(ok(with(0, &[&PAD, data])), (6, data.to_vec(), false));
        assert_eq!(ok(with(60, &[&PAD, data])), (6, data.to_vec(), false));
        let chain = with(0, &[&then(60, PAD.into()), &PAD, data]);
        assert_eq!(ok(chain), (6, data.to_vec(), false));
        // Routing header, type 3, no segments left.
        assert_eq!(ok(with(43, &[&[58, 0, 3, 0, 9, 9, 9, 9], data])), (58, data.to_vec(), false));
        // Fragments: the first, a later one, and the atomic one, which is whole.
        assert_eq!(ok(with(44, &[&[6, 0, 0, 1, 0, 0, 0, 1], data])), (6, data.to_vec(), true));
        assert_eq!(ok(with(44, &[&[60, 0, 0, 8, 0, 0, 0, 1], data])), (60, data.to_vec(), true));
        assert_eq!(ok(with(44, &[&[6, 0, 0, 6, 0, 0, 0, 1], data])), (6, data.to_vec(), false));
        assert_eq!(ok(with(44, &[&[60, 0, 0, 0, 0, 0, 0, 1], &PAD, data])).0, 6);
        // What is no extension header of ours is the payload: ESP, no next header.
        assert_eq!(ok(with(50, &[data])), (50, data.to_vec(), false));
        assert_eq!(ok(with(59, &[])), (59, vec![], false));

        let refused: [(Vec<u8>, Malformed); 8] = [
            (with(43, &[&[6, 0, 0, 1, 0, 0, 0, 0], data]), Malformed::Ipv6Routing),
            (with(60, &[&then(0, PAD.into()), &PAD, data]), Malformed::Ipv6Extension),
            (with(0, &[&PAD[..7]]), Malformed::Ipv6Extension),
            (with(0, &[&[6, 1, 1, 4, 0, 0, 0, 0]]), Malformed::Ipv6Extension),
            (with(60, &[&[6, 0, 1, 5, 0, 0, 0, 0]]), Malformed::Ipv6Extension),
            (with(60, &[&[6, 0, 0, 0, 0, 0, 0, 5]]), Malformed::Ipv6Extension),
            (with(0, &[&[6, 0, 0xc2, 4, 0, 1, 0, 0]]), Malformed::Ipv6Option),
            (with(60, &[&[6, 0, 0x40, 4, 0, 1, 0, 0]]), Malformed::Ipv6Option),
        ];
        for (bytes, reason) in refused {
            assert_eq!(Ipv6::parse(&bytes), Err(reason), "{:02x?}", &bytes[40..]);
        }
        // Router alert may be skipped.
        assert_eq!(ok(with(0, &[&[58, 0, 5, 2, 0, 0, 1, 0]])).0, 58);

        let chain = |count: usize| {
            let mut pieces = vec![then(60, PAD.into()); count - 1];
            pieces.push(PAD.to_vec());
            packet(60, &pieces.concat())
        };
        assert!(Ipv6::parse(&chain(MAX_EXTENSIONS)).is_ok());
        assert_eq!(Ipv6::parse(&chain(MAX_EXTENSIONS + 1)), Err(Malformed::Ipv6Extension));
    }

    #[test]
    fn every_check_has_its_name() {
        let good = packet(6, &[0; 4]);
        assert_eq!(Ipv6::parse(&good[..39]), Err(Malformed::ShortIpv6));
        assert_eq!(Ipv6::parse(&good[..43]), Err(Malformed::Ipv6PayloadLength));
        let mut bad = good;
        bad[0] = 0x45;
        assert_eq!(Ipv6::parse(&bad), Err(Malformed::Ipv6Version));
    }
}
