//! The wheel and a sorted list of deadlines must tell the same story.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Fate, Progress, Wheel};
use crate::time::Instant;

const KEYS: u32 = 40;

#[derive(Clone, Debug)]
enum Step {
    /// Start, or restart if it runs, at a signed distance from now.
    Start(u32, i64),
    Stop(u32),
    /// The owner writes a later deadline down and leaves the wheel alone.
    Delay(u32, u64),
    Advance {
        by: u64,
        budget: usize,
    },
}

/// The wheel with its owner, who holds the deadlines.
struct Owner {
    wheel: Wheel,
    deadlines: BTreeMap<u32, Instant>,
    now: Instant,
}

impl Owner {
    fn new(keys: u32, tick_shift: u32, slots: u32, now: Instant) -> Self {
        Owner { wheel: Wheel::new(keys, tick_shift, slots, now), deadlines: BTreeMap::new(), now }
    }

    /// Advances and returns what fired, with how often each key was asked about at most.
    fn advance(&mut self, budget: usize) -> (Progress, Vec<(u32, Instant)>, usize) {
        let (now, deadlines) = (self.now, &mut self.deadlines);
        let mut fired = Vec::new();
        let mut asked = BTreeMap::<u32, usize>::new();
        let mut looks = 0;
        let progress = self.wheel.advance(now, budget, |key| {
            looks += 1;
            *asked.entry(key).or_default() += 1;
            let deadline = deadlines[&key];
            if deadline > now {
                return Fate::Later(deadline);
            }
            deadlines.remove(&key);
            fired.push((key, deadline));
            Fate::Fired
        });
        assert!(looks <= budget, "looked at {looks} with a budget of {budget}");
        (progress, fired, asked.into_values().max().unwrap_or(0))
    }

    fn next(&self) -> Option<Instant> {
        self.wheel.next_deadline(|key| self.deadlines[&key])
    }

