#!/usr/bin/env bash
# Builds the program to the path that is given, with the control plane's Go.
set -euo pipefail
cd "$(dirname "$0")"
source ../../control-plane/go.sh
find_go
# As the control plane is built: most packages are shared with it, and cached.
CGO_ENABLED=0 go build -o "$1" .
