#!/usr/bin/env bash
# Chaos for long, as runs of some minutes one after the other, each with the next seed, three members and five (with a
# learner) by turns, and failpoints and disks in each third:
#
#   chaos-long.sh start  BIN DIR [MINUTES [SEED]]   in the background, for about so many minutes (60), from that seed (1)
#   chaos-long.sh run    BIN DIR [MINUTES [SEED]]   the same in the foreground
#   chaos-long.sh stop   BIN DIR                    ends it early
#   chaos-long.sh report BIN DIR                    what there is so far
#
# BIN is the directory of the binaries `anneal`, `chaos` and `cloud`; DIR takes a report of each run (DIR/reports), what it
# leaves (DIR/seed-N) and the total (DIR/total.txt). SIGTERM and Ctrl-C end the run under way early, which counts as far as it
# came, and the total is written. After `kill -9` of the script the run under way still ends by itself, and `report` tells.
set -euo pipefail

usage() { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -ge 3 ] || usage
verb=$1 bin=$2 dir=$3 minutes=${4:-60} seed=${5:-1}
each=${CHAOS_RUN_MINUTES:-5}
log=$dir/chaos.log

total() { # what all reports so far say together, and as the exit code
  local code=0
  "$bin/chaos" --sum "$dir/reports" >"$dir/total.txt" || code=$?
  cat "$dir/total.txt"
  return $code
}

one_run() { # SEED
  local shape=(--members 3)
  [ $((seed % 2)) = 1 ] || shape=(--members 5 --learners 1)
  [ "$(id -u)" != 0 ] || shape+=(--partitions)
  if [ $((seed % 3)) = 0 ]; then
    shape+=(--failpoints)
    [ "$(id -u)" != 0 ] || shape+=(--disks)
  fi
  # A session of its own: a Ctrl-C reaches it through us alone, once.
  setsid "$bin/chaos" --seed "$seed" --minutes "$each" "${shape[@]}" \
    --report "$dir/reports/seed-$(printf %06d "$seed").json" --keep "$dir/seed-$seed" >>"$log" 2>&1 &
  chaos=$!
  # A trap interrupts a wait; the run is waited for all the same.
  while kill -0 "$chaos" 2>/dev/null; do wait "$chaos" || true; done
  chaos=
}

run() {
  local until=$((SECONDS + minutes * 60)) interrupted=
  chaos=
  trap 'interrupted=yes; [ -z "$chaos" ] || kill -TERM "$chaos" 2>/dev/null || true' INT TERM HUP
  mkdir -p "$dir/reports"
  echo $$ >"$dir/pid"
  while [ -z "$interrupted" ] && [ $SECONDS -lt $until ]; do
    one_run
    seed=$((seed + 1))
    total >/dev/null || true
  done
  rm -f "$dir/pid"
  [ -z "$interrupted" ] || echo "interrupted after $((SECONDS / 60)) of $minutes minutes"
  total
}

case $verb in
  start)
    mkdir -p "$dir"
    setsid nohup "$0" run "$bin" "$dir" "$minutes" "$seed" >"$dir/out.txt" 2>&1 </dev/null &
    echo "chaos for $minutes minutes: pid $!; so far: $0 report $bin $dir"
    ;;
  run) run ;;
  stop)
    pid=$(cat "$dir/pid")
    kill -TERM "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
    total
    ;;
  report) total ;;
  *) usage ;;
esac
