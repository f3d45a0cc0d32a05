"""Does with a Kubernetes API what Python programs do, and prints what it sees.

    clients.py KUBECONFIG NAMESPACE

The test runs it against two servers and compares. Each wait has an end.
"""
import json
import sys

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException

LIMIT_SECONDS = 30
KUBECONFIG, NAMESPACE = sys.argv[1:]


def refused(call, *args, **named):
    """The Status with which a call is refused."""
    try:
        call(*args, **named)
    except ApiException as error:
        status = json.loads(error.body)
        return error.status, status.get("reason"), status["message"]
    sys.exit(f"{call} was not refused")


def typed():
    core = client.CoreV1Api()
    labels = {"app": "python"}
    for name in ("a", "b", "c"):
        meta = client.V1ObjectMeta(name=name, labels=labels)
        core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata=meta, data={"n": name}))
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="a"))
    print(refused(core.create_namespaced_config_map, NAMESPACE, body))
    print(refused(core.read_namespaced_config_map, "nope", NAMESPACE))
    stale = core.read_namespaced_config_map("a", NAMESPACE)
    patched = core.patch_namespaced_config_map("a", NAMESPACE, {"data": {"n": None, "m": "1"}})
    print(patched.data)
    stale.data["n"] = "stale"
    print(refused(core.replace_namespaced_config_map, "a", NAMESPACE, stale))
    page = core.list_namespaced_config_map(NAMESPACE, label_selector="app=python", limit=2)
    rest = core.list_namespaced_config_map(NAMESPACE, label_selector="app=python", limit=2, _continue=page.metadata._continue)
    print([item.metadata.name for item in page.items + rest.items])
    version = page.metadata.resource_version
    core.delete_namespaced_config_map("c", NAMESPACE)
    core.patch_namespaced_config_map("b", NAMESPACE, [{"op": "add", "path": "/data/p", "value": "2"}])
    watcher = watch.Watch()
    for event in watcher.stream(core.list_namespaced_config_map, NAMESPACE, resource_version=version,
                                label_selector="app=python", timeout_seconds=LIMIT_SECONDS):
        print(event["type"], event["object"].metadata.name, event["object"].data)
        if event["object"].metadata.name == "b":
            watcher.stop()


def applications():
    apps = client.AppsV1Api()
    pod = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels={"app": "web"}),
        spec=client.V1PodSpec(containers=[client.V1Container(name="web", image="nginx")]))
    spec = client.V1DeploymentSpec(selector=client.V1LabelSelector(match_labels={"app": "web"}), template=pod)
    made = apps.create_namespaced_deployment(
        NAMESPACE, client.V1Deployment(metadata=client.V1ObjectMeta(name="web"), spec=spec))
    print(made.spec.replicas, made.spec.strategy.rolling_update.max_surge, made.metadata.generation)
    scale = apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 4}})
    print(scale.spec.replicas, scale.status.selector)
    made = apps.patch_namespaced_deployment_status("web", NAMESPACE, {"status": {"replicas": 3}})
    print(made.status.replicas, made.spec.replicas)
    gone = apps.delete_namespaced_deployment("web", NAMESPACE, propagation_policy="Background")
    print(gone.status, gone.details.kind)


def custom():
    group = f"{NAMESPACE}.clients.test"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    utils.create_from_dict(client.ApiClient(), {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
                     "openAPIV3Schema": {"type": "object", "properties": {"spec": anything}}}}]}})
    definitions = client.ApiextensionsV1Api()
    watcher = watch.Watch()
    for event in watcher.stream(definitions.list_custom_resource_definition, timeout_seconds=LIMIT_SECONDS,
                                field_selector=f"metadata.name=widgets.{group}"):
        conditions = event["object"].status.conditions or []
        if any(one.type == "Established" and one.status == "True" for one in conditions):
            watcher.stop()
    objects = client.CustomObjectsApi()
    where = (group, "v1", NAMESPACE, "widgets")
    widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}
    print(objects.create_namespaced_custom_object(*where, widget)["spec"])
    print(objects.patch_namespaced_custom_object(*where, "w", {"spec": {"size": 2}})["spec"])
    print(len(objects.list_namespaced_custom_object(*where)["items"]))

    # The dynamic client discovers for itself, and applies.
    resources = dynamic.DynamicClient(client.ApiClient())
    widgets = resources.resources.get(api_version=f"{group}/v1", kind="Widget")
    print(widgets.name, widgets.namespaced, sorted(widgets.verbs))
    widget["spec"] = {"color": "red"}
    applied = widgets.server_side_apply(widget, name="w", namespace=NAMESPACE, field_manager="python")
    print(applied.spec.to_dict(), [entry["manager"] for entry in applied.metadata.to_dict()["managedFields"]])
    for event in widgets.watch(namespace=NAMESPACE, timeout=1):
        print(event["type"], event["object"].metadata.name)
    widgets.delete(name="w", namespace=NAMESPACE)
    definitions.delete_custom_resource_definition(f"widgets.{group}")


config.load_kube_config(KUBECONFIG)
print(client.VersionApi().get_code().git_version)
typed()
applications()
custom()
print("told to the end")
