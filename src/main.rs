//! The program; see [`lastack::cli`].

fn main() -> std::process::ExitCode {
    lastack::cli::main(std::env::args_os())
}
