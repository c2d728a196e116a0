//! Opening connections: which local end, which port, which sequence number.

use super::error::Error;
use super::stack::{ConnId, Stack, keyed};
use crate::tcp::isn::isn;
use crate::tcp::{Connection, Tuple, ephemeral};
use crate::wire::seq::SeqNumber;
use core::net::{IpAddr, SocketAddr};

/// How many ports are looked at for a free one before one in TIME-WAIT is opened again.
const PORTS_LOOKED_AT: usize = 16;

/// How to connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The local end. Without it, or with port 0, the stack chooses (RFC 6056, RFC 6724).
    pub local: Option<SocketAddr>,
    /// The value to attach to the connection.
    pub user: u64,
}

impl Stack {
    /// Opens a connection. The handle is good at once; its SYN goes out with the next output.
    ///
    /// # Errors
    /// [`Error::Invalid`] for port 0 or ends of different families, [`Error::AddressNotAvailable`]
    /// if the local address is not ours or no port is free, [`Error::AddressInUse`] if the 4-tuple
    /// that was asked for is taken (also by TIME-WAIT), [`Error::Unreachable`] without a route
    /// and before our addresses are checked,
    /// [`Error::NoBuffers`] at the limit of connections.
    pub fn connect(
        &mut self,
        remote: SocketAddr,
        options: ConnectOptions,
    ) -> Result<ConnId, Error> {
        let local_ip = match options.local.map(|local| local.ip()) {
            Some(ip) if !ip.is_unspecified() => ip,
            _ => self.routes.source_for(remote.ip()).ok_or(Error::Unreachable)?,
        };
        if remote.port() == 0 || local_ip.is_ipv4() != remote.is_ipv4() {
            return Err(Error::Invalid);
        }
        if !self.routes.is_ours(local_ip) {
            return Err(Error::AddressNotAvailable);
        }
        if self.presence.is_waiting() || self.routes.next_hop(remote.ip()).is_none() {
            return Err(Error::Unreachable);
        }
        if self.conns.is_full() {
            return Err(Error::NoBuffers);
        }
        let (tuple, old) = match options.local.map_or(0, |local| local.port()) {
            0 => self.free_tuple(local_ip, remote)?,
            port => {
                let tuple = Tuple::new(SocketAddr::new(local_ip, port), remote);
                let old = match self.look_up(&tuple, self.hash(&tuple)) {
                    None => None,
                    Some(found) if self.may_take_over(found) => Some(self.take_over(found)),
                    Some(_) => return Err(Error::AddressInUse),
                };
                (tuple, old)
            }
        };
        let iss = match old {
            None => isn(self.now, keyed(&self.secrets.sequence, &tuple).0 as u32),
            Some(snd_nxt) => self.isn_beyond(&tuple, snd_nxt),
        };
        let tcp = Connection::open(&self.birth(tuple, iss), &self.config);
        let index = self.admit(tcp, self.hash(&tuple)).ok_or(Error::NoBuffers)?;
        self.conns[index].user = options.user;
        self.metrics.tcp.active_opens.bump();
        self.set_dirty(index);
        Ok(self.id_of(index))
    }

    /// A 4-tuple to this remote end that nothing is known of (RFC 6056 §3.3.3). Those in TIME-WAIT
    /// are known; if a stretch of ports holds nothing free, the first of them that may be opened
    /// again is taken over, and with it comes the sequence number of its old incarnation.
    fn free_tuple(
        &mut self,
        local: IpAddr,
        remote: SocketAddr,
    ) -> Result<(Tuple, Option<SeqNumber>), Error> {
        let destination = Tuple::new(SocketAddr::new(local, 0), remote);
        let offset = keyed(&self.secrets.ports, &destination).0 as u32;
        let mut over = None;
        for (step, port) in ephemeral::candidates(offset, self.next_port).enumerate() {
            let tuple = Tuple { local_port: port, ..destination };
            let next = self.next_port.wrapping_add(step as u32 + 1);
            match self.look_up(&tuple, self.hash(&tuple)) {
                None => {
                    self.next_port = next;
                    return Ok((tuple, None));
                }
                Some(found) if over.is_none() && self.may_take_over(found) => {
                    over = Some((tuple, found, next));
                }
                Some(_) => {}
            }
            if over.is_some() && step >= PORTS_LOOKED_AT {
                break;
            }
        }
        let (tuple, found, next) = over.ok_or(Error::AddressNotAvailable)?;
        self.next_port = next;
        Ok((tuple, Some(self.take_over(found))))
    }
}
