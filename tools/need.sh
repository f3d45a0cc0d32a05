#!/usr/bin/env bash
# Makes sure that a command is there: `need.sh COMMAND PACKAGE WHY`. What is
# missing is installed from Debian's packages, and is said so.
set -euo pipefail

command=$1 package=$2 why=$3
command -v "$command" >/dev/null && exit 0
echo "installing $package: $why" >&2
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
command -v apt-get >/dev/null || {
	echo "$command is missing and there is no apt-get to install it with; install $command yourself: $why" >&2
	exit 1
}
"${as_root[@]}" apt-get update -qq >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >&2
