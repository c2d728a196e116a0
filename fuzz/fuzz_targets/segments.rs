#![no_main]

#[path = "../drivers/segments.rs"]
mod segments;
#[path = "../drivers/input.rs"]
mod input;
#[path = "../drivers/peer.rs"]
mod peer;
#[path = "../drivers/watch.rs"]
mod watch;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| segments::run(bytes));
