# Run on every worker: unpacks the source and makes its environment from the lock. It says what it
# did, and the sha256 of the archive that it did it with; done before, it only says so again. $lock
# is the lock's name, cpu or tpu.
set -e -o pipefail
shopt -s inherit_errexit
cd "$HOME"

# uv is pinned by its hash, and holds the hashes of the builds of CPython that it installs.
install_with_uv() {
  if ! python3 -m pip --version >/dev/null 2>&1; then
    sudo apt-get -qq -o DPkg::Lock::Timeout=600 install -y python3-pip >/dev/null
  fi
  python3 -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --target .uv -r tpu_scripts/launch/uv.lock
  export UV_PYTHON_INSTALL_DIR=$PWD/.python
  if ! told=$(.uv/bin/uv python install --no-bin 3.11.18 2>&1); then
    echo "error: no CPython 3.11.18 from github.com:" ${told##*error: } >&2
    return 1
  fi
  .uv/bin/uv python find --managed-python 3.11.18
}

archive=$(sha256sum <qlae.tar.gz | cut -d' ' -f1)
if [ "$(cat qlae/.installed 2>/dev/null)" != "$archive" ]; then
  rm -rf qlae && mkdir qlae && tar -xzf qlae.tar.gz -C qlae && cd qlae
  # A pre-release passes for its final version by its number alone: Ubuntu 22.04's 3.11 is 3.11.0rc1.
  fits='import ensurepip, sys; v = sys.version_info
sys.exit(not (v >= (3, 11) and v.releaselevel == "final"))'
  python=
  for candidate in python3.11 python3.12 python3.13 python3; do
    if "$candidate" -c "$fits" 2>/dev/null; then python=$candidate && break; fi
  done
  if [ -z "$python" ]; then
    sudo apt-get -qq update >/dev/null
    if [[ $(apt-cache policy python3-venv) =~ Candidate:\ 3\.1[1-9] ]]; then  # Debian 12.
      sudo apt-get -qq -o DPkg::Lock::Timeout=600 install -y python3-venv >/dev/null
      python=python3
    else
      python=$(install_with_uv)
    fi
  fi
  "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
    --require-hashes -r "requirements/$lock.lock"
  echo "$archive" >.installed
fi
echo "[launch] installed $archive with $("$HOME/qlae/.venv/bin/python" -V)"
