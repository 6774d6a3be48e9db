#!/usr/bin/env bash
# `make test-containers`: evicts trainings under stand-ins of Argo and Kubeflow, installs what the group needs (Debian, as
# root), builds the image, runs the compiled pipeline in real containers, compares its trial with `dvc repro`'s, and tests
# the record on a real server, database and object store.
# CONTAINERS names the folder that keeps the engine's images (default: /var/tmp/nephrite-containers): 15 GB, 25 GB during a build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
place=${CONTAINERS:-/var/tmp/nephrite-containers}
export IMAGE=${IMAGE:-localhost/nephrite:latest}
BUILD=24 # gigabytes to be free: the 7 of the dependencies exist twice for a while (installed, copied into the image), and tests write

part() { # name, command...: runs it and says how long it took
  local name=$1 started=$SECONDS; shift
  echo "== $name"
  "$@"
  echo "== $name: $((SECONDS - started)) s"
}

install_postgresql() {
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postgresql >/dev/null
}

check_manifests() { # checkov's own packages do not fit beside ours, so it has an environment of its own
  local objects; objects=$(mktemp -d)
  [[ -x $place/checkov/bin/checkov ]] || {
    .venv/bin/python -m venv "$place/checkov"
    "$place/checkov/bin/pip" install -q "checkov==3.3.30"
  }
  .venv/bin/python tests/k8s/rendering.py "$objects"
  "$place/checkov/bin/checkov" --config-file k8s/.checkov.yaml -d "$objects" --quiet --compact
  rm -r "$objects"
}

free_gigabytes() { df --output=avail -BG "$place" | tr -dc '0-9\n' | tail -1; }

make_room() { # drops layers of earlier weeks; where a build would fill the disk, all layers that no image needs, then the last image
  $PODMAN image prune -f --filter until=168h >/dev/null
  (($(free_gigabytes) >= BUILD)) || $PODMAN image prune -f >/dev/null
  (($(free_gigabytes) >= BUILD)) || $PODMAN rmi -f -i "$IMAGE" >/dev/null
  (($(free_gigabytes) >= BUILD)) || $PODMAN image prune -f >/dev/null
  local free; free=$(free_gigabytes)
  ((free >= BUILD)) || {
    echo "$place: $free GB are free, a build of the image needs $BUILD GB. Free some, or name another folder in CONTAINERS." >&2
    return 1
  }
}

mkdir -p "$place"
part "evictions" env OMP_NUM_THREADS=1 .venv/bin/python -m tests.faults evictions
part "manifests by checkov" check_manifests
part "PostgreSQL" install_postgresql
part "engine and base image" bash tests/containers/engine.sh start "$place"
eval "$(bash tests/containers/engine.sh start "$place")"
trap 'bash tests/containers/engine.sh stop "$place"' EXIT
part "room" make_room
part "image" bash tests/containers/build_image.sh "$IMAGE"
part "promises of the image" bash tests/containers/check_image.sh "$IMAGE"
part "pipeline, record, errors" env OMP_NUM_THREADS=1 .venv/bin/pytest -m containers tests/containers --durations=10 "$@"
