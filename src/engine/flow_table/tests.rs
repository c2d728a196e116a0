//! The table and a list of what should be in it.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, Kind, u32),
    /// The n-th of what is there.
    Remove(usize),
    Replace(usize, Kind, u32),
    /// Of what may not be there.
    RemoveAny(u64, Kind, u32),
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Connection),
        Just(Kind::TimeWait4),
        Just(Kind::TimeWait6),
        Just(Kind::SynCache)
    ]
}

/// Hashes of which many share a bucket, a tag, or both, and some are equal.
fn hash() -> impl Strategy<Value = u64> {
    let bucket = prop_oneof![3 => Just(0u64), 1 => 0u64..4, 1 => any::<u64>()];
    let tag = prop_oneof![0u64..4, any::<u64>()];
    (bucket, tag).prop_map(|(bucket, tag)| bucket << 62 | tag & (u64::MAX >> 2))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = prop_oneof![0u32..100, 0..MAX_INDEX];
    let step = prop_oneof![
        5 => (hash(), kind(), index.clone()).prop_map(|(h, k, i)| Step::Insert(h, k, i)),
        3 => any::<usize>().prop_map(Step::Remove),
        1 => (any::<usize>(), kind(), index.clone()).prop_map(|(n, k, i)| Step::Replace(n, k, i)),
        1 => (hash(), kind(), index).prop_map(|(h, k, i)| Step::RemoveAny(h, k, i)),
    ];
    prop::collection::vec(step, 1..250)
}

fn candidates(table: &FlowTable, hash: FlowHash) -> Vec<(Kind, u32)> {
    let mut seen = Vec::new();
    let found = table.lookup(hash, |kind, index| {
        seen.push((kind, index));
        false
    });
    assert_eq!(found, None);
    seen
}

fn overflows(table: &FlowTable) -> u64 {
    (0..table.buckets as usize).map(|at| u64::from(overflow_of(table.bucket(at)))).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn agrees_with_a_list(capacity in 0usize..100, steps in steps()) {
        let mut table = FlowTable::new(capacity);
        let slots = table.buckets as usize * SLOTS;
        let mut model: Vec<(u64, Kind, u32)> = Vec::new();
        for step in steps {
            let filed = |kind, index| model.iter().any(|m| (m.1, m.2) == (kind, index));
            match step {
                // An entry is filed once.
                Step::Insert(_, kind, index) | Step::Replace(_, kind, index)
                    if filed(kind, index) => {}
                Step::Insert(hash, kind, index) => {
                    let filed = table.insert(FlowHash(hash), kind, index);
                    prop_assert_eq!(filed.is_err(), model.len() == slots);
                    if filed.is_ok() {
                        model.push((hash, kind, index));
                    }
                }
                Step::Remove(n) if !model.is_empty() => {
                    let (hash, kind, index) = model.swap_remove(n % model.len());
                    prop_assert!(table.remove(FlowHash(hash), kind, index));
                }
                Step::Replace(n, kind, index) if !model.is_empty() => {
                    let n = n % model.len();
                    let old = model[n];
                    prop_assert!(table.replace(FlowHash(old.0), (old.1, old.2), (kind, index)));
                    model[n] = (old.0, kind, index);
                }
                Step::RemoveAny(hash, kind, index) => {
                    // Two hashes that share bucket and tag are one to the table.
                    let alike = model.iter().position(|m| {
                        let same = table.home(FlowHash(m.0)) == table.home(FlowHash(hash))
                            && tag_of(FlowHash(m.0)) == tag_of(FlowHash(hash));
                        same && (m.1, m.2) == (kind, index)
                    });
                    let there = candidates(&table, FlowHash(hash)).contains(&(kind, index));
                    prop_assert!(there || alike.is_none());
                    if !there {
                        prop_assert!(!table.remove(FlowHash(hash), kind, index));
                        let old = (kind, index);
                        prop_assert!(!table.replace(FlowHash(hash), old, (kind, 1)));
                    }
                }
                Step::Remove(_) | Step::Replace(..) => {}
            }
            prop_assert_eq!(table.len(), model.len());
            for &(hash, kind, index) in &model {
                let found = table.lookup(FlowHash(hash), |k, i| (k, i) == (kind, index));
                prop_assert_eq!(found, Some((kind, index)));
                table.touch(FlowHash(hash));
            }
        }
        for (hash, kind, index) in model {
            prop_assert!(table.remove(FlowHash(hash), kind, index));
        }
        prop_assert!(table.is_empty());
        prop_assert_eq!(overflows(&table), 0);
        prop_assert!(table.words.iter().all(|&word| word == 0), "something was left behind");
    }

    #[test]
    fn a_lane_is_zero_or_not(lanes: [u16; 4], zero in 0usize..5) {
        let mut lanes = lanes;
        if let Some(lane) = lanes.get_mut(zero) {
            *lane = 0;
        }
        let word = lanes.iter().rev().fold(0u64, |word, &lane| word << 16 | u64::from(lane));
        for (n, &lane) in lanes.iter().enumerate() {
            prop_assert_eq!(zero_lanes(word) >> (16 * n) & 0xffff, u64::from(lane == 0));
        }
    }
}

#[test]
fn misses_read_few_lines_when_it_is_full() {
    let capacity = 100_000;
    let mut table = FlowTable::new(capacity);
    let mut state = 1u64;
    let mut random = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        FlowHash(mixed ^ mixed >> 31)
    };
    for index in 0..capacity as u32 {
        table.insert(random(), Kind::Connection, index).expect("sized for it");
    }
    let tried = 100_000;
    let mut lines = 0;
    let mut vain = 0;
    for _ in 0..tried {
        let hash = random();
        vain += candidates(&table, hash).len();
        let mut at = table.home(hash);
        lines += 1;
        while overflow_of(table.bucket(at)) != 0 {
            lines += 1;
            at = table.after(at);
        }
    }
    assert!(lines < tried * 2, "{lines} lines for {tried} misses");
    assert!(vain < tried / 1_000, "{vain} tags alike in {tried} misses");
}

#[test]
fn a_bucket_is_a_cache_line_and_costs_nothing_until_it_is_used() {
    let table = FlowTable::new(75_000_000);
    assert_eq!(table.bucket(0).as_ptr().addr() % LINE_BYTES, 0);
    assert_eq!(size_of_val(table.bucket(0)), LINE_BYTES);
    assert!(table.memory_bytes() < 75_000_000 * 9);
}

#[test]
fn hashes_that_all_collide_are_refused_beyond_reach() {
    let mut table = FlowTable::new(20_000);
    let hash = FlowHash(7);
    let mut filed = 0;
    while table.insert(hash, Kind::SynCache, filed).is_ok() {
        filed += 1;
    }
    assert_eq!(filed as usize, REACH * SLOTS);
    for index in 0..filed {
        assert!(table.remove(hash, Kind::SynCache, index));
    }
    assert_eq!(overflows(&table), 0);
}
