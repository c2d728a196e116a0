//! Which addresses are ours, and where packets for others go first.

use core::cmp::Reverse;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::{ALL_NODES, Cidr, Interface, is_host, is_host_v4, is_host_v6, solicited_node};
use super::range::HostRange;

/// A static route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The network that it leads to.
    pub to: Cidr,
    /// The neighbour that takes the packets.
    pub via: IpAddr,
}

/// A route in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The network that it leads to; on the link, with our address on it.
    pub to: Cidr,
    /// `None`: the network is on the link, its hosts are neighbours.
    pub via: Option<IpAddr>,
}

/// Our addresses and routes. Made once from an [`Interface`]; small, so everything is a scan.
#[derive(Clone, Debug)]
pub struct Routes {
    own_ipv4: Vec<Ipv4Addr>,
    own_ipv6: Vec<Ipv6Addr>,
    ranges: Vec<HostRange>,
    /// The IPv4 networks of our addresses and ranges: what their first and last addresses are.
    networks_ipv4: Vec<Cidr>,
    addresses: Vec<Cidr>,
    /// Longest prefix first, so that the first match is the best one.
    entries: Vec<Hop>,
}

impl Routes {
    /// The routes of an interface: its networks, its static routes, its gateways. An interface with
    /// an IPv6 address has a link-local one too (RFC 4291 §2.1).
    pub fn new(interface: &Interface) -> Self {
        let mut addresses = interface.addresses.clone();
        let link_local =
            |cidr: &Cidr| matches!(cidr.addr, IpAddr::V6(a) if a.is_unicast_link_local());
        if interface.has_ipv6() && !addresses.iter().any(link_local) {
            addresses.push(Cidr { addr: interface.link_local().into(), prefix: 64 });
        }
        let default =
            |via: IpAddr, any: IpAddr| Hop { to: Cidr { addr: any, prefix: 0 }, via: Some(via) };
        let mut entries: Vec<Hop> = addresses
            .iter()
            .map(|&to| Hop { to, via: None })
            .chain(interface.routes.iter().map(|&Route { to, via }| Hop { to, via: Some(via) }))
            .chain(interface.gateway_ipv4.map(|a| default(a.into(), Ipv4Addr::UNSPECIFIED.into())))
            .chain(interface.gateway_ipv6.map(|a| default(a.into(), Ipv6Addr::UNSPECIFIED.into())))
            .collect();
        entries.sort_by_key(|entry| Reverse(entry.to.prefix)); // stable: on-link goes first
        let ranges = interface.ranges.iter().map(|&net| HostRange::of(net)).collect();
        let (own_ipv4, own_ipv6) = (Vec::new(), Vec::new());
        let networks = addresses.iter().chain(&interface.ranges);
        let networks_ipv4 = networks.copied().filter(|cidr| cidr.addr.is_ipv4()).collect();
        let mut routes = Routes { own_ipv4, own_ipv6, ranges, networks_ipv4, addresses, entries };
        for cidr in &routes.addresses {
            match cidr.addr {
                IpAddr::V4(addr) => routes.own_ipv4.push(addr),
                IpAddr::V6(addr) => routes.own_ipv6.push(addr),
            }
        }
        routes
    }

    /// Is `addr` one of our addresses?
    #[inline]
    pub fn is_ours(&self, addr: IpAddr) -> bool {
        match addr {
            IpAddr::V4(addr) => self.is_our_ipv4(addr),
            IpAddr::V6(addr) => self.is_our_ipv6(addr),
        }
    }

    /// Is `addr` one of our IPv4 addresses?
    #[inline]
    pub fn is_our_ipv4(&self, addr: Ipv4Addr) -> bool {
        self.own_ipv4.contains(&addr) || self.ranges.iter().any(|range| range.has_ipv4(addr))
    }

    /// Is `addr` one of our IPv6 addresses?
    #[inline]
    pub fn is_our_ipv6(&self, addr: Ipv6Addr) -> bool {
        self.own_ipv6.contains(&addr) || self.ranges.iter().any(|range| range.has_ipv6(addr))
    }

    /// Can another host send from `addr`? Not from a group or an address that no host may use, from one
    /// of ours (as the "land" attack does), or from the broadcast or network address of a network that
    /// we know (RFC 1122 §3.2.1.3, RFC 9293 MUST-63). Networks of one or two addresses have neither
    /// (RFC 3021), nor has IPv6.
    pub fn is_possible_source(&self, addr: IpAddr) -> bool {
        match addr {
            IpAddr::V4(addr) => {
                let is_edge = |cidr: &Cidr| cidr.is_network_or_broadcast(addr);
                is_host_v4(addr)
                    && !self.is_our_ipv4(addr)
                    && !self.networks_ipv4.iter().any(is_edge)
            }
            IpAddr::V6(addr) => is_host_v6(addr) && !self.is_our_ipv6(addr),
        }
    }

