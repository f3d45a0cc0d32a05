"""A `Page` becomes a Deployment, a Service and a ConfigMap with its text. The same
plugin is beside this one in other languages."""

from dataclasses import dataclass, field

from trimtab import Answer, Event, Metadata, Run, composite, terminal, wait

DEPLOYMENT = "apps/v1/Deployment"
IMAGE = "docker.io/library/nginx:1.29"


@dataclass
class Spec:
    host: str
    replicas: int = 1
    text: str = ""
    tls: str | None = None
    settings: dict = field(default_factory=dict)


@dataclass
class Status:
    ready: bool
    url: str
    pages: int
    settings: dict
    observed_generation: int


@dataclass
class Page:
    metadata: Metadata
    spec: Spec
    status: dict = field(default_factory=dict)


@composite(
    "example.dev/v1/Page",
    children=["v1/ConfigMap", DEPLOYMENT, "v1/Service"],
    reads=["v1/Secret"],
    finalizes=True,
)
def reconcile(page: Page, run: Run) -> Answer:
    name, spec = page.metadata.name, page.spec
    if run.finalizing:
        return Answer(finalized=True, events=[Event("Closed", f"{spec.host} is closed")])
    if not spec.host:
        terminal("spec.host is empty")
    if spec.tls:
        run.get("v1/Secret", spec.tls) or wait(f"the secret {spec.tls}")

    web = run.child(DEPLOYMENT, name) or {}
    ready = web.get("status", {}).get("readyReplicas", 0) >= spec.replicas
    run.info(f"{name} is {'ready' if ready else 'not ready'}")
    return Answer(
        children=children(page, run.config.get("image", IMAGE)),
        status=Status(
            ready=ready,
            url=f"{'https' if spec.tls else 'http'}://{spec.host}/",
            pages=len(run.children("v1/ConfigMap")),
            settings=spec.settings,
            observed_generation=page.metadata.generation,
        ),
        events=[Event("Served", f"{spec.host} is served")] if ready and not page.status.get("ready") else [],
        requeue_after_ms=None if ready else 30_000,
    )


def children(page: Page, image: str) -> list[dict]:
    spec, labels = page.spec, {"app": page.metadata.name}
    metadata = {"name": page.metadata.name, "labels": labels}
    template = {"metadata": {"labels": labels}, "spec": pod(page, image)}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"index.html": spec.text}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"replicas": spec.replicas, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 80}]},
        },
    ]


def pod(page: Page, image: str) -> dict:
    """What serves the text."""
    mounts = [{"name": "page", "mountPath": "/usr/share/nginx/html"}]
    web = {"name": "web", "image": image, "ports": [{"containerPort": 80}], "volumeMounts": mounts}
    volumes = [{"name": "page", "configMap": {"name": page.metadata.name}}]
    if page.spec.tls:
        volumes.append({"name": "tls", "secret": {"secretName": page.spec.tls}})
    return {"containers": [web], "volumes": volumes}
