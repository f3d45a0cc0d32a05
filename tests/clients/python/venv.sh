#!/usr/bin/env bash
# Makes a virtual environment with the Python client, once for each version of
# requirements.txt, and prints its folder.
set -euo pipefail
cd "$(dirname "$0")"
source ../../control-plane/go.sh

out="$cache/python/$(sha256sum requirements.txt | cut -c1-12)"
if [ ! -d "$out" ]; then
	python3 -c 'import ensurepip, venv' 2>/dev/null ||
		"$tests/../tools/install.sh" "the tests run Kubernetes' Python client" python3 python3-venv
	echo "installing Kubernetes' Python client into $out: the tests run it" >&2
	mkdir -p "$(dirname "$out")"
	part="$(mktemp -d "$out.XXXXXX")"
	python3 -m venv "$part" >&2
	"$part/bin/python" -m pip install --quiet --no-deps --requirement requirements.txt >&2
	mv -T "$part" "$out"
fi
echo "$out"
