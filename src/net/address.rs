//! Addresses with prefixes, and what an interface is configured with.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use super::range::HostRange;
use super::route::Route;
use crate::wire::MacAddr;

/// An address and the length of its network prefix, as in `198.18.0.1/24` or `2001:db8::1/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// The address.
    pub addr: IpAddr,
    /// Bits of it that name the network: at most 32 or 128.
    pub prefix: u8,
}

impl Cidr {
    /// Does the network contain `addr`? Never, if that is of the other family.
    #[inline]
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr) {
            (IpAddr::V4(net), IpAddr::V4(addr)) => {
                (net.to_bits() ^ addr.to_bits()) & mask_v4(self.prefix) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(addr)) => {
                let host_bits = 128 - u32::from(self.prefix.min(128));
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                (net.to_bits() ^ addr.to_bits()) & mask == 0
            }
            _ => false,
        }
    }

    /// Is `addr` the network's own address or its broadcast address? IPv6 has neither, nor have
    /// IPv4 networks of one or two addresses (RFC 3021).
    pub fn is_network_or_broadcast(&self, addr: Ipv4Addr) -> bool {
        let IpAddr::V4(net) = self.addr else { return false };
        let mask = mask_v4(self.prefix);
        let host = addr.to_bits() & !mask;
        self.prefix < 31
            && (net.to_bits() ^ addr.to_bits()) & mask == 0
            && (host == 0 || host == !mask)
    }
}

const fn mask_v4(prefix: u8) -> u32 {
    match prefix {
        0 => 0,
        1..=31 => u32::MAX << (32 - prefix),
        _ => u32::MAX,
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

/// A text that is no address with a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCidr {
    /// There is no `/`.
    NoPrefix,
    /// What is before the `/` is no address.
    Address,
    /// What is after the `/` is not a number from 0 to this one.
    Prefix(u8),
}

impl fmt::Display for BadCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadCidr::NoPrefix => {
                f.write_str("prefix length missing: ADDRESS/LENGTH, as in 198.18.0.1/24")
            }
            BadCidr::Address => {
                f.write_str("not an IPv4 or IPv6 address: as in 198.18.0.1/24 or 2001:db8::1/64")
            }
            BadCidr::Prefix(max) => write!(f, "prefix length is not a number from 0 to {max}"),
        }
    }
}

impl core::error::Error for BadCidr {}

impl FromStr for Cidr {
    type Err = BadCidr;

    fn from_str(text: &str) -> Result<Self, BadCidr> {
        let (addr, prefix) = text.split_once('/').ok_or(BadCidr::NoPrefix)?;
        let addr: IpAddr = addr.parse().map_err(|_| BadCidr::Address)?;
        let max = if addr.is_ipv4() { 32 } else { 128 };
        // `parse` would take a leading plus.
        let prefix = Some(prefix)
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .filter(|&prefix| prefix <= max)
            .ok_or(BadCidr::Prefix(max))?;
        Ok(Cidr { addr, prefix })
    }
}

/// What an interface is configured with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Our Ethernet address.
    pub mac: MacAddr,
    /// Our addresses with the prefixes of the networks they are on.
    pub addresses: Vec<Cidr>,
    /// Networks whose hosts are all us, for a client that is to look like many.
    pub ranges: Vec<Cidr>,
    /// Where IPv4 packets go that no other route is for.
    pub gateway_ipv4: Option<Ipv4Addr>,
    /// Where IPv6 packets go that no other route is for.
    pub gateway_ipv6: Option<Ipv6Addr>,
    /// Static routes.
    pub routes: Vec<Route>,
    /// The VLAN that all frames belong to, 1 to 4094, or none.
    pub vlan: Option<u16>,
    /// The longest IP packet that the link carries, in octets.
    pub mtu: u16,
    /// Neighbours that need not be asked for.
    pub neighbours: Vec<(IpAddr, MacAddr)>,
}

/// What is wrong with a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadInterface {
    /// The Ethernet address is a group address or zero.
    Mac(MacAddr),
    /// There is no address.
    NoAddress,
    /// The address cannot be that of an interface.
    Address(Cidr),
    /// The address is there twice.
    Twice(IpAddr),
    /// The network has addresses that are no host's, or no address of its family goes before it.
    Range(Cidr),
    /// The gateway is on none of the networks, or is our own address.
    Gateway(IpAddr),
    /// A route's prefix and gateway are of two families.
    Route(Route),
    /// The VLAN id is not in 1 to 4094.
    Vlan(u16),
    /// The MTU is below 68 octets, or below 1280 with IPv6.
    Mtu(u16, u16),
    /// The neighbour is a group or its Ethernet address is.
    Neighbour(IpAddr, MacAddr),
}

