# Changing what is there: edit, patch, label, annotate, set, scale.

kubectl apply -f manifests/web.yaml -f manifests/maps.yaml

KUBE_EDITOR='sed -i s/red/pink/' kubectl edit cm one

KUBE_EDITOR='true' kubectl edit cm one

kubectl get cm one -o jsonpath='{.data}'

KUBE_EDITOR='sed -i s/replicas:.*/replicas:\ 4/' kubectl edit deployment web

kubectl label cm one size=big

kubectl label cm one size=small

kubectl label cm one size=small --overwrite

kubectl label cm one size-

kubectl label cm --all seen=yes

kubectl label cm one 'bad value=x'

kubectl label cm one key='not a value'

kubectl label cm -l app=web touched=yes --list | sort

kubectl annotate cm one note='some words' other=x

kubectl annotate cm one note-

kubectl get cm one -o yaml

kubectl patch cm one --type=merge -p '{"data":{"a":"1","size":null}}'

kubectl patch cm one --type=json -p '[{"op":"replace","path":"/data/a","value":"2"},{"op":"test","path":"/data/a","value":"2"}]'

kubectl patch cm one --type=json -p '[{"op":"remove","path":"/data/nope"}]'

kubectl patch cm one -p '{"data":{"b":"3"}}'

kubectl patch cm one -p '{"data":{"b":"3"}}'

kubectl patch cm one -p 'garbage'

kubectl patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"busybox:2"}]}}}}'

kubectl patch deployment web --subresource=status --type=merge -p '{"status":{"replicas":2}}'

kubectl patch deployment web --type=merge -p '{"spec":{"selector":{"matchLabels":{"other":"x"}}}}'

kubectl set image deployment/web web=nginx:2 side=busybox:3

kubectl set image deployment/web nope=x

kubectl set env deployment/web C=c A-

kubectl set resources deployment web -c web --limits=cpu=200m,memory=64Mi

kubectl set serviceaccount deployment web robot

kubectl set selector service web app=other

kubectl get deployment web -o yaml

kubectl get service web -o jsonpath='{.spec.selector}'

kubectl scale deployment web --replicas=5

kubectl scale deployment web --replicas=1 --current-replicas=9

kubectl scale --replicas=0 -f manifests/web.yaml

kubectl scale cm one --replicas=1

kubectl get deployment web -o jsonpath='{.spec.replicas} {.metadata.generation}'

kubectl get deployment web --subresource=scale -o yaml

kubectl get deployment web --subresource=status

kubectl rollout status deployment/web --timeout=1s

kubectl rollout pause deployment/web

kubectl rollout resume deployment/web

kubectl rollout restart deployment/web

kubectl rollout history deployment/web

kubectl patch deployment web --subresource=status --type=merge -p \
  "{\"status\":{\"observedGeneration\":$(kubectl get deployment web -o jsonpath='{.metadata.generation}'),\"replicas\":0}}"

kubectl rollout status deployment/web --timeout=20s

kubectl taint node nope a=b:NoSchedule
