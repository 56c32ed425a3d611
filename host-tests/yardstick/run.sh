#!/bin/bash
# Start each peer, run workloads against it, append one line for each run to OUT.
#
#   ./run.sh OUT "peers" "workloads" [repetitions]
#
# A workload's name with an s at its end (W1s, W3s) puts server and generator on one CPU.
# Servers are taken from PATH, but the daemon from CHAPPE (../../target/release/chappe); they
# listen on loopback ports from PORTS on. Environment: PORTS (19000), SCPU, GCPU (CPU of the
# server and of the generator), SECS, IDLE, CAP_MB, QUIET (most CPU-seconds per second used by
# others for a run to count; more is retried TRIES times and the quietest run is kept).
set -u
here=$(cd "$(dirname "$0")" && pwd)
bench=$here/target/release/brokerbench
chappe=${CHAPPE:-$here/../../target/release/chappe}
out=$1 peers=$2 works=$3 reps=${4:-5}
PORTS=${PORTS:-19000} SCPU=${SCPU:-0} GCPU=${GCPU:-1} SECS=${SECS:-2} IDLE=${IDLE:-10000} CAP_MB=${CAP_MB:-1024}
QUIET=${QUIET:-0.15} TRIES=${TRIES:-4} MAXWAIT=${MAXWAIT:-120}
tmp=$(mktemp -d)
pids=()
ulimit -n "$(ulimit -Hn)"

stop() { # only what this script started, by pid
  local p
  for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
  for p in "${pids[@]}"; do wait "$p" 2>/dev/null; done
  pids=()
}
trap 'stop; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

srv() { # start a server on its CPU (SCPU=any: not pinned)
  if [ "$SCPU" = any ]; then "$@" >"$tmp/log" 2>&1 & else taskset -c "$SCPU" "$@" >"$tmp/log" 2>&1 & fi
  PID=$!
  pids+=("$PID")
}

