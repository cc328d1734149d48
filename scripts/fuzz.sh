#!/usr/bin/env bash
# Fuzzes one target, or each in turn: scripts/fuzz.sh [TARGET [SECONDS]] (default: all, 600 seconds each). A crash leaves its input in
# fuzz/artifacts/TARGET-…; `scripts/fuzz.sh TARGET FILE` runs that input again. What is found belongs into a unit test.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
target_dir=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
# Coverage instrumentation as libFuzzer wants it; safe Rust needs no sanitizer, so a stable compiler does.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
triple=$(rustc -vV | sed -n 's/^host: //p')
# The explicit target keeps build scripts and procedural macros free of the instrumentation.
cargo build --quiet --target "$triple" --target-dir "$target_dir"
fuzz() {
  local target=$1 seconds=$2 corpus=$target_dir/corpus/$1
  mkdir -p "$corpus" artifacts
  echo "# $target: $seconds s"
  "$target_dir/$triple/debug/$target" "$corpus" "seeds/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
    -use_value_profile=1 -print_final_stats=1 -artifact_prefix="artifacts/$target-"
}
if [ -n "${2:-}" ] && [ -f "$2" ]; then exec "$target_dir/$triple/debug/$1" "$2"; fi
if [ -n "${1:-}" ]; then fuzz "$1" "${2:-600}"; exit; fi
for source in seeds/*/; do fuzz "$(basename "$source")" 600; done
