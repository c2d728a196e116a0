//! What can go wrong with a call of the application.

use crate::tcp::CloseReason;
use core::fmt;

/// Why a call did not do what was asked. The names are those of the sockets API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// Nothing to read, no room to write, nobody to accept: try again when readiness says so
    /// (`EWOULDBLOCK`).
    WouldBlock,
    /// The handshake is not over yet (`EINPROGRESS`).
    InProgress,
    /// The peer answered our SYN with a RST (`ECONNREFUSED`).
    Refused,
    /// The peer reset the connection (`ECONNRESET`).
    Reset,
    /// The peer did not answer for too long (`ETIMEDOUT`).
    TimedOut,
    /// We aborted the connection (`ECONNABORTED`).
    Aborted,
    /// Writing after the sending side was closed (`EPIPE`).
    BrokenPipe,
    /// The connection was never established, or is over (`ENOTCONN`).
    NotConnected,
    /// Another listener or connection has the address (`EADDRINUSE`).
    AddressInUse,
    /// The address is not one of ours, or no ephemeral port is free (`EADDRNOTAVAIL`).
    AddressNotAvailable,
    /// No route leads to the peer, or its neighbour does not answer (`EHOSTUNREACH`).
    Unreachable,
    /// A limit is reached: connections, listeners, or entries in TIME-WAIT (`ENOBUFS`).
    NoBuffers,
    /// The arguments make no sense together (`EINVAL`).
    Invalid,
    /// The handle belongs to a connection or listener that no longer exists (`EBADF`).
    BadHandle,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::WouldBlock => "would block: try again when the handle is ready",
            Error::InProgress => "the handshake is in progress",
            Error::Refused => "connection refused: nothing listens at that address and port",
            Error::Reset => "connection reset by the peer",
            Error::TimedOut => "connection timed out: the peer did not answer",
            Error::Aborted => "connection aborted by this side",
            Error::BrokenPipe => "broken pipe: the sending side was closed",
            Error::NotConnected => "not connected",
            Error::AddressInUse => "address in use: choose another port or set SO_REUSEADDR",
            Error::AddressNotAvailable => "address not available: not ours, or no free port left",
            Error::Unreachable => "host unreachable: no route, or its neighbour does not answer",
            Error::NoBuffers => {
                "a limit is reached: connections, listeners or entries in TIME-WAIT"
            }
            Error::Invalid => "invalid argument",
            Error::BadHandle => "bad handle: the connection or listener no longer exists",
        })
    }
}

impl core::error::Error for Error {}

impl From<CloseReason> for Error {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Finished => Error::NotConnected,
            CloseReason::Reset => Error::Reset,
            CloseReason::Refused => Error::Refused,
            CloseReason::TimedOut => Error::TimedOut,
            CloseReason::Aborted => Error::Aborted,
            CloseReason::Unreachable => Error::Unreachable,
        }
    }
}
