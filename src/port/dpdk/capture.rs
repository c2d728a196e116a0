//! What C libraries print to the standard streams while they set something up: libbpf and drivers know no
//! log. It is kept like the log of DPDK, so that it comes neither over a table nor into a result.

use core::ffi::c_int;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use super::log;

/// One at a time: the streams belong to the whole process.
static TURN: Mutex<()> = Mutex::new(());

/// Does the work, and keeps what is printed meanwhile to the standard output and the standard error, by
/// any thread: for times at which nothing of ours is printed. Errors of devices and of EAL can say it, and
/// it is written where the log of DPDK is.
pub fn captured<T>(work: impl FnOnce() -> T) -> T {
    let (done, text) = capture(work);
    log::printed(text.as_bytes());
    done
}

/// Does the work: what came of it, and what was printed meanwhile.
fn capture<T>(work: impl FnOnce() -> T) -> (T, String) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(mut kept) = Kept::begin() else { return (work(), String::new()) };
    let done = work();
    (done, kept.end())
}

/// The streams, while they lead into a file.
struct Kept {
    file: File,
    /// What they led to before.
    before: Option<[OwnedFd; 2]>,
}

const STREAMS: [c_int; 2] = [libc::STDOUT_FILENO, libc::STDERR_FILENO];

impl Kept {
    /// `None` if there is no room for more descriptors; then streams are as they were.
    fn begin() -> Option<Self> {
        flush();
        // SAFETY: the name is a C string, and is copied.
        let file = unsafe { libc::memfd_create(c"printed".as_ptr(), libc::MFD_CLOEXEC) };
        let file = File::from(owned(file)?);
        let [out, err] = STREAMS.map(|stream| {
            // SAFETY: any number may be asked about; a new descriptor is made.
            owned(unsafe { libc::fcntl(stream, libc::F_DUPFD_CLOEXEC, 3) })
        });
        let kept = Kept { file, before: Some([out?, err?]) };
        for stream in STREAMS {
            // SAFETY: both are open descriptors of this process; what the stream led to is kept open above.
            unsafe { libc::dup2(kept.file.as_raw_fd(), stream) };
        }
        Some(kept)
    }

    /// Lets the streams lead to where they did: what was printed meanwhile.
    fn end(&mut self) -> String {
        self.restore();
        let mut octets = Vec::new();
        let read = self.file.rewind().and_then(|()| self.file.read_to_end(&mut octets));
        read.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&octets).into_owned())
    }

    fn restore(&mut self) {
        let Some(before) = self.before.take() else { return };
        flush();
        for (stream, before) in STREAMS.into_iter().zip(&before) {
            // SAFETY: both are open descriptors of this process; nobody owns the standard streams.
            unsafe { libc::dup2(before.as_raw_fd(), stream) };
        }
    }
}

impl Drop for Kept {
    /// After a panic too, whose message is then among what was printed.
    fn drop(&mut self) {
        if self.before.is_some() {
            let text = self.end();
            log::printed(text.as_bytes());
        }
    }
}

/// A descriptor that a call has just made.
fn owned(descriptor: c_int) -> Option<OwnedFd> {
    // SAFETY: the caller has just got it from the system, and nobody else has it.
    (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Writes what C's own buffers hold to where the streams lead now.
fn flush() {
    // SAFETY: with no stream named all are flushed, each under its lock.
    unsafe { libc::fflush(core::ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_c_prints_is_kept_and_then_the_streams_are_as_they_were() {
        let same = || {
            STREAMS.map(|stream| {
                std::fs::read_link(format!("/proc/self/fd/{stream}")).expect("an open stream")
            })
        };
        let before = same();
        let (done, text) = capture(|| {
            // SAFETY: C strings; `write` reads as many octets as there are.
            unsafe {
                libc::puts(c"libbpf: through the buffer of C".as_ptr());
                libc::write(libc::STDERR_FILENO, c"driver: at once\n".as_ptr().cast(), 16);
            }
            7
        });
        assert_eq!(done, 7);
        assert!(text.contains("libbpf: through the buffer of C\n"), "{text}");
        assert!(text.contains("driver: at once\n"), "{text}");
        assert_eq!(same(), before);
        let panicked =
            std::panic::catch_unwind(|| capture(|| std::panic::resume_unwind(Box::new(1))));
        assert!(panicked.is_err());
        assert_eq!(same(), before, "after a panic");
    }
}
