# A custom kind, from its definition to its columns.

kubectl apply -f manifests/sites.yaml

kubectl wait --for=condition=Established crd/sites.clients.test --timeout=20s

# kubectl explains what the index of documents lists, and the real server lists a
# new group some time after the group's document can be read.
timeout 20 bash -c 'until kubectl explain site >/dev/null 2>&1; do sleep 0.1; done'

kubectl api-resources --api-group=clients.test -o wide

kubectl explain site.spec

kubectl explain site --recursive

kubectl create -f - <<'EOF'
apiVersion: clients.test/v1
kind: Site
metadata: {name: a, annotations: {a.b/c: hello}}
spec: {image: nginx, replicas: 3, ratio: 1.5, enabled: true, since: "2020-01-02T03:04:05Z", list: [x, "y", z], map: {k: v, l: 2}}
EOF

kubectl apply -f - <<'EOF'
apiVersion: clients.test/v1
kind: Site
metadata: {name: b}
spec: {since: garbage}
EOF

kubectl get sites

kubectl get si -o wide

kubectl get site a -o yaml

kubectl get sites.v1.clients.test -o name

kubectl get sites --field-selector spec.image=nginx -o name

kubectl get sites --field-selector spec.replicas=1

kubectl get all

kubectl scale site a --replicas=5

kubectl patch site a --type=merge -p '{"spec":{"image":"httpd"}}'

kubectl patch site a -p '{"spec":{"image":"httpd"}}'

kubectl patch site a --subresource=status --type=merge -p '{"status":{"replicas":5,"conditions":[{"type":"Ready","status":"True"}]}}'

kubectl wait --for=condition=Ready site/a --timeout=20s

kubectl get sites

kubectl describe site a

kubectl apply -f - <<'EOF'
apiVersion: clients.test/v1
kind: Site
metadata: {name: c}
spec: {image: 5}
EOF

kubectl apply -f - <<'EOF'
apiVersion: clients.test/v1
kind: Site
metadata: {name: c}
spec: {image: nginx, unknown: x}
EOF

kubectl apply --server-side -f - <<'EOF'
apiVersion: clients.test/v1
kind: Site
metadata: {name: b}
spec: {image: served}
EOF

kubectl edit site b --help | head -1

KUBE_EDITOR='sed -i s/served/edited/' kubectl edit site b

kubectl label site b app=x

kubectl get site -L app -l app=x

kubectl delete site --all

kubectl delete crd sites.clients.test --timeout=40s

kubectl get sites
