//! Real containers, as root: a static busybox in an image made here, supervised by real shims.
//!
//! No test harness: the shims are this program itself, re-executed, and must start before it has threads. Arguments are
//! substrings of the tests' names, as usual.

#![allow(clippy::print_stdout)] // It is its own harness.

mod containers;
mod crashes;
mod images;
mod lab;

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|a| a == "pod-shim").is_some() {
        return sealane_node::runtime::shim_main(args);
    }
    let wanted: Vec<String> =
        args.map(|a| a.to_string_lossy().into_owned()).filter(|a| !a.starts_with('-')).collect();
    let all = containers::TESTS.iter().chain(crashes::TESTS).chain(images::TESTS);
    let mut failed = 0;
    for (name, test) in
        all.filter(|(n, _)| wanted.is_empty() || wanted.iter().any(|w| n.contains(w.as_str())))
    {
        let start = Instant::now();
        let ok = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {} ({} ms)", if ok { "ok" } else { "FAILED" }, start.elapsed().as_millis());
        failed += u32::from(!ok);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
