//! What can go wrong outside the way of a packet. Every text is one line and ends in what to do.

use core::fmt;

/// Why EAL could not be initialised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EalError {
    /// It has been initialised in this process before.
    AlreadyInitialised,
    /// An argument holds a NUL octet.
    BadArgument(String),
    /// No hugepages are reserved, or they cannot be used.
    NoHugepages(String),
    /// Another primary process has the same file prefix.
    PrefixInUse(String),
    /// The thread that serves as main lcore could not be started.
    NoThread(String),
    /// Anything else; what EAL said.
    Failed(String),
}

impl fmt::Display for EalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyInitialised => f.write_str(
                "EAL is already initialised: DPDK allows it once per process, so share the handle",
            ),
            Self::BadArgument(argument) => {
                write!(f, "EAL argument {argument:?} holds a NUL octet: remove it")
            }
            Self::NoHugepages(detail) => write!(
                f,
                "no usable hugepages ({detail}): reserve some (/proc/sys/vm/nr_hugepages) \
                 or do without (--no-huge -m 512)"
            ),
            Self::PrefixInUse(detail) => write!(
                f,
                "another DPDK process uses the same file prefix ({detail}): give this one its own \
                 (--file-prefix NAME)"
            ),
            Self::NoThread(detail) => {
                write!(f, "no thread for the main lcore ({detail}): raise the limit of processes")
            }
            Self::Failed(detail) => {
                write!(f, "EAL refused to start ({detail}): check the EAL options before `--`")
            }
        }
    }
}

impl std::error::Error for EalError {}

/// Why a closure could not be run on an lcore, or a thread not become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchError {
    /// EAL has no such lcore.
    NoSuchLcore(u32),
    /// The lcore is running something.
    Busy(u32),
    /// The lcore could not be reached (a negative `errno`).
    Failed(u32, i32),
    /// The calling thread has an lcore id already.
    AlreadyRegistered(u32),
    /// All lcore ids are in use.
    TooManyThreads,
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchLcore(lcore) => {
                write!(f, "EAL has no lcore {lcore}: name more of them with -l or --lcores")
            }
            Self::Busy(lcore) => write!(f, "lcore {lcore} is busy: join what it runs first"),
            Self::Failed(lcore, code) => {
                write!(f, "lcore {lcore} cannot be reached ({}): restart", errno_text(*code))
            }
            Self::AlreadyRegistered(lcore) => {
                write!(f, "this thread is lcore {lcore} already: drop the other registration first")
            }
            Self::TooManyThreads => {
                f.write_str("every lcore id is in use: register fewer threads with EAL")
            }
        }
    }
}

impl std::error::Error for LaunchError {}

/// Why a pool, a device or a queue could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortError {
    /// A name is empty, too long, or holds a NUL octet.
    BadName(String),
    /// No device of this name.
    NoSuchPort(String),
    /// The device is open already.
    PortInUse(String),
    /// The bus or the driver refused the device.
    Probe {
        /// The device and its arguments.
        devargs: String,
        /// What the driver said.
        detail: String,
    },
    /// More queues than the device has.
    TooManyQueues {
        /// The device.
        port: String,
        /// How many were asked for.
        asked: u16,
        /// How many there are.
        max: u16,
    },
    /// A larger MTU than the device can have.
    MtuTooLarge {
        /// The device.
        port: String,
        /// What was asked for, octets.
        asked: u16,
        /// The largest, octets.
        max: u16,
    },
    /// A frame of the asked MTU does not fit into a buffer of the pool, octets.
    BufferTooSmall {
        /// Room that a frame needs.
        needed: usize,
        /// Room that a buffer has.
        room: usize,
    },
    /// The device is not started (or was stopped).
    NotStarted(String),
    /// The device is started already.
    AlreadyStarted(String),
    /// No such queue was configured.
    NoSuchQueue(String, u16),
    /// The queue is in use by another value.
    QueueInUse(String, u16),
    /// A pool could not be made.
    Pool {
        /// Its name.
        name: String,
        /// The `errno` of the failure.
        code: i32,
    },
    /// A ring could not be made.
    Ring {
        /// Its name.
        name: String,
        /// The `errno` of the failure.
        code: i32,
    },
    /// DPDK's timers could not be had.
    Timers {
        /// The `errno` of the failure.
        code: i32,
    },
    /// The device refused a step of the configuration.
    Device {
        /// The device.
        port: String,
        /// What was tried.
        step: &'static str,
        /// The `errno` of the failure.
        code: i32,
        /// What the driver said.
        detail: String,
    },
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName(name) => {
                write!(f, "{name:?} is no name for DPDK: use 1 to 15 letters, digits, _")
            }
            Self::NoSuchPort(name) => write!(
                f,
                "DPDK has no port {name:?}: make it (--vdev {name},... or -a ADDRESS for a PCI \
                 device bound to vfio-pci)"
            ),
            Self::PortInUse(name) => {
                write!(f, "port {name} is in use: drop the other handle first")
            }
            Self::Probe { devargs, detail } => {
                write!(f, "device {devargs} cannot be made ({detail}): {}", probe_remedy(devargs))
            }
            Self::TooManyQueues { port, asked, max } => {
                write!(f, "port {port} has {max} queue pairs, not {asked}: use at most {max} cores")
            }
            Self::MtuTooLarge { port, asked, max } => {
                write!(f, "port {port} has an MTU of at most {max}, not {asked}: lower the MTU")
            }
            Self::BufferTooSmall { needed, room } => write!(
                f,
                "a frame needs {needed} octets and a buffer has {room}: lower the MTU or give the \
                 pool larger buffers"
            ),
            Self::NotStarted(port) => write!(f, "port {port} is not started: start it first"),
            Self::AlreadyStarted(port) => write!(f, "port {port} is started: stop it first"),
            Self::NoSuchQueue(port, queue) => {
                write!(f, "port {port} was not started with a queue {queue}: ask for more queues")
            }
            Self::QueueInUse(port, queue) => {
                write!(f, "queue {queue} of port {port} is in use: drop its other owner first")
            }
            Self::Pool { name, code } => {
                write!(
                    f,
                    "pool {name} cannot be made ({}): {}",
                    errno_text(*code),
                    pool_remedy(*code)
                )
            }
            Self::Ring { name, code } => {
                write!(
                    f,
                    "ring {name} cannot be made ({}): {}",
                    errno_text(*code),
                    pool_remedy(*code)
                )
            }
            Self::Timers { code } => {
                let (what, remedy) = (errno_text(*code), pool_remedy(*code));
                write!(f, "DPDK's timers cannot be had ({what}): {remedy}")
            }
            Self::Device { port, step, code, detail } => {
                write!(f, "port {port}: {step} failed ({}", errno_text(*code))?;
                if !detail.is_empty() {
                    write!(f, "; {detail}")?;
                }
                write!(f, "): {}", device_remedy(port, *code))
            }
        }
    }
}

