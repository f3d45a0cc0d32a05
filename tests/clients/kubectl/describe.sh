# Describing, and events.

kubectl apply -f manifests/web.yaml -f manifests/maps.yaml -o name

kubectl describe cm one

kubectl describe cm

kubectl describe deployment web

kubectl describe service web

kubectl create secret generic secret --from-literal=a=b && kubectl describe secret secret

kubectl create serviceaccount robot && kubectl describe serviceaccount robot

kubectl create role reader --verb=get --resource=pods && kubectl describe role reader

kubectl run pod --image=nginx && kubectl describe pod pod

kubectl create job once --image=busybox && kubectl describe job once | grep -v controller-uid

kubectl create cronjob often --image=busybox --schedule='* * * * *' && kubectl describe cronjob often

kubectl create ingress front --rule=a.example.com/=web:80 && kubectl describe ingress front

kubectl create pdb budget --selector=app=web --min-available=1 && kubectl describe pdb budget

kubectl describe ns $NAMESPACE

kubectl describe cm nope

kubectl create -f - <<EOF
apiVersion: v1
kind: Event
metadata: {name: first}
involvedObject: {apiVersion: v1, kind: ConfigMap, name: one, namespace: $NAMESPACE}
reason: Seen
message: it was seen
type: Normal
source: {component: test}
firstTimestamp: "2026-01-02T03:04:05Z"
lastTimestamp: "2026-01-02T03:04:06Z"
count: 2
EOF

kubectl create -f - <<EOF
apiVersion: v1
kind: Event
metadata: {name: second}
involvedObject: {apiVersion: v1, kind: ConfigMap, name: two, namespace: $NAMESPACE}
reason: Odd
message: it was odd
type: Warning
source: {component: test, host: here}
firstTimestamp: "2026-01-02T03:04:07Z"
lastTimestamp: "2026-01-02T03:04:07Z"
count: 1
EOF

kubectl get events

kubectl get events -o wide

kubectl get events --field-selector type=Warning

kubectl get events --field-selector involvedObject.name=one,reason=Seen -o name

kubectl get events --field-selector nope=x

kubectl events

kubectl events --types=Warning

kubectl events --for cm/one
