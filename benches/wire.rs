//! What reading and writing a packet costs.

use std::hint::black_box;
use std::net::Ipv4Addr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lastack::wire::ethernet::{self, ETHERTYPE_IPV4, Ethernet};
use lastack::wire::ipv4::{Ipv4, Ipv4Header};
use lastack::wire::options::{Options, Timestamps};
use lastack::wire::seq::SeqNumber;
use lastack::wire::tcp::{Flags, Segment};
use lastack::wire::{MacAddr, PROTOCOL_TCP, checksum};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

fn segment(options: Options, payload: &[u8]) -> Segment<'_> {
    Segment {
        src_port: 40_000,
        dst_port: 80,
        seq: SeqNumber::new(1),
        ack: SeqNumber::new(2),
        flags: Flags::PSH | Flags::ACK,
        window: 502,
        urgent: 0,
        options,
        payload,
    }
}

/// The three headers of a segment; returns their length.
fn write_headers(out: &mut [u8], segment: &Segment<'_>) -> usize {
    let header = Ipv4Header {
        src: Ipv4Addr::new(198, 18, 0, 1),
        dst: Ipv4Addr::new(198, 18, 0, 2),
        protocol: PROTOCOL_TCP,
        ttl: 64,
        tos: 0,
        ident: 0,
        dont_fragment: true,
    };
    let mut at = ethernet::write_header(out, MAC, MAC, None, ETHERTYPE_IPV4);
    at += header.write(&mut out[at..], segment.header_len() + segment.payload.len());
    at + segment.write_header(&mut out[at..])
}

fn parse(bytes: &[u8]) -> Segment<'_> {
    let frame = Ethernet::parse(bytes).unwrap();
    let packet = Ipv4::parse(frame.payload).unwrap();
    Segment::parse(packet.payload).unwrap()
}

fn benches(c: &mut Criterion) {
    let timestamps =
        Options { timestamps: Some(Timestamps { value: 7, echo: 9 }), ..Options::NONE };
    let syn =
        Options { mss: Some(1460), window_scale: Some(7), sack_permitted: true, ..timestamps };
    for (name, options) in [("plain", Options::NONE), ("timestamps", timestamps), ("syn", syn)] {
        let payload = [b'x'; 64];
        let segment = segment(options, &payload);
        let mut out = [0; 256];
        let len = write_headers(&mut out, &segment);
        out[len..len + 64].copy_from_slice(&payload);
        let bytes = out[..len + 64].to_vec();
        assert_eq!(parse(&bytes), segment);
        c.bench_function(&format!("parse/{name}"), |b| {
            // By reference: a segment that was read is used where it is, not moved.
            b.iter(|| {
                let segment = parse(black_box(&bytes));
                black_box(&segment);
            });
        });
        c.bench_function(&format!("write/{name}"), |b| {
            b.iter(|| write_headers(black_box(&mut out), black_box(&segment)));
        });
    }
    let mut group = c.benchmark_group("checksum");
    for len in [20, 64, 1500] {
        let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(len.to_string(), |b| b.iter(|| checksum::sum(black_box(&data))));
    }
    group.finish();
}

criterion_group!(wire, benches);
criterion_main!(wire);