impl std::error::Error for PortError {}

/// Drivers that reach into the kernel want a privilege; the others a plugin and right arguments.
fn probe_remedy(devargs: &str) -> &'static str {
    if devargs.contains("net_tap") {
        "run as root or with CAP_NET_ADMIN (setcap cap_net_admin+ep BINARY), and see that \
         /dev/net/tun exists"
    } else if devargs.contains("net_af_packet") {
        "run as root or with CAP_NET_RAW and CAP_NET_ADMIN (setcap cap_net_raw,cap_net_admin+ep \
         BINARY), and see that the interface exists"
    } else if devargs.contains("net_af_xdp") {
        "run as root or with CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF, and see that the interface \
         exists"
    } else if devargs.contains("net_") {
        "check its arguments, and that the driver is installed (the DPDK plugin directory)"
    } else {
        "bind it to vfio-pci (dpdk-devbind.py -b vfio-pci ADDRESS) and allow it (-a ADDRESS)"
    }
}

fn pool_remedy(code: i32) -> &'static str {
    match code {
        libc::EEXIST => "choose another name",
        libc::ENOMEM => {
            "reserve more memory (/proc/sys/vm/nr_hugepages, or a larger -m), or ask for fewer buffers"
        }
        libc::ENAMETOOLONG => "choose a shorter name",
        libc::EINVAL | libc::ENOENT => {
            "see that the mempool and ring drivers are installed (the DPDK plugin directory) and \
             that sizes are powers of two"
        }
        _ => "check the EAL options",
    }
}

fn device_remedy(port: &str, code: i32) -> &'static str {
    match code {
        // The driver gives -1 for everything, which reads as "no permission".
        _ if port.contains("memif") => "start the side with role=server first, then the client",
        libc::EPERM | libc::EACCES => "run as root, or give the binary the capability (setcap)",
        libc::ENOMEM => "reserve more memory, or ask for fewer descriptors and buffers",
        libc::ENOTSUP | libc::EINVAL => "ask for what `show port info` says the device can do",
        _ if port.contains("tap") => "run as root, and see that the interface exists",
        _ => "see the driver's page in the DPDK guide",
    }
}

/// The text of an `errno`, positive or negated.
fn errno_text(code: i32) -> String {
    let text = std::io::Error::from_raw_os_error(code.abs()).to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_one_line_with_a_remedy() {
        let errors: Vec<Box<dyn std::error::Error>> = vec![
            Box::new(EalError::AlreadyInitialised),
            Box::new(EalError::NoHugepages("none".into())),
            Box::new(EalError::Failed("why".into())),
            Box::new(LaunchError::Failed(1, -libc::EIO)),
            Box::new(PortError::NoSuchPort("x".into())),
            Box::new(PortError::MtuTooLarge { port: "p".into(), asked: 9_000, max: 1_500 }),
            Box::new(PortError::Probe { devargs: "net_tap0".into(), detail: "no".into() }),
            Box::new(PortError::Pool { name: "p".into(), code: libc::ENOMEM }),
            Box::new(PortError::Device {
                port: "p".into(),
                step: "start",
                code: -libc::EPERM,
                detail: String::new(),
            }),
        ];
        for error in errors {
            let text = error.to_string();
            assert!(!text.contains('\n') && !text.contains("  "), "{text}");
            assert!(text.contains(": "), "{text}");
        }
    }

    #[test]
    fn a_device_that_needs_a_privilege_says_which() {
        let refused =
            |devargs: &str| PortError::Probe { devargs: devargs.into(), detail: "no".into() };
        assert!(refused("net_tap0,iface=x").to_string().contains("cap_net_admin"));
        assert!(refused("net_af_packet0").to_string().contains("CAP_NET_RAW"));
        assert!(refused("0000:00:05.0").to_string().contains("vfio-pci"));
    }

    #[test]
    fn an_errno_reads_the_same_in_both_signs() {
        assert_eq!(errno_text(libc::ENOMEM), errno_text(-libc::ENOMEM));
        assert!(!errno_text(libc::ENOMEM).contains("os error"));
    }
}
