//! What TIME-WAIT costs: `cargo bench --bench time_wait`.
//!
//! First the store of entries alone, and the whole stack, against what could be in its place: a list
//! in order of arrival, a tree, DPDK's own timers; from ten thousand to fifty million entries. All
//! stores of a size exist side by side and take turns, so that a ratio is one of the same minute.
//! Sizes for which there is not enough memory are left out, and said so.
//!
//! Then the loop under mass expiry: requests and responses over ring ports while ten million entries
//! fall due within one second. Then what it costs a loop that another thread may ask something of it.
//! `-- stores`, `-- expiry` and `-- mailbox` run one of these.
#![allow(missing_docs)]

mod dpdk_timers;
mod expiry;
mod mailbox;
mod rounds;
mod stores;
#[path = "../support/mod.rs"]
mod support;

use dpdk_timers::DpdkTimers;
use lastack::port::dpdk::Eal;
use lastack::tcp::time_wait::{PairV4, PairV6};
use rounds::{Rounds, Run, STEPS, Step, Sweep, median};
use stores::{Fifo, Stack, Tree, Wheel};

pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SIZES: [u32; 4] = [10_000, 1_000_000, 10_000_000, 50_000_000];
const HOT_ROUNDS: usize = 40;
const COLD_ROUNDS: usize = 12;
/// Octets for each entry in all stores of a size together.
const BYTES_FOR_ALL: u64 = 400;
/// Beyond this DPDK's timers take minutes to be filled.
const MOST_DPDK_TIMERS: u32 = 1_000_000;

const WHEEL: &str = "wheel IPv4";
const FIFO: &str = "FIFO lists";
const DPDK: &str = "rte_timer";

fn main() {
    if let Err(error) = run() {
        eprintln!("time_wait: {error}");
        std::process::exit(1);
    }
}

fn run() -> Outcome<()> {
    let asked = support::is_asked_for;
    let eal = Eal::init(&support::eal_options(support::one_or_two()))?;
    if asked("stores") {
        let (lcore, on_lcore) = (eal.lcores()[0], eal.clone());
        let stores = eal.launch(lcore, move || compare(&on_lcore))?;
        stores.join().map_err(|_| "the comparison of stores panicked")??;
    }
    if asked("mailbox") {
        eal.launch(eal.lcores()[0], mailbox::polls)?.join().map_err(|_| "a poll panicked")??;
    }
    if asked("expiry") {
        expiry::under_load(&eal)?;
    }
    Ok(())
}

fn compare(eal: &Eal) -> Outcome<()> {
    let (v4, v6) = Stack::new(1_000_000).bytes_per_entry();
    println!("octets an entry takes in the stack, all in: {v4} over IPv4, {v6} over IPv6");
    println!("nanoseconds an entry, hot | cold: median ± half the range of the middle half");
    let mut sweep = Sweep::new();
    let mut at_a_million = Vec::new();
    for entries in SIZES {
        let room = available_bytes();
        if u64::from(entries) * BYTES_FOR_ALL > room {
            println!("\n{entries} entries: left out, {} MB of memory are too few", room >> 20);
            continue;
        }
        let mut all = stores_of(eal, entries)?;
        for _ in 0..HOT_ROUNDS {
            all.iter_mut().for_each(|store| store.hot(&mut sweep));
        }
        for _ in 0..COLD_ROUNDS {
            all.iter_mut().for_each(|store| store.cold_edits(&mut sweep));
        }
        for _ in 0..COLD_ROUNDS {
            all.iter_mut().for_each(|store| store.cold(&mut sweep));
        }
        print_table(entries, &all);
        print_marks(&all, &at_a_million);
        if entries == 1_000_000 {
            let costs = |cold| {
                [Step::Enter, Step::Expire].map(|step| all[0].costs().of(cold, step).to_vec())
            };
            at_a_million = vec![costs(false), costs(true)];
        }
    }
    Ok(())
}

fn stores_of(eal: &Eal, entries: u32) -> Outcome<Vec<Box<dyn Rounds>>> {
    let start = lastack::time::Instant::ZERO;
    let mut all: Vec<Box<dyn Rounds>> = vec![
        Box::new(Run::new(WHEEL, entries, false, |room| Wheel::<PairV4>::new(room, start))),
        Box::new(Run::new(FIFO, entries, false, Fifo::<PairV4>::new)),
        Box::new(Run::new("wheel IPv6", entries, true, |room| Wheel::<PairV6>::new(room, start))),
        Box::new(Run::new("FIFO lists IPv6", entries, true, Fifo::<PairV6>::new)),
        Box::new(Run::new("tree", entries, false, Tree::<PairV4>::new)),
        Box::new(Run::new("stack IPv4", entries, false, Stack::new)),
        Box::new(Run::new("stack IPv6", entries, true, Stack::new)),
    ];
    if entries <= MOST_DPDK_TIMERS {
        all.push(Box::new(DpdkTimers::new(eal, entries)?));
    }
    Ok(all)
}

fn print_table(entries: u32, all: &[Box<dyn Rounds>]) {
    println!("\n{:<16} {:>9}", format!("{entries} entries"), "octets");
    print!("{:<16} {:>9}", "", "resident");
    STEPS.iter().for_each(|(_, name)| print!(" {name:^25}"));
    println!();
    for store in all {
        print!("{:<16} {:>9.1}", store.name(), store.resident());
        for (step, _) in STEPS {
            let [hot, cold] =
                [false, true].map(|cold| match median(store.costs().of(cold, step)) {
                    Some((median, spread)) => format!("{median:.1}±{spread:.1}"),
                    None => "·".to_owned(),
                });
            print!(" {hot:>11} | {cold:<11}");
        }
        println!();
    }
}

/// The ratios that are watched, from rounds that were next to each other.
fn print_marks(all: &[Box<dyn Rounds>], at_a_million: &[[Vec<f64>; 2]]) {
    let named = |name: &str| all.iter().find(|store| store.name() == name);
    let (Some(wheel), Some(fifo)) = (named(WHEEL), named(FIFO)) else { return };
    for (cold, heat) in [(false, "hot"), (true, "cold")] {
        for (place, (step, name)) in
            [(Step::Enter, "enter"), (Step::Expire, "expire")].iter().enumerate()
        {
            let ours = wheel.costs().of(cold, *step);
            let ratio = ratio_of(ours, fifo.costs().of(cold, *step));
            print!("  {name} {heat}: {ratio:.2} of the FIFO lists");
            if let Some(dpdk) = named(DPDK) {
                let ratio = ratio_of(dpdk.costs().of(cold, *step), ours);
                print!(", {ratio:.1} times cheaper than rte_timer");
            }
            if let Some(costs) = at_a_million.get(usize::from(cold)) {
                let ratio = ratio_of(ours, &costs[place]);
                print!(", {ratio:.2} of the cost at 1000000");
            }
            println!();
        }
    }
}

/// The median of the ratios of rounds.
fn ratio_of(ours: &[f64], theirs: &[f64]) -> f64 {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    median(&ratios).map_or(f64::NAN, |(median, _)| median)
}

/// Octets of memory that may still be used.
fn available_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}
