# Every way to look at objects.

kubectl apply -f manifests/maps.yaml

kubectl get cm

kubectl get cm -o wide

kubectl get cm -o yaml

kubectl get cm -o json

kubectl get cm -o name

kubectl get cm one two -o name

kubectl get cm/one cm/two

kubectl get cm -o jsonpath='{range .items[*]}{.metadata.name}{"="}{.data.color}{"\n"}{end}'

kubectl get cm one -o jsonpath='{.data}'

kubectl get cm -o custom-columns=NAME:.metadata.name,COLOR:.data.color

kubectl get cm -o go-template='{{range .items}}{{.metadata.name}} {{end}}'

kubectl get cm --sort-by=.data.color

kubectl get cm --sort-by=.metadata.name --no-headers

kubectl get cm --show-labels

kubectl get cm -L app,tier

kubectl get cm -l app=web

kubectl get cm -l 'app in (web,db),!tier'

kubectl get cm -l 'tier notin (back)' --show-labels

kubectl get cm -l 'app=web,tier!=front' -o name

kubectl get cm -l 'a=b=c'

kubectl get cm -l 'app in (web'

kubectl get cm -l '%$'

kubectl get cm --field-selector metadata.name=two

kubectl get cm --field-selector metadata.name!=two,metadata.namespace=$NAMESPACE -o name

kubectl get cm --field-selector data.color=red

kubectl get cm --show-kind

kubectl get cm --chunk-size=1 -o name

kubectl get cm -A -l tier

kubectl get cm nope

kubectl get cm one nope

kubectl get cm nope --ignore-not-found

kubectl get nope

kubectl get cm --show-managed-fields -o yaml one

kubectl get -f manifests/maps.yaml

kubectl get cm,secret

kubectl get all

kubectl get pods

kubectl get ns $NAMESPACE

kubectl get ns $NAMESPACE -o yaml

kubectl get cm one --output-watch-events

kubectl get --raw /api/v1/namespaces/$NAMESPACE/configmaps/one | grep -o '"color":"red"'

kubectl get --raw /readyz

kubectl get --raw /livez

kubectl get --raw /healthz

kubectl get --raw /healthz/ping

kubectl get --raw /nope

kubectl get --raw /apis/nope

kubectl get --raw /api/v1/nope

kubectl get --raw '/api/v1/namespaces/nope/configmaps?limit=1' | grep -o '"items":\[\]'

# A watch shows what is there and what changes, in its columns.
bash lib/watching.sh 4 get cm one -w -- \
  "kubectl label cm one seen=yes >/dev/null" "kubectl patch cm one -p '{\"data\":{\"more\":\"x\"}}' >/dev/null" \
  "kubectl delete cm one >/dev/null"

bash lib/watching.sh 4 get cm -w -o name --output-watch-events -- \
  "kubectl create cm four >/dev/null" "kubectl delete cm four >/dev/null"

bash lib/watching.sh 3 get cm two -w -o 'jsonpath={.data.color}{"\n"}' -- \
  "kubectl patch cm two -p '{\"data\":{\"color\":\"green\"}}' >/dev/null" \
  "kubectl patch cm two -p '{\"data\":{\"color\":\"black\"}}' >/dev/null"
