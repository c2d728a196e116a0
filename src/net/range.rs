//! The hosts of a network, as a range of addresses.

use super::address::{Cidr, is_host, solicited_node};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All addresses of a network that hosts may have: without its own and its broadcast address (IPv4,
/// but for networks of one or two addresses, RFC 3021) or its routers' anycast address (IPv6,
/// RFC 4291 §2.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRange {
    /// The first and the last address; IPv4 ones as numbers below 2^32.
    first: u128,
    last: u128,
    ipv4: bool,
}

impl HostRange {
    /// The hosts of a network.
    pub fn of(net: Cidr) -> Self {
        let (bits, addr, ipv4) = match net.addr {
            IpAddr::V4(addr) => (32, u128::from(addr.to_bits()), true),
            IpAddr::V6(addr) => (128, addr.to_bits(), false),
        };
        let host_bits = bits - u32::from(net.prefix).min(bits);
        let span = 1u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
        let (first, last) = (addr & !span, addr & !span | span);
        match (host_bits, ipv4) {
            (0 | 1, _) => HostRange { first, last, ipv4 },
            (_, true) => HostRange { first: first + 1, last: last - 1, ipv4 },
            (_, false) => HostRange { first: first + 1, last, ipv4 },
        }
    }

    /// Can each of these be the address of a host?
    pub fn is_of_hosts(&self) -> bool {
        is_host(self.address(self.first)) && is_host(self.address(self.last))
    }

    /// Are they IPv4 addresses?
    pub fn is_ipv4(&self) -> bool {
        self.ipv4
    }

    /// How many there are, at most `u32::MAX`.
    pub fn count(&self) -> u32 {
        u32::try_from(self.last - self.first).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The address with this number, counted from 0 and beginning again after the last.
    pub fn nth(&self, number: u32) -> IpAddr {
        self.address(self.first + u128::from(number % self.count()))
    }

    /// Is this one of them?
    #[inline]
    pub fn has_ipv4(&self, addr: Ipv4Addr) -> bool {
        self.ipv4 && (self.first..=self.last).contains(&addr.to_bits().into())
    }

    /// Is this one of them?
    #[inline]
    pub fn has_ipv6(&self, addr: Ipv6Addr) -> bool {
        !self.ipv4 && (self.first..=self.last).contains(&addr.to_bits())
    }

    /// Is this one of them?
    pub fn has(&self, addr: IpAddr) -> bool {
        match addr {
            IpAddr::V4(addr) => self.has_ipv4(addr),
            IpAddr::V6(addr) => self.has_ipv6(addr),
        }
    }

    /// Is this the solicited-node group of one of them (RFC 4291 §2.7.1)?
    pub fn is_solicited(&self, group: Ipv6Addr) -> bool {
        const LOW: u128 = 0xff_ffff;
        let low = group.to_bits() & LOW;
        let candidate = self.first & !LOW | low;
        // of the addresses with these low bits, the first that is not below the range
        let next =
            if candidate < self.first { candidate.saturating_add(LOW + 1) } else { candidate };
        !self.ipv4 && solicited_node(Ipv6Addr::from_bits(low)) == group && next <= self.last
    }

    fn address(&self, bits: u128) -> IpAddr {
        if self.ipv4 {
            Ipv4Addr::from_bits(bits as u32).into()
        } else {
            Ipv6Addr::from_bits(bits).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_networks() {
        for (net, first, last, count) in [
            ("198.19.0.0/22", "198.19.0.1", "198.19.3.254", 1_022),
            ("198.19.0.77/24", "198.19.0.1", "198.19.0.254", 254),
            ("198.19.0.4/31", "198.19.0.4", "198.19.0.5", 2),
            ("198.19.0.4/32", "198.19.0.4", "198.19.0.4", 1),
            ("2001:db8:1::/112", "2001:db8:1::1", "2001:db8:1::ffff", 65_535),
            ("2001:db8:1::7/128", "2001:db8:1::7", "2001:db8:1::7", 1),
        ] {
            let range = HostRange::of(net.parse().unwrap());
            let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
            assert_eq!((range.nth(0), range.nth(count - 1), range.count()), (first, last, count));
            assert_eq!(range.nth(count), first, "round again");
            assert!(range.has(first) && range.has(last) && range.is_of_hosts());
            assert!(!range.has("198.18.0.1".parse().unwrap()));
            assert!(!range.has("2001:db8::1".parse().unwrap()));
        }
        assert_eq!(HostRange::of("2001:db8::/32".parse().unwrap()).count(), u32::MAX);
        assert!(HostRange::of("::/0".parse().unwrap()).has_ipv6("2001:db8::1".parse().unwrap()));
        assert!(!HostRange::of("224.0.0.0/8".parse().unwrap()).is_of_hosts());
    }

    #[test]
    fn solicitations_for_a_range() {
        let range = HostRange::of("2001:db8:1::ab:0/112".parse().unwrap());
        let group = |of: &str| solicited_node(of.parse().unwrap());
        assert!(range.is_solicited(group("2001:db8:1::ab:1")));
        assert!(range.is_solicited(group("2001:db8:1::ab:ffff")));
        assert!(!range.is_solicited(group("2001:db8:1::ac:1")));
        assert!(!range.is_solicited("ff02::1".parse().unwrap()));
        let wide = HostRange::of("2001:db8:1::/64".parse().unwrap());
        assert!(wide.is_solicited(group("2001:db8:1::12:3456")));
        assert!(wide.is_solicited(group("2001:db8:1::")));
    }
}
