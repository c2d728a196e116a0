//! Was the standard output open when the process began? Rust's library opens /dev/null in the place of a
//! closed stream before `main`, so that it has to be looked at earlier.

use core::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Run by the loader, before `main` and before Rust's library.
#[used]
// SAFETY: the section holds pointers to functions of C without arguments that are used; this one calls
// nothing but `fcntl` and touches nothing but an atomic number, for which nothing has to be set up.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: any number may be asked about.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    CLOSED.store(flags == -1, Ordering::Relaxed);
}

/// Was there no standard output when the process began?
pub fn stdout_was_closed() -> bool {
    core::hint::black_box(&LOOK); // so that it is linked
    CLOSED.load(Ordering::Relaxed)
}
