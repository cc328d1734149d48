#!/usr/bin/env bash
# Builds sealane and walks through the README's tutorial with it, command by command: a cluster of three nodes, Services of every kind,
# scaling, rolling out and back, blue and green, a node that goes dark; then takes all of it down. SEALANE_… settings are honoured.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
cargo build --quiet
target=$(cargo metadata --no-deps --format-version 1 | python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')
sealane=$(find "$target" -maxdepth 3 -path '*/debug/sealane' -type f | head -n 1)
export PATH="$(dirname "$sealane"):$PATH" SEALANE_NAME=demo
export SEALANE_API_PORT=${SEALANE_API_PORT:-16443} SEALANE_EGRESS=${SEALANE_EGRESS:-none}
KUBECONFIG=$(mktemp -d)/kubeconfig
export KUBECONFIG NO_PROXY=127.0.0.1,localhost
trap '"$sealane" down >/dev/null' EXIT
# What a reader would type, and what a command prints: some are there to be refused.
sed -n '/^```console/,/^```$/s/^\$ //p' README.md | while read -r command; do
  printf '\n$ %s\n' "$command"
  timeout 120 bash -c "${command//sudo /}" </dev/null || true
  sleep 0.5
done
