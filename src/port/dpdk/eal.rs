//! The environment abstraction layer: initialised once, on a thread of its own that serves as the
//! main lcore, so that the caller is never pinned to a core.

use core::ffi::{c_char, c_int};
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::error::EalError;
use super::log::{self, Watch};

/// Does EAL belong to this process already? It can be initialised only once, even after a clean-up.
static INITIALISED: AtomicBool = AtomicBool::new(false);

/// A closure for the main lcore.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// A handle of the initialised EAL. Copies share it; when the last of them and the last device and
/// pool made with it are gone, EAL is cleaned up and its hugepage files are removed.
#[derive(Clone)]
pub struct Eal {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    /// Lcores of EAL, the main one first.
    pub(super) lcores: Vec<u32>,
    /// Which of them run a closure of ours; one flag for each entry of `lcores`.
    pub(super) busy: Vec<Arc<AtomicBool>>,
    /// To the main lcore; `None` only while this is dropped.
    pub(super) jobs: Mutex<Option<Sender<Job>>>,
    main: Mutex<Option<JoinHandle<()>>>,
    /// Which ports are open, by port id.
    pub(super) open_ports: Mutex<[bool; dpdk_sys::RTE_MAX_ETHPORTS as usize]>,
}

impl core::fmt::Debug for Eal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Eal").field("lcores", &self.shared.lcores).finish_non_exhaustive()
    }
}

impl Eal {
    /// Initialises EAL with `args` (without a program name), as on the command line of any DPDK
    /// program. The logs of DPDK are limited to errors unless a `--log-level` is among them.
    ///
    /// # Errors
    /// Always the second time in a process; and if EAL refuses. Unknown options also make EAL print
    /// its usage.
    pub fn init(args: &[String]) -> Result<Eal, EalError> {
        let mut argv = Vec::with_capacity(args.len() + 4);
        argv.push(c"lastack".to_owned());
        for arg in args {
            let arg = CString::new(arg.as_str()).map_err(|_| EalError::BadArgument(arg.clone()))?;
            argv.push(arg);
        }
        let chosen = args.iter().any(|arg| arg.starts_with("--log-level"));
        if !chosen {
            argv.push(c"--log-level=lib.*:error".to_owned());
            argv.push(c"--log-level=pmd.*:error".to_owned());
            argv.push(c"--log-level=bus.*:error".to_owned());
        }
        if INITIALISED.swap(true, Ordering::SeqCst) {
            return Err(EalError::AlreadyInitialised);
        }
        log::install(chosen);

        let (report, outcome) = channel();
        let (jobs, queue) = channel();
        let main = std::thread::Builder::new()
            .name("lastack-main".to_owned())
            .spawn(move || main_lcore(argv, &report, queue))
            .map_err(|error| EalError::NoThread(error.to_string()))?;
        let lcores = match outcome.recv() {
            Ok(Ok(lcores)) => lcores,
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(EalError::NoThread("it ended early".to_owned())),
        };
        Ok(Eal {
            shared: Arc::new(Shared {
                busy: lcores.iter().map(|_| Arc::new(AtomicBool::new(false))).collect(),
                lcores,
                jobs: Mutex::new(Some(jobs)),
                main: Mutex::new(Some(main)),
                open_ports: Mutex::new([false; dpdk_sys::RTE_MAX_ETHPORTS as usize]),
            }),
        })
    }

    /// The lcores of EAL, the main one first. All of them can run an engine.
    pub fn lcores(&self) -> &[u32] {
        &self.shared.lcores
    }

    /// Is memory backed by hugepages?
    pub fn has_hugepages(&self) -> bool {
        // SAFETY: EAL is initialised as long as `self` lives; the function reads its configuration.
        unsafe { dpdk_sys::rte_eal_has_hugepages() != 0 }
    }

    /// Gives up this handle. EAL is cleaned up now if it is the last thing that uses it, and
    /// otherwise when the last device, pool, closure or handle is dropped.
    pub fn cleanup(self) {
        drop(self);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Without a sender the main lcore leaves its loop and cleans up.
        *self.jobs.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let main = self.main.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(main) = main
            && main.thread().id() != std::thread::current().id()
        {
            let _ = main.join();
        }
    }
}

/// The thread that is the main lcore: initialises, runs closures, cleans up.
fn main_lcore(
    argv: Vec<CString>,
    report: &Sender<Result<Vec<u32>, EalError>>,
    jobs: Receiver<Job>,
) {
    let outcome = initialise(argv);
    let ok = outcome.is_ok();
    if report.send(outcome).is_err() || !ok {
        return;
    }
    for job in jobs {
        // The job has told its owner already; what is left is to keep the thread.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
    }
    // SAFETY: every device, pool and ring held an `Eal`, as did every closure on an lcore, and the
    // last of these is gone; this is the thread that initialised EAL.
    unsafe { dpdk_sys::rte_eal_cleanup() };
}

fn initialise(argv: Vec<CString>) -> Result<Vec<u32>, EalError> {
    // EAL permutes the vector and keeps pointers into it for good, so both are leaked.
    let argv: Vec<*mut c_char> = argv.into_iter().map(CString::into_raw).collect();
    let argc = c_int::try_from(argv.len()).expect("a command line");
    let watch = Watch::start();
    // SAFETY: `argv` holds `argc` C strings that live forever and that nobody else has; `init` lets
    // only one thread of the process come here, once.
    let parsed = unsafe { dpdk_sys::rte_eal_init(argc, argv.leak().as_mut_ptr()) };
    if parsed < 0 {
        let said = watch.said("it gave no reason");
        return Err(if said.to_lowercase().contains("hugepage") {
            EalError::NoHugepages(said)
        } else if said.contains("primary process") || said.contains("lock on") {
            EalError::PrefixInUse(said)
        } else {
            EalError::Failed(said)
        });
    }
    // SAFETY: EAL is initialised; the functions read its table of lcores.
    let main = unsafe { dpdk_sys::rte_get_main_lcore() };
    let mut lcores = vec![main];
    let mut lcore = u32::MAX; // the one before the first, as the iteration macros of EAL start
    loop {
        // SAFETY: as above.
        lcore = unsafe { dpdk_sys::rte_get_next_lcore(lcore, 1, 0) };
        if lcore >= dpdk_sys::RTE_MAX_LCORE {
            return Ok(lcores);
        }
        lcores.push(lcore);
    }
}
