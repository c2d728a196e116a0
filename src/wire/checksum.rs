//! The Internet checksum (RFC 1071) and the pseudo headers that TCP and ICMPv6 add to it.
//!
//! A *partial sum* is a `u32` that stands for a ones' complement sum of 16-bit words in network
//! order. [`sum`] and the pseudo headers give at most `0xffff` for a piece (pseudo headers a few
//! times that), so thousands of pieces can be added with `+`. All pieces but the last have an even
//! length.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::PROTOCOL_TCP;

/// The partial sum of `data`. A last odd octet counts as the high half of a word.
///
/// Sums 32-bit words of the machine's own order into 64-bit lanes, which compilers turn into vector
/// code; RFC 1071 §2(B) shows why the order may be put right at the end.
#[inline]
pub fn sum(data: &[u8]) -> u32 {
    let mut total = 0u64;
    let mut rest = data;
    if data.len() >= 64 {
        let (blocks, tail) = data.as_chunks::<32>();
        let mut lanes = [0u64; 8];
        for block in blocks {
            let (words, _) = block.as_chunks::<4>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane += u64::from(u32::from_ne_bytes(*word));
            }
        }
        total = lanes.iter().sum();
        rest = tail;
    }
    let (words, tail) = rest.as_chunks::<8>();
    for word in words {
        let word = u64::from_ne_bytes(*word);
        total += (word & 0xffff_ffff) + (word >> 32);
    }
    rest = tail;
    if let Some((word, tail)) = rest.split_first_chunk::<4>() {
        total += u64::from(u32::from_ne_bytes(*word));
        rest = tail;
    }
    if let Some((word, tail)) = rest.split_first_chunk::<2>() {
        total += u64::from(u16::from_ne_bytes(*word));
        rest = tail;
    }
    if let [last] = rest {
        total += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    // 64 bits to 32, 32 to 16: each step twice, since the first can carry.
    let total = (total & 0xffff_ffff) + (total >> 32);
    let total = ((total & 0xffff_ffff) + (total >> 32)) as u32;
    u32::from(u16::from_be(fold(total)))
}

/// A partial sum as 16 bits, not complemented: what hardware that fills in a checksum wants to find
/// in the field.
#[inline]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The checksum to put into a header for this partial sum.
#[inline]
pub const fn finish(sum: u32) -> u16 {
    !fold(sum)
}

/// Is the checksum within `data` right, where no pseudo header belongs to it (IPv4 header, ICMP)?
#[inline]
pub fn ok(data: &[u8]) -> bool {
    fold(sum(data)) == 0xffff
}

/// The partial sum of the IPv4 pseudo header (RFC 9293 §3.1). `len` is that of the transport header
/// and its payload, in octets.
#[inline]
pub const fn pseudo_ipv4(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, len: u16) -> u32 {
    let (src, dst) = (src.to_bits(), dst.to_bits());
    (src >> 16) + (src & 0xffff) + (dst >> 16) + (dst & 0xffff) + protocol as u32 + len as u32
}

/// The partial sum of the IPv6 pseudo header (RFC 8200 §8.1). `len` is that of the upper-layer
/// header and its payload, in octets.
#[inline]
pub fn pseudo_ipv6(src: Ipv6Addr, dst: Ipv6Addr, next_header: u8, len: u32) -> u32 {
    sum(&src.octets()) + sum(&dst.octets()) + (len >> 16) + (len & 0xffff) + u32::from(next_header)
}

/// The partial sum of the pseudo header of either family. `len` is at most 65,535.
///
/// Addresses of two families have no pseudo header; the IPv4 one is then taken as IPv4-mapped.
#[inline]
pub fn pseudo(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> u32 {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => pseudo_ipv4(src, dst, protocol, len as u16),
        (IpAddr::V6(src), IpAddr::V6(dst)) => pseudo_ipv6(src, dst, protocol, len as u32),
        (IpAddr::V4(src), IpAddr::V6(dst)) => {
            pseudo_ipv6(src.to_ipv6_mapped(), dst, protocol, len as u32)
        }
        (IpAddr::V6(src), IpAddr::V4(dst)) => {
            pseudo_ipv6(src, dst.to_ipv6_mapped(), protocol, len as u32)
        }
    }
}

/// Is the checksum of a TCP segment right? `segment` begins with its TCP header. Addresses of two
/// families are never right.
#[inline]
pub fn tcp_ok(src: IpAddr, dst: IpAddr, segment: &[u8]) -> bool {
    src.is_ipv4() == dst.is_ipv4()
        && fold(pseudo(src, dst, PROTOCOL_TCP, segment.len()) + sum(segment)) == 0xffff
}

/// The checksum of a header in which one 16-bit word changes from `old` to `new` (RFC 1624 §3,
/// equation 3).
#[inline]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    finish(!checksum as u32 + !old as u32 + new as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071 §4.1, one word at a time.
    fn reference(data: &[u8]) -> u16 {
        let mut total = 0u32;
        for pair in data.chunks(2) {
            total += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            if total > 0xffff {
                total -= 0xffff;
            }
        }
        total as u16
    }

    #[test]
    fn the_example_of_rfc_1071() {
        let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(&data), 0xddf2);
        assert_eq!(finish(sum(&data)), 0x220d);
    }

    #[test]
    fn all_ones_and_nothing() {
        assert_eq!(sum(&[]), 0);
        for len in [2, 64, 66, 1500, 65_534] {
            assert_eq!(sum(&vec![0xff; len]), 0xffff, "{len}");
            assert_eq!(sum(&vec![0; len]), 0, "{len}");
        }
    }

    #[test]
    fn a_tcp_segment_of_the_wild() {
        // SYN from 10.0.0.1:1024 to 10.0.0.2:80, sequence 1, window 65535; summed by hand.
        let mut segment = [4, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0];
        let (src, dst) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        // 0a00+0001+0a00+0002 + 0006+0014 + 0400+0050+0000+0001+5002+ffff = 1686f -> 6870
        segment[16..18].copy_from_slice(&(!0x6870u16).to_be_bytes());
        assert!(tcp_ok(src, dst, &segment));
        assert!(!tcp_ok(src, IpAddr::from([10, 0, 0, 3]), &segment));
        assert!(!tcp_ok(src, IpAddr::from([0u16; 8]), &segment));
        segment[7] ^= 1;
        assert!(!tcp_ok(src, dst, &segment));
    }

    proptest! {
        #[test]
        fn agrees_with_the_reference(
            data in proptest::collection::vec(any::<u8>(), 0..3000), start in 0usize..9
        ) {
            let data = &data[start.min(data.len())..];
            prop_assert_eq!(sum(data), u32::from(reference(data)));
        }

        #[test]
        fn pieces_add_up(data in proptest::collection::vec(any::<u8>(), 0..500), cut in 0usize..500) {
            let (front, back) = data.split_at((cut & !1).min(data.len() & !1));
            prop_assert_eq!(fold(sum(front) + sum(back)), reference(&data));
        }

        #[test]
        fn an_update_is_a_new_sum(mut words in any::<[u16; 10]>(), new in any::<u16>()) {
            let bytes = |words: &[u16; 10]| words.map(u16::to_be_bytes).concat();
            let old = words[3];
            let before = finish(sum(&bytes(&words)));
            words[3] = new;
            // A word beside it is not zero: the one sum with two representations is left out.
            prop_assume!(words.iter().any(|&word| word != 0 && word != 0xffff));
            prop_assert_eq!(update(before, old, new), finish(sum(&bytes(&words))));
        }
    }
}
