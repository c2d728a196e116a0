//! Ethernet II frames with at most one 802.1Q tag.

use super::{MacAddr, Malformed};

/// ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// An 802.1Q tag follows.
pub const ETHERTYPE_VLAN: u16 = 0x8100;

/// Octets of a header without a tag.
pub const HEADER_LEN: usize = 14;
/// Octets of a header with a tag.
pub const TAGGED_HEADER_LEN: usize = 18;

/// A received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet<'a> {
    /// To whom.
    pub dst: MacAddr,
    /// From whom.
    pub src: MacAddr,
    /// The tag control information of an 802.1Q tag: priority (3 bits), drop eligible (1), VLAN id
    /// (12). A priority tag, whose VLAN id is 0, is here too.
    pub vlan: Option<u16>,
    /// What the payload is, after the tag if there is one.
    pub ethertype: u16,
    /// All that follows the header, padding included.
    pub payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    /// Reads a frame that begins with its destination address and has no frame check sequence.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, payload) =
            bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::ShortFrame)?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
        let mut frame = Ethernet {
            dst: MacAddr([d0, d1, d2, d3, d4, d5]),
            src: MacAddr([s0, s1, s2, s3, s4, s5]),
            vlan: None,
            ethertype: u16::from_be_bytes([t0, t1]),
            payload,
        };
        if frame.ethertype == ETHERTYPE_VLAN {
            let ([c0, c1, t0, t1], payload) =
                payload.split_first_chunk::<4>().ok_or(Malformed::ShortFrame)?;
            frame.vlan = Some(u16::from_be_bytes([*c0, *c1]));
            frame.ethertype = u16::from_be_bytes([*t0, *t1]);
            frame.payload = payload;
        }
        Ok(frame)
    }

    /// The VLAN that the frame belongs to; `None` for the untagged one, which a priority tag
    /// (VLAN id 0) means too.
    #[inline]
    pub fn vlan_id(&self) -> Option<u16> {
        self.vlan.map(|tci| tci & 0x0fff).filter(|&id| id != 0)
    }
}

/// Octets that [`write_header`] takes.
#[inline]
pub const fn header_len(vlan: Option<u16>) -> usize {
    if vlan.is_some() { TAGGED_HEADER_LEN } else { HEADER_LEN }
}

/// Writes a header, with a tag if `vlan` gives its tag control information. Returns its length,
/// 14 or 18 octets.
///
/// # Panics
/// If `out` is shorter than that.
#[inline]
pub fn write_header(
    out: &mut [u8],
    dst: MacAddr,
    src: MacAddr,
    vlan: Option<u16>,
    ethertype: u16,
) -> usize {
    match vlan {
        None => {
            let out = &mut out[..HEADER_LEN];
            out[..6].copy_from_slice(&dst.0);
            out[6..12].copy_from_slice(&src.0);
            out[12..].copy_from_slice(&ethertype.to_be_bytes());
            HEADER_LEN
        }
        Some(tci) => {
            let out = &mut out[..TAGGED_HEADER_LEN];
            out[..6].copy_from_slice(&dst.0);
            out[6..12].copy_from_slice(&src.0);
            out[12..14].copy_from_slice(&ETHERTYPE_VLAN.to_be_bytes());
            out[14..16].copy_from_slice(&tci.to_be_bytes());
            out[16..].copy_from_slice(&ethertype.to_be_bytes());
            TAGGED_HEADER_LEN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DST: [u8; 6] = [0x02, 0, 0, 0, 0, 1];

    #[test]
    fn a_tag_is_one_layer_deep() {
        let mut bytes = [0; 24];
        bytes[..6].copy_from_slice(&DST);
        bytes[12..18].copy_from_slice(&[0x81, 0, 0x60, 0x2a, 0x08, 0x00]);
        let frame = Ethernet::parse(&bytes).unwrap();
        assert_eq!(frame.vlan, Some(0x602a));
        assert_eq!(frame.vlan_id(), Some(42));
        assert_eq!(frame.ethertype, ETHERTYPE_IPV4);
        assert_eq!(frame.payload.len(), 6);

        // A second tag is the payload's type, for the caller to refuse.
        bytes[16..18].copy_from_slice(&[0x81, 0]);
        assert_eq!(Ethernet::parse(&bytes).unwrap().ethertype, ETHERTYPE_VLAN);
    }

    #[test]
    fn a_priority_tag_names_no_vlan() {
        let mut bytes = [0; 18];
        write_header(&mut bytes, MacAddr(DST), MacAddr(DST), Some(0xe000), ETHERTYPE_IPV6);
        let frame = Ethernet::parse(&bytes).unwrap();
        assert_eq!((frame.vlan, frame.vlan_id()), (Some(0xe000), None));
    }

    #[test]
    fn short_frames_are_told() {
        assert_eq!(Ethernet::parse(&[0; 13]), Err(Malformed::ShortFrame));
        let mut bytes = [0; 17];
        bytes[12] = 0x81;
        assert_eq!(Ethernet::parse(&bytes), Err(Malformed::ShortFrame));
    }
}
