//! Listeners: who takes a SYN, and how many may wait.

use super::error::Error;
use super::stack::{ConnId, Stack};
use crate::net::address::Cidr;
use crate::tcp::{self, Ip, SynCookies};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::VecDeque;

/// A listener of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub(super) u16, pub(super) u16);

/// How to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that may be in the handshake or wait to be accepted.
    pub backlog: u32,
    /// Bind even if old connections of the port are in TIME-WAIT (SO_REUSEADDR).
    pub reuse_address: bool,
    /// Maximum segment lifetime for connections of this port, in place of that of the engine.
    pub msl: Option<Duration>,
    /// SYN cookies, in place of what the engine says.
    pub syn_cookies: Option<SynCookies>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions { backlog: 4_096, reuse_address: true, msl: None, syn_cookies: None }
    }
}

pub(super) struct Listener {
    /// The address that was bound; unspecified = all of ours of its family.
    pub address: SocketAddr,
    /// Its address alone, as segments have it.
    ip: Ip,
    pub options: ListenOptions,
    /// Connections established and not yet accepted.
    pub backlog: u32,
    /// Those in the handshake.
    pub half_open: u32,
    /// It had no room and answers with cookies until it has.
    pub cookies: bool,
    /// Established and not yet accepted.
    pub ready: VecDeque<ConnId>,
    pub generation: u16,
    pub open: bool,
    /// The next listener of the same port, plus one.
    next: u16,
}

impl Listener {
    /// Is there no room for another handshake?
    pub fn is_full(&self) -> bool {
        self.half_open + self.backlog >= self.options.backlog
    }

    /// Is there no room for another connection that is established?
    pub fn backlog_is_full(&self) -> bool {
        self.backlog >= self.options.backlog
    }

    /// Is no more than half of the room in use?
    pub fn is_relieved(&self) -> bool {
        self.half_open + self.backlog <= self.options.backlog / 2
    }
}

/// All listeners, found by their port.
pub(super) struct Listeners {
    list: Vec<Listener>,
    /// For each port the first listener plus one.
    by_port: Box<[u16]>,
}

/// Listeners that an engine may have.
const MOST: usize = 4_096;

impl Listeners {
    pub fn new() -> Self {
        Listeners { list: Vec::new(), by_port: vec![0; 1 << 16].into_boxed_slice() }
    }

    pub fn get(&self, id: ListenerId) -> Option<&Listener> {
        self.list.get(usize::from(id.0)).filter(|l| l.open && l.generation == id.1)
    }

    pub fn get_mut(&mut self, id: ListenerId) -> Option<&mut Listener> {
        self.list.get_mut(usize::from(id.0)).filter(|l| l.open && l.generation == id.1)
    }

    /// The listener that a connection counts in, if it still exists.
    pub fn at(&mut self, id: Option<ListenerId>) -> Option<&mut Listener> {
        self.get_mut(id?)
    }

    fn of_port(&self, port: u16) -> impl Iterator<Item = u16> + '_ {
        let mut link = self.by_port[usize::from(port)];
        core::iter::from_fn(move || {
            let index = link.checked_sub(1)?;
            link = self.list[usize::from(index)].next;
            Some(index)
        })
    }

    /// Who takes a SYN to this address: the listener that bound it, else one that bound all.
    #[inline]
    pub fn find(&self, local: Ip, port: u16) -> Option<ListenerId> {
        let mut wildcard = None;
        for index in self.of_port(port) {
            let listener = &self.list[usize::from(index)];
            let id = ListenerId(index, listener.generation);
            if listener.ip == local {
                return Some(id);
            }
            if listener.address.ip().is_unspecified() && listener.ip.is_v4() == local.is_v4() {
                wildcard = Some(id);
            }
        }
        wildcard
    }

    fn add(&mut self, address: SocketAddr, options: ListenOptions) -> Result<ListenerId, Error> {
        let port = address.port();
        let taken = self.of_port(port).any(|i| self.list[usize::from(i)].address == address);
        if taken {
            return Err(Error::AddressInUse);
        }
        let next = self.by_port[usize::from(port)];
        let free = self.list.iter().position(|listener| !listener.open);
        let index = free.unwrap_or(self.list.len());
        if index >= MOST {
            return Err(Error::NoBuffers);
        }
        let generation = free.map_or(0, |index| self.list[index].generation.wrapping_add(1));
        let ready = VecDeque::with_capacity(options.backlog.min(1 << 16) as usize);
        let listener = Listener {
            address,
            ip: address.ip().into(),
            options,
            backlog: 0,
            half_open: 0,
            cookies: false,
            ready,
            generation,
            open: true,
            next,
        };
        match free {
            Some(index) => self.list[index] = listener,
            None => self.list.push(listener),
        }
        self.by_port[usize::from(port)] = index as u16 + 1;
        Ok(ListenerId(index as u16, generation))
    }

    /// Listeners that answer with cookies because they had no room.
    pub fn with_cookies(&self) -> u64 {
        self.list.iter().filter(|listener| listener.open && listener.cookies).count() as u64
    }

    /// Takes a listener out and gives the connections that nobody accepted.
    fn remove(&mut self, id: ListenerId) -> Option<VecDeque<ConnId>> {
        let listener = self.get_mut(id)?;
        listener.open = false;
        let (port, next) = (usize::from(listener.address.port()), listener.next);
        let ready = core::mem::take(&mut listener.ready);
        let link = id.0 + 1;
        if self.by_port[port] == link {
            self.by_port[port] = next;
        } else {
            let before = self.list.iter_mut().find(|l| l.open && l.next == link);
            if let Some(before) = before {
                before.next = next;
            }
        }
        Some(ready)
    }
}

