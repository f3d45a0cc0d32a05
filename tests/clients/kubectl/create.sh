# What kubectl creates by itself.

kubectl create configmap cm --from-literal=a=1 --from-literal=b=2

kubectl create secret generic secret --from-literal=password=x

kubectl create secret tls tls --cert=/dev/null --key=/dev/null

kubectl create deployment web --image=nginx --replicas=2 --port=80

kubectl create deployment web --image=nginx

kubectl create job once --image=busybox -- sh -c true

kubectl create cronjob often --image=busybox --schedule='*/5 * * * *' -- date

kubectl create job from-cron --from=cronjob/often

kubectl create serviceaccount robot

kubectl create role reader --verb=get,list --resource=pods,configmaps

kubectl create rolebinding readers --role=reader --serviceaccount=$NAMESPACE:robot --user=jane --group=people

kubectl create clusterrole $NAMESPACE-reader --verb=get --resource=nodes

kubectl create clusterrolebinding $NAMESPACE-readers --clusterrole=$NAMESPACE-reader --user=jane

kubectl create service clusterip plain --tcp=80:8080

kubectl create service nodeport node --tcp=80

kubectl create service externalname elsewhere --external-name example.com

kubectl create ingress front --class=nginx --rule='a.example.com/*=plain:80' --rule='b.example.com/x=plain:80,tls=tls'

kubectl create poddisruptionbudget budget --selector=app=web --min-available=1

kubectl create priorityclass $NAMESPACE-high --value=1000 --description=high

kubectl create namespace $NAMESPACE-more

kubectl run pod --image=nginx:1.27 --labels=app=pod --env=A=b --port=80

kubectl expose pod pod --port=80 --target-port=http

kubectl expose deployment web --port=8080 --target-port=80 --name=web

kubectl autoscale deployment web --min=1 --max=5 --cpu=80%

kubectl create configmap dry --from-literal=a=1 --dry-run=client -o yaml

kubectl create configmap dry --from-literal=a=1 --dry-run=server -o yaml

kubectl get configmap dry

kubectl create -f manifests/generated.yaml -o name

kubectl get configmap,secret,deployment,job,cronjob,serviceaccount,role,rolebinding,service,ingress,pdb,pod,hpa

kubectl get configmap,secret,deployment,job,cronjob,serviceaccount,role,rolebinding,service,ingress,pdb,pod,hpa -o wide

kubectl get clusterrole $NAMESPACE-reader -o yaml

kubectl get clusterrolebinding $NAMESPACE-readers -o wide

kubectl get priorityclass $NAMESPACE-high

kubectl get deployment web -o yaml

kubectl get pod pod -o yaml

kubectl get service plain node elsewhere web -o yaml

kubectl get cronjob often -o yaml

kubectl get rolebinding readers -o yaml

kubectl get ingress front -o yaml

kubectl get hpa web -o yaml

kubectl delete clusterrole,clusterrolebinding,priorityclass $NAMESPACE-reader $NAMESPACE-readers $NAMESPACE-high --ignore-not-found
