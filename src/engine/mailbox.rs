//! How other threads ask something of an engine: a bounded queue without locks, looked at once a
//! poll.
//!
//! ```text
//!   any thread ── send ─▶ [ request | request | … ] ─▶ poll ─▶ the stack's configuration
//!                                                                 │
//!   any thread ◀──────────────── InForce, in the metrics ◀────────┘
//! ```
//!
//! A poll for which there is nothing reads one number that nobody writes, so that its cache line
//! stays where it is. Neither side ever waits for the other, and the engine allocates nothing but what
//! it is asked to tell.

use super::error::Error;
use super::listing::{Question, Told};
use super::stack::Stack;
use crate::tcp::{self, SynCookies, TimeWaitPolicy};
use core::fmt;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use crossbeam_queue::ArrayQueue;

/// Requests that a mailbox holds.
const ROOM: usize = 64;
/// Answers that it holds; if nobody takes them, the newest are lost.
const ANSWERS: usize = 4;

/// What an engine may be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Use this maximum segment lifetime from now on, as [`Stack::set_msl`].
    SetMsl(Duration),
    /// Use another one towards hosts on the link, or none, as [`Stack::set_msl_on_link`].
    SetMslOnLink(Option<Duration>),
    /// Treat 4-tuples in TIME-WAIT so, as [`Stack::set_time_wait`].
    SetTimeWait(TimeWaitPolicy),
    /// Answer SYNs so, where a listener does not say otherwise, as [`Stack::set_syn_cookies`].
    SetSynCookies(SynCookies),
    /// Take so many SYNs of a source in a second, as [`Stack::set_syn_limit`].
    SetSynLimit(Option<u16>),
    /// The link has come up, as [`Stack::note_link_up`].
    LinkIsUp,
    /// Answer this; [`Mailbox::answer`] has it after the next poll.
    Tell(Question),
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The engine has not yet looked at those that were sent before: it does not run, or the sender
    /// is too fast.
    Full,
    /// No engine would do it.
    Invalid,
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotSent::Full => "the engine has not looked at earlier requests yet: try again",
            NotSent::Invalid => "no engine can do that: the value is out of its range",
        })
    }
}

impl core::error::Error for NotSent {}

/// The mailbox of one engine; [`Stack::mailbox`] gives it.
#[derive(Debug)]
pub struct Mailbox {
    /// Requests that were sent and not taken yet. Apart from the queue, so that looking is one load.
    waiting: AtomicUsize,
    queue: ArrayQueue<Request>,
    answers: ArrayQueue<Told>,
}

impl Mailbox {
    pub(super) fn new() -> Self {
        let (queue, answers) = (ArrayQueue::new(ROOM), ArrayQueue::new(ANSWERS));
        Mailbox { waiting: AtomicUsize::new(0), queue, answers }
    }

    /// An answer, the oldest first.
    pub fn answer(&self) -> Option<Told> {
        self.answers.pop()
    }

    /// Leaves a request. It is done with the engine's next poll; those of one sender are done in
    /// their order.
    ///
    /// # Errors
    /// [`NotSent`], and then nothing has changed.
    pub fn send(&self, request: Request) -> Result<(), NotSent> {
        let (Request::SetMsl(msl) | Request::SetMslOnLink(Some(msl))) = request else {
            return self.push(request);
        };
        if tcp::Config::is_msl(msl) { self.push(request) } else { Err(NotSent::Invalid) }
    }

    fn push(&self, request: Request) -> Result<(), NotSent> {
        self.queue.push(request).map_err(|_| NotSent::Full)?;
        self.waiting.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Has the engine taken all that was sent?
    pub fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }

    /// The next request, for the engine.
    #[inline]
    fn take(&self) -> Option<Request> {
        match self.waiting.load(Ordering::Acquire) {
            0 => None,
            waiting => self.pop(waiting),
        }
    }

    #[cold]
    fn pop(&self, waiting: usize) -> Option<Request> {
        if self.queue.len() != waiting {
            return None; // a sender is half way, and `pop` would wait for it: next poll
        }
        let request = self.queue.pop()?;
        self.waiting.fetch_sub(1, Ordering::Release);
        Some(request)
    }
}

