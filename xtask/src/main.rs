//! The project's own tasks: `cargo xtask TASK`.

mod schema;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["schema", definitions, k8s_pb] => schema::run(definitions.as_ref(), k8s_pb.as_ref()),
        _ => Err(format!("usage: cargo xtask schema {}", schema::USAGE)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The only place that prints: this is a command-line tool.
            #[allow(clippy::print_stderr)]
            {
                eprintln!("xtask: {error}");
            }
            ExitCode::FAILURE
        }
    }
}
