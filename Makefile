# The two commands are `make demo` and `make test`; the rest are their parts.
# Each does its own set-up: on a bare Debian 12 with rustup's Rust, nothing else
# need be there.

EXAMPLES := plugins/target/plugins
CARGO    := cargo

OPERATIONS ?= 10000
SEED       ?= $(shell date +%s)

.PHONY: demo test lint tools plugins control-plane conformance bench simulate soak

demo: tools
	@plugins/build.sh rust
	@echo "building the host (some minutes the first time: it has a WebAssembly compiler in it)"
	$(CARGO) build --quiet --package trimtab
	target/debug/trimtab --log off demo --examples $(EXAMPLES) --manifests plugins/examples/site

# All of it runs even where some fails: one run tells everything there is to mend.
test: tools plugins control-plane
	$(CARGO) test --workspace --no-fail-fast
	plugins/test.sh
	$(MAKE) lint

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	cd plugins && $(CARGO) fmt --check && $(CARGO) clippy --workspace --all-targets -- -D warnings

tools:
	@tools/need.sh cc gcc "Rust links with it"

# The example plugins and the misbehaving ones of the tests, as .wasm files, with
# what it takes to build those in other languages than Rust.
plugins: tools
	@plugins/build.sh

# A real kube-apiserver, controller manager, kubectl and etcd.
control-plane:
	@tests/control-plane/build.sh >/dev/null

# Writes drawn from a fresh SEED, or a given one, to the API in memory and to the
# real one.
conformance: tools control-plane
	OPERATIONS=$(OPERATIONS) SEED=$(SEED) $(CARGO) run --package trimtab-conformance --example draw

# The host's package is named for its dependencies' sake: without it they would
# be built once for the benchmarks and once more for the host that is measured.
bench: tools plugins control-plane
	$(CARGO) bench --package trimtab-bench --package trimtab --bench dispatch --bench shadow --bench swap --bench hooks --bench memory --bench settle
	OBJECTS=2000 ROUNDS=10 $(CARGO) test --release --package trimtab --test e2e handover -- --nocapture

# make simulate SEEDS=1000 FROM=5000: what is drawn from so many seeds, the
# first of them 5000. A seed that fails is shrunk, and the rest is printed.
simulate: tools plugins
	SEEDS=$(or $(SEEDS),1000) FROM=$(or $(FROM),1) $(CARGO) test --package trimtab-sim --test simulation seeds -- --nocapture

# make soak SOAK_SECONDS=1800 OBJECTS=2000: two hosts, and all that can happen to
# them at once, from a fresh SEED or a given one. CI runs 45 s of it from one seed.
soak: tools plugins control-plane
	SOAK_SECONDS=$(or $(SOAK_SECONDS),1800) OBJECTS=$(or $(OBJECTS),2000) SEED=$(SEED) $(CARGO) test --release --package trimtab --test e2e soak -- --nocapture
