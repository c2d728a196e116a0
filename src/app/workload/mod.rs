//! Clients that load a server, and the server for requests of fixed sizes.
//!
//! | workload | does | one arrival of an open loop is |
//! | --- | --- | --- |
//! | [`Crr`] | connect, request, response, close | a connection |
//! | [`Rr`] | requests and responses over connections that stay | a request |
//! | [`Http`](http::Http) | the same, in HTTP/1.1 | a request |
//! | [`Stream`] | connections that are held, with octets or idle | a connection |
//!
//! A *closed* loop starts the next as soon as one ends. An *open* loop follows a [`Schedule`] of
//! intended start times, whatever the server does; a request whose turn has come waits for a free
//! connection, and its latency counts from the intended start (so that a stalled server cannot hide
//! its stall by receiving fewer requests).
//!
//! [`Load`] is what the workloads share: the schedule, the measurements, and the way to the end,
//! which begins when somebody calls [`Control::stop`]: no more is begun, what is under way may end,
//! connections are closed in an orderly way, and what is left after [a time](LoadConfig::drain) is aborted.

mod control;
mod crr;
pub mod dialogue;
pub mod http;
mod load;
mod responder;
mod rest;
mod rr;
mod schedule;
mod stream;
mod trouble;

pub use control::{Control, Measured};
pub use crr::Crr;
pub use load::{CLOSE_GRACE, CloseBy, DRAIN, Load, LoadConfig, Shape, Stage};
pub use responder::Responder;
pub use rr::{Rr, Standing};
pub use schedule::{Arrival, Schedule};
pub use stream::{Direction, Stream};
pub use trouble::{FailedAlike, Failures, Trouble};

use crate::engine::App;

/// A client that loads a server: an application with a [`Load`].
pub trait Workload: App {
    /// The workload for an engine of `max_connections`.
    fn new(load: Load, max_connections: u32) -> Self;

    /// What it shares with the other workloads, the measurements among it.
    fn load(&self) -> &Load;

    /// The same, to begin anew.
    fn load_mut(&mut self) -> &mut Load;
}

/// Octets that one write offers at most.
const RUN: usize = 16 * 1024;

/// The last octet of a request after whose response the server is to close. All other octets of
/// requests and responses are `x`, so that client and server need to agree on sizes alone.
const LAST: u8 = b'.';

static FILLER: [u8; RUN] = [b'x'; RUN];
static LAST_FILLER: [u8; RUN] = {
    let mut filler = FILLER;
    filler[RUN - 1] = LAST;
    filler
};

/// How a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Like any other.
    Plain,
    /// With [`LAST`].
    Last,
}

/// The next octets of a message of which `left` are still to be sent.
#[inline]
fn filler(left: u64, end: End) -> &'static [u8] {
    let run = left.min(RUN as u64) as usize;
    if end == End::Last && left <= RUN as u64 { &LAST_FILLER[RUN - run..] } else { &FILLER[..run] }
}

/// Offers `left` octets to `write`, which says how many it took, until it takes no more. Returns
/// what is still to be sent.
#[inline]
fn send_filler(mut left: u64, end: End, mut write: impl FnMut(&[u8]) -> usize) -> u64 {
    while left > 0 {
        let offered = filler(left, end);
        let taken = write(offered);
        left -= taken as u64;
        if taken < offered.len() {
            break;
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filler_is_offered_until_it_is_refused() {
        let (mut room, mut calls) = (40_000_usize, 0);
        let mut write = |bytes: &[u8]| {
            calls += 1;
            let taken = bytes.len().min(room);
            room -= taken;
            taken
        };
        assert_eq!(send_filler(30_000, End::Plain, &mut write), 0);
        assert_eq!(send_filler(30_000, End::Plain, &mut write), 20_000);
        assert_eq!(calls, 3);
    }

    #[test]
    fn a_last_message_ends_with_its_mark_in_any_pieces() {
        for (size, piece) in [(1, 1), (10, 3), (RUN, RUN), (RUN + 1, 5_000), (3 * RUN, 7_777)] {
            let (mut sent, mut left) = (Vec::new(), size as u64);
            while left > 0 {
                let mut room = piece;
                left = send_filler(left, End::Last, |bytes| {
                    let taken = bytes.len().min(room);
                    room -= taken;
                    sent.extend_from_slice(&bytes[..taken]);
                    taken
                });
            }
            assert_eq!(sent.len(), size);
            assert_eq!(sent.iter().position(|&octet| octet != b'x'), Some(size - 1), "{size}");
            assert_eq!(sent[size - 1], LAST);
        }
    }
}
