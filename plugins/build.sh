#!/usr/bin/env bash
# Builds every plugin of this folder into target/plugins/, under stable names.
# cargo decides what has changed; a file that stayed the same is not touched.
set -euo pipefail
cd "$(dirname "$0")"

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

plugins=(raw misbehave other-world wrong-version bench probe site site-next site-v2 bug-database bug-tenant bug-backup)
"${cargo[@]}" build --quiet --locked --release --target "$target" "${flags[@]}" "${plugins[@]/#/--package=}"
for plugin in "${plugins[@]}"; do
    place "$plugin"
done
