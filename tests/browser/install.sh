#!/usr/bin/env bash
# `make test`: installs Chromium for the tests of pages where it is missing (Debian, as root). Elsewhere these tests are skipped
# and say how to install it, or fail where CI is set.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null; then exit 0; fi
done
[[ $EUID == 0 ]] && command -v apt-get >/dev/null || exit 0
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium >/dev/null
