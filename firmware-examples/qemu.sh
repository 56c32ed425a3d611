#!/bin/sh
# Starts an image of qemu-lm3s6965 in QEMU. QEMU's exit status is the firmware's; it ends on SIGTERM.
#
#   qemu.sh eth  IMAGE [key=value...]         Ethernet, user network: the host's loopback is 10.0.2.2
#   qemu.sh uart IMAGE SOCKET [key=value...]  UART 0 joined to the Unix socket SOCKET, where a daemon listens;
#                                             connects again every second when the daemon goes and comes
#   qemu.sh hub  IMAGE PORT [key=value...]    Ethernet; 127.0.0.1:PORT leads to the board's port 7840
#   qemu.sh run  IMAGE [key=value...]         as eth, logs decoded by defmt-print (for `cargo run`)
#   qemu.sh link QMP up|down                  plugs and pulls the cable of a running one (see CHAPPE_QMP)
#   qemu.sh key  QMP KEY                      presses a key there: `ctrl` is the board's Select button
#
# key=value goes to the firmware (feature `semihosting`): id=b1 host=10.0.2.2 port=7840 address=10.0.2.15 mac=...
# Variables:
#   CHAPPE_QMP=PATH   QEMU's control socket is made there: the commands `link` and `key` use it
#   CHAPPE_NET=WORDS  of QEMU's user network, instead of 10.0.2.0/24: net=127.0.0.0/24,host=127.0.0.1 has broadcasts
#                     answered (sensor-search), which is then 127.0.0.15 (address=)
#   CHAPPE_PCAP=PATH  every frame is written there (eth, hub)
#   QEMU_ARM=PROGRAM  instead of qemu-system-arm
# Logs come out as defmt's bytes on the standard output, if the image was built with the feature `defmt`:
#   qemu.sh eth IMAGE | defmt-print -e IMAGE
set -eu

usage() { sed -n '4,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }

if [ $# -lt 2 ]; then usage; fi
mode=$1; shift

# QMP is JSON, a line each way; python3 is what every machine with QEMU's tools has.
qmp() { # SOCKET COMMAND
  exec python3 - "$1" "$2" <<'PY'
import json, socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1]); f = s.makefile("rw")
def ask(command):
    f.write(command + "\n"); f.flush()
    while True:
        answer = json.loads(f.readline())
        if "error" in answer: sys.exit("qemu.sh: " + answer["error"]["desc"])
        if "return" in answer: return
f.readline()
ask('{"execute":"qmp_capabilities"}')
ask(sys.argv[2])
PY
}

case $mode in
  link)
    case ${2:-} in up) up=true ;; down) up=false ;; *) usage ;; esac
    qmp "$1" "{\"execute\":\"set_link\",\"arguments\":{\"name\":\"n0\",\"up\":$up}}" ;;
  key)
    [ $# -eq 2 ] || usage
    qmp "$1" "{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"type\":\"qcode\",\"data\":\"$2\"}],\"hold-time\":500}}" ;;
esac

image=$1; shift
qemu=${QEMU_ARM:-qemu-system-arm}
if ! command -v "$qemu" >/dev/null; then
  echo "qemu.sh: no $qemu here; run: apt-get install qemu-system-arm" >&2; exit 2
fi
if [ ! -f "$image" ]; then
  echo "qemu.sh: no image $image; build it: cd qemu-lm3s6965 && ../fw.sh thumbv7m-none-eabi build --release --features semihosting" >&2
  exit 2
fi

net= forward= socket=
case $mode in
  eth|run) net=1 ;;
  uart) if [ $# -lt 1 ]; then usage; fi; net=; socket=$1; shift ;;
  hub) if [ $# -lt 1 ]; then usage; fi; net=1; forward=",hostfwd=tcp:127.0.0.1:$1-10.0.2.15:7840"; shift ;;
  *) usage ;;
esac

arguments= mac=
for word in "$@"; do
  case $word in
    mac=*) mac=",macaddr=${word#mac=}" ;;
    *) arguments="$arguments,arg=$word" ;;
  esac
done

set -- -M lm3s6965evb -display none -monitor none -kernel "$image" \
  -semihosting-config "enable=on,target=native$arguments"
if [ -n "$net" ]; then
  set -- "$@" -serial null -netdev "user,id=n0${CHAPPE_NET:+,$CHAPPE_NET}$forward" -net "nic,model=stellaris,netdev=n0$mac"
  if [ -n "${CHAPPE_PCAP:-}" ]; then set -- "$@" -object "filter-dump,id=f0,netdev=n0,file=$CHAPPE_PCAP"; fi
else
  set -- "$@" -net none -chardev "socket,id=c0,path=$socket,reconnect=1" -serial chardev:c0
fi
if [ -n "${CHAPPE_QMP:-}" ]; then set -- "$@" -qmp "unix:$CHAPPE_QMP,server=on,wait=off"; fi

if [ "$mode" = run ]; then
  if ! command -v defmt-print >/dev/null; then
    echo "qemu.sh: no defmt-print here; run: cargo install defmt-print --locked" >&2; exit 2
  fi
  # the status is QEMU's, which is the firmware's
  status=$(mktemp); trap 'rm -f "$status"' EXIT
  { "$qemu" "$@"; echo $? >"$status"; } | defmt-print -e "$image"
  exit "$(cat "$status")"
fi
exec "$qemu" "$@"
