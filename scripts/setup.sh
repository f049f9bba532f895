#!/usr/bin/env bash
# Installs the system packages that the build needs and that are missing, and tells cargo where RocksDB is.
# Debian 12 with Rust, make and a C compiler is assumed. Does nothing, and needs no rights, when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(librocksdb-dev libclang1-14 libclang-common-14-dev)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done

command -v cargo >/dev/null || { echo "setup: cargo was not found; install Rust 1.95 or newer first" >&2; exit 1; }
command -v cc >/dev/null || { echo "setup: no C compiler was found; install gcc first" >&2; exit 1; }

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ]; then sudo=(); elif sudo -n true 2>/dev/null; then sudo=(sudo); else
    echo "setup: install these packages, then try again: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  echo "setup: installing ${missing[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  "${sudo[@]}" apt-get update -qq >&2
  "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi

# RocksDB and what it needs become part of the binary, if Debian's static libraries are there: it then starts sooner, needs no
# package where it runs, and does not look up each thread's storage by a call (docs/benchmarks.md). `librocksdb.so` is a linker
# script, since the build script of the bindings knows no other way.
library=$(dpkg -L librocksdb-dev | grep -m1 '/librocksdb\.so$' || true)
if [ -n "$library" ]; then
  from=$(dirname "$library")
  static=("$from"/lib{rocksdb,gflags,snappy,lz4,zstd,bz2,z}.a)
  if ls "${static[@]}" >/dev/null 2>&1; then
    from=${XDG_CACHE_HOME:-$HOME/.cache}/anneal/rocksdb
    mkdir -p "$from"
    echo "INPUT(${static[*]} AS_NEEDED(-lstdc++ -lm))" >"$from/librocksdb.so.new"
    cmp -s "$from/librocksdb.so.new" "$from/librocksdb.so" && rm "$from/librocksdb.so.new" || mv "$from/librocksdb.so.new" "$from/librocksdb.so"
  fi
  # A local, untracked cargo configuration, so that a plain `cargo build` links the same library.
  mkdir -p .cargo
  printf '[env]\nROCKSDB_LIB_DIR = "%s"\nROCKSDB_INCLUDE_DIR = "/usr/include"\n' "$from" >.cargo/config.toml.new
  cmp -s .cargo/config.toml.new .cargo/config.toml 2>/dev/null && rm .cargo/config.toml.new || mv .cargo/config.toml.new .cargo/config.toml
fi
