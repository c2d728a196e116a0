//! What a handle can be set to: the options of a socket.

use super::error::Error;
use super::stack::{ConnId, Stack, context, linger_ms};
use crate::tcp::Flag;
use core::time::Duration;

impl Stack {
    /// Switches Nagle's algorithm off or on (TCP_NODELAY, RFC 9293 §3.7.4).
    ///
    /// # Errors
    /// [`Error::BadHandle`] if the handle was closed.
    pub fn set_nodelay(&mut self, conn: ConnId, on: bool) -> Result<(), Error> {
        let index = self.open_index(conn)?;
        let tcp = &mut self.conns[index].tcp;
        if on {
            tcp.set(Flag::NoDelay);
            self.set_dirty(index);
        } else {
            tcp.take(Flag::NoDelay);
        }
        Ok(())
    }

    /// Holds back all but full segments (TCP_CORK), or lets go what was held back. What does not fill
    /// a segment is held back for at most 200 ms, and a close lets it go.
    ///
    /// # Errors
    /// [`Error::BadHandle`] if the handle was closed.
    pub fn set_cork(&mut self, conn: ConnId, on: bool) -> Result<(), Error> {
        let index = self.open_index(conn)?;
        self.conns[index].tcp.set_cork(on);
        if !on {
            self.set_dirty(index);
        }
        Ok(())
    }

    /// As [`write`](Self::write), and what was handed over so far is urgent (RFC 9293 §3.8.5;
    /// RFC 6093 §6 advises against it).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_urgent(&mut self, conn: ConnId, bytes: &[u8]) -> Result<usize, Error> {
        self.write(conn, &[])?;
        let index = self.open_index(conn)?;
        match self.write_urgent_at(index, bytes) {
            0 if !bytes.is_empty() => Err(Error::WouldBlock),
            taken => Ok(taken),
        }
    }

    /// What [`close`](Self::close) does about unacknowledged bytes (SO_LINGER): `None` leaves them
    /// to the background, zero resets, a time waits for them, to the millisecond.
    ///
    /// # Errors
    /// [`Error::BadHandle`] if the handle was closed.
    pub fn set_linger(&mut self, conn: ConnId, linger: Option<Duration>) -> Result<(), Error> {
        let index = self.open_index(conn)?;
        self.conns[index].linger_ms = linger_ms(linger);
        Ok(())
    }

    /// Switches keep-alive on or off (SO_KEEPALIVE), with the times of the engine's configuration.
    ///
    /// # Errors
    /// [`Error::BadHandle`] if the handle was closed, [`Error::Invalid`] if the engine was given no
    /// times for it.
    pub fn set_keep_alive(&mut self, conn: ConnId, on: bool) -> Result<(), Error> {
        let index = self.open_index(conn)?;
        if on && self.config.keep_alive.is_none() {
            return Err(Error::Invalid);
        }
        let cx = context!(self);
        self.conns[index].tcp.set_keep_alive(&cx, on);
        self.sync_timer(index);
        Ok(())
    }
}
