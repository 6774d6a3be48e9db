#!/usr/bin/env bash
# Builds the image from the working tree, and prints its size. Usage: build_image.sh [NAME [more arguments of build]]
# PODMAN or DOCKER names the engine's command, with arguments (engine.sh prints one); without either, `docker` is called.
# BASE_IMAGE, TORCH_INDEX, TORCH_REQUIREMENT and PIP_INDEX_URL reach the build from the environment if they are set;
# PIP_FIND_LINKS too (Podman only): the folder is mounted into the build read-only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
name=${1:-localhost/nephrite:latest}
shift || true
commit=$(git rev-parse HEAD 2>/dev/null || echo unknown)
if [[ $commit != unknown && -n $(git status --porcelain -- src pyproject.toml setup.py requirements.lock params.yaml configs Dockerfile) ]]; then
  commit+=-dirty # the image holds what no commit holds
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

arguments=(--build-arg "COMMIT=$commit" --build-arg "VERSION=$version" -t "$name")
for variable in BASE_IMAGE PYTHON TORCH_INDEX TORCH_REQUIREMENT PIP_INDEX_URL PIP_FIND_LINKS; do
  [[ -z ${!variable:-} ]] || arguments+=(--build-arg "$variable=${!variable}")
done
read -ra engine <<<"${PODMAN:-${DOCKER:-docker}}"
if [[ -n ${PODMAN:-} ]]; then # Docker's format keeps the health check
  arguments+=(--format docker --network host)
  [[ -z ${PIP_FIND_LINKS:-} ]] || arguments+=(-v "$PIP_FIND_LINKS:$PIP_FIND_LINKS:ro")
fi
"${engine[@]}" build "${arguments[@]}" "$@" .
size=$("${engine[@]}" image inspect --format '{{.Size}}' "$name")
echo "$name: $((size / 1000000)) MB, commit $commit"
