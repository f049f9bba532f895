#!/usr/bin/env bash
# Three members on this machine, to play with: cluster.sh PATH-TO-ANNEAL. Ctrl-C ends them; their data stays in
# ./cluster.anneal, so the next call goes on where this one ended.
set -euo pipefail
anneal=$1
dir=${ANNEAL_CLUSTER_DIR:-cluster.anneal}
base=${ANNEAL_CLUSTER_PORT:-7401}
mkdir -p "$dir"

pids=()
finish() {
  trap - EXIT INT TERM
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait
}
trap finish EXIT INT TERM

endpoints=
for n in 0 1 2; do
  address=127.0.0.1:$((base + n))
  join=()
  [ $n = 0 ] || join=(--join "127.0.0.1:$base")
  "$anneal" serve --data-dir "$dir/member-$((n + 1))" --listen "$address" "${join[@]}" 2>>"$dir/member-$((n + 1)).log" &
  pids+=($!)
  endpoints=${endpoints:+$endpoints,}$address
  echo "member $((n + 1)): $address, pid $!, log $dir/member-$((n + 1)).log"
done

export ANNEAL_ENDPOINTS=$endpoints
for _ in $(seq 60); do
  voting=$("$anneal" cluster members -o json 2>/dev/null | grep -oE '"role": *"(voter|leader)"' | wc -l)
  [ "$voting" = 3 ] && break
  read -r -t 1 <> <(:) || true
done

cat <<TRY

Three members are up. In another terminal:

  export ANNEAL_ENDPOINTS=$endpoints
  export PATH=\$PATH:$(dirname "$anneal")
  anneal cluster members
  anneal stack create work -f examples/slow.yaml
  anneal stack watch work
  kill -9 ${pids[0]}              # in the middle of it: another member leads and goes on
  anneal stack delete work --wait

Ctrl-C here ends the members; their data stays in $dir.
TRY
wait