impl fmt::Display for BadInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadInterface::Mac(mac) => {
                write!(
                    f,
                    "Ethernet address {mac} is not that of one station: its first octet is to be even, and not all may be 0"
                )
            }
            BadInterface::NoAddress => {
                f.write_str("no address: at least one ADDRESS/LENGTH is needed")
            }
            BadInterface::Address(cidr) => write!(
                f,
                "address {cidr} cannot be an interface's: a unicast address is needed, neither the network's own nor its broadcast address"
            ),
            BadInterface::Range(net) => write!(
                f,
                "addresses {net} cannot be those of hosts on this interface: a unicast network is needed, and an address of its family beside it"
            ),
            BadInterface::Twice(addr) => {
                write!(f, "address {addr} is given twice: once is expected")
            }
            BadInterface::Gateway(addr) => {
                write!(
                    f,
                    "gateway {addr} is not a neighbour: it is to be another address on one of the configured networks"
                )
            }
            BadInterface::Route(Route { to, via }) => {
                write!(f, "route {to} via {via} mixes IPv4 and IPv6: both are to be of one family")
            }
            BadInterface::Vlan(id) => write!(f, "VLAN id {id} is not in 1 to 4094"),
            BadInterface::Mtu(mtu, min) => write!(f, "MTU {mtu} is below {min} octets"),
            BadInterface::Neighbour(addr, mac) => {
                write!(f, "neighbour {addr} at {mac}: both are to be addresses of one station")
            }
        }
    }
}

impl core::error::Error for BadInterface {}

impl Interface {
    /// An interface with these addresses, an MTU of 1500 octets and nothing else.
    pub fn new(mac: MacAddr, addresses: Vec<Cidr>) -> Self {
        Interface {
            mac,
            addresses,
            ranges: Vec::new(),
            gateway_ipv4: None,
            gateway_ipv6: None,
            routes: Vec::new(),
            vlan: None,
            mtu: 1500,
            neighbours: Vec::new(),
        }
    }

    /// Can this be used? Says the first thing that is wrong.
    pub fn check(&self) -> Result<(), BadInterface> {
        if self.mac.is_multicast() || self.mac == MacAddr::ZERO {
            return Err(BadInterface::Mac(self.mac));
        }
        if self.addresses.is_empty() {
            return Err(BadInterface::NoAddress);
        }
        for (at, cidr) in self.addresses.iter().enumerate() {
            let max = if cidr.addr.is_ipv4() { 32 } else { 128 };
            let edge = matches!(cidr.addr, IpAddr::V4(addr) if cidr.is_network_or_broadcast(addr));
            if !is_host(cidr.addr) || cidr.prefix > max || edge {
                return Err(BadInterface::Address(*cidr));
            }
            if self.addresses[..at].iter().any(|other| other.addr == cidr.addr) {
                return Err(BadInterface::Twice(cidr.addr));
            }
        }
        for net in &self.ranges {
            let alone = self.addresses.iter().all(|cidr| cidr.addr.is_ipv4() != net.addr.is_ipv4());
            if alone || !HostRange::of(*net).is_of_hosts() {
                return Err(BadInterface::Range(*net));
            }
        }
        for &Route { to, via } in &self.routes {
            if to.addr.is_ipv4() != via.is_ipv4() {
                return Err(BadInterface::Route(Route { to, via }));
            }
        }
        for via in self.gateways() {
            if !self.is_neighbour(via) {
                return Err(BadInterface::Gateway(via));
            }
        }
        if let Some(id) = self.vlan
            && !(1..=4094).contains(&id)
        {
            return Err(BadInterface::Vlan(id));
        }
        // RFC 791 §3.2 and RFC 8200 §5.
        let min_mtu = if self.has_ipv6() { 1280 } else { 68 };
        if self.mtu < min_mtu {
            return Err(BadInterface::Mtu(self.mtu, min_mtu));
        }
        match self
            .neighbours
            .iter()
            .find(|(addr, mac)| !is_host(*addr) || mac.is_multicast() || *mac == MacAddr::ZERO)
        {
            Some(&(addr, mac)) => Err(BadInterface::Neighbour(addr, mac)),
            None => Ok(()),
        }
    }

    /// Is there an IPv6 address?
    pub fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(|cidr| cidr.addr.is_ipv6())
    }

    /// The link-local address that RFC 4291 §2.5.6 makes of our Ethernet address.
    pub fn link_local(&self) -> Ipv6Addr {
        let [a, b, c, d, e, g] = self.mac.0.map(u16::from);
        let pair = |high: u16, low: u16| high << 8 | low;
        Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, g))
    }

    fn gateways(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let of_routes = self.routes.iter().map(|route| route.via);
        of_routes.chain(self.gateway_ipv4.map(IpAddr::V4)).chain(self.gateway_ipv6.map(IpAddr::V6))
    }

    fn is_neighbour(&self, addr: IpAddr) -> bool {
        let on_link = self.addresses.iter().any(|cidr| cidr.contains(addr))
            || matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local() && self.has_ipv6());
        on_link && is_host(addr) && self.addresses.iter().all(|cidr| cidr.addr != addr)
    }
}

