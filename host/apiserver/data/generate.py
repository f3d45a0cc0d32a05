#!/usr/bin/env python3
"""Writes builtin.json: the built-in kinds, their schemas and their defaults.

    generate.py https://127.0.0.1:6443 TOKEN > builtin.json

Almost everything comes from a running kube-apiserver: the kinds from its
discovery, the schemas (types, list and map types, keys, required, formats; no
prose) from /openapi/v3, and the defaults, which the documents mostly lack, from
dry-run creates of the objects in SAMPLES: whatever the server added to a type is
that type's default, unless two samples disagree. Those that depend on a sibling
are not data; they are in src/builtin_rules.rs.

What no document says is how a Go struct writes a field that is not set, and what
the type of a scalar is called ("x-go-type"), which errors name. Both
follow from the field's type and tag, so these are read from the modules that
tests/control-plane/go.mod names, in Go's module cache: "x-go-zero": "shown" is a field
that is written although it is not set, "null" one that is then written as null, and
"hidden" one that is left out when it has its zero value. A field without is a
pointer: what is given is kept.
"""
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

SERVER, TOKEN = sys.argv[1], sys.argv[2]

# group/version -> the plurals that are served.
KINDS = {
    "v1": ["namespaces", "pods", "services", "configmaps", "secrets", "serviceaccounts", "events",
           "nodes", "persistentvolumeclaims", "persistentvolumes", "endpoints", "podtemplates",
           "replicationcontrollers", "resourcequotas", "limitranges"],
    "apps/v1": ["deployments", "statefulsets", "daemonsets", "replicasets", "controllerrevisions"],
    "batch/v1": ["jobs", "cronjobs"],
    "networking.k8s.io/v1": ["ingresses", "ingressclasses", "networkpolicies"],
    "policy/v1": ["poddisruptionbudgets"],
    "autoscaling/v2": ["horizontalpodautoscalers"],
    "rbac.authorization.k8s.io/v1": ["roles", "rolebindings", "clusterroles", "clusterrolebindings"],
    "coordination.k8s.io/v1": ["leases"],
    "events.k8s.io/v1": ["events"],
    "discovery.k8s.io/v1": ["endpointslices"],
    "storage.k8s.io/v1": ["storageclasses", "csidrivers", "csinodes", "csistoragecapacities", "volumeattachments"],
    "scheduling.k8s.io/v1": ["priorityclasses"],
    "node.k8s.io/v1": ["runtimeclasses"],
    "admissionregistration.k8s.io/v1": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations",
                                        "validatingadmissionpolicies", "validatingadmissionpolicybindings"],
    "certificates.k8s.io/v1": ["certificatesigningrequests"],
    "apiextensions.k8s.io/v1": ["customresourcedefinitions"],
}
SUBRESOURCES = ("status", "scale", "eviction", "binding", "finalize", "approval", "token", "ephemeralcontainers", "resize")
KEPT = ("type", "format", "required", "default", "enum", "nullable", "oneOf", "$ref")