# Sets PROTO, ADDR, PID. Add your own daemon here.
start() {
  case $1 in
  floor-tcp)
    PROTO=raw ADDR=tcp:127.0.0.1:$((PORTS + 1))
    srv "$bench" floor --listen $ADDR ;;
  floor-unix)
    PROTO=raw ADDR=unix:$tmp/floor
    srv "$bench" floor --listen "$ADDR" ;;
  mini-tcp)
    PROTO=mini ADDR=tcp:127.0.0.1:$((PORTS + 2))
    srv "$bench" mini --listen $ADDR ;;
  mini-unix)
    PROTO=mini ADDR=unix:$tmp/mini
    srv "$bench" mini --listen "$ADDR" ;;
  mini-tcp-copy)
    PROTO=mini ADDR=tcp:127.0.0.1:$((PORTS + 2))
    srv "$bench" mini --no-coalesce --listen $ADDR ;;
  mini-text)
    PROTO=nats ADDR=tcp:127.0.0.1:$((PORTS + 3))
    srv "$bench" mini --text --listen $ADDR ;;
  mini-text-unix)
    PROTO=nats ADDR=unix:$tmp/mini-text
    srv "$bench" mini --text --listen "$ADDR" ;;
  chappe-tcp | chappe-unix)
    PROTO=chappe ADDR=tcp:127.0.0.1:$((PORTS + 9))
    [ "$1" = chappe-unix ] && ADDR=unix:$tmp/chappe
    chappeconf >"$tmp/chappe.toml"
    srv "$chappe" serve --config "$tmp/chappe.toml" ;;
  chappe-msgq)
    PROTO=msgq ADDR=unix:$tmp/msgq
    chappeconf "msgq://$tmp/msgq" >"$tmp/chappe.toml"
    srv "$chappe" serve --config "$tmp/chappe.toml" ;;
  chappe-clacks)
    PROTO=clacks ADDR=unix:$tmp/clacks
    chappeconf "clacks://$tmp/clacks" >"$tmp/chappe.toml"
    srv "$chappe" serve --config "$tmp/chappe.toml" ;;
  chappe-communicator)
    PROTO=communicator ADDR=unix:$tmp/communicator
    chappeconf "cd://$tmp/communicator" >"$tmp/chappe.toml"
    srv "$chappe" serve --config "$tmp/chappe.toml" ;;
  nats)
    PROTO=nats ADDR=tcp:127.0.0.1:$((PORTS + 4))
    srv nats-server -a 127.0.0.1 -p $((PORTS + 4)) ;;
  redis-tcp | redis-unix)
    PROTO=resp ADDR=tcp:127.0.0.1:$((PORTS + 5))
    [ "$1" = redis-unix ] && ADDR=unix:$tmp/redis
    srv redis-server --bind 127.0.0.1 --port $((PORTS + 5)) --unixsocket "$tmp/redis" --save "" \
      --appendonly no --maxclients 15000 --daemonize no --loglevel warning --dir "$tmp" ;;
  mosquitto)
    PROTO=mqtt ADDR=tcp:127.0.0.1:$((PORTS + 6))
    printf '%s\n' "listener $((PORTS + 6)) 127.0.0.1" 'allow_anonymous true' 'persistence false' \
      'log_type none' 'set_tcp_nodelay true' "max_queued_messages ${MQ_QUEUED:-1000}" >"$tmp/mosquitto.conf"
    srv mosquitto -c "$tmp/mosquitto.conf" ;;
  memcached | memcached-unix)
    PROTO=memcached ADDR=tcp:127.0.0.1:$((PORTS + 7))
    local at=(-l 127.0.0.1 -p $((PORTS + 7)))
    [ "$1" = memcached-unix ] && ADDR=unix:$tmp/memcached at=(-s "$tmp/memcached")
    srv memcached "${at[@]}" -U 0 -t "${MC_THREADS:-1}" -c 15000 -m 64 -u root ;;
  dbus-daemon)
    PROTO=dbus ADDR=unix:$tmp/dbus
    dbusconf "$tmp/dbus" >"$tmp/dbus.conf"
    srv dbus-daemon --config-file="$tmp/dbus.conf" --nofork --nopidfile ;;
  dbus-broker)
    PROTO=dbus ADDR=unix:$tmp/dbb
    dbusconf "$tmp/dbb" >"$tmp/dbb.conf"
    srv unshare -m python3 "$here/dbus-broker.py" "$tmp/dbb" "$tmp/dbb.conf"
    local i w=$PID l=
    PID=
    for i in $(seq 100); do
      l=$(pgrep -P "$w" -x dbus-broker-lau) && PID=$(pgrep -P "$l" -x dbus-broker) && break
      sleep 0.1
    done
    pids=("$PID" "${pids[@]}") ;;
  *) echo "unknown peer $1" >&2; exit 2 ;;
  esac
  sleep 0.5
  kill -0 "$PID" 2>/dev/null || { echo "$1 did not start:" >&2; cat "$tmp/log" >&2; return 1; }
}

chappeconf() { # addresses beside the usual ones; everything else as it comes
  printf '%s\n' 'node = "yardstick"' '[log]' 'level = "warn"'
  printf '[[listeners]]\naddress = "%s"\nanonymous = ["read", "write"]\n' \
    tcp://127.0.0.1:$((PORTS + 9)) "unix://$tmp/chappe" "$@"
}

dbusconf() {
  cat <<X
<busconfig><type>session</type><listen>unix:path=$1</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
<limit name="max_incoming_bytes">1000000000</limit><limit name="max_outgoing_bytes">1000000000</limit>
<limit name="max_message_size">1000000000</limit><limit name="max_completed_connections">100000</limit>
<limit name="max_connections_per_user">100000</limit><limit name="max_incomplete_connections">10000</limit>
<limit name="max_match_rules_per_connection">50000</limit><limit name="max_replies_per_connection">50000</limit>
<limit name="auth_timeout">240000</limit></busconfig>
X
}