/// The settings that may change while an engine runs, for anyone to read.
#[derive(Debug, Default)]
pub struct InForce {
    msl_ns: AtomicU64,
    /// 0 = none.
    msl_on_link_ns: AtomicU64,
    time_wait: AtomicU64,
    syn_cookies: AtomicU64,
    /// One more than the limit; 0 = none.
    syn_limit: AtomicU64,
}

impl InForce {
    /// Maximum segment lifetime.
    pub fn msl(&self) -> Duration {
        Duration::from_nanos(self.msl_ns.load(Ordering::Relaxed))
    }

    /// Maximum segment lifetime towards hosts on the link, if it is another.
    pub fn msl_on_link(&self) -> Option<Duration> {
        let nanos = self.msl_on_link_ns.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    /// What a 4-tuple in TIME-WAIT may be reused for.
    pub fn time_wait(&self) -> TimeWaitPolicy {
        match self.time_wait.load(Ordering::Relaxed) {
            0 => TimeWaitPolicy::Strict,
            1 => TimeWaitPolicy::Reuse,
            _ => TimeWaitPolicy::Off,
        }
    }

    /// Whether SYNs are answered with cookies.
    pub fn syn_cookies(&self) -> SynCookies {
        match self.syn_cookies.load(Ordering::Relaxed) {
            0 => SynCookies::Off,
            1 => SynCookies::Auto,
            _ => SynCookies::Always,
        }
    }

    /// SYNs that a source may send in a second.
    pub fn syn_limit(&self) -> Option<u16> {
        let limit = self.syn_limit.load(Ordering::Relaxed);
        limit.checked_sub(1).map(|limit| limit as u16)
    }

    pub(super) fn publish(&self, config: &tcp::Config) {
        let nanos = |time: Duration| time.as_nanos() as u64;
        self.msl_ns.store(nanos(config.msl), Ordering::Relaxed);
        self.msl_on_link_ns.store(config.msl_on_link.map_or(0, nanos), Ordering::Relaxed);
        let policy = match config.time_wait {
            TimeWaitPolicy::Strict => 0,
            TimeWaitPolicy::Reuse => 1,
            TimeWaitPolicy::Off => 2,
        };
        self.time_wait.store(policy, Ordering::Relaxed);
        let cookies = match config.syn_cookies {
            SynCookies::Off => 0,
            SynCookies::Auto => 1,
            SynCookies::Always => 2,
        };
        self.syn_cookies.store(cookies, Ordering::Relaxed);
        let limit = config.syn_limit_per_s.map_or(0, |limit| u64::from(limit) + 1);
        self.syn_limit.store(limit, Ordering::Relaxed);
    }
}

impl Stack {
    /// By which other threads may ask something of this engine.
    pub fn mailbox(&self) -> &std::sync::Arc<Mailbox> {
        &self.mailbox
    }

    /// Sets the maximum segment lifetime for connections that enter TIME-WAIT from now on, and for
    /// 2·MSL that begin anew.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is zero or longer than [`Config::MAX_MSL`](tcp::Config::MAX_MSL).
    pub fn set_msl(&mut self, msl: Duration) -> Result<(), Error> {
        self.carry_out(Request::SetMsl(msl))
    }

    /// Sets the maximum segment lifetime towards hosts on the same link, or makes it that of all.
    ///
    /// # Errors
    /// As [`set_msl`](Self::set_msl).
    pub fn set_msl_on_link(&mut self, msl: Option<Duration>) -> Result<(), Error> {
        self.carry_out(Request::SetMslOnLink(msl))
    }

    /// Says what a 4-tuple in TIME-WAIT may be reused for from now on. Entries that there are stay
    /// for their time even with [`TimeWaitPolicy::Off`].
    pub fn set_time_wait(&mut self, policy: TimeWaitPolicy) {
        let done = self.carry_out(Request::SetTimeWait(policy));
        debug_assert!(done.is_ok(), "every policy is one");
    }

