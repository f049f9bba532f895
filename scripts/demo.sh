#!/usr/bin/env bash
# The demo: demo.sh DIRECTORY-OF-BINARIES. Converges examples/web.yaml with a real member, changes one page, lets the world
# drift, kills the engine in mid-update, and takes everything down. Leaves nothing behind.
set -euo pipefail
bin=$1
examples=$(cd "$(dirname "$0")/../examples" && pwd)
work=$(mktemp -d -t anneal-demo-XXXXXX)
member=

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' 2>/dev/null || echo $((20000 + RANDOM % 20000)); }
say() { printf '\n\033[1m── %s\033[0m\n' "$*"; }
run() { printf '\033[2m$ anneal %s\033[0m\n' "$*"; "$bin/anneal" "$@"; }
until_true() { # WHAT COMMAND…: waits up to 30 s
  local what=$1; shift
  for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
  echo "demo: $what did not happen within 30 s; the member's log is:" >&2
  tail -n 30 "$work/member.log" >&2
  exit 1
}
finish() {
  status=$?
  trap - EXIT INT TERM
  if [ -n "$member" ]; then
    "$bin/anneal" stack delete web --wait=30s >/dev/null 2>&1 || true
    kill "$member" 2>/dev/null || true
    wait "$member" 2>/dev/null || true
  fi
  rm -rf "$work"
  exit $status
}
trap finish EXIT INT TERM

address=127.0.0.1:$(free_port)
port=$(free_port)
export ANNEAL_ENDPOINTS=$address ANNEAL_HOST_DIR=$work/host
cp -r "$examples/web.yaml" "$examples/pages" "$work/"
flags=(-f "$work/web.yaml" -p "root=$work/world" -p "port=$port" -p "webserver=$bin/examples/webserver")
options=(--observe-interval 1s)

start_member() {
  "$bin/anneal" serve --data-dir "$work/data" --listen "$address" 2>>"$work/member.log" >>"$work/member.log" &
  member=$!
  until_true "the member's start" "$bin/anneal" cluster status
}
read_page() { python3 -c 'import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1]).read().decode())' "$1" 2>/dev/null || curl -fsS "$1"; }
page_says() { grep -q "$1" "$work/world/site/index.html"; }
announcing() { "$bin/anneal" resource show web announcement -o json | grep -q '"phase": *"in_flight"'; }

say "A member of a one-member cluster, on $address"
start_member
echo "pid $member"

say "A stack that does not exist yet: a directory, a secret, a configuration, pages, a web server, a look at its API"
run up web "${flags[@]}" "${options[@]}"
read_page "http://127.0.0.1:$port/" | sed 's/^/    /'

say "The same template again: nothing to do"
run up web "${flags[@]}"

say "One page changes: it and the announcement act, the server does not"
sed -i 's/The world matches/The world still matches/' "$work/pages/index.html"
run up web "${flags[@]}"
read_page "http://127.0.0.1:$port/" | grep h1 | sed 's/^/    /'

say "Somebody edits the page by hand, and kills the web server"
echo "defaced" >"$work/world/site/index.html"
kill -9 "$("$bin/anneal" resource show web server -o json | grep -oE '"pid": *[0-9]+' | grep -oE '[0-9]+$')"
until_true "the healing of the page" page_says "The world still matches"
until_true "the healing of the server" read_page "http://127.0.0.1:$port/health"
run stack events web | grep -iE 'drift|vanish|differ|heal' | tail -n 4 || true
echo "    both are as declared again"

say "The engine is killed (kill -9) in the middle of an update"
sed -i 's/still matches/matches again/' "$work/pages/index.html"
run stack update web "${flags[@]}"
until_true "the announcement's start" announcing
kill -9 "$member"; wait "$member" 2>/dev/null || true
echo "    killed pid $member while the announcement was under way"

say "It starts again, looks at what was in flight, and goes on"
start_member
"$bin/anneal" stack watch web &
watch=$!
until_true "convergence" sh -c "'$bin/anneal' stack show web -o json | grep -q '\"status\": *\"converged\"'"
kill "$watch" 2>/dev/null || true
wait "$watch" 2>/dev/null || true
run stack show web
read_page "http://127.0.0.1:$port/" | grep h1 | sed 's/^/    /'

say "Everything is taken down"
run down web
[ ! -e "$work/world" ] && echo "    nothing is left of it"
