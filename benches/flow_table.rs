//! What a look-up in the flow table costs: `cargo bench --bench flow_table`.
//!
//! The table is filled as far as it is sized for. Each figure is for one look-up, or for a burst of
//! 32 of them, with the entry read as the demultiplexer does to compare the 4-tuple.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lastack::engine::flow_hash::FlowKey;
use lastack::engine::flow_table::{FlowHash, FlowTable, Kind};

const BURST: usize = 32;

struct World {
    table: FlowTable,
    /// One entry of 64 octets for each flow, with its hash in the place of a 4-tuple.
    entries: Vec<[u64; 8]>,
    /// The same hashes in random order.
    hits: Vec<FlowHash>,
    misses: Vec<FlowHash>,
}

impl World {
    fn new(flows: u32) -> Self {
        let key = FlowKey::new(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let hash =
            |n: u32, port| key.hash_v4(0xc612_0001, 0xc612_0000 + n / 50_000, port, n as u16);
        let mut table = FlowTable::new(flows as usize);
        let mut entries = Vec::with_capacity(flows as usize);
        for n in 0..flows {
            let hash = key.hash_v4(0xc612_0001, n, 80, 5000);
            table.insert(hash, Kind::Connection, n).expect("sized for it");
            entries.push([hash.0; 8]);
        }
        let mut hits: Vec<FlowHash> = entries.iter().map(|entry| FlowHash(entry[0])).collect();
        // Sorted by the lower half, which the bucket does not depend on.
        hits.sort_by_key(|hash| hash.0 as u32);
        hits.truncate(1 << 18);
        let misses = (0..hits.len() as u32).map(|n| hash(n, 81)).collect();
        World { table, entries, hits, misses }
    }

    fn lookup(&self, hash: FlowHash) -> Option<(Kind, u32)> {
        self.table.lookup(hash, |_, index| self.entries[index as usize][0] == hash.0)
    }
}

/// The next of a list that begins again at its end.
fn cycle(list: &[FlowHash], at: &mut usize) -> FlowHash {
    *at = if *at + 1 < list.len() { *at + 1 } else { 0 };
    list[*at]
}

fn lookups(c: &mut Criterion) {
    for flows in [10_000u32, 1_000_000] {
        let mut world = World::new(flows);
        let mut at = 0;
        let mut group = c.benchmark_group("flow_table");
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("hit", flows), |b| {
            b.iter(|| world.lookup(cycle(&world.hits, &mut at)).expect("is there"));
        });
        group.bench_function(BenchmarkId::new("miss", flows), |b| {
            b.iter(|| assert_eq!(world.lookup(cycle(&world.misses, &mut at)), None));
        });
        group.bench_function(BenchmarkId::new("remove and insert", flows), |b| {
            b.iter(|| {
                let hash = cycle(&world.hits, &mut at);
                let (kind, index) = world.lookup(hash).expect("is there");
                assert!(world.table.remove(hash, kind, index));
                world.table.insert(hash, kind, index).expect("was there");
            });
        });

        group.throughput(Throughput::Elements(BURST as u64));
        let bursts = world.hits.len() / BURST;
        let mut burst = 0;
        let mut next = || {
            burst = (burst + 1) % bursts;
            &world.hits[burst * BURST..][..BURST]
        };
        group.bench_function(BenchmarkId::new("burst of 32", flows), |b| {
            b.iter(|| {
                let mut found = [0; BURST];
                for (found, &hash) in found.iter_mut().zip(next()) {
                    *found = world.lookup(hash).expect("is there").1;
                }
                found
            });
        });
        group.bench_function(BenchmarkId::new("burst of 32, touched", flows), |b| {
            b.iter(|| {
                let hashes = next();
                black_box(hashes.iter().fold(0, |all, &hash| all ^ world.table.touch(hash)));
                let mut found = [0; BURST];
                for (found, &hash) in found.iter_mut().zip(hashes) {
                    *found = world.lookup(hash).expect("is there").1;
                }
                found
            });
        });
        group.bench_function(BenchmarkId::new("burst of 32, touched twice", flows), |b| {
            b.iter(|| {
                let hashes = next();
                black_box(hashes.iter().fold(0, |all, &hash| all ^ world.table.touch(hash)));
                // The first candidate of each bucket is the entry, but for one tag in thousands.
                let mut found = [0; BURST];
                for (found, &hash) in found.iter_mut().zip(hashes) {
                    *found = world.table.lookup(hash, |_, _| true).expect("is there").1;
                }
                let entries = found.iter().map(|&index| world.entries[index as usize][0]);
                black_box(entries.fold(0, |all, word| all ^ word));
                for (found, &hash) in found.iter_mut().zip(hashes) {
                    if world.entries[*found as usize][0] != hash.0 {
                        *found = world.lookup(hash).expect("is there").1;
                    }
                }
                found
            });
        });
        group.finish();
    }

    let key = FlowKey::new(1, 2);
    let mut group = c.benchmark_group("flow_hash");
    group.bench_function("v4", |b| {
        b.iter(|| key.hash_v4(black_box(1), black_box(2), black_box(3), black_box(4)));
    });
    group.bench_function("v6", |b| {
        b.iter(|| key.hash_v6(black_box(1), black_box(2), black_box(3), black_box(4)));
    });
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
