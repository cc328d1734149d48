//! `cargo xtask bench [SUBJECT] [--release]`: what users feel, and what the parts cost beside the bare thing, in one run.
//!
//! Without `--release` the profile is that of the tests and the walk. A file a subject that needs the built binary; a
//! subject of one crate is a program in that crate's `benches`.

mod cluster;

use std::process::Command;

/// The subjects that are programs of a crate: name, package, bench.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("dns", "sealane-dns", "throughput"),
    ("proxy", "sealane-proxy", "programming"),
    ("connections", "sealane-proxy", "connections"),
    ("creates", "sealane-apiserver", "creates"),
    ("explain", "sealane-explain", "check"),
];

pub(crate) const USAGE: &str = "bench [cluster | dns | proxy | connections | creates | explain] [--release]";

/// Runs one subject, or all in turn if none is named.
pub(crate) fn bench(words: &[&str]) -> Result<(), String> {
    let (release, words) = match words {
        [before @ .., "--release"] => (true, before),
        words => (false, words),
    };
    match words {
        [] => {
            cluster::bench(release)?;
            PROGRAMS.iter().try_for_each(|(_, package, bench)| program(package, bench, release))
        }
        ["cluster"] => cluster::bench(release),
        [subject] => match PROGRAMS.iter().find(|(name, ..)| name == subject) {
            Some((_, package, bench)) => program(package, bench, release),
            None => Err(format!("usage: cargo xtask {USAGE}")),
        },
        _ => Err(format!("usage: cargo xtask {USAGE}")),
    }
}

/// Runs a crate's bench in a mount and network namespace of its own, where it may do as it likes; it goes with it.
fn program(package: &str, bench: &str, release: bool) -> Result<(), String> {
    let profile = if release { "release" } else { "dev" };
    println!("{package} {bench}, profile {profile}");
    let mut command = Command::new("unshare");
    command.args(["--net", env!("CARGO"), "bench", "--quiet", "--offline", "--profile", profile]);
    // The whole workspace, so that dependencies are built with the features that the tests have built them with already.
    command.args(["--workspace", "--bench", bench]);
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}