PROBES = {"httpGet": {"port": 80}}
CONTAINER = {
    "name": "c", "image": "i:1",
    "ports": [{"containerPort": 80}],
    "livenessProbe": dict(PROBES), "readinessProbe": {"tcpSocket": {"port": 1}}, "startupProbe": {"grpc": {"port": 1}},
    "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    "lifecycle": {"preStop": {"httpGet": {"port": 80}}},
}
VOLUMES = [
    {"name": "a", "configMap": {"name": "x"}}, {"name": "b", "secret": {"secretName": "x"}},
    {"name": "c", "downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    {"name": "d", "projected": {"sources": [{"serviceAccountToken": {"path": "p"}}]}},
    {"name": "e", "hostPath": {"path": "/x"}}, {"name": "f", "emptyDir": {}},
    {"name": "g", "ephemeral": {"volumeClaimTemplate": {"spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}},
]
POD = {"containers": [CONTAINER], "initContainers": [{"name": "i", "image": "i:1"}], "volumes": VOLUMES,
       "serviceAccountName": "s"}
SMALL_POD = {"containers": [{"name": "c", "image": "i:1"}]}
LABELS = {"app": "a"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": POD}
SELECTOR = {"matchLabels": LABELS}
JOB = {"template": {"spec": {**SMALL_POD, "restartPolicy": "Never"}}}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
RULE = {"apiGroups": ["a"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["as"]}
WEBHOOK = {"name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": ["v1"], "rules": [RULE],
           "clientConfig": {"service": {"name": "s", "namespace": "n"}}}
SAMPLES = [
    ("v1", "pods", {"spec": SMALL_POD}),
    ("v1", "pods", {"spec": POD}),
    ("v1", "services", {"spec": {"ports": [{"port": 80}], "selector": LABELS}}),
    ("v1", "services", {"spec": {"ports": [{"port": 80}], "clusterIP": "None"}}),
    ("v1", "services", {"spec": {"type": "ExternalName", "externalName": "a.b"}}),
    ("v1", "namespaces", {}),
    ("v1", "events", {"involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}}),
    ("events.k8s.io/v1", "events", {
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}, "eventTime": "2026-01-01T00:00:00.000000Z",
        "reason": "R", "action": "A", "type": "Normal", "reportingController": "a.b/c", "reportingInstance": "i"}),
    ("batch/v1", "jobs", {"spec": JOB}),
    ("apiextensions.k8s.io/v1", "customresourcedefinitions", {"metadata": {"name": "as.a.b"}, "spec": {
        "group": "a.b", "scope": "Cluster", "names": {"plural": "as", "kind": "A"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}]}}),
    ("v1", "configmaps", {}),
    ("v1", "secrets", {}),
    ("v1", "serviceaccounts", {}),
    ("v1", "nodes", {}),
    ("v1", "persistentvolumeclaims", {"spec": CLAIM}),
    ("v1", "persistentvolumes", {"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
                                          "hostPath": {"path": "/x"}}}),
    ("v1", "endpoints", {"subsets": [{"addresses": [{"ip": "10.1.1.1"}], "ports": [{"port": 80}]}]}),
    ("apps/v1", "deployments", {"spec": {"selector": SELECTOR, "template": TEMPLATE}}),
    ("apps/v1", "deployments", {"spec": {"selector": SELECTOR, "template": TEMPLATE,
                                         "strategy": {"type": "RollingUpdate", "rollingUpdate": {}}}}),
    ("apps/v1", "replicasets", {"spec": {"selector": SELECTOR, "template": TEMPLATE}}),
    ("apps/v1", "statefulsets", {"spec": {"selector": SELECTOR, "template": TEMPLATE, "serviceName": "s",
                                          "volumeClaimTemplates": [{"metadata": {"name": "v"}, "spec": CLAIM}]}}),
    ("apps/v1", "statefulsets", {"spec": {"selector": SELECTOR, "template": TEMPLATE, "serviceName": "s",
                                          "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {}}}}),
    ("apps/v1", "daemonsets", {"spec": {"selector": SELECTOR, "template": TEMPLATE}}),
    ("apps/v1", "daemonsets", {"spec": {"selector": SELECTOR, "template": TEMPLATE,
                                        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {}}}}),
    ("batch/v1", "cronjobs", {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": JOB}}}),
    ("networking.k8s.io/v1", "networkpolicies", {"spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}}),
    ("networking.k8s.io/v1", "ingresses", {"spec": {"rules": [{"http": {"paths": [
        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]}}),
    ("policy/v1", "poddisruptionbudgets", {"spec": {"selector": SELECTOR}}),
    ("autoscaling/v2", "horizontalpodautoscalers", {"spec": {
        "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
        "behavior": {"scaleUp": {"stabilizationWindowSeconds": 0}}}}),
    ("coordination.k8s.io/v1", "leases", {"spec": {}}),
    ("storage.k8s.io/v1", "storageclasses", {"provisioner": "p"}),
    ("storage.k8s.io/v1", "csidrivers", {"spec": {}}),
    ("storage.k8s.io/v1", "csinodes", {"spec": {"drivers": []}}),
    ("storage.k8s.io/v1", "csistoragecapacities", {"storageClassName": "s"}),
    ("storage.k8s.io/v1", "volumeattachments", {"spec": {
        "attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "p"}}}),
    ("scheduling.k8s.io/v1", "priorityclasses", {"value": 1}),
    ("node.k8s.io/v1", "runtimeclasses", {"handler": "h"}),
    ("networking.k8s.io/v1", "ingressclasses", {"spec": {"controller": "a.b/c"}}),
    ("networking.k8s.io/v1", "ingressclasses", {"spec": {"controller": "a.b/c", "parameters": {"kind": "K", "name": "n"}}}),
    ("v1", "podtemplates", {"template": TEMPLATE}),
    ("v1", "replicationcontrollers", {"spec": {"selector": LABELS, "template": TEMPLATE}}),
    ("v1", "resourcequotas", {"spec": {"hard": {"pods": "1"}}}),
    ("v1", "limitranges", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}),
    ("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", {"webhooks": [WEBHOOK]}),
    ("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", {"webhooks": [WEBHOOK]}),
    ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies", {"spec": {
        "matchConstraints": {"resourceRules": [RULE]}, "validations": [{"expression": "true"}]}}),
    ("admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings", {"spec": {
        "policyName": "p", "validationActions": ["Deny"], "paramRef": {"name": "n", "parameterNotFoundAction": "Deny"},
        "matchResources": {"resourceRules": [RULE]}}}),
    ("discovery.k8s.io/v1", "endpointslices", {"addressType": "IPv4", "ports": [{"port": 80}],
                                               "endpoints": [{"addresses": ["10.1.1.1"]}]}),
    ("rbac.authorization.k8s.io/v1", "rolebindings", {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]}),
]
# Added by the server's own controllers or admission, or decided from siblings.
NOT_DEFAULTS = {
    ("ServiceSpec", None), ("ServicePort", "targetPort"), ("DeploymentStrategy", "rollingUpdate"),
    ("StatefulSetUpdateStrategy", "rollingUpdate"), ("DaemonSetUpdateStrategy", "rollingUpdate"),
    ("Container", "imagePullPolicy"), ("Volume", "emptyDir"), ("PodSpec", "tolerations"), ("PodSpec", "securityContext"),
    ("StatefulSetSpec", "persistentVolumeClaimRetentionPolicy"), ("StatefulSetPersistentVolumeClaimRetentionPolicy", None), ("CustomResourceDefinitionSpec", "conversion"), ("JobSpec", None), ("PodFailurePolicyOnPodConditionsPattern", None),
    ("PodTemplateSpec", "metadata"),
    ("PodSpec", "serviceAccount"), ("PodSpec", "serviceAccountName"), ("PodSpec", "priority"),
    ("PodSpec", "preemptionPolicy"), ("PodSpec", "enableServiceLinks"), ("Node", "spec"), ("NetworkPolicySpec", "policyTypes"), ("Subject", "apiGroup"),
    ("NodeSpec", "taints"), ("HorizontalPodAutoscalerSpec", "metrics"),
    ("HorizontalPodAutoscalerBehavior", None), ("HPAScalingRules", None), ("ClusterRole", "rules"),
    ("Namespace", "spec"), ("CustomResourceDefinition", "spec"), ("LimitRangeItem", None),
    ("DeploymentSpec", "strategy"), ("StatefulSetSpec", "updateStrategy"), ("DaemonSetSpec", "updateStrategy"),
    ("CustomResourceDefinitionNames", None),
}


def call(path, body=None):
    request = urllib.request.Request(SERVER + path, data=body and json.dumps(body).encode(), method="POST" if body else "GET")
    request.add_header("Authorization", "Bearer " + TOKEN)
    request.add_header("Accept", "application/json")
    request.add_header("Content-Type", "application/json")
    context = ssl._create_unverified_context()
    with urllib.request.urlopen(request, context=context) as answer:
        return json.load(answer)


def go_modules():
    """The folders of the modules that hold the types, by the first part of a component's name."""
    cache = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    pinned = open(os.path.join(os.path.dirname(__file__), "../../../tests/control-plane/go.mod")).read()
    names = {"io.k8s.api.": "api", "io.k8s.apimachinery.": "apimachinery",
             "io.k8s.apiextensions-apiserver.": "apiextensions-apiserver"}
    version = {n: re.search(rf"k8s\.io/{n} => \S+ (v\S+)", pinned).group(1) for n in names.values()}
    return {prefix: f"{cache}/k8s.io/{n}@{version[n]}/" for prefix, n in names.items()}


class GoTypes:
    """The structs of the built-in kinds, as far as their tags and types say how a zero value is written."""

    def __init__(self):
        self.modules, self.packages = go_modules(), {}

    def package(self, component):
        prefix = next(p for p in self.modules if component.startswith(p))
        folder = self.modules[prefix] + component[len(prefix):].rsplit(".", 1)[0].replace(".", "/")
        if folder not in self.packages:
            text = "".join(open(os.path.join(folder, f)).read() for f in sorted(os.listdir(folder))
                           if f.endswith(".go") and not f.startswith(("zz_", "generated")) and not f.endswith("_test.go"))
            structs = dict(re.findall(r"^type (\w+) struct \{\n(.*?)^\}", text, re.S | re.M))
            self.packages[folder] = structs
        return self.packages[folder]

    def fields(self, component):
        """JSON name -> (its Go type, its options), with those of inlined structs."""
        structs, found = self.package(component), {}
        body = structs.get(component.rsplit(".", 1)[1])
        for line in (body or "").splitlines():
            tagged = re.match(r'\s+(?:(\w+)\s+)?(\S+)\s+`.*json:"([^"]*)"', line)
            if not tagged:
                continue
            _, kind, tag = tagged.groups()
            name, *options = tag.split(",")
            if "inline" in options or (not name and options in ([], [""])):
                inner = kind.rsplit(".", 1)[-1]
                if inner in structs:
                    found.update(self.fields(component.rsplit(".", 1)[0] + "." + inner))
            elif name and name != "-":
                found[name] = (kind, options)
        return found

    def mark(self, component, schema):
        fields = self.fields(component)
        for name, property in schema.get("properties", {}).items():
            if name not in fields:
                continue  # apiVersion and kind
            kind, options = fields[name]
            # A struct is never left out for being empty, unless it says omitzero.
            struct = "$ref" in property
            hidden = "omitzero" in options or ("omitempty" in options and not struct)
            if not kind.startswith("*"):
                property["x-go-zero"] = "hidden" if hidden else "shown"
            elif "omitempty" not in options:
                property["x-go-zero"] = "null"
            self.name(kind.lstrip("*"), property)

    def name(self, kind, property):
        """Errors name a scalar's Go type where that is a type of its own."""
        if kind.startswith("[]") and "items" in property:
            self.name(kind[2:], property["items"])
        elif "$ref" not in property and re.fullmatch(r"(\w+\.)?[A-Z]\w*", kind):
            package, _, name = kind.rpartition(".")
            property["x-go-type"] = ("types." if package == "types" else "v1.") + name


def path_of(group_version):
    return "/api/v1" if group_version == "v1" else "/apis/" + group_version


def reference(schema):
    """The name of the component that a schema refers to, if it does."""
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[1]
    return next((reference(part) for part in schema.get("allOf", []) if reference(part)), None)


def compact(schema):
    out = {key: value for key, value in schema.items() if key in KEPT or key.startswith("x-kubernetes-")}
    name = reference(schema)
    if name:
        out["$ref"] = "#/components/schemas/" + name
    if out.get("default", "") in ("", 0, False, {}):
        out.pop("default", None)  # a Go zero value: "x-go-zero" says whether it shows
    if "properties" in schema:
        out["properties"] = {key: compact(value) for key, value in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            out[key] = compact(schema[key])
            out[key].pop("default", None)  # what a null item becomes: not a default
    return out


def references(schema):
    name = reference(schema)
    if name:
        yield name
    for value in schema.get("properties", {}).values():
        yield from references(value)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from references(schema[key])


def learn(components, name, given, got, found):
    """Compares what was sent with what came back, type by type."""
    short = name.rsplit(".", 1)[1]
    properties = components[name].get("properties", {})
    for field, value in got.items():
        if field not in properties or ("metadata" in properties and field in ("metadata", "kind", "apiVersion")):
            continue
        schema = properties[field]
        if field not in given:
            if field == "status" or schema.get("x-go-zero") == "shown" and value in ("", 0, False, None, "0", {}, []):
                continue
            if (short, field) not in NOT_DEFAULTS and (short, None) not in NOT_DEFAULTS:
                found.setdefault((name, field), []).append(value)
            continue
        target = reference(schema)
        if target and isinstance(value, dict):
            learn(components, target, given[field], value, found)
        item = reference(schema.get("items", {}))
        if item and isinstance(value, list):
            for a, b in zip(given[field], value):
                if isinstance(b, dict):
                    learn(components, item, a, b, found)


def main():
    components, kinds, go_types = {}, [], GoTypes()
    for group_version, plurals in KINDS.items():
        document = call("/openapi/v3" + path_of(group_version))["components"]["schemas"]
        resources = call(path_of(group_version))["resources"]
        group, _, version = group_version.rpartition("/")
        by_kind = {}
        for name, schema in document.items():
            for kind in schema.get("x-kubernetes-group-version-kind", []):
                if (kind["group"], kind["version"]) == (group, version):
                    by_kind[kind["kind"]] = name
        for plural in plurals:
            found = next(r for r in resources if r["name"] == plural)
            subresources = [s for s in SUBRESOURCES if any(r["name"] == plural + "/" + s for r in resources)]
            kinds.append({
                "group": group, "version": version, "kind": found["kind"], "plural": plural,
                "singular": found["singularName"], "namespaced": found["namespaced"], "verbs": found["verbs"],
                "shortNames": found.get("shortNames", []), "categories": found.get("categories", []),
                "subresources": subresources, "generation": False, "schema": by_kind[found["kind"]],
            })
            wanted = [by_kind[found["kind"]]]
            while wanted:
                name = wanted.pop()
                if name in components:
                    continue
                components[name] = compact(document[name])
                components[name].pop("x-kubernetes-group-version-kind", None)
                go_types.mark(name, components[name])
                wanted.extend(references(components[name]))
    found = {}
    for group_version, plural, sample in SAMPLES:
        kind = next(k for k in kinds if (k["group"] + "/" + k["version"]).lstrip("/") == group_version and k["plural"] == plural)
        body = {"apiVersion": group_version, "kind": kind["kind"], "metadata": {"name": "sample"}, **sample}
        where = "/namespaces/default/" if kind["namespaced"] else "/"
        try:
            answer = call(path_of(group_version) + where + plural + "?dryRun=All", body)
        except urllib.error.HTTPError as error:
            sys.exit(f"{plural}: {error.read().decode()}")
        learn(components, kind["schema"], body, answer, found)
        kind["generation"] = "generation" in answer["metadata"]
    for (name, field), values in sorted(found.items()):
        if any(value != values[0] for value in values):
            print(f"no default: {name}.{field} is one of {values}", file=sys.stderr)
            continue
        components[name]["properties"][field]["default"] = values[0]
        print(f"{name}.{field} = {json.dumps(values[0])}", file=sys.stderr)
    version = call("/version")["gitVersion"]
    # One line for each kind and schema: a regenerated file shows what changed.
    print("{")
    print(f'"kubernetes": {json.dumps(version)},')
    print('"kinds": [\n' + ",\n".join(json.dumps(k, separators=(",", ":")) for k in kinds) + "\n],")
    lines = (f"{json.dumps(n)}: {json.dumps(s, separators=(',', ':'), sort_keys=True)}" for n, s in sorted(components.items()))
    print('"schemas": {\n' + ",\n".join(lines) + "\n}\n}")


main()