busy() { awk '/^cpu /{print $2+$3+$4+$7+$8}' /proc/stat; }
quiet() { # wait for a second in which the machine is nearly idle
  local t=$((SECONDS + MAXWAIT)) a b
  while [ $SECONDS -lt $t ]; do
    a=$(busy); sleep 1; b=$(busy)
    [ $((b - a)) -lt 15 ] && return
  done
}

args() { # the options of a workload
  case $1 in
  W1 | W1s) echo "--w w1" ;;
  W1k) echo "--w w1 --size 1024 --window 256" ;;
  W1p) # 100 senders, each with one message of its own on the way
    echo "--w w1 --pubs 100 --batch 1 --window 100" ;;
  W2 | W2s) echo "--w w2" ;;
  W3 | W3s) echo "--w w3" ;;
  W4 | W4s) echo "--w w4" ;;
  W4u) echo "--w w4 --conns 50 --depth 1" ;;
  W5 | W5s) echo "--w w5 --idle $IDLE" ;;
  M1 | M1s) echo "--w w1 --size 100" ;;
  M2 | M2s) echo "--w w2 --subs 48 --size 100" ;;
  M3 | M3s) echo "--w w3 --size 100" ;;
  C1 | C1s) echo "--w w1" ;;
  C4 | C4s) echo "--w w4" ;;
  K1 | K1s) echo "--w w1 --size 60" ;;
  K2 | K2s) echo "--w w2 --subs 1000 --size 60 --window 128" ;;
  W6) echo "--w w6 --cap-mb $CAP_MB --window 1024" ;;
  *) echo "unknown workload $1" >&2; exit 2 ;;
  esac
}

measure() { # peer workload repetition: the quietest run so far is in BEST; true if it was quiet
  local line n gcpu=$GCPU
  case $2 in *s) gcpu=$SCPU ;; esac # server and generator on one CPU
  [ "$gcpu" = any ] || gcpu="--cpu $gcpu"
  [ "$gcpu" = any ] && gcpu=
  # broadcasts are another kind of message there
  case $PROTO-$2 in communicator*-K2*) PROTO=communicator-all ;; communicator*) PROTO=communicator ;; esac
  quiet
  line=$(timeout 180 "$bench" load $(args "$2") --label "$2" --peer "$1${SUFFIX:-}" --rep "$3" --proto "$PROTO" \
    --addr "$ADDR" --pid "$PID" --secs "$SECS" $gcpu)
  [ -n "$line" ] || { echo "$1 $2 $3: failed" >&2; return 1; }
  n=$(sed -n 's/.*[[:space:]]noise=\([0-9.]*\).*/\1/p' <<<"$line")
  awk "BEGIN{exit !($n < $NOISE)}" && BEST=$line NOISE=$n
  awk "BEGIN{exit !($n < $QUIET)}"
}

one() { # peer workload repetition
  BEST= NOISE=99
  local i
  for i in $(seq "$TRIES"); do
    case $2 in
    W5* | W6*) # each run with a server of its own
      start "$1" && measure "$@" && { stop; break; }
      stop ;;
    *) measure "$@" && break ;;
    esac
  done
  [ -n "$BEST" ] || return 1
  echo "$BEST" >>"$out"
  cut -f1-6 <<<"$BEST" >&2
}

# Repetitions outermost, so that a noisy quarter of an hour touches every peer.
for r in $(seq "$reps"); do
  for p in $peers; do
    fresh= rest=
    for w in $works; do
      case $w in W5* | W6*) fresh="$fresh $w" ;; *) rest="$rest $w" ;; esac
    done
    if [ -n "$rest" ]; then
      start "$p" && for w in $rest; do one "$p" "$w" "$r"; done
      stop
    fi
    for w in $fresh; do one "$p" "$w" "$r"; done
  done
done
