#!/usr/bin/env bash
# Passes all of sealane's tests: format, lints, house rules, unit and property tests, tests with real namespaces, nftables and
# containers, and the black-box tests with the real kubectl. Needs root and Linux 6.1; sends traffic only to 127.0.0.1 and within
# namespaces that the tests make.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- -D warnings
cargo test --workspace --quiet -- --test-threads=2
