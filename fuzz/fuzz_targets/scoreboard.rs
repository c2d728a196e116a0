#![no_main]

#[path = "../drivers/input.rs"]
mod input;
#[path = "../drivers/scoreboard.rs"]
mod scoreboard;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| scoreboard::run(bytes));
