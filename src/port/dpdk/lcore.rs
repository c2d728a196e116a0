//! Running closures on lcores, and making other threads known to EAL.

use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::eal::{Eal, Job};
use super::error::LaunchError;

/// What runs on an lcore; [`join`](Self::join) waits for it.
#[must_use = "join it, or the result and a panic of the closure are lost"]
pub struct LcoreHandle<T> {
    lcore: u32,
    result: Receiver<thread::Result<T>>,
}

impl<T> LcoreHandle<T> {
    /// The lcore.
    pub fn lcore(&self) -> u32 {
        self.lcore
    }

    /// Waits for the closure and returns its result.
    ///
    /// # Errors
    /// What the closure panicked with.
    pub fn join(self) -> thread::Result<T> {
        self.result.recv().unwrap_or_else(|_| Err(Box::new("the lcore is gone")))
    }

    /// The result if the closure has ended (a panic of it is an error, as for [`join`](Self::join)).
    pub fn try_join(&self) -> Option<thread::Result<T>> {
        self.result.try_recv().ok()
    }
}

impl Eal {
    /// Runs `work` on an lcore of EAL, pinned as the EAL options say. The main lcore is a thread of
    /// the EAL handle, never the caller's.
    ///
    /// # Errors
    /// If there is no such lcore, or it is busy.
    pub fn launch<T, F>(&self, lcore: u32, work: F) -> Result<LcoreHandle<T>, LaunchError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let at = self.shared.lcores.iter().position(|&known| known == lcore);
        let at = at.ok_or(LaunchError::NoSuchLcore(lcore))?;
        let busy = self.shared.busy[at].clone();
        if busy.swap(true, Ordering::Acquire) {
            return Err(LaunchError::Busy(lcore));
        }

        let (report, result) = sync_channel(1);
        let eal = self.clone();
        let job: Job = Box::new(move || {
            let outcome = catch_unwind(AssertUnwindSafe(work));
            busy.store(false, Ordering::Release);
            drop(eal); // kept so far, so that EAL outlives what runs on it
            let _ = report.send(outcome);
        });
        let launched = if at == 0 { self.run_on_main(job) } else { run_on_worker(lcore, job) };
        match launched {
            Ok(()) => Ok(LcoreHandle { lcore, result }),
            Err(code) => {
                self.shared.busy[at].store(false, Ordering::Release);
                Err(LaunchError::Failed(lcore, code))
            }
        }
    }

    fn run_on_main(&self, job: Job) -> Result<(), i32> {
        let jobs = self.shared.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.as_ref().ok_or(-libc::ESRCH)?.send(job).map_err(|_| -libc::ESRCH)
    }

    /// Gives the calling thread an lcore id until the registration is dropped, so that it has a
    /// buffer cache of its own and may be traced. Threads that are not registered can use ports
    /// too, with slower buffers.
    ///
    /// After the first registration EAL refuses secondary processes (`dpdk-dumpcap`,
    /// `dpdk-proc-info`), so programs use lcores and leave this to tests.
    ///
    /// # Errors
    /// If the thread has an lcore id already, or all ids are in use.
    pub fn register_thread(&self) -> Result<Registration, LaunchError> {
        // SAFETY: reads a thread-local variable of EAL.
        let lcore = unsafe { dpdk_sys::dpx_lcore_id() };
        if lcore != dpdk_sys::LCORE_ID_ANY {
            return Err(LaunchError::AlreadyRegistered(lcore));
        }
        // SAFETY: EAL is initialised while `self` lives, and the thread has no id yet.
        if unsafe { dpdk_sys::rte_thread_register() } < 0 {
            return Err(LaunchError::TooManyThreads);
        }
        Ok(Registration { _eal: self.clone(), _this_thread: PhantomData })
    }
}

/// The calling thread has an lcore id as long as this lives.
pub struct Registration {
    _eal: Eal,
    /// Must be dropped by the thread that it speaks of.
    _this_thread: PhantomData<*const ()>,
}

impl Registration {
    /// The id.
    pub fn lcore(&self) -> u32 {
        // SAFETY: reads a thread-local variable of EAL; this value cannot leave its thread.
        unsafe { dpdk_sys::dpx_lcore_id() }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: `register_thread` registered this very thread, since the type is not `Send`.
        unsafe { dpdk_sys::rte_thread_unregister() };
    }
}

fn run_on_worker(lcore: u32, job: Job) -> Result<(), i32> {
    // A thin pointer for C: the inner box has the vtable.
    let job = Box::into_raw(Box::new(job));
    loop {
        // SAFETY: `entry` takes exactly such a pointer, owns it from then on, and never unwinds.
        let code = unsafe { dpdk_sys::rte_eal_remote_launch(Some(entry), job.cast(), lcore) };
        match code {
            0 => return Ok(()),
            // Its last closure has reported and returns at this moment: our flag says it is free.
            code if code == -libc::EBUSY => thread::yield_now(),
            code => {
                // SAFETY: the launch was refused, so the pointer is still ours.
                drop(unsafe { Box::from_raw(job) });
                return Err(code);
            }
        }
    }
}

unsafe extern "C" fn entry(job: *mut c_void) -> c_int {
    // SAFETY: `run_on_worker` made the pointer with `Box::into_raw` and gave it away.
    let job = unsafe { Box::from_raw(job.cast::<Job>()) };
    // The closure's own panics are caught inside; this one stops those of its captured values.
    match catch_unwind(AssertUnwindSafe(*job)) {
        Ok(()) => 0,
        Err(_) => -1,
    }
}