/// Can this be the address of one host on a link (RFC 1122 §3.2.1.3)?
pub fn is_host(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => is_host_v4(addr),
        IpAddr::V6(addr) => is_host_v6(addr),
    }
}

/// The same, of an IPv4 address.
#[inline]
pub const fn is_host_v4(addr: Ipv4Addr) -> bool {
    // "this network", loopback, groups, and what is reserved and ends with the broadcast address
    !matches!(addr.octets()[0], 0 | 127 | 224..=255)
}

/// The same, of an IPv6 address. An IPv4-mapped one is for the inside of a host (RFC 4291 §2.5.5.2):
/// here it stands for IPv4.
#[inline]
pub const fn is_host_v6(addr: Ipv6Addr) -> bool {
    let mapped = addr.to_bits() >> 32 == 0xffff;
    !(mapped || addr.is_multicast() || addr.is_unspecified() || addr.is_loopback())
}

/// The group that a node with this address listens to for solicitations (RFC 4291 §2.7.1).
pub const fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let low = addr.to_bits() & 0xff_ffff;
    Ipv6Addr::from_bits(0xff02_0000_0000_0000_0000_0001_ff00_0000 | low)
}

/// The group of all nodes on the link (RFC 4291 §2.7.1).
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_contain() {
        for (net, addr, inside) in [
            ("198.18.0.1/24", "198.18.0.255", true),
            ("198.18.0.1/24", "198.18.1.0", false),
            ("198.18.0.1/32", "198.18.0.1", true),
            ("198.18.0.1/32", "198.18.0.0", false),
            ("0.0.0.0/0", "203.0.113.7", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::1/64", "2001:db8::ffff:0:1", true),
            ("2001:db8::1/64", "2001:db8:0:1::1", false),
            ("2001:db8::1/128", "2001:db8::1", true),
            ("::/0", "2001:db8::1", true),
            ("::/0", "198.18.0.1", false),
        ] {
            assert_eq!(cidr(net).contains(ip(addr)), inside, "{addr} in {net}");
        }
    }

    #[test]
    fn prefixes_are_read_strictly() {
        for (text, error) in [
            ("198.18.0.1", BadCidr::NoPrefix),
            ("", BadCidr::NoPrefix),
            ("host/24", BadCidr::Address),
            ("198.18.0/24", BadCidr::Address),
            ("198.18.0.1/33", BadCidr::Prefix(32)),
            ("198.18.0.1/", BadCidr::Prefix(32)),
            ("198.18.0.1/+8", BadCidr::Prefix(32)),
            ("198.18.0.1/24/1", BadCidr::Prefix(32)),
            ("2001:db8::1/129", BadCidr::Prefix(128)),
            ("2001:db8::1/999", BadCidr::Prefix(128)),
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(error), "{text:?}");
        }
        for (error, told) in [
            (BadCidr::NoPrefix, "prefix length missing: ADDRESS/LENGTH, as in 198.18.0.1/24"),
            (
                BadCidr::Address,
                "not an IPv4 or IPv6 address: as in 198.18.0.1/24 or 2001:db8::1/64",
            ),
            (BadCidr::Prefix(32), "prefix length is not a number from 0 to 32"),
        ] {
            assert_eq!(error.to_string(), told);
        }
        assert_eq!(cidr("2001:db8::1/64").to_string(), "2001:db8::1/64");
    }

    #[test]
    fn a_configuration_is_checked() {
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let good = || {
            let mut good = Interface::new(mac, vec![cidr("198.18.0.1/24"), cidr("2001:db8::1/64")]);
            good.gateway_ipv4 = Some(Ipv4Addr::new(198, 18, 0, 254));
            good.gateway_ipv6 = Some("fe80::1".parse().unwrap());
            good.vlan = Some(42);
            good.neighbours = vec![(ip("198.18.0.2"), MacAddr([2, 0, 0, 0, 0, 2]))];
            good
        };
        assert_eq!(good().check(), Ok(()));
        type Spoil = fn(&mut Interface);
        let table: [(Spoil, BadInterface); 17] = [
            (|i| i.ranges = vec![cidr("224.0.0.0/4")], BadInterface::Range(cidr("224.0.0.0/4"))),
            (
                |i| {
                    (
                        i.addresses.remove(1),
                        i.gateway_ipv6.take(),
                        i.ranges = vec![cidr("2001:db8:1::/64")],
                    )
                        .2
                },
                BadInterface::Range(cidr("2001:db8:1::/64")),
            ),
            (|i| i.mac.0[0] = 3, BadInterface::Mac(MacAddr([3, 0, 0, 0, 0, 1]))),
            (|i| i.mac = MacAddr::ZERO, BadInterface::Mac(MacAddr::ZERO)),
            (|i| i.addresses.clear(), BadInterface::NoAddress),
            (
                |i| i.addresses[0] = cidr("198.18.0.0/24"),
                BadInterface::Address(cidr("198.18.0.0/24")),
            ),
            (
                |i| i.addresses[0] = cidr("198.18.0.255/24"),
                BadInterface::Address(cidr("198.18.0.255/24")),
            ),
            (|i| i.addresses[0] = cidr("127.0.0.1/8"), BadInterface::Address(cidr("127.0.0.1/8"))),
            (|i| i.addresses[1] = cidr("ff02::1/64"), BadInterface::Address(cidr("ff02::1/64"))),
            (|i| i.addresses[1] = cidr("198.18.0.1/16"), BadInterface::Twice(ip("198.18.0.1"))),
            (
                |i| i.gateway_ipv4 = Some([198, 18, 1, 1].into()),
                BadInterface::Gateway(ip("198.18.1.1")),
            ),
            (
                |i| i.gateway_ipv4 = Some([198, 18, 0, 1].into()),
                BadInterface::Gateway(ip("198.18.0.1")),
            ),
            (
                |i| i.routes.push(Route { to: cidr("0.0.0.0/1"), via: ip("fe80::1") }),
                BadInterface::Route(Route { to: cidr("0.0.0.0/1"), via: ip("fe80::1") }),
            ),
            (|i| i.vlan = Some(0), BadInterface::Vlan(0)),
            (|i| i.vlan = Some(4095), BadInterface::Vlan(4095)),
            (|i| i.mtu = 1279, BadInterface::Mtu(1279, 1280)),
            (
                |i| i.neighbours[0].1 = MacAddr::BROADCAST,
                BadInterface::Neighbour(ip("198.18.0.2"), MacAddr::BROADCAST),
            ),
        ];
        for (spoil, error) in table {
            let mut bad = good();
            spoil(&mut bad);
            assert_eq!(bad.check(), Err(error));
        }
    }

    #[test]
    fn what_is_wrong_with_a_configuration_is_told_with_what_is_allowed() {
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        for (error, told) in [
            (
                BadInterface::Mac(MacAddr::ZERO),
                "Ethernet address 00:00:00:00:00:00 is not that of one station: its first octet is to be \
                 even, and not all may be 0",
            ),
            (BadInterface::NoAddress, "no address: at least one ADDRESS/LENGTH is needed"),
            (
                BadInterface::Address(cidr("198.18.0.0/24")),
                "address 198.18.0.0/24 cannot be an interface's: a unicast address is needed, neither the \
                 network's own nor its broadcast address",
            ),
            (
                BadInterface::Range(cidr("224.0.0.0/4")),
                "addresses 224.0.0.0/4 cannot be those of hosts on this interface: a unicast network is \
                 needed, and an address of its family beside it",
            ),
            (
                BadInterface::Twice(ip("198.18.0.1")),
                "address 198.18.0.1 is given twice: once is expected",
            ),
            (
                BadInterface::Gateway(ip("198.18.1.1")),
                "gateway 198.18.1.1 is not a neighbour: it is to be another address on one of the \
                 configured networks",
            ),
            (
                BadInterface::Route(Route { to: cidr("0.0.0.0/1"), via: ip("fe80::1") }),
                "route 0.0.0.0/1 via fe80::1 mixes IPv4 and IPv6: both are to be of one family",
            ),
            (BadInterface::Vlan(0), "VLAN id 0 is not in 1 to 4094"),
            (BadInterface::Mtu(1_279, 1_280), "MTU 1279 is below 1280 octets"),
            (
                BadInterface::Neighbour(ip("224.0.0.1"), mac),
                "neighbour 224.0.0.1 at 02:00:00:00:00:01: both are to be addresses of one station",
            ),
        ] {
            assert_eq!(error.to_string(), told);
        }
    }

    #[test]
    fn derived_addresses() {
        let interface = Interface::new(MacAddr([2, 0x12, 0x34, 0x56, 0x78, 0x9a]), vec![]);
        assert_eq!(IpAddr::V6(interface.link_local()), ip("fe80::12:34ff:fe56:789a"));
        let group = solicited_node("2001:db8::1:a2b3:c4d5".parse().unwrap());
        assert_eq!(IpAddr::V6(group), ip("ff02::1:ffb3:c4d5"));
    }
}
