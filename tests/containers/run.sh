#!/usr/bin/env bash
# `make test-containers`: evicts trainings under stand-ins of Argo and Kubeflow, installs what the group needs (Debian, as
# root), builds the image, runs the compiled pipeline in real containers, compares its trial with `dvc repro`'s, and tests
# the record on a real server, database and object store.
# CONTAINERS names the folder that keeps the engine's images, about 25 GB (default: /var/tmp/nephrite-containers).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
place=${CONTAINERS:-/var/tmp/nephrite-containers}
export IMAGE=${IMAGE:-localhost/nephrite:latest}

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

mkdir -p "$place"
part "evictions" env OMP_NUM_THREADS=1 .venv/bin/python -m tests.faults evictions
part "manifests by checkov" check_manifests
part "PostgreSQL" install_postgresql
part "engine and base image" bash tests/containers/engine.sh start "$place"
eval "$(bash tests/containers/engine.sh start "$place")"
trap 'bash tests/containers/engine.sh stop "$place"' EXIT
# layers of earlier weeks; all that no image needs where a build would fill the disk
room=$(df --output=avail -BG "$place" | tr -dc '0-9\n' | tail -1)
if ((room < 30)); then $PODMAN image prune -f >/dev/null; else $PODMAN image prune -f --filter until=168h >/dev/null; fi
part "image" bash tests/containers/build_image.sh "$IMAGE"
part "promises of the image" bash tests/containers/check_image.sh "$IMAGE"
part "pipeline, record, errors" env OMP_NUM_THREADS=1 .venv/bin/pytest -m containers tests/containers --durations=10 "$@"
