//! Initialising EAL and running on its lcores.

use lastack::port::LogLevel;
use lastack::port::dpdk::{
    Eal, EalError, EthDev, LaunchError, Pool, PoolConfig, PortError, Tsc, set_log_level,
};

use super::{child, eal_options, pool, shared_eal};

#[test]
fn a_second_initialisation_is_refused() {
    shared_eal();
    assert_eq!(Eal::init(&[]).unwrap_err(), EalError::AlreadyInitialised);
}

#[test]
fn the_caller_is_not_pinned() {
    let name = "eal::the_caller_is_not_pinned";
    let allowed = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("procfs");
        status.lines().find(|line| line.starts_with("Cpus_allowed:")).map(str::to_owned)
    };
    if child::part().is_none() {
        child::run(&[], name, "pinned");
        return;
    }
    let before = allowed();
    let eal = Eal::init(&eal_options("lastack_pin", "0@0")).expect("EAL");
    assert_eq!(allowed(), before);
    let main = eal.launch(0, allowed).expect("the main lcore").join().expect("no panic");
    assert!(main.is_some_and(|mask| mask.trim_end().ends_with('1')), "lcore 0 is on CPU 0");
}

#[test]
fn closures_run_on_every_lcore_and_panics_come_back() {
    let name = "eal::closures_run_on_every_lcore_and_panics_come_back";
    if child::part().is_none() {
        child::run(&[], name, "lcores");
        return;
    }
    let eal = Eal::init(&eal_options("lastack_lcores", "2@0,3@(0-1),5@0")).expect("EAL");
    assert_eq!(eal.lcores(), [2, 3, 5]);
    assert_eq!(eal.launch(4, || ()).err(), Some(LaunchError::NoSuchLcore(4)));
    for round in 0..50u32 {
        let handles: Vec<_> = eal
            .lcores()
            .iter()
            .map(|&lcore| {
                let pool_of = eal.clone();
                eal.launch(lcore, move || {
                    assert!(round % 10 != 9, "round {round}");
                    // An lcore has an id already.
                    let refused = pool_of.register_thread().map(drop);
                    assert_eq!(refused, Err(LaunchError::AlreadyRegistered(lcore)));
                    lcore * round
                })
            })
            .collect();
        for (handle, &lcore) in handles.into_iter().zip(eal.lcores()) {
            let handle = handle.expect("an idle lcore");
            assert_eq!(handle.lcore(), lcore);
            match handle.join() {
                Ok(product) => assert_eq!(product, lcore * round),
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().expect("a text");
                    assert_eq!((text.as_str(), round % 10), (&*format!("round {round}"), 9));
                }
            }
        }
    }

    let (go, wait) = std::sync::mpsc::channel::<()>();
    let busy = eal.launch(3, move || wait.recv().is_ok()).expect("an idle lcore");
    assert_eq!(eal.launch(3, || ()).err(), Some(LaunchError::Busy(3)));
    assert!(busy.try_join().is_none());
    go.send(()).expect("it waits");
    assert!(busy.join().expect("no panic"));

    // What is made with EAL outlives the handle, in any order, and the last one cleans up.
    let pool = pool(&eal, "outlives", 63);
    eal.cleanup();
    assert_eq!((pool.size(), pool.in_use()), (63, 0));
    drop(pool);
    assert_eq!(Eal::init(&[]).unwrap_err(), EalError::AlreadyInitialised);
}

#[test]
fn missing_hugepages_are_named_with_the_remedy() {
    let name = "eal::missing_hugepages_are_named_with_the_remedy";
    if child::part().is_none() {
        let text = child::run(&[], name, "hugepages");
        assert!(!text.contains("EAL: "), "EAL is quiet: {text}");
        return;
    }
    // No hugetlbfs is mounted there, whatever the machine has reserved.
    let options = ["--no-pci", "--no-telemetry", "--huge-dir", "/nonexistent", "--file-prefix"];
    let mut options: Vec<String> = options.map(str::to_owned).to_vec();
    options.push("lastack_huge".to_owned());
    let error = Eal::init(&options).unwrap_err();
    assert!(matches!(error, EalError::NoHugepages(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("nr_hugepages") && text.contains("--no-huge"), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn the_log_level_changes_while_eal_runs() {
    let name = "eal::the_log_level_changes_while_eal_runs";
    if child::part().is_none() {
        let text = child::run(&[], name, "log");
        let told = |device: &str| text.lines().filter(|line| line.ends_with(device)).count();
        assert_eq!(["net_null1", "net_null2", "net_null3"].map(told), [0, 1, 0], "{text}");
        assert!(!text.contains("level changed"), "{text}");
        return;
    }
    let eal = Eal::init(&eal_options("lastack_log", "0@0")).expect("EAL");
    // The driver tells of each device, at the level `info`.
    drop(EthDev::probe(&eal, "net_null1").expect("a device"));
    set_log_level(LogLevel::Debug);
    set_log_level(LogLevel::Info);
    drop(EthDev::probe(&eal, "net_null2").expect("a device"));
    set_log_level(LogLevel::Error);
    drop(EthDev::probe(&eal, "net_null3").expect("a device"));
}

#[test]
fn an_unknown_option_is_named_in_one_line() {
    let name = "eal::an_unknown_option_is_named_in_one_line";
    if child::part().is_none() {
        let text = child::run(&[], name, "option");
        assert!(!text.contains("Usage"), "no page of options: {text}");
        return;
    }
    let error = Eal::init(&["--no-such-option".to_owned()]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no-such-option") && !text.contains('\n'), "{text}");
}

#[test]
fn a_pool_that_cannot_be_had_is_an_error_with_the_reason() {
    let eal = shared_eal();
    let first = pool(eal, "taken", 63);
    let again = Pool::new(eal, "taken", PoolConfig { buffers: 63, cache: 0, ..Default::default() });
    let error = again.unwrap_err();
    assert_eq!(error, PortError::Pool { name: "taken".to_owned(), code: libc::EEXIST });
    let large = PoolConfig { buffers: 1_000_000, ..Default::default() };
    let error = Pool::new(eal, "large", large).unwrap_err();
    assert!(matches!(error, PortError::Pool { code: libc::ENOMEM, .. }), "{error:?}");
    assert!(Pool::new(eal, "a name", PoolConfig::default()).is_err());
    assert!(Pool::new(eal, "0123456789abcdef", PoolConfig::default()).is_err());
    drop(first);
    drop(pool(eal, "taken", 63));
}

#[test]
fn a_registered_thread_has_an_lcore_id() {
    let eal = shared_eal();
    let registration = eal.register_thread().expect("an id");
    let lcore = registration.lcore();
    assert!(!eal.lcores().contains(&lcore));
    assert_eq!(eal.register_thread().err(), Some(LaunchError::AlreadyRegistered(lcore)));
    drop(registration);
    drop(eal.register_thread().expect("an id"));
}

#[test]
fn the_clock_is_the_same_on_every_thread() {
    shared_eal();
    let clock = Tsc::new();
    let before = clock.now();
    let other = std::thread::spawn(move || clock.now()).join().expect("no panic");
    let after = clock.now();
    assert!(before <= other && other <= after, "{before:?} {other:?} {after:?}");
}
