#!/usr/bin/env bash
# Packs the SDKs for npm and pip as they would be published, installs each in an
# empty project that has nothing else of this clone, and builds a plugin there.
# Nothing is fetched but what the plugins of this folder are built with, too.
set -euo pipefail
cd "$(dirname "$0")"
source ./toolchains.sh

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# is_module FILE: whether it begins as all WebAssembly does.
is_module() { [ "$(head -c 4 "$1" | od -An -tx1 | tr -d ' \n')" = 0061736d ]; }

find_node
mkdir "$work/js"
(cd sdk/js && "${npm[@]}" pack --silent --pack-destination "$work" >/dev/null)
cp examples/page/js/page.js "$work/js/"
cp -RL sdk/js/node_modules "$work/js/" # what the package depends on
(
	cd "$work/js"
	echo '{ "private": true, "type": "module" }' >package.json
	"${npm[@]}" install --silent --offline --ignore-scripts --no-audit --no-fund "$work"/trimtab-plugin-*.tgz
	node node_modules/.bin/trimtab-plugin page.js -o page.wasm
	is_module page.wasm
	cat >page.test.mjs <<-'END'
		import { description } from '@trimtab/plugin/testing';
		import { compositeHook } from '@trimtab/plugin/metacontroller';
		import { controller } from './page.js';
		if (description(controller).role !== 'composite' || typeof compositeHook !== 'function') process.exit(1);
	END
	node page.test.mjs
)

find_python
find_hatchling
mkdir "$work/python"
PYTHONPATH="$hatchling" pip3 wheel --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation \
	--wheel-dir "$work" ./sdk/python
pip3 install --quiet --disable-pip-version-check --root-user-action=ignore --no-index --no-deps \
	--target "$work/python/installed" "$work"/trimtab_plugin-*.whl
cp examples/page/python/page.py "$work/python/"
(
	cd "$work/python"
	export PYTHONPATH="$work/python/installed:$cache/componentize-py/$componentize_py_version"
	installed/bin/trimtab-plugin page.py -o page.wasm
	is_module page.wasm
)
