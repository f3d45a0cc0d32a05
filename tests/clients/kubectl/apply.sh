# Applying by the client and by the server, and what a change would do.

kubectl apply -f manifests/web.yaml

kubectl apply -f manifests/web.yaml

kubectl get deployment web -o jsonpath='{.metadata.annotations}'

kubectl diff -f manifests/web.yaml

kubectl diff -f manifests/web-changed.yaml | grep '^[-+ ] '

kubectl apply -f manifests/web-changed.yaml --dry-run=server

kubectl apply -f manifests/web-changed.yaml --dry-run=client

kubectl apply -f manifests/web-changed.yaml

kubectl get deployment web -o yaml --show-managed-fields

kubectl apply -f manifests/web-changed.yaml -o yaml | grep -v last-applied

kubectl apply view-last-applied deployment web

kubectl apply -f manifests/maps.yaml --prune -l app=web --prune-allowlist=core/v1/ConfigMap

kubectl apply -f - --prune -l app=web --prune-allowlist=core/v1/ConfigMap <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: one, labels: {app: web}}
EOF

kubectl get cm

kubectl apply --server-side -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: served}
data: {a: "1", b: "1"}
EOF

kubectl apply --server-side --field-manager=other -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: served}
data: {a: "2"}
EOF

kubectl apply --server-side --field-manager=other --force-conflicts -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: served}
data: {a: "2"}
EOF

kubectl diff --server-side -f - <<'EOF' | grep '^[-+ ] '
apiVersion: v1
kind: ConfigMap
metadata: {name: served}
data: {b: "3"}
EOF

kubectl get cm served -o yaml --show-managed-fields

kubectl apply --server-side -f manifests/web-changed.yaml

kubectl apply -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: wrong}
daata: {a: "1"}
EOF

kubectl apply --validate=false -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: wrong}
daata: {a: "1"}
EOF

kubectl apply -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: Wrong_Name}
EOF

kubectl apply -f - <<'EOF'
apiVersion: nope.test/v1
kind: Nope
metadata: {name: nope}
EOF

kubectl apply -f - <<'EOF'
apiVersion: apps/v1
kind: Deployment
metadata: {name: lacking}
spec: {replicas: 1}
EOF

kubectl create -f manifests/web.yaml

kubectl replace -f manifests/web.yaml

kubectl replace --force -f manifests/web.yaml

kubectl delete -f manifests/web.yaml -f manifests/maps.yaml --ignore-not-found
