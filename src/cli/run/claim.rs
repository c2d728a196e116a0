//! Devices that one process alone can use: each is claimed by the name of an abstract socket, which is of
//! the network namespace that the device is of, and goes with the process.

use crate::cli::Failure;
use crate::cli::profile::{Need, Profile, Role};
use crate::net::address::Cidr;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// The devices that this process has claimed, while it lives.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "held, never read")] Vec<UnixListener>);

/// What is claimed, and what a person calls it.
type Claimed = (String, String);

impl Claim {
    /// Claims the devices of these roles, on which `ours` are the addresses that are used.
    ///
    /// # Errors
    /// [`Failure::Run`]: another process has claimed one.
    pub fn take(profile: &Profile, roles: &[&Role], ours: &[Cidr]) -> Result<Self, Failure> {
        let mut held = Vec::new();
        for (name, what) in roles.iter().flat_map(|role| claims(profile, role, ours)) {
            let address = SocketAddr::from_abstract_name(format!("lastack/{name}"));
            match address.and_then(|address| UnixListener::bind_addr(&address)) {
                Ok(socket) => held.push(socket),
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    return Err(Failure::Run(format!(
                        "--profile {}: another lastack uses {what}: end it, or name another in a \
                         profile of your own",
                        profile.name
                    )));
                }
                // without such sockets there is no telling
                Err(_) => {}
            }
        }
        Ok(Claim(held))
    }
}

/// What a role claims. Several processes may share an interface by AF_PACKET, with an address each.
fn claims(profile: &Profile, role: &Role, ours: &[Cidr]) -> Vec<Claimed> {
    let device = role.device.as_deref().unwrap_or_default();
    let of = |key: &str| device.split(',').find_map(|part| part.strip_prefix(key));
    let needs = |need: Need| profile.device.needs.contains(&need);
    match (of("iface="), of("socket=")) {
        (Some(name), _) if needs(Need::Tap) || needs(Need::Xdp) => {
            vec![(format!("interface/{name}"), format!("interface {name}"))]
        }
        (Some(name), _) if needs(Need::Packet) => ours
            .iter()
            .map(|Cidr { addr, .. }| {
                (format!("interface/{name}/{addr}"), format!("{addr} on interface {name}"))
            })
            .collect(),
        (_, Some(socket)) if device.starts_with("net_memif") && of("role=") == Some("server") => {
            vec![(format!("memif/{socket}"), format!("the memif socket {socket} as its server"))]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_claimed_is_what_two_cannot_share() {
        let names = |profile: &str, role: fn(&Profile) -> &Role| {
            let profile = Profile::load(profile).unwrap();
            let profile = if profile.wants_device() {
                profile.with_device(Some("eth7")).unwrap()
            } else {
                profile
            };
            let ours = ["198.18.0.2/24".parse().unwrap(), "2001:db8::2/64".parse().unwrap()];
            let claims = claims(&profile, role(&profile), &ours);
            claims.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names("tap", |profile| &profile.server), ["interface/lastack0"]);
        assert_eq!(names("af_xdp", |profile| &profile.client), ["interface/eth7"]);
        let each = ["interface/eth7/198.18.0.2", "interface/eth7/2001:db8::2"];
        assert_eq!(names("af_packet", |profile| &profile.server), each);
        assert_eq!(names("memif", |profile| &profile.server), ["memif/lastack-memif"]);
        assert_eq!(names("memif", |profile| &profile.client), [""; 0]);
        assert_eq!(names("ring", |profile| &profile.server), [""; 0]);
    }

    #[test]
    fn the_second_is_refused_until_the_first_is_gone() {
        let text = include_str!("../../../dpdk-config/tap.toml");
        let name = format!("t{}", std::process::id());
        let profile = Profile::parse(&text.replace("lastack0", &name)).unwrap();
        let take = || Claim::take(&profile, &[&profile.server], &[]);
        let first = take().unwrap();
        let told = format!(
            "--profile tap: another lastack uses interface {name}: end it, or name another in a profile \
             of your own"
        );
        assert_eq!(take().unwrap_err(), Failure::Run(told));
        drop(first);
        assert!(take().is_ok());
    }
}
