"""Each Namespace with the label gets what its team's pipelines need: keys to the
object store, where the metadata are, and a viewer of artifacts with its Service."""

from base64 import b64encode

from trimtab import Answer, Run, decorator

NAMESPACE = {"kind": "v1/Namespace", "labelSelector": "pipelines.example.dev/enabled=true"}


@decorator(NAMESPACE, children=["v1/Secret", "v1/ConfigMap", "apps/v1/Deployment", "v1/Service"])
def reconcile(namespace: dict, run: Run) -> Answer:
    inside, config = namespace["metadata"]["name"], run.config
    labels = {"app": "artifact-viewer"}
    container = {"name": "viewer", "image": config["viewer"], "ports": [{"containerPort": 3000}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    keys = {key: b64encode(config["store"][key].encode()).decode() for key in ("accessKey", "secretKey")}

    def child(api_version: str, kind: str, name: str, **content: dict) -> dict:
        return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": inside}} | content

    return Answer(
        children=[
            child("v1", "Secret", "object-store", data=keys),
            child("v1", "ConfigMap", "metadata-server", data={"host": config["metadata"]}),
            child("apps/v1", "Deployment", "viewer", spec={"selector": {"matchLabels": labels}, "template": template}),
            child("v1", "Service", "viewer", spec={"selector": labels, "ports": [{"port": 80, "targetPort": 3000}]}),
        ]
    )