/// Did a listener with this address bind all addresses of the family of `local`?
fn covers_all(bound: &SocketAddr, local: IpAddr) -> bool {
    bound.ip().is_unspecified() && bound.is_ipv4() == local.is_ipv4()
}

impl Stack {
    /// Listens at an address of ours, or with an unspecified address at all of that family.
    ///
    /// # Errors
    /// [`Error::AddressInUse`] if there is a listener for that very address, or, without
    /// [`ListenOptions::reuse_address`], an old connection of the port in TIME-WAIT or alive;
    /// [`Error::AddressNotAvailable`] if the address is not ours; [`Error::Invalid`] for port 0, a
    /// backlog of 0 or an MSL out of its range.
    pub fn listen(
        &mut self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> Result<ListenerId, Error> {
        let ip = address.ip();
        let good_msl = options.msl.is_none_or(tcp::Config::is_msl);
        if address.port() == 0 || options.backlog == 0 || !good_msl {
            return Err(Error::Invalid);
        }
        let of_family = |cidr: &Cidr| cidr.addr.is_ipv4() == ip.is_ipv4();
        let ours = if ip.is_unspecified() {
            self.routes.addresses().iter().any(of_family)
        } else {
            self.routes.is_ours(ip)
        };
        if !ours {
            return Err(Error::AddressNotAvailable);
        }
        if !options.reuse_address && self.port_has_connections(address) {
            return Err(Error::AddressInUse);
        }
        self.listeners.add(address, options)
    }

    /// Stops listening. Connections that nobody has accepted are reset, half-open ones are forgotten,
    /// accepted ones live on.
    ///
    /// # Errors
    /// [`Error::BadHandle`] if there is no such listener.
    pub fn unlisten(&mut self, id: ListenerId) -> Result<(), Error> {
        let waiting = self.listeners.remove(id).ok_or(Error::BadHandle)?;
        self.forget_half_open_of(id);
        self.metrics.syn_cookies_active.set(self.listeners.with_cookies());
        for conn in waiting {
            let _ = self.abort(conn); // the peer may have reset it already
            let _ = self.close(conn);
        }
        Ok(())
    }

    /// Is a connection of this local address alive or in TIME-WAIT? Looks at all: for the control
    /// path only.
    fn port_has_connections(&self, address: SocketAddr) -> bool {
        let matches = |local: SocketAddr| {
            local.port() == address.port()
                && (local.ip() == address.ip() || covers_all(&address, local.ip()))
        };
        let attached = |block: &super::stack::Block| !block.is(super::stack::Mark::Detached);
        let mut alive = self.conns.iter().filter(|(_, block)| attached(block));
        alive.any(|(_, block)| matches(block.tcp.tuple.local_addr()))
            || self.time_waits.v4.iter().any(|(_, entry)| matches(entry.tuple().local_addr()))
            || self.time_waits.v6.iter().any(|(_, entry)| matches(entry.tuple().local_addr()))
    }
}
