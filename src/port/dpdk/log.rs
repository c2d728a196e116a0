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
    /// To whom lines go; `None` = to the standard error.
    tell: Option<Tell>,
    /// A line that has not ended yet.
    part: String,
}

/// To whom lines of the log go, without their ends.
type Tell = Box<dyn Fn(&str) + Send>;

static SINK: Mutex<Sink> = Mutex::new(Sink {
    watching: 0,
    text: String::new(),
    verbose: false,
    tell: None,
    part: String::new(),
});

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
        sink().take(bytes);
    });
}

/// What a library printed that knows no log: like the log, but not told unless more than errors are.
pub(super) fn printed(bytes: &[u8]) {
    let mut sink = sink();
    match sink.verbose || std::thread::panicking() {
        true => sink.take(bytes),
        false => sink.keep(bytes),
    }
}

/// Lets the lines of the log go to somebody who knows what else is on the screen, from now on.
pub fn set_log_output(tell: impl Fn(&str) + Send + 'static) {
    sink().tell = Some(Box::new(tell));
}

impl Sink {
    /// Keeps a text for the error of what is being tried.
    fn keep(&mut self, bytes: &[u8]) {
        if self.watching > 0 && self.text.len() + bytes.len() <= LIMIT {
            self.text.push_str(&String::from_utf8_lossy(bytes));
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.keep(bytes);
        if !self.verbose && self.watching > 0 {
            return;
        }
        let Sink { tell: Some(tell), part, .. } = self else {
            let _ = std::io::stderr().write_all(bytes);
            return;
        };
        part.push_str(&String::from_utf8_lossy(bytes));
        while let Some(end) = part.find('\n') {
            tell(&part[..end]);
            part.drain(..=end);
        }
    }
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
    fn lines_go_to_whom_they_are_told() {
        let lines = std::sync::Arc::new(Mutex::new(Vec::new()));
        let told = lines.clone();
        let tell: Tell = Box::new(move |line| told.lock().unwrap().push(line.to_owned()));
        let mut sink = Sink {
            watching: 0,
            text: String::new(),
            verbose: false,
            tell: Some(tell),
            part: String::new(),
        };
        sink.take(b"EAL: one\nPMD: t");
        sink.take(b"wo\n\xff");
        assert_eq!(*lines.lock().unwrap(), ["EAL: one", "PMD: two"]);
        sink.watching = 1;
        sink.take(b"EAL: three\n");
        assert_eq!((lines.lock().unwrap().len(), sink.text.as_str()), (2, "EAL: three\n"));
    }

    #[test]
    fn a_log_becomes_one_line() {
        assert_eq!(one_line(""), "");
        assert_eq!(one_line("EAL: no.\n\nEAL: no.\nPMD: why\nand so on\n"), "EAL: no; PMD: why");
    }
}
