"""A {{Kind}} runs its image in as many pods as it asks for."""

from dataclasses import dataclass

from trimtab import Answer, Metadata, Run, composite

DEPLOYMENT = "apps/v1/Deployment"


@dataclass
class Spec:
    image: str
    replicas: int


@dataclass
class {{Kind}}:
    metadata: Metadata
    spec: Spec


@composite("example.dev/v1/{{Kind}}", children=[DEPLOYMENT])
def reconcile(wanted: {{Kind}}, run: Run) -> Answer:
    name, spec = wanted.metadata.name, wanted.spec
    labels = {"app": name}
    pod = {"containers": [{"name": "main", "image": spec.image}]}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": spec.replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    running = (run.child(DEPLOYMENT, name) or {}).get("status", {}).get("readyReplicas", 0)
    return Answer(children=[deployment], status={"ready": running >= spec.replicas})
