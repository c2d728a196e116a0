//! The log of DPDK: kept while something is tried, so that an error can say what the driver said,
//! and written to standard error otherwise.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use crate::port::LogLevel;

/// More than this much text of one attempt is not kept.
const LIMIT: usize = 16 * 1024;

struct Sink {
    /// How many attempts are being watched.
    watching: usize,
    text: String,
    /// Write everything through, because the user chose the log levels.
    verbose: bool,
}

static SINK: Mutex<Sink> = Mutex::new(Sink { watching: 0, text: String::new(), verbose: false });

fn sink() -> std::sync::MutexGuard<'static, Sink> {
    SINK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Directs the log of DPDK here, for the rest of the process.
pub(super) fn install(verbose: bool) {
    sink().verbose = verbose;
    // SAFETY: `receive` has the signature that the shim calls, never unwinds, and is a function of
    // this program, so it outlives the stream. If the stream cannot be made, DPDK keeps its own.
    unsafe { dpdk_sys::dpx_log_to(Some(receive)) };
}

/// Sets from which severity on the log of DPDK is written, of all its parts, whatever was asked for
/// when EAL was initialised. Any thread may do so at any time.
pub fn set_log_level(level: LogLevel) {
    sink().verbose = true;
    // A part writes what both its own level and that of all let through. While the levels of the parts
    // change the latter keeps EAL from telling of each of them, as it does with `debug`.
    let meanwhile = level.min(LogLevel::Info);
    // SAFETY: the functions write to numbers of DPDK's log, which it reads as they are at that time;
    // the pattern is a C string, and is not kept.
    unsafe {
        dpdk_sys::rte_log_set_global_level(meanwhile.number());
        dpdk_sys::rte_log_set_level_pattern(c"*".as_ptr(), level.number());
        dpdk_sys::rte_log_set_global_level(level.number());
    }
}

extern "C" fn receive(text: *const core::ffi::c_char, length: usize) {
    // A panic must not cross into C; a failure to log is no reason for one.
    let _ = std::panic::catch_unwind(|| {
        // SAFETY: the shim passes the buffer of its stream and its length, valid during the call.
        let bytes = unsafe { core::slice::from_raw_parts(text.cast::<u8>(), length) };
        let mut sink = sink();
        if sink.watching > 0 && sink.text.len() + length <= LIMIT {
            sink.text.push_str(&String::from_utf8_lossy(bytes));
        }
        if sink.verbose || sink.watching == 0 {
            let _ = std::io::stderr().write_all(bytes);
        }
    });
}

/// Keeps the log while something is tried.
pub(super) struct Watch(());

impl Watch {
    /// Starts to keep.
    pub(super) fn start() -> Self {
        let mut sink = sink();
        if sink.watching == 0 {
            sink.text.clear();
        }
        sink.watching += 1;
        Watch(())
    }

    /// Everything that was said, in one line; `otherwise` if nothing was.
    pub(super) fn said(self, otherwise: &str) -> String {
        let text = sink().text.clone();
        let line = one_line(&text);
        if line.is_empty() { otherwise.to_owned() } else { line }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut sink = sink();
        sink.watching -= 1;
    }
}

/// The lines of a log as one: what was said first is nearest to the cause, the rest repeats it.
fn one_line(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().map(|line| line.trim().trim_end_matches('.')) {
        if !line.is_empty() && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.truncate(2);
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_becomes_one_line() {
        assert_eq!(one_line(""), "");
        assert_eq!(one_line("EAL: no.\n\nEAL: no.\nPMD: why\nand so on\n"), "EAL: no; PMD: why");
    }
}
