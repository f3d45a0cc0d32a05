# What the server says it has.

kubectl version

kubectl cluster-info

kubectl api-versions | grep -Fx -e v1 -e apps/v1 -e batch/v1 -e networking.k8s.io/v1 -e authorization.k8s.io/v1

kubectl api-resources --api-group=apps -o wide

kubectl api-resources --api-group=rbac.authorization.k8s.io -o wide

kubectl api-resources --api-group=batch -o name

kubectl api-resources --api-group=policy --namespaced=true

kubectl api-resources --api-group=authorization.k8s.io

kubectl api-resources --verbs=list,create --api-group=coordination.k8s.io --no-headers

kubectl api-resources --categories=all -o name --api-group=apps

kubectl auth can-i create pods

kubectl auth can-i '*' '*' --all-namespaces

kubectl auth can-i get /healthz

kubectl auth whoami | grep -v UID

kubectl explain deployment.spec.replicas | grep -e KIND -e FIELD -e VERSION -e GROUP

kubectl explain configmap | grep -o '^  [a-zA-Z]*\s<[^>]*>'

kubectl explain pod.spec.containers.ports --recursive | grep -o '^  [a-zA-Z]*\s<[^>]*>'

kubectl explain nope

kubectl explain pod.spec.nope

kubectl options | head -1

kubectl get --raw /version | tr -d ' ' | grep -o '"gitVersion":"[^"]*"'

kubectl get --raw /api | grep -o '"versions": *\["v1"\]'

kubectl get --raw /apis/apps | grep -o '"preferredVersion":{[^}]*}'

kubectl get --raw /apis/apps/v1 | grep -o '"name":"[a-z/]*"' | sort
