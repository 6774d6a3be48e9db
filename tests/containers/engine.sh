#!/usr/bin/env bash
# A container engine where none runs: Podman as root, a base image made on the spot, and a socket that Docker's clients understand.
# Usage: engine.sh start DIR   installs what is missing, makes the base image once, serves DIR/podman.sock, prints what to export
#        engine.sh stop DIR    ends the service and unmounts what is left; images stay in DIR
# For Debian, as root. A second start reuses what the first one made. `rm -r DIR` after a stop removes everything.
set -euo pipefail
command=${1:?start or stop} dir=$(mkdir -p "${2:?a folder}" && cd "$2" && pwd)
base=${BASE_IMAGE:-docker.io/library/python:3.11-slim-bookworm}
podman=(podman --root "$dir/root" --runroot "$dir/runroot")
export CONTAINERS_CONF=$dir/containers.conf

install_engine() {
  local tool; for tool in podman runc mmdebstrap; do
    command -v "$tool" >/dev/null && continue
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
      podman runc conmon netavark aardvark-dns iptables catatonit mmdebstrap >/dev/null
    break
  done
}

capped() { # the hard limit in force, at most $2: a container cannot be given more than the machine has
  local hard; hard=$(ulimit -H"$1")
  if [[ $hard == unlimited || $hard -gt $2 ]]; then echo "$2"; else echo "$hard"; fi
}

configure() { # crun 1.8 and systemd's cgroups need a machine that booted with systemd: runc and cgroupfs do not
  local files processes; files=$(capped n 20000) processes=$(capped u 16384)
  cat >"$CONTAINERS_CONF" <<CONF
[containers]
default_ulimits = ["nofile=$files:$files", "nproc=$processes:$processes"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
CONF
}

make_base() { # Debian's own Python 3.11 under the official image's name, trusting the certificates that this machine trusts
  "${podman[@]}" image exists "$base" && return
  local sources; sources=$(find /etc/apt -name '*.sources' -o -name 'sources.list' | head -1)
  # shellcheck disable=SC2016 # mmdebstrap puts the new root's path into $1
  mmdebstrap --quiet --variant=apt \
    --include=python3,python3-venv,python3-pip,ca-certificates \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --customize-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/' \
    --customize-hook='ln -sf python3 "$1/usr/bin/python"; rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED' \
    --customize-hook='printf "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n" >"$1/etc/pip.conf"' \
    bookworm "$dir/base.tar" "$sources"
  "${podman[@]}" import --quiet --change 'CMD ["python3"]' "$dir/base.tar" "$base" >/dev/null
  rm "$dir/base.tar"
}

serve() {
  if [[ -S $dir/podman.sock ]] && kill -0 "$(cat "$dir/podman.pid" 2>/dev/null)" 2>/dev/null; then return; fi
  rm -f "$dir/podman.sock"
  setsid "${podman[@]}" system service --time=0 "unix://$dir/podman.sock" >"$dir/podman.log" 2>&1 </dev/null &
  echo $! >"$dir/podman.pid"
  for _ in $(seq 100); do [[ -S $dir/podman.sock ]] && return; sleep 0.1; done
  echo "$dir/podman.sock did not appear in 10 s; see $dir/podman.log" >&2
  return 1
}

start() {
  install_engine
  configure
  make_base
  serve
  echo "export CONTAINERS_CONF=$CONTAINERS_CONF DOCKER_HOST=unix://$dir/podman.sock PODMAN='${podman[*]}'"
}

stop() {
  if [[ -f $dir/podman.pid ]]; then kill "$(cat "$dir/podman.pid")" 2>/dev/null || true; fi
  rm -f "$dir/podman.pid" "$dir/podman.sock"
  if command -v podman >/dev/null; then "${podman[@]}" umount --all >/dev/null 2>&1 || true; fi
}

case $command in
  start | stop) "$command" ;;
  *) echo "engine.sh: '$command' is neither start nor stop" >&2; exit 2 ;;
esac