    /// Says whether SYNs are answered with cookies from now on, where a listener does not say otherwise.
    /// With [`SynCookies::Off`] those that are under way are no longer taken either.
    pub fn set_syn_cookies(&mut self, mode: SynCookies) {
        let done = self.carry_out(Request::SetSynCookies(mode));
        debug_assert!(done.is_ok(), "every mode is one");
    }

    /// Sets how many SYNs a source, an IPv4 address or an IPv6 /64, may send in a second.
    pub fn set_syn_limit(&mut self, per_second: Option<u16>) {
        let done = self.carry_out(Request::SetSynLimit(per_second));
        debug_assert!(done.is_ok(), "every limit is one");
    }

    /// Does what other threads have asked for since the last poll.
    #[inline]
    pub(super) fn take_requests(&mut self) {
        while let Some(request) = self.mailbox.take() {
            let done = self.carry_out(request);
            debug_assert!(done.is_ok(), "requests are checked when they are sent");
        }
    }

    #[cold]
    fn carry_out(&mut self, request: Request) -> Result<(), Error> {
        match request {
            Request::SetMsl(msl) if tcp::Config::is_msl(msl) => self.config.msl = msl,
            Request::SetMslOnLink(msl) if msl.is_none_or(tcp::Config::is_msl) => {
                self.config.msl_on_link = msl
            }
            Request::SetTimeWait(policy) => self.config.time_wait = policy,
            Request::SetSynCookies(mode) => self.config.syn_cookies = mode,
            Request::SetSynLimit(limit) => self.config.syn_limit_per_s = limit,
            Request::Tell(question) => {
                let told = self.tell(question);
                let _ = self.mailbox.answers.push(told); // nobody took those before
                return Ok(());
            }
            Request::LinkIsUp => {
                self.note_link_up();
                return Ok(());
            }
            Request::SetMsl(_) | Request::SetMslOnLink(_) => return Err(Error::Invalid),
        }
        self.metrics.in_force.publish(&self.config);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn requests_of_a_sender_keep_their_order_and_a_full_box_takes_no_more() {
        let mailbox = Mailbox::new();
        assert_eq!(mailbox.take(), None);
        let request = |n: usize| Request::SetMsl(SECOND + Duration::from_millis(n as u64));
        for n in 0..ROOM {
            assert_eq!(mailbox.send(request(n)), Ok(()));
        }
        assert_eq!(mailbox.send(request(0)), Err(NotSent::Full));
        for n in 0..ROOM {
            assert_eq!(mailbox.take(), Some(request(n)));
        }
        assert_eq!(mailbox.take(), None);
    }

    #[test]
    fn what_no_engine_can_do_is_not_sent() {
        let mailbox = Mailbox::new();
        let too_long = tcp::Config::MAX_MSL + Duration::from_nanos(1);
        for msl in [Duration::ZERO, too_long] {
            assert_eq!(mailbox.send(Request::SetMsl(msl)), Err(NotSent::Invalid));
            assert_eq!(mailbox.send(Request::SetMslOnLink(Some(msl))), Err(NotSent::Invalid));
        }
        assert_eq!(mailbox.take(), None);
        assert_eq!(mailbox.send(Request::SetMslOnLink(None)), Ok(()));
    }

    #[test]
    fn many_senders_and_one_engine_lose_nothing() {
        let mailbox = Arc::new(Mailbox::new());
        let senders: Vec<_> = (1..=4)
            .map(|sender| {
                let mailbox = mailbox.clone();
                std::thread::spawn(move || {
                    for n in 1..=1_000 {
                        let request = Request::SetMsl(Duration::new(sender, n));
                        while mailbox.send(request) == Err(NotSent::Full) {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let mut last = [0; 5];
        let mut taken = 0;
        while taken < 4_000 {
            let Some(request) = mailbox.take() else {
                std::thread::yield_now();
                continue;
            };
            let Request::SetMsl(msl) = request else { panic!("{request:?} was not sent") };
            let sender = msl.as_secs() as usize;
            assert_eq!(msl.subsec_nanos(), last[sender] + 1, "sender {sender} in its order");
            last[sender] += 1;
            taken += 1;
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(mailbox.take(), None);
    }
}
