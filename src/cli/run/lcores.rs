//! Loops on lcores: launched, watched for an early end, and taken back.

use super::setup::Setup;
use crate::cli::Failure;
use crate::port::dpdk::LcoreHandle;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

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