    /// Is `group` one that we listen to: all nodes, or the solicited-node group of an address of
    /// ours?
    pub fn is_our_group(&self, group: Ipv6Addr) -> bool {
        !self.own_ipv6.is_empty()
            && (group == ALL_NODES
                || self.own_ipv6.iter().any(|&addr| solicited_node(addr) == group)
                || self.ranges.iter().any(|range| range.is_solicited(group)))
    }

    /// Our addresses, the link-local one included.
    pub fn addresses(&self) -> &[Cidr] {
        &self.addresses
    }

    /// The routes, the one that is asked first before the others.
    pub fn iter(&self) -> impl Iterator<Item = Hop> + '_ {
        self.entries.iter().copied()
    }

    /// The neighbour that takes a packet for `dst`: `dst` itself if it is on the link. `None` if
    /// there is no route, if `dst` is ours, or if it is not the address of one host.
    pub fn next_hop(&self, dst: IpAddr) -> Option<IpAddr> {
        if !is_host(dst) || self.is_ours(dst) {
            return None;
        }
        let entry = self.entries.iter().find(|entry| entry.to.contains(dst))?;
        match (entry.via, dst) {
            (Some(_), IpAddr::V6(dst)) if dst.is_unicast_link_local() => None, // RFC 4291 §2.5.6
            (Some(via), _) => Some(via),
            (None, IpAddr::V4(addr)) if entry.to.is_network_or_broadcast(addr) => None,
            (None, _) => Some(dst),
        }
    }

    /// Is `addr` the address of another host on the link?
    pub fn is_neighbour(&self, addr: IpAddr) -> bool {
        self.next_hop(addr) == Some(addr)
    }

    /// The address of ours that packets to `dst` come from, unless the application says otherwise:
    /// the one on the network of the next hop, or else the first of the family that may leave the
    /// link. `None` where [`next_hop`](Self::next_hop) is.
    pub fn source_for(&self, dst: IpAddr) -> Option<IpAddr> {
        let hop = self.next_hop(dst)?;
        let scope_fits = |addr: IpAddr| match (addr, dst) {
            (IpAddr::V4(_), IpAddr::V4(_)) => true,
            (IpAddr::V6(addr), IpAddr::V6(dst)) => {
                addr.is_unicast_link_local() == dst.is_unicast_link_local()
            }
            _ => false,
        };
        // RFC 6724 §5: rule 2 (scope) goes before rule 8 (longest matching prefix).
        let fitting = || self.addresses.iter().filter(|cidr| scope_fits(cidr.addr));
        let on_its_network = fitting().filter(|cidr| cidr.contains(hop)).max_by_key(|c| c.prefix);
        let any = || self.addresses.iter().find(|cidr| cidr.addr.is_ipv4() == dst.is_ipv4());
        on_its_network.or_else(|| fitting().next()).or_else(any).map(|cidr| cidr.addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MacAddr;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn routes() -> Routes {
        let mut interface = Interface::new(
            MacAddr([2, 0, 0, 0, 0, 1]),
            ["198.18.0.1/24", "198.18.8.1/31", "2001:db8::1/64"]
                .map(|text| text.parse().unwrap())
                .into(),
        );
        interface.gateway_ipv4 = Some([198, 18, 0, 254].into());
        interface.gateway_ipv6 = Some("fe80::1".parse().unwrap());
        for (to, via) in [
            ("203.0.113.0/24", "198.18.0.253"),
            ("203.0.113.128/25", "198.18.8.0"),
            ("2001:db8:5::/48", "2001:db8::5"),
        ] {
            interface.routes.push(Route { to: to.parse().unwrap(), via: ip(via) });
        }
        assert_eq!(interface.check(), Ok(()));
        Routes::new(&interface)
    }

    #[test]
    fn the_longest_prefix_wins() {
        let routes = routes();
        for (dst, hop, source) in [
            ("198.18.0.2", "198.18.0.2", "198.18.0.1"),
            ("198.18.8.0", "198.18.8.0", "198.18.8.1"),
            ("203.0.113.1", "198.18.0.253", "198.18.0.1"),
            ("203.0.113.129", "198.18.8.0", "198.18.8.1"),
            ("192.0.2.1", "198.18.0.254", "198.18.0.1"),
            ("2001:db8::2", "2001:db8::2", "2001:db8::1"),
            ("2001:db8:5::2", "2001:db8::5", "2001:db8::1"),
            ("2001:db8:6::2", "fe80::1", "2001:db8::1"),
            ("fe80::7", "fe80::7", "fe80::ff:fe00:1"),
        ] {
            assert_eq!(routes.next_hop(ip(dst)), Some(ip(hop)), "next hop for {dst}");
            assert_eq!(routes.source_for(ip(dst)), Some(ip(source)), "source for {dst}");
            assert_eq!(routes.is_neighbour(ip(dst)), dst == hop, "{dst}");
        }
    }

    #[test]
    fn some_addresses_have_no_way_out() {
        let routes = routes();
        for dst in [
            "198.18.0.1",
            "198.18.0.0",
            "198.18.0.255",
            "255.255.255.255",
            "224.0.0.1",
            "0.0.0.0",
            "127.0.0.1",
            "2001:db8::1",
            "::",
            "::1",
            "ff02::1",
        ] {
            assert_eq!(routes.next_hop(ip(dst)), None, "{dst}");
            assert_eq!(routes.source_for(ip(dst)), None, "{dst}");
        }
        let lonely = Interface::new(MacAddr([2; 6]), vec!["198.18.0.1/24".parse().unwrap()]);
        let lonely = Routes::new(&lonely);
        assert_eq!(lonely.next_hop(ip("192.0.2.1")), None);
        assert_eq!(lonely.next_hop(ip("fe80::1")), None, "no IPv6 at all");
        assert!(!lonely.is_our_group(ALL_NODES));
    }

    #[test]
    fn sources_that_cannot_be() {
        let mut interface = Interface::new(
            MacAddr([2; 6]),
            ["198.18.0.1/24", "198.18.8.1/31", "198.18.9.1/32", "2001:db8::1/64"]
                .map(|text| text.parse().unwrap())
                .into(),
        );
        interface.ranges = vec!["198.19.0.0/22".parse().unwrap()];
        let routes = Routes::new(&interface);
        for (source, possible) in [
            ("198.18.0.2", true),
            ("198.18.0.0", false),
            ("198.18.0.255", false),
            ("198.18.0.1", false),
            ("198.18.1.0", true), // of a network that we do not know
            ("198.18.1.255", true),
            ("198.18.8.0", true), // RFC 3021
            ("198.18.8.1", false),
            ("198.18.9.1", false),
            ("198.18.9.0", true),
            ("198.19.0.0", false),
            ("198.19.0.7", false),
            ("198.19.3.255", false),
            ("0.0.0.0", false),
            ("127.0.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("2001:db8::2", true),
            ("2001:db8::1", false),
            ("fe80::2", true),
            ("::", false),
            ("::1", false),
            ("::ffff:198.18.0.2", false),
            ("ff02::1", false),
        ] {
            assert_eq!(routes.is_possible_source(ip(source)), possible, "{source}");
        }
        let link_local = interface.link_local().into();
        assert!(!routes.is_possible_source(link_local), "ours too");
    }

    #[test]
    fn ranges_are_ours_too() {
        let mut interface = Interface::new(
            MacAddr([2; 6]),
            vec!["198.18.0.1/24".parse().unwrap(), "2001:db8::1/64".parse().unwrap()],
        );
        interface.ranges =
            vec!["198.19.0.0/22".parse().unwrap(), "2001:db8:0:1::/112".parse().unwrap()];
        assert_eq!(interface.check(), Ok(()));
        let routes = Routes::new(&interface);
        assert!(routes.is_ours(ip("198.19.1.0")) && routes.is_ours(ip("2001:db8:0:1::7")));
        assert!(!routes.is_ours(ip("198.19.0.0")) && !routes.is_ours(ip("198.19.4.1")));
        assert_eq!(routes.next_hop(ip("198.19.1.1")), None, "not a host on the link");
        assert_eq!(routes.source_for(ip("198.18.0.2")), Some(ip("198.18.0.1")));
        assert!(routes.is_our_group(solicited_node("2001:db8:0:1::7".parse().unwrap())));
        assert!(!routes.is_our_group(solicited_node("2001:db8:0:1::1:7".parse().unwrap())));
    }

    #[test]
    fn our_own_addresses_and_groups() {
        let routes = routes();
        for addr in ["198.18.0.1", "198.18.8.1", "2001:db8::1", "fe80::ff:fe00:1"] {
            assert!(routes.is_ours(ip(addr)), "{addr}");
        }
        assert!(!routes.is_ours(ip("198.18.0.2")) && !routes.is_ours(ip("2001:db8::2")));
        assert!(routes.is_our_group(ALL_NODES));
        assert!(routes.is_our_group("ff02::1:ff00:1".parse().unwrap()));
        assert!(!routes.is_our_group("ff02::1:ff00:2".parse().unwrap()));
        assert_eq!(routes.addresses().len(), 4);
    }
}
