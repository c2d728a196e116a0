//! Chains over one small pool, against plain queues of octets.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const CHUNKS: u32 = 12;
const CHAINS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Consume(usize),
    CopyAt(u32, usize),
    Read(usize),
    Move(usize),
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let octets = prop_oneof![0usize..20, 2030usize..2060, 0usize..9_000];
    let step = prop_oneof![
        4 => octets.clone().prop_map(Step::Append),
        3 => octets.clone().prop_map(Step::Consume),
        4 => (octets.clone(), octets.clone()).prop_map(|(at, n)| Step::CopyAt(at as u32, n)),
        1 => octets.prop_map(Step::Read),
        1 => (0..CHAINS).prop_map(Step::Move),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec((0..CHAINS, step), 1..120)
}

/// Chunks that a queue needs, where its first octet lies `head_offset` into the first one.
fn chunks_of(chain: &Chain) -> u32 {
    if chain.is_empty() {
        return 0;
    }
    (usize::from(chain.head_offset) + chain.len as usize).div_ceil(CHUNK_BYTES) as u32
}

fn take(queue: &mut VecDeque<u8>, octets: usize) -> Vec<u8> {
    queue.drain(..octets.min(queue.len())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn agrees_with_plain_queues(steps in steps()) {
        let mut pool = Pool::new(CHUNKS);
        let mut chains: [Chain; CHAINS] = Default::default();
        let mut models: [VecDeque<u8>; CHAINS] = Default::default();
        let mut written = 0u32;
        for (which, step) in steps {
            let chain = &mut chains[which];
            let model = &mut models[which];
            match step {
                Step::Append(octets) => {
                    let bytes: Vec<u8> =
                        (written..).take(octets).map(|n| (n ^ n >> 8) as u8).collect();
                    written += octets as u32;
                    let taken = chain.append(&mut pool, &bytes);
                    if taken < octets {
                        prop_assert_eq!(pool.available(), 0);
                    }
                    model.extend(&bytes[..taken]);
                }
                Step::Consume(octets) => {
                    let octets = octets.min(model.len());
                    chain.consume(&mut pool, octets);
                    model.drain(..octets);
                }
                Step::CopyAt(offset, octets) => {
                    let mut out = vec![0; octets];
                    let copied = chain.copy_at(&pool, offset, &mut out);
                    let expected = model.iter().skip(offset as usize).take(octets);
                    prop_assert!(out[..copied].iter().eq(expected));
                }
                Step::Read(octets) => {
                    let mut out = vec![0; octets];
                    let read = chain.read(&mut pool, &mut out);
                    prop_assert_eq!(&out[..read], &take(model, octets)[..]);
                }
                Step::Move(to) if to != which => {
                    let [a, b] = chains.get_disjoint_mut([which, to]).expect("two of them");
                    let moved = b.append_chain(&mut pool, a);
                    if !a.is_empty() {
                        prop_assert_eq!(pool.available(), 0);
                    }
                    let octets = take(&mut models[which], moved);
                    prop_assert_eq!(octets.len(), moved);
                    models[to].extend(octets);
                }
                Step::Move(_) => {}
                Step::Clear => {
                    chain.clear(&mut pool);
                    model.clear();
                }
            }
            for (chain, model) in chains.iter().zip(&models) {
                prop_assert_eq!(chain.len() as usize, model.len());
                let front = chain.front(&pool);
                prop_assert_eq!(front.is_empty(), model.is_empty());
                prop_assert!(front.iter().eq(model.iter().take(front.len())));
            }
            prop_assert_eq!(pool.in_use(), chains.iter().map(chunks_of).sum::<u32>());
            prop_assert_eq!(pool.in_use() + pool.available(), CHUNKS);
        }
        for (chain, model) in chains.iter_mut().zip(&mut models) {
            let mut out = vec![0; model.len()];
            prop_assert_eq!(chain.read(&mut pool, &mut out), model.len());
            prop_assert!(out.iter().eq(model.iter()));
        }
        prop_assert_eq!(pool.available(), CHUNKS, "a chunk is lost");
    }
}

#[test]
fn reading_forwards_walks_each_chunk_once() {
    let mut pool = Pool::new(100);
    let mut chain = Chain::new();
    assert_eq!(chain.append(&mut pool, &[7; 100 * CHUNK_BYTES]), 100 * CHUNK_BYTES);
    let mut out = [0; 1448];
    let mut offset = 0;
    while offset < chain.len() {
        let before = chain.cursor_ordinal;
        offset += chain.copy_at(&pool, offset, &mut out) as u32;
        assert!(chain.cursor_ordinal - before <= 1, "at most the next chunk");
    }
    assert_eq!(offset as usize, 100 * CHUNK_BYTES);
    chain.clear(&mut pool);
    assert_eq!((chain.len(), pool.in_use()), (0, 0));
}

#[test]
fn the_chunk_that_was_freed_last_is_used_first() {
    let mut pool = Pool::new(10);
    let (mut a, mut b) = (Chain::new(), Chain::new());
    assert_eq!(a.append(&mut pool, &[1]) + b.append(&mut pool, &[2]), 2);
    let first = a.head;
    a.clear(&mut pool);
    assert_eq!(a.append(&mut pool, &[3]), 1);
    assert_eq!((a.head, pool.fresh), (first, 2));
}
