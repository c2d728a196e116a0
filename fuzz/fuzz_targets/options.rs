#![no_main]

#[path = "../drivers/options.rs"]
mod options;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| options::run(bytes));
