#!/usr/bin/env bash
# Builds kube-apiserver, kube-controller-manager, kubectl and etcd for the tests
# and prints the folder that holds them.
#
# KUBEBUILDER_ASSETS, where set, names a folder that has them already and is
# taken as it is. Otherwise they are built once (about 8 minutes on two cores)
# into a cache outside the clone, keyed by version.
set -euo pipefail
cd "$(dirname "$0")"

version=1.36.3
binaries="kube-apiserver kube-controller-manager kubectl etcd"

complete() { for b in $binaries; do [ -x "$1/$b" ] || return 1; done; }

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
	complete "$KUBEBUILDER_ASSETS" || {
		echo "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks one of: $binaries; complete it or unset the variable" >&2
		exit 1
	}
	echo "$KUBEBUILDER_ASSETS"
	exit 0
fi

source ./go.sh
out="$cache/control-plane/$version-$(sha256sum go.sum | cut -c1-12)"

if ! complete "$out"; then
	find_go
	echo "building Kubernetes $version's control plane and etcd into $out (once, some 8 minutes on two cores): the tests talk to the real thing" >&2
	mkdir -p "$out"
	v=k8s.io/component-base/version
	flags="-s -w -X $v.gitVersion=v$version -X $v.gitMajor=1 -X $v.gitMinor=36"
	build() { # name, package; moved into place whole, so that a stopped build leaves no half binary
		CGO_ENABLED=0 go build -ldflags "$flags" -o "$out/.$1" "$2" && mv "$out/.$1" "$out/$1"
	}
	build etcd go.etcd.io/etcd/server/v3
	build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
	build kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager
	build kubectl k8s.io/kubernetes/cmd/kubectl
fi
echo "$out"
