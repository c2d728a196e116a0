//! A server of the kernel's TCP for the workload crr: reads a request, writes a response, closes. It
//! has to be in the namespace, so it is a process: this test program, started once more.

use super::namespace::{Namespace, Running};
use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, TcpListener};

/// Its port.
pub const PORT: u16 = 9_000;

/// Octets of a request and of a response: what the workloads use if they are told nothing.
const MESSAGE: usize = 64;

/// Tells the program that it is to serve.
const ROLE: &str = "LASTACK_KERNEL_RESPONDER";

/// Starts it; it ends with the value.
pub fn start(namespace: &Namespace) -> Running {
    let program = std::env::current_exe().expect("the path of this program");
    let program = program.to_str().expect("a path in UTF-8");
    let name = "responder::responder";
    let mut command = namespace.command(program, &["--ignored", "--exact", name]);
    let running = Running::spawn(command.env(ROLE, "1"));
    namespace.wait_for("the responder to listen", || {
        let sockets = namespace.output("ss", &["-Hltn"]);
        sockets.contains(&format!(":{PORT} "))
    });
    running
}

#[test]
#[ignore = "the other process of a test, not a test"]
fn responder() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    // of both families
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)).expect("a free port");
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let mut request = [0; MESSAGE];
        // What the client gives up is its affair; the next one is served all the same.
        if stream.read_exact(&mut request).is_ok() && stream.write_all(&request).is_ok() {
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read(&mut request);
        }
    }
}