    fn first(&self) -> Option<Instant> {
        self.deadlines.values().min().copied()
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..KEYS;
    let span = prop_oneof![4 => 0u64..300, 3 => 0u64..5_000, 1 => 0u64..1_000_000];
    let signed = (span.clone(), prop::bool::weighted(0.1))
        .prop_map(|(span, past)| if past { -(span as i64) } else { span as i64 });
    let budget = prop_oneof![2 => 0usize..6, 1 => Just(1_000)];
    let step = prop_oneof![
        4 => (key.clone(), signed).prop_map(|(key, after)| Step::Start(key, after)),
        1 => key.clone().prop_map(Step::Stop),
        2 => (key, span.clone()).prop_map(|(key, by)| Step::Delay(key, by)),
        4 => (span, budget).prop_map(|(by, budget)| Step::Advance { by, budget }),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn agrees_with_a_sorted_list(
        steps in steps(),
        tick_shift in 0u32..10,
        slots_log2 in 0u32..8,
        begin in 0u64..5_000,
    ) {
        let mut owner = Owner::new(KEYS, tick_shift, 1 << slots_log2, Instant::from_nanos(begin));
        let mut caught_up = true;
        for step in steps {
            match step {
                Step::Start(key, after) => {
                    let at = Instant::from_nanos(owner.now.nanos().saturating_add_signed(after));
                    if owner.deadlines.insert(key, at).is_none() {
                        owner.wheel.start(key, at);
                    } else {
                        owner.wheel.restart(key, at);
                    }
                    caught_up &= at > owner.now;
                }
                Step::Stop(key) => {
                    owner.wheel.stop(key);
                    owner.deadlines.remove(&key);
                }
                Step::Delay(key, by) => {
                    if let Some(deadline) = owner.deadlines.get_mut(&key) {
                        *deadline = deadline.plus_nanos(by);
                    }
                }
                Step::Advance { by, budget } => {
                    owner.now = owner.now.plus_nanos(by);
                    let (progress, fired, most_asked) = owner.advance(budget);
                    prop_assert!(fired.iter().all(|&(key, _)| !owner.wheel.is_filed(key)));
                    // Once with its slot, once more if it was filed again into a slot that was still
                    // to come, or what a budget had left of a list is looked at first.
                    prop_assert!(most_asked <= 3, "asked {} times", most_asked);
                    caught_up = progress == Progress::Done;
                    if caught_up {
                        prop_assert!(owner.first().is_none_or(|at| at > owner.now), "late");
                    }
                }
            }
            prop_assert_eq!(owner.wheel.len(), owner.deadlines.len());
            for key in 0..KEYS {
                prop_assert_eq!(owner.wheel.is_filed(key), owner.deadlines.contains_key(&key));
            }
            match (owner.next(), owner.first()) {
                (Some(next), Some(first)) if caught_up => prop_assert_eq!(next, first),
                (Some(next), Some(first)) => prop_assert!(next <= first.max(owner.now)),
                (next, first) => prop_assert_eq!(next, first),
            }
        }
        // Driven by `next_deadline` alone, each fires at exactly its time.
        let mut rounds = owner.deadlines.len() + 2;
        while let Some(next) = owner.next() {
            prop_assert!(rounds > 0, "no progress");
            rounds -= 1;
            let before = owner.now;
            owner.now = next.max(before);
            let (progress, fired, _) = owner.advance(1_000);
            prop_assert_eq!(progress, Progress::Done);
            for (_, deadline) in fired {
                prop_assert!(deadline == owner.now || (deadline <= before && owner.now == before));
            }
        }
        prop_assert!(owner.deadlines.is_empty());
    }
}

#[test]
fn a_budget_of_one_sees_everything_though_the_clock_leaps_a_turn_each_time() {
    let mut owner = Owner::new(100, 0, 16, Instant::ZERO);
    for key in 0..100 {
        // Every second one is far away, and in the way.
        let at = Instant::from_nanos(if key % 2 == 0 { 1_000_000 } else { 20 + u64::from(key) });
        owner.deadlines.insert(key, at);
        owner.wheel.start(key, at);
    }
    let mut fired = 0;
    for _ in 0..200 {
        owner.now = owner.now.plus_nanos(16);
        fired += owner.advance(1).1.len();
    }
    assert_eq!(fired, 50);
}

#[test]
fn a_crowded_slot_gives_a_lower_bound_that_gets_further() {
    let crowd = 5_000;
    let mut owner = Owner::new(crowd, 10, 64, Instant::ZERO);
    for key in 0..crowd {
        owner.wheel.start(key, Instant::from_nanos(2_000 + u64::from(key % 7)));
        // The owner has put all of them off by more than a turn, to different times.
        owner.deadlines.insert(key, Instant::from_nanos(100_000 + u64::from(key)));
    }
    let mut rounds = 0;
    let mut fired = 0;
    while let Some(next) = owner.next() {
        assert!(next > owner.now, "{next:?} at {:?}", owner.now);
        assert!(owner.first().is_none_or(|first| next <= first));
        owner.now = next;
        let (progress, due, _) = owner.advance(usize::MAX);
        assert_eq!(progress, Progress::Done);
        assert!(due.iter().all(|&(_, deadline)| deadline == next));
        fired += due.len();
        rounds += 1;
    }
    assert_eq!(fired, crowd as usize);
    // The deadlines are all different; a few turns more than that find the crowd put off.
    assert!(rounds <= crowd + 70, "{rounds}");
}

#[test]
fn one_that_is_not_later_after_all_does_not_hold_the_wheel() {
    let mut wheel = Wheel::new(4, 4, 8, Instant::ZERO);
    let at = Instant::from_nanos(100);
    wheel.start(2, at);
    let mut looks = 0;
    let progress = wheel.advance(at, usize::MAX, |_| {
        looks += 1;
        Fate::Later(at)
    });
    assert_eq!((progress, looks), (Progress::Done, 1));
    assert!(wheel.is_filed(2));
}

#[test]
fn never_is_a_deadline() {
    let mut wheel = Wheel::new(1, 20, 1 << 16, Instant::from_millis(5));
    wheel.start(0, Instant::FAR);
    let mut now = Instant::from_millis(5);
    for _ in 0..100 {
        now = now.plus_nanos(1 << 40);
        let progress = wheel.advance(now, 10, |_| Fate::Later(Instant::FAR));
        assert_eq!(progress, Progress::Done);
        assert_eq!(wheel.next_deadline(|_| Instant::FAR), Some(Instant::FAR));
    }
    wheel.stop(0);
    wheel.stop(0);
    assert!(wheel.is_empty());
    assert_eq!(wheel.next_deadline(|_| Instant::FAR), None);
}

#[test]
fn a_timer_costs_eight_octets_and_nothing_until_it_is_used() {
    let empty = Wheel::new(0, 20, 1 << 16, Instant::ZERO).memory_bytes();
    let before = resident_bytes();
    let wheel = Wheel::new(50_000_000, 20, 1 << 16, Instant::ZERO);
    assert_eq!(wheel.memory_bytes() - empty, 8 * 50_000_000);
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        assert!(after.saturating_sub(before) < 100 << 20, "{before} to {after} octets resident");
    }
}

#[test]
#[should_panic(expected = "timer 3 is running")]
fn starting_twice_is_a_mistake() {
    let mut wheel = Wheel::new(4, 4, 8, Instant::ZERO);
    wheel.start(3, Instant::from_nanos(1));
    wheel.start(3, Instant::from_nanos(2));
}

/// What the process holds in memory, where the system tells.
fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}
