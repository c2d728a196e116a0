#![no_main]

#[path = "../drivers/input.rs"]
mod input;
#[path = "../drivers/congestion.rs"]
mod congestion;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| congestion::run(bytes));
