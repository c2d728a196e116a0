//! What a run measured: latency histograms, rates between two readings, and the result file.
//!
//! Nothing here knows an engine. The applications record into [`Histogram`]s, the command line reads
//! running totals and subtracts them ([`rate`]), and [`report::Report`] is what is left at the end:
//! the object of `--json`, and the tables of [`table`] made from it.

pub mod compare;
mod formats;
pub mod histogram;
pub mod hlog;
pub mod interval;
pub mod overhead;
pub mod plot;
pub mod rate;
pub mod report;
pub mod run;
mod since;
pub mod table;

pub use histogram::{Histogram, Summary};
pub use interval::Interval;
pub use overhead::Overhead;
pub use report::Report;
