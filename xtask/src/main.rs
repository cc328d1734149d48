//! The project's own tasks: `cargo xtask TASK`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod bench;
mod schema;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["bench", rest @ ..] => bench::bench(rest),
        ["schema", definitions, k8s_pb] => schema::run(definitions.as_ref(), k8s_pb.as_ref()),
        ["tidy"] => tidied(),
        _ => Err(format!("usage: cargo xtask {} | tidy | schema {}", bench::USAGE, schema::USAGE)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn tidied() -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask lies in the project")?;
    let broken = tidy::tidy(root);
    if broken.is_empty() { Ok(()) } else { Err(format!("\n{}", broken.join("\n"))) }
}
