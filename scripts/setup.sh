#!/usr/bin/env bash
# Installs what building and testing sealane needs on Debian or Ubuntu, and nothing that is there already. Needs root.
set -euo pipefail
missing=()
need() { command -v "$1" >/dev/null 2>&1 || [ -x "$1" ] || missing+=("$2"); }
need cc build-essential
need ip iproute2
need nsenter util-linux
need nft nftables
need curl curl
need python3 python3
need nc.openbsd netcat-openbsd
need /bin/busybox busybox-static
need docker-registry docker-registry
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq "${missing[@]}" >/dev/null
  # Tests start a registry of their own; the package's service would hold port 5000.
  if [[ " ${missing[*]} " == *" docker-registry "* ]] && [ -d /run/systemd/system ]; then
    systemctl disable --now docker-registry >/dev/null 2>&1 || true
  fi
fi
if ! command -v cargo >/dev/null 2>&1; then
  echo "Rust 1.95 or newer is needed: https://rustup.rs" >&2
  exit 1
fi
if ! kubectl version --client >/dev/null 2>&1; then
  echo "kubectl 1.30 or newer is needed: https://kubernetes.io/docs/tasks/tools/" >&2
  exit 1
fi
