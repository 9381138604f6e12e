#!/usr/bin/env bash
# Writes the locks: requirements/lock.sh UV. cpu.lock is the base; each other lock includes it, and
# holds what it adds.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$1

compile() {
  "$uv" pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 \
    --generate-hashes --no-annotate --no-header --no-emit-package pyarrow "$@" pyproject.toml
}

write() {
  { printf '# Written by `make lock`.\n'; cat; } > "requirements/$1.lock"
}

compile --extra lab | write cpu
mapfile -t base < <(sed -n 's/^\([a-z0-9._-]*\)==.*/--no-emit-package=\1/p' requirements/cpu.lock)
for extra in tpu cuda12 cuda13 dev; do
  { printf -- '-r cpu.lock\n'
    compile --constraint requirements/cpu.lock --extra "$extra" "${base[@]}"; } | write "$extra"
done
