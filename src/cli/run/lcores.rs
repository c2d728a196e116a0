//! Loops on lcores: launched, told what to do, watched for an early end, and taken back.

use super::setup::Setup;
use crate::cli::Failure;
use crate::port::dpdk::LcoreHandle;
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::sync::Arc;

/// What a loop is told, of which it looks once a turn. Nobody writes it but to say something.
#[derive(Debug, Default)]
pub struct Switch {
    said: AtomicU32,
    /// Frames that the loop receives and sends at once, as it says itself.
    burst: AtomicU16,
}

/// What a [`Switch`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Go on.
    Nothing,
    /// Come to an end.
    Halt,
    /// From now on receive and send so many frames at once.
    Burst(u16),
    /// Stop the port's device and start it again.
    Restart,
}

impl Switch {
    const HALT: u32 = u32::MAX;
    const RESTART: u32 = u32::MAX - 1;

    /// What is said. A burst has to be [taken](Self::taken), a restart [done](Self::restarted).
    #[inline]
    pub fn said(&self) -> Said {
        match self.said.load(Ordering::Relaxed) {
            0 => Said::Nothing,
            Self::HALT => Said::Halt,
            Self::RESTART => Said::Restart,
            frames => Said::Burst(frames as u16),
        }
    }

    /// Ends the loop.
    pub fn halt(&self) {
        self.said.store(Self::HALT, Ordering::Relaxed);
    }

    /// Lets a loop go on that will be launched again, and has this burst.
    pub fn release(&self, burst: usize) {
        self.burst.store(burst as u16, Ordering::Relaxed);
        self.said.store(0, Ordering::Relaxed);
    }

    /// Asks for a burst of `frames`, at least 1, unless something else is said. Has the loop taken it?
    pub fn has_burst(&self, frames: u16) -> bool {
        let had = self.burst() == frames;
        if !had {
            self.say_next(0, frames.into());
        }
        had
    }

    /// Asks for a restart of the device, unless something else is said.
    pub fn ask_for_restart(&self) {
        self.say_next(0, Self::RESTART);
    }

    /// The loop has tried to restart the device.
    pub fn restarted(&self) {
        self.say_next(Self::RESTART, 0);
    }

    /// Frames that the loop receives and sends at once.
    pub fn burst(&self) -> u16 {
        self.burst.load(Ordering::Relaxed)
    }

    /// The loop has taken a burst.
    pub fn taken(&self, frames: u16) {
        self.burst.store(frames, Ordering::Relaxed);
        self.say_next(frames.into(), 0);
    }

    /// Says the one after the other. If something else is said meanwhile, a halt say, that stays.
    fn say_next(&self, one: u32, other: u32) {
        let _ = self.said.compare_exchange(one, other, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Rings when a loop has ended, by a panic say.
#[derive(Clone, Debug, Default)]
pub struct Alarm(Arc<AtomicBool>);

impl Alarm {
    /// Has one ended?
    pub fn rang(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct RingOnDrop(Alarm);

impl Drop for RingOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a loop on the lcore with this place among EAL's.
pub fn launch<T: Send + 'static>(
    setup: &Setup,
    place: usize,
    down: &Alarm,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<LcoreHandle<T>, Failure> {
    let ring = RingOnDrop(down.clone());
    let lcore = setup.eal.lcores()[place];
    let launched = setup.eal.launch(lcore, move || {
        let _ring = ring;
        work()
    });
    launched.map_err(Failure::run)
}

/// Takes back what a loop gives back.
pub fn join<T>(handle: LcoreHandle<T>) -> Result<T, Failure> {
    let lcore = handle.lcore();
    handle.join().map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Failure::Run(format!("the engine on lcore {lcore} panicked: {text}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_says_one_thing_at_a_time_and_a_halt_stays() {
        let switch = Switch::default();
        switch.release(32);
        assert_eq!((switch.said(), switch.burst()), (Said::Nothing, 32));
        assert!(!switch.has_burst(7) && !switch.has_burst(8), "the first is not taken yet");
        assert_eq!(switch.said(), Said::Burst(7));
        switch.taken(7);
        assert_eq!(switch.said(), Said::Nothing);
        switch.ask_for_restart();
        assert!(!switch.has_burst(8));
        assert_eq!(switch.said(), Said::Restart);
        switch.restarted();
        assert_eq!(switch.said(), Said::Nothing);
        assert!(switch.has_burst(7) && !switch.has_burst(9));
        switch.halt();
        switch.ask_for_restart();
        switch.restarted();
        switch.taken(9);
        assert_eq!(switch.said(), Said::Halt);
        assert!(!switch.has_burst(1));
        switch.release(9);
        assert_eq!((switch.said(), switch.burst()), (Said::Nothing, 9));
    }
}
