"""Calls a plugin as the host would, without any WebAssembly."""

import json
from dataclasses import dataclass
from typing import Any

from ._plugin import Event, Plugin


@dataclass
class Got:
    """What came of a run; children and status are read from their JSON."""

    children: list[dict]
    status: dict | None
    labels: dict[str, str | None]
    annotations: dict[str, str | None]
    events: list[Event]
    requeue_after_ms: int | None
    finalized: bool
    logged: list[tuple[str, str]]


def run(
    plugin: Plugin,
    observed: dict,
    *,
    children: tuple | list = (),
    objects: tuple | list = (),
    selecting: dict[str, list[dict]] | None = None,
    config: dict | None = None,
    now: str = "2000-01-01T00:00:00Z",
    finalizing: bool = False,
) -> Got:
    """Runs a plugin on an object; `objects` are what look-ups by name find, and
    `selecting` is what selections do, by the selector as it is written: "" is none,
    and any other finds nothing."""
    declared = {f"{of['apiVersion']}/{of['kind']}": [] for of in plugin.description["children"]}
    for child in children:
        declared[_kind(child)].append(json.dumps(child))
    request = {
        "now": now,
        "cluster": "test",
        "instance_id": None,
        "finalizing": finalizing,
        "config": json.dumps(config or {}),
        "object": json.dumps(observed),
        "children": declared,
    }
    host = _StandIn(objects, selecting or {})
    answer: Any = plugin.reconcile(request, host)
    texts = {
        "children": [json.loads(text) for text in answer["children"]],
        "status": None if answer["status"] is None else json.loads(answer["status"]),
        "labels": dict(answer["labels"]),
        "annotations": dict(answer["annotations"]),
        "events": list(answer["events"]),
    }
    return Got(**(answer | texts), logged=host.logged)


class _StandIn:
    def __init__(self, objects, selecting):
        self.objects = objects
        self.selecting = selecting
        self.logged: list[tuple[str, str]] = []

    def log(self, level: str, message: str) -> None:
        self.logged.append((level, message))

    def get(self, kind: str, namespace: str | None, name: str) -> str | None:
        for one in self.objects:
            if _kind(one) == kind and one["metadata"]["name"] == name and _lies(one, namespace):
                return json.dumps(one)
        return None

    def select(self, kind: str, namespace: str | None, selector: str | None, limit: int) -> list[str]:
        found = self.selecting.get(selector or "", [])
        return [json.dumps(one) for one in found if _kind(one) == kind and _lies(one, namespace)]


def _lies(one: dict, namespace: str | None) -> bool:
    return namespace is None or one["metadata"].get("namespace", namespace) == namespace


def _kind(one: dict) -> str:
    return f"{one['apiVersion']}/{one['kind']}"
