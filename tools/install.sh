#!/usr/bin/env bash
# Installs those of Debian's packages that are missing, and says so:
# `install.sh WHY PACKAGE...`. Where it cannot, it says what is to be installed by
# hand.
set -euo pipefail

why=$1
shift
by_hand() {
	echo "$1; install by hand, and run this again: $packages ($why)" >&2
	exit 1
}
packages="$*"

dpkg -s "$@" >/dev/null 2>&1 && exit 0
command -v apt-get >/dev/null || by_hand "there is no apt-get here"
as_root=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || by_hand "only root may install packages, and there is no sudo"
	as_root=(sudo)
fi
echo "installing $packages: $why" >&2
"${as_root[@]}" apt-get update -qq >&2 || by_hand "apt-get cannot read its sources"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2 ||
	by_hand "apt-get cannot install it"
