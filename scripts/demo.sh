#!/usr/bin/env bash
# Builds sealane and walks through a Service's life with it: a Deployment, a Service before it, requests, scaling, clean-up.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
cargo build --quiet
target=$(cargo metadata --no-deps --format-version 1 | python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')
sealane=$(find "$target" -maxdepth 3 -path '*/debug/sealane' -type f | head -n 1)
say() { printf '\n$ %s\n' "$*"; "$@"; }
trap '"$sealane" down --name demo' EXIT
export KUBECONFIG; KUBECONFIG=$(mktemp -d)/kubeconfig
say "$sealane" up --name demo --api-port 16443 "$@"
say kubectl create deployment web --image=localhost/hello --port=8080 --replicas=3
say kubectl rollout status deployment web --timeout=60s
say kubectl expose deployment web --type=NodePort
say kubectl get service,endpoints,endpointslices,pods -o wide
port=$(kubectl get service web -o jsonpath='{.spec.ports[0].nodePort}')
for _ in 1 2 3 4 5; do say curl -sS "http://127.0.0.1:$port/"; done
say kubectl scale deployment web --replicas=1
say kubectl describe service web
say kubectl delete service,deployment web
