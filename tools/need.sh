#!/usr/bin/env bash
# Makes sure that a command is there: `need.sh COMMAND PACKAGE WHY`. What is
# missing is installed from Debian's packages.
set -euo pipefail

command -v "$1" >/dev/null || exec "$(dirname "$0")/install.sh" "$3" "$2"
