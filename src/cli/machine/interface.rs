//! Interfaces of the kernel: are they there, up, and ours alone?

use super::{Finding, Machine, good, missing, note};
use crate::cli::profile::Need;
use crate::net::address::Cidr;
use core::net::IpAddr;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use std::fs;
use std::path::PathBuf;

/// An interface of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Is it set up?
    pub up: bool,
    /// Is there something at its other end?
    pub carrier: bool,
    /// Its Ethernet address, in the spelling of /sys.
    pub mac: Option<String>,
    /// The addresses that the kernel answers for.
    pub addresses: Vec<IpAddr>,
}

/// The interfaces of this process's network namespace. (/sys tells those of the namespace in which it
/// was mounted.)
pub fn interfaces() -> Vec<Interface> {
    let mut found: Vec<Interface> = Vec::new();
    for InterfaceAddress { interface_name: name, flags, address, .. } in
        getifaddrs().into_iter().flatten()
    {
        let at = found.iter().position(|known| known.name == name).unwrap_or_else(|| {
            let up = flags.contains(InterfaceFlags::IFF_UP);
            let carrier = flags.contains(InterfaceFlags::IFF_RUNNING);
            found.push(Interface { name, up, carrier, mac: None, addresses: Vec::new() });
            found.len() - 1
        });
        let Some(address) = address else { continue };
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        let v6 = address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip()));
        found[at].addresses.extend(v4.or(v6));
        let mac = address.as_link_addr().and_then(|link| link.addr());
        if let Some(octets) = mac {
            let octets = octets.map(|octet| format!("{octet:02x}"));
            found[at].mac = Some(octets.join(":"));
        }
    }
    found
}

/// The index of an interface of this network namespace: another for each that has the name in turn.
#[cfg(feature = "dpdk")]
pub fn index_of(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

impl Machine {
    /// What there is to say of the interface that a port shall sit on, with these addresses of ours.
    pub(super) fn interface(
        &self,
        name: &str,
        need: Need,
        mtu: u16,
        ours: &[Cidr],
    ) -> Vec<Finding> {
        let Some(interface) = self.interfaces.iter().find(|known| known.name == name) else {
            return vec![missing(
                format!("there is no interface {name} in this network namespace"),
                "ip -br link lists the interfaces",
            )];
        };
        if !interface.up {
            return vec![missing(
                format!("interface {name} is down"),
                format!("ip link set {name} up (as root)"),
            )];
        }
        let mut findings = vec![if interface.carrier {
            good(format!("interface {name} is up"))
        } else {
            note(
                format!("interface {name} has no carrier"),
                "set its other end up (ip link set PEER up), or plug it in",
            )
        }];
        let place = self.place(interface);
        let read = |place: PathBuf| fs::read_to_string(place.join("mtu")).ok();
        if let Some(theirs) = place.and_then(read).and_then(|text| text.trim().parse().ok())
            && mtu > theirs
        {
            findings.push(missing(
                format!("interface {name} has an MTU of {theirs}, the profile wants {mtu}"),
                format!("ip link set {name} mtu {mtu} (as root), or a lower mtu in the profile"),
            ));
        }
        match need {
            Need::Packet => {
                findings.extend(self.answered_by_the_kernel(ours));
                findings.extend(self.forwarded_by_the_kernel(name, ours));
            }
            Need::Xdp => findings.extend(self.taken_from_the_kernel(interface)),
            Need::Tap => {}
        }
        findings
    }

    /// A TAP that is there already and has a carrier is held by a process; one that was made to stay has
    /// none until somebody opens it.
    pub(super) fn tap_in_use(&self, name: &str) -> Option<Finding> {
        let there = self.interfaces.iter().find(|known| known.name == name)?;
        there.carrier.then(|| {
            missing(
                format!("interface {name} is there already, and another process uses it"),
                "end that process, or name another interface in a profile of your own",
            )
        })
    }

    /// The kernel sees every frame too; what is addressed to itself it answers.
    fn answered_by_the_kernel(&self, ours: &[Cidr]) -> Option<Finding> {
        let both = |interface: &Interface| {
            let addresses = interface.addresses.iter();
            let same = addresses.copied().find(|known| ours.iter().any(|cidr| cidr.addr == *known));
            same.map(|address| (address, interface.name.clone()))
        };
        let (address, name) = self.interfaces.iter().find_map(both)?;
        let length = ours.iter().find(|cidr| cidr.addr == address)?.prefix;
        Some(note(
            format!("{address} is the kernel's too: its TCP resets our connections"),
            format!("ip addr del {address}/{length} dev {name} (as root), or another --address"),
        ))
    }

    /// What is addressed to another host the kernel forwards, if it may: what is for us goes out again.
    /// Over IPv4 each interface has a switch of its own, over IPv6 that of all of them decides.
    fn forwarded_by_the_kernel(&self, name: &str, ours: &[Cidr]) -> Vec<Finding> {
        let has = |ipv4: bool| ours.is_empty() || ours.iter().any(|c| c.addr.is_ipv4() == ipv4);
        let switches = [
            ("IPv4", has(true), format!("net/ipv4/conf/{name}/forwarding")),
            ("IPv6", has(false), "net/ipv6/conf/all/forwarding".to_owned()),
        ];
        let mut findings = Vec::new();
        for (family, used, key) in switches {
            let value = self.read(&format!("proc/sys/{key}"));
            // of a VLAN the name has a dot, which separates nothing
            let spelt = if name.contains('.') { key.clone() } else { key.replace('/', ".") };
            if used && value.is_some_and(|value| value != "0") {
                findings.push(note(
                    format!("the kernel forwards {family}: what comes in on {name} for us it sends again"),
                    format!("sysctl -w {spelt}=0 (as root)"),
                ));
            }
        }
        findings
    }

    /// The kernel gets nothing of the queue that we poll, and we get nothing of the others.
    fn taken_from_the_kernel(&self, interface: &Interface) -> Vec<Finding> {
        let name = &interface.name;
        let mut findings = Vec::new();
        let of_link =
            |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if let Some(address) = interface.addresses.iter().find(|address| !of_link(address)) {
            findings.push(note(
                format!("the kernel has {address} on {name}, and gets nothing from it meanwhile"),
                format!("an interface for this alone, or ip addr flush dev {name} (as root)"),
            ));
        }
        if self.place(interface).is_some_and(|place| place.join("queues/rx-1").exists()) {
            findings.push(note(
                format!("{name} has several receive queues, and only the first is polled"),
                format!("ethtool -L {name} combined 1 (as root)"),
            ));
        }
        findings
    }

    /// Where /sys tells of an interface, if it tells of this one and not of another with its name in
    /// another network namespace.
    fn place(&self, interface: &Interface) -> Option<PathBuf> {
        let place = self.root.join("sys/class/net").join(&interface.name);
        let mac = fs::read_to_string(place.join("address")).ok()?;
        (Some(mac.trim()) == interface.mac.as_deref()).then_some(place)
    }
}
