#!/usr/bin/env bash
# What the image promises, asked of the image itself. Usage: check_image.sh [NAME]; PODMAN or DOCKER as in build_image.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
name=${1:-localhost/nephrite:latest}
read -ra engine <<<"${PODMAN:-${DOCKER:-docker}}"
run() { # as a pod under the policy `restricted`: no root, no network, nothing written but /tmp
  "${engine[@]}" run --rm --no-healthcheck --read-only --tmpfs /tmp --user 10001 --network none --cap-drop all \
    --security-opt no-new-privileges "$@"
}
fail() { echo "check_image.sh: $1" >&2; exit 1; }
inspect() { "${engine[@]}" image inspect --format "$1" "$name"; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
[[ $(run "$name" --version) == *"$version"* ]] || fail "nephrite --version does not print $version"
[[ $(inspect '{{.Config.User}}') == 10001:10001 ]] || fail "the image runs as another user than 10001"
[[ $(inspect '{{index .Config.Labels "org.opencontainers.image.version"}}') == "$version" ]] || fail "the label of the version is not $version"
[[ -n $(inspect '{{index .Config.Labels "org.opencontainers.image.revision"}}') ]] || fail "no label tells the commit"
[[ $(inspect '{{json .HealthCheck}}{{json .Config.Healthcheck}}' 2>/dev/null || inspect '{{json .HealthCheck}}') == *--version* ]] || fail "no health check"

run --entrypoint sh "$name" -c 'command -v gcc cc g++ make; ls -d /root/.cache /build 2>/dev/null; true' >/tmp/found.$$
found=$(cat /tmp/found.$$); rm -f /tmp/found.$$
[[ -z $found ]] || fail "compilers, caches or the build's folder are in the image: $found"

run --entrypoint python "$name" -c 'from importlib.metadata import distributions
for each in distributions(): print(each.metadata["Name"] + "==" + each.version.partition("+")[0])' |
  tr 'A-Z_.' 'a-z--' | sort >"${TMPDIR:-/tmp}/installed.$$"
installed=${TMPDIR:-/tmp}/installed.$$
trap 'rm -f "$installed"' EXIT
unlocked=$(grep -v '^nephrite==' "$installed" | comm -23 - <(sed -nE 's/^([A-Za-z0-9][^ ]*==[^ ]+).*/\1/p' requirements.lock | tr 'A-Z_.' 'a-z--' | sort))
[[ -z $unlocked ]] || fail "not at the lock's version: $unlocked"
! grep -E '^(pip|kfp|pytest|mypy|ruff|hypothesis|beartype|uv)==' "$installed" || fail "tools of development are in the image"

set -- acquire --raw /tmp/raw --set acquire.phantom.patients=1
if run "$name" "$@" >/dev/null 2>&1; then fail "the working folder can be written"; fi
run --workdir /tmp "$name" "$@" --params /work/params.yaml
echo "$name: $(wc -l <"$installed") packages, all at the lock's versions; runs without root, network and a writable system"
