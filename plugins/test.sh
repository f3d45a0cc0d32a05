#!/usr/bin/env bash
# Runs the unit tests of the SDKs and examples, each in its language's own runner:
# natively, with no WebAssembly; and the packages of the SDKs, in empty projects.
set -euo pipefail
cd "$(dirname "$0")"
source ./toolchains.sh

cargo test --workspace --all-features --locked

find_node
node --test sdk/js/test/*.test.js examples/page/js/*.test.js
sdk/js/node_modules/.bin/tsc --project sdk/js/test

(
	find_python
	python3 -m unittest discover --start-directory sdk/python/tests
	for example in page/python profile; do
		(cd "examples/$example" && python3 -m unittest)
	done
)

find_go
for module in sdk/go examples/page/go examples/indexed-job; do
	(cd "$module" && go vet -unsafeptr=false ./... && go test ./...)
done

find_zig
tests="$(mktemp -d)"
trap 'rm -rf "$tests"' EXIT
zig_cc -g -Wall -Wextra -Werror -I sdk/c -o "$tests/shared-secret" examples/shared-secret/*.c sdk/c/testing.c sdk/c/json.c
"$tests/shared-secret"

./packages.sh
