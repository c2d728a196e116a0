#![no_main]

#[path = "../drivers/engine.rs"]
mod engine;
#[path = "../drivers/input.rs"]
mod input;
#[path = "../drivers/peer.rs"]
mod peer;
#[path = "../drivers/watch.rs"]
mod watch;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| engine::run(bytes));
