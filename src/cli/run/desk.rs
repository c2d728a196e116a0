//! Between the prompt and the session: which run goes on, and what the prompt wants of it.

use super::watch::wait_until;
use crate::cli::Failure;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Mutex, OnceLock, PoisonError};

/// In this time a session looks at what it is asked for.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// A run comes to its end in this time, beside that which connections under way may take.
const ENDED_WITHIN: Duration = Duration::from_secs(30);

/// What the prompt may ask of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A run, of this length or as the options say.
    Start(Option<Duration>),
    /// The end of the run.
    Stop,
}

/// What both sides know.
#[derive(Debug, Default)]
pub struct Desk {
    /// The prompt wants the session to end.
    over: AtomicBool,
    /// The session has ended.
    ended: AtomicBool,
    /// A run goes on, until its result is told.
    runs: AtomicBool,
    /// How often one has begun or ended.
    changes: AtomicU64,
    /// Somebody has interrupted what the prompt does.
    interrupted: AtomicBool,
    asked: Mutex<Option<Asked>>,
    failure: OnceLock<Failure>,
    /// How long connections under way may take at the end of a run.
    drain: Duration,
}

impl Desk {
    /// Nothing is asked for yet.
    pub fn new(drain: Duration) -> Self {
        Desk { drain, ..Desk::default() }
    }

    /// Asks for a run, and waits until it has begun.
    ///
    /// # Errors
    /// If one goes on already, or the session does not answer.
    pub fn start(&self, length: Option<Duration>) -> Result<(), String> {
        if self.runs() {
            return Err("start: a run goes on; stop ends it".to_owned());
        }
        let before = self.changes.load(Ordering::Acquire);
        self.ask(Asked::Start(length));
        let taken = || self.changes.load(Ordering::Acquire) > before || self.has_ended();
        if wait_until(TAKEN_WITHIN, taken) { Ok(()) } else { Err("start: no answer".to_owned()) }
    }

    /// Asks for the end of the run, and waits until its result has been told.
    ///
    /// # Errors
    /// If none goes on.
    pub fn stop(&self) -> Result<(), String> {
        if !self.runs() {
            return Err("stop: nothing runs; start begins a run".to_owned());
        }
        self.ask(Asked::Stop);
        let told = wait_until(self.drain.saturating_add(ENDED_WITHIN), || {
            !self.runs() || self.has_ended()
        });
        if told { Ok(()) } else { Err("stop: the run does not end".to_owned()) }
    }

    /// Waits for this time, or until the run has ended; no longer than the session goes on.
    ///
    /// # Errors
    /// If somebody interrupts it.
    pub fn wait(&self, time: Option<Duration>) -> Result<(), String> {
        self.interrupted.store(false, Ordering::Relaxed);
        let over = || self.has_ended() || self.interrupted.load(Ordering::Relaxed);
        wait_until(time.unwrap_or(Duration::MAX), || over() || (time.is_none() && !self.runs()));
        match self.interrupted.swap(false, Ordering::Relaxed) {
            true => Err("wait: interrupted".to_owned()),
            false => Ok(()),
        }
    }

    /// The prompt wants the session to end.
    pub fn quit(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// The prompt wants the session to end, and to have failed.
    pub fn fail(&self, failure: Failure) {
        let _ = self.failure.set(failure); // the first and last
        self.quit();
    }

    /// Shall the session end?
    pub fn wants_to_end(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Does the prompt want the run to end?
    pub fn wants_to_stop(&self) -> bool {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) == Some(Asked::Stop)
    }

    /// Does a run go on?
    pub fn runs(&self) -> bool {
        self.runs.load(Ordering::Acquire)
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn ask(&self, asked: Asked) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
    }

    /// Takes what is asked for.
    pub fn take(&self) -> Option<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A run has begun. What was asked for before is forgotten.
    pub fn begins(&self) {
        self.take();
        self.runs.store(true, Ordering::Release);
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Its result has been told, or why it could not begin.
    pub fn told(&self) {
        self.take();
        // in this order: whoever sees that nothing runs has the number that a start will change
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.runs.store(false, Ordering::Release);
    }

    /// Somebody interrupts what the prompt does.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    /// The session has ended: the failure that the prompt wants told.
    pub fn ends(&self) -> Result<(), Failure> {
        self.ended.store(true, Ordering::Relaxed);
        self.failure.get().map_or(Ok(()), |failure| Err(failure.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_begun_and_ended_one_after_the_other() {
        let desk = Desk::default();
        assert_eq!(desk.stop(), Err("stop: nothing runs; start begins a run".to_owned()));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut asked = Vec::new();
                while asked.len() < 2 {
                    match desk.take() {
                        Some(Asked::Start(length)) => {
                            asked.push(length);
                            desk.begins();
                        }
                        Some(Asked::Stop) => {
                            asked.push(None);
                            desk.told();
                        }
                        None => std::thread::yield_now(),
                    }
                }
                assert_eq!(asked, [Some(Duration::from_secs(3)), None]);
            });
            assert_eq!(desk.start(Some(Duration::from_secs(3))), Ok(()));
            assert_eq!(desk.start(None), Err("start: a run goes on; stop ends it".to_owned()));
            assert_eq!(desk.stop(), Ok(()));
            assert!(!desk.runs());
        });
    }

    #[test]
    fn waiting_ends_with_its_time_with_the_run_and_when_it_is_interrupted() {
        let desk = Desk::default();
        assert_eq!(desk.wait(Some(Duration::from_millis(1))), Ok(()));
        assert_eq!(desk.wait(None), Ok(()), "nothing runs");
        desk.begins();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(10));
                desk.told();
            });
            assert_eq!(desk.wait(None), Ok(()));
        });
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                desk.interrupt();
            });
            let long = Duration::from_secs(60);
            assert_eq!(desk.wait(Some(long)), Err("wait: interrupted".to_owned()));
        });
    }

    #[test]
    fn a_failure_of_the_prompt_is_told_at_the_end() {
        let desk = Desk::default();
        desk.fail(Failure::Run("line 3".to_owned()));
        assert!(desk.wants_to_end());
        assert_eq!(desk.ends(), Err(Failure::Run("line 3".to_owned())));
    }
}
