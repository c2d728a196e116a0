//! What client and server say to each other over a connection: requests, and responses that are
//! recognised in a stream of octets.

use super::load::LoadConfig;
use super::{End, send_filler};

/// A response that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// It is what was asked for.
    pub good: bool,
    /// The server will answer no more on this connection.
    pub last: bool,
}

/// How far a response is that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many octets of its head have come.
    Head(u64),
    /// So many octets of its content have come, of as many as were announced.
    Body(u64, Option<u64>),
}

/// How requests are written and responses recognised. Responses come in the order of the requests.
pub trait Dialogue {
    /// What a connection keeps of a response that has arrived in part.
    type Reading: Default + core::fmt::Debug;

    /// The dialogue of a load.
    fn new(config: &LoadConfig) -> Self;

    /// Octets of a request; the `last` one of a connection asks the server to close, if it is to.
    fn request_len(&self, last: bool) -> u32;

    /// Offers `unsent` octets, the end of all requests begun so far, to `write`, which says how many it
    /// took, until it takes no more. Is the `last` request of the connection among them? Returns what
    /// is still to be sent.
    fn send(&self, unsent: u64, last: bool, write: impl FnMut(&[u8]) -> usize) -> u64;

    /// Takes octets of responses to the `under_way` requests and hands out each answer that they
    /// complete. What comes after an answer that is the last is left alone.
    ///
    /// # Errors
    /// What is wrong with them, or that there were more than requests.
    fn read(
        &self,
        reading: &mut Self::Reading,
        data: &[u8],
        under_way: u16,
        answered: impl FnMut(Answer),
    ) -> Result<(), &'static str>;

    /// The server has closed its direction: does that complete a response?
    fn ended(&self, reading: &mut Self::Reading) -> Option<Answer> {
        let _ = reading;
        None
    }

    /// How far the response is that arrives; `None` if nothing of it has come.
    fn progress(&self, reading: &Self::Reading) -> Option<Progress>;

    /// May a request be sent again whose connection ended before the answer, though the server may have
    /// carried it out? Only if it is idempotent (RFC 9112 §9.3.1).
    fn may_repeat(&self) -> bool {
        false
    }
}

/// Requests and responses of fixed sizes, as [`Responder`](super::Responder) takes and gives them.
#[derive(Debug)]
pub struct Fixed {
    request_size: u32,
    response_size: u32,
    server_closes: bool,
}

impl Dialogue for Fixed {
    /// Octets of the response that is arriving.
    type Reading = u32;

    fn new(config: &LoadConfig) -> Self {
        Fixed {
            request_size: config.shape.request_size,
            response_size: config.shape.response_size,
            server_closes: config.close == super::CloseBy::Server,
        }
    }

    #[inline]
    fn request_len(&self, _: bool) -> u32 {
        self.request_size
    }

    #[inline]
    fn send(&self, unsent: u64, last: bool, write: impl FnMut(&[u8]) -> usize) -> u64 {
        let end = if last && self.server_closes { End::Last } else { End::Plain };
        send_filler(unsent, end, write)
    }

    #[inline]
    fn read(
        &self,
        got: &mut u32,
        data: &[u8],
        mut under_way: u16,
        mut answered: impl FnMut(Answer),
    ) -> Result<(), &'static str> {
        let mut octets = data.len();
        while octets > 0 {
            if under_way == 0 {
                return Err("octets that were not asked for");
            }
            let part = octets.min((self.response_size - *got) as usize);
            octets -= part;
            *got += part as u32;
            if *got == self.response_size {
                *got = 0;
                under_way -= 1;
                answered(Answer { good: true, last: false });
            }
        }
        Ok(())
    }

    fn progress(&self, got: &u32) -> Option<Progress> {
        (*got > 0).then(|| Progress::Body(u64::from(*got), Some(self.response_size.into())))
    }
}
