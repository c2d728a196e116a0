//! The command line of lastack.

fn main() {}
