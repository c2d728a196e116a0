//! A deterministic link between two ports, with a virtual clock: the main test bed.
//!
//! ```text
//!   SimPort a ──tx──▶ [ rate | buffer | loss | duplication | corruption | delay + jitter ] ──rx──▶ SimPort b
//!                     the same again, with dice of its own, from b to a
//! ```
//!
//! All that happens follows from the seed and the configuration, so what went wrong once goes wrong
//! again. [`Link::new`] gives the two ports and the [`Link`] itself, which knows when the next frame
//! arrives; who owns the three moves the clock.

mod dice;
mod link;
mod observer;
#[cfg(test)]
mod tests;

pub use dice::Dice;
pub use link::{Burst, Link, LinkConfig, LinkStats, SimClock, SimPort, Stuck};
pub use observer::Observer;
