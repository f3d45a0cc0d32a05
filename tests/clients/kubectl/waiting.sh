# Waiting, and deleting in every way.

kubectl apply -f manifests/web.yaml -f manifests/maps.yaml

kubectl wait --for=jsonpath='{.data.color}'=red cm/one --timeout=5s

kubectl wait --for=jsonpath='{.data.color}'=blue cm/one --timeout=1s

kubectl wait --for=condition=Available deployment/web --timeout=1s

kubectl patch deployment web --subresource=status --type=merge -p \
  '{"status":{"conditions":[{"type":"Available","status":"True"}]}}'

kubectl wait --for=condition=Available deployment/web --timeout=20s

kubectl wait --for=condition=Available=false deployment/web --timeout=1s

kubectl wait --for=create cm/one --timeout=5s

kubectl wait --for=delete cm/nope --timeout=5s

kubectl wait --for=condition=x cm/nope --timeout=1s

kubectl delete cm one

kubectl delete cm one

kubectl delete cm one --ignore-not-found

kubectl delete cm -l app=db

kubectl delete cm --all

kubectl apply -f manifests/maps.yaml -o name

kubectl patch cm one --type=merge -p '{"metadata":{"finalizers":["clients.test/held"]}}' -o jsonpath='{.metadata.finalizers}'

kubectl delete cm one --wait=false

kubectl delete cm one --timeout=1s

kubectl get cm one -o yaml

kubectl patch cm one --type=merge -p '{"metadata":{"finalizers":null}}'

kubectl wait --for=delete cm/one --timeout=20s

kubectl delete cm two --dry-run=server

kubectl delete cm two --cascade=orphan

kubectl create job parent --image=busybox

kubectl create cm child && kubectl patch cm child --type=merge -p \
  "{\"metadata\":{\"ownerReferences\":[{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"name\":\"parent\",\"uid\":\"$(kubectl get job parent -o jsonpath='{.metadata.uid}')\",\"blockOwnerDeletion\":true}]}}"

kubectl delete job parent --cascade=foreground

kubectl wait --for=delete cm/child --timeout=20s

kubectl run pod --image=nginx

kubectl delete pod pod --grace-period=0 --force

kubectl run pod --image=nginx

kubectl delete pod pod --now

kubectl delete deployment,service web

kubectl delete nope nope

kubectl delete ns nope

kubectl create ns $NAMESPACE-gone && kubectl delete ns $NAMESPACE-gone --timeout=40s

kubectl get ns $NAMESPACE-gone
