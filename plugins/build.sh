#!/usr/bin/env bash
# Builds every plugin of this folder into target/plugins/, under stable names.
# cargo decides what has changed in Rust, and the age of files elsewhere; a file
# that stayed the same is not touched. `build.sh rust` builds those in Rust alone,
# which need no other tool chain.
set -euo pipefail
cd "$(dirname "$0")"
source ./toolchains.sh

export CARGO_TARGET_DIR="$PWD/target"
target=wasm32-unknown-unknown
out=target/plugins
cargo=(cargo)
flags=()

# The standard library for WebAssembly does not come with Rust. rustup fetches
# it; where rustup cannot, Debian's packages carry the sources to build it from.
find_target() {
    if [ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$target" ]; then
        return
    fi
    echo "plugins: adding Rust's standard library for $target, which plugins are built with" >&2
    if command -v rustup >/dev/null && rustup target add "$target"; then
        return
    fi
    echo "plugins: rustup cannot; building it from Debian's sources instead" >&2
    ../tools/install.sh "they build the plugins" rustc-web cargo-web rust-web-src lld-19
    export PATH=/usr/bin:/bin RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-19
    cargo=(/usr/bin/cargo)
    flags=(-Zbuild-std=std,panic_abort)
}

# place PLUGIN: its module under its own name, renamed into place whole.
place() {
    local from="target/$target/release/${1//-/_}.wasm" to="$out/$1.wasm"
    cmp -s "$from" "$to" && return
    cp "$from" "$to.part"
    mv "$to.part" "$to"
}

find_target
mkdir -p "$out"

rust=(bridge page raw misbehave misbehave-rust other-world wrong-version bench mirror probe fetch team site site-next site-v2 blue-green bug-database bug-tenant bug-backup)
"${cargo[@]}" build --quiet --locked --release --target "$target" "${flags[@]}" "${rust[@]/#/--package=}"
for plugin in "${rust[@]}"; do
	place "$plugin"
done

[ "${1:-}" = rust ] && exit

# older NAME SOURCE...: whether a plugin is missing, or older than a source of it.
older() {
	local to="$out/$1.wasm"
	shift
	[ ! -f "$to" ] || [ -n "$(find toolchains.sh ../wit/next "$@" -type f -newer "$to" \
		-not -path '*/node_modules/*' -not -path '*/__pycache__/*' -print -quit)" ]
}

javascript() { # NAME ENTRY
	older "$1" sdk/js "${2%/*}" || return 0
	find_node
	(cd "${2%/*}" && node "$OLDPWD/sdk/js/src/build.js" "${2##*/}" -o "$OLDPWD/$out/$1.wasm" >/dev/null)
}

python() { # NAME ENTRY
	older "$1" sdk/python/src "$2" || return 0
	(find_python && python3 -m trimtab.build "$2" -o "$out/$1.wasm" >/dev/null)
}

golang() { # NAME FOLDER
	older "$1" sdk/go "$2" || return 0
	find_go
	(cd "$2" && GOOS=wasip1 GOARCH=wasm go build -trimpath -buildmode=c-shared -ldflags='-s -w' -o "$OLDPWD/$out/$1.part" .)
	mv "$out/$1.part" "$out/$1.wasm"
}

c() { # NAME SOURCE FLAG...
	local name=$1 source=$2
	shift 2
	older "$name" sdk/c "$source" || return 0
	find_zig
	zig_cc -target wasm32-wasi -mexec-model=reactor -O2 "$@" -Wall -Wextra -Werror -I sdk/c -o "$out/$name.part" \
		"$source" sdk/c/trimtab.c sdk/c/json.c
	mv "$out/$name.part" "$out/$name.wasm"
}

javascript page-js examples/page/js/page.js
javascript bundle examples/bundle/bundle.js
javascript service-per-pod examples/service-per-pod/service-per-pod.js
javascript misbehave-js fixtures/misbehave/js/misbehave.ts
python page-python examples/page/python/page.py
python profile examples/profile/profiles.py
python misbehave-python fixtures/misbehave/python/misbehave.py
golang page-go examples/page/go
golang indexed-job examples/indexed-job
golang misbehave-go fixtures/misbehave/go
c page-c examples/page/c/page.c -s
c shared-secret examples/shared-secret/shared-secret.c -s
c misbehave-c fixtures/misbehave/c/misbehave.c # a trap tells its lines
