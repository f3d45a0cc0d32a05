"""What a run observes besides its object."""

import json
from typing import Any, Protocol

from ._objects import decode

HOME: Any = object()
"""Stands for the namespace of the object."""


class Host(Protocol):
    """Who answers a run's questions: the real one, or a test's."""

    def log(self, level: str, message: str) -> None: ...
    def get(self, kind: str, namespace: str | None, name: str) -> str | None: ...
    def select(self, kind: str, namespace: str | None, selector: str | None, limit: int) -> list[str]: ...


class Run:
    """What a run observes besides its object."""

    def __init__(self, request: dict, host: Host):
        self.now: str = request["now"]
        """RFC 3339, UTC. There is no other clock."""
        self.cluster: str = request["cluster"]
        self.instance_id: str | None = request["instance_id"]
        """The instance that serves the object; None: the default one."""
        self.finalizing: bool = request["finalizing"]
        """The object is being deleted: answer `finalized` when nothing is left to do."""
        self.config: dict = json.loads(request["config"])
        """What the policy gives this plugin, empty without one."""
        self.object: dict = json.loads(request["object"])
        """The object as it came."""
        self._home: str | None = self.object["metadata"].get("namespace")
        self._children: dict[str, list[str]] = request["children"]
        self._host = host

    def get(self, kind: str, name: str, as_type: Any = None, *, namespace: str | None = HOME) -> Any:
        """An object from the host's cache, or None; in the object's own namespace
        unless told otherwise. The run is repeated when it changes or appears."""
        text = self._host.get(kind, self._home if namespace is HOME else namespace, name)
        return None if text is None else decode(as_type, json.loads(text), f"{kind} {name}")

    def select(
        self,
        kind: str,
        as_type: Any = None,
        *,
        namespace: str | None = HOME,
        selector: str | None = None,
        limit: int = 500,
    ) -> list:
        """The objects of a kind that a label selector matches."""
        texts = self._host.select(kind, self._home if namespace is HOME else namespace, selector, limit)
        return [decode(as_type, json.loads(text), kind) for text in texts]

    def children(self, kind: str, as_type: Any = None) -> dict[str, Any]:
        """The observed children of a declared kind by name; by `namespace/name`
        in another namespace than the object's."""
        if kind not in self._children:
            declared = ", ".join(self._children) or "none"
            raise LookupError(f"{kind} is not declared as a child, so none are observed; declared are {declared}")
        found = {}
        for text in self._children[kind]:
            child = json.loads(text)
            name, namespace = child["metadata"]["name"], child["metadata"].get("namespace")
            key = name if namespace in (None, self._home) else f"{namespace}/{name}"
            found[key] = decode(as_type, child, f"{kind} {key}")
        return found

    def child(self, kind: str, name: str, as_type: Any = None) -> Any:
        """The observed child of that name, or None."""
        return self.children(kind, as_type).get(name)

    def debug(self, message: object) -> None:
        """A line in the host's log, beside the object's name."""
        self._host.log("debug", str(message))

    def info(self, message: object) -> None:
        """As `debug`, and louder."""
        self._host.log("info", str(message))

    def warn(self, message: object) -> None:
        """As `info`, and louder."""
        self._host.log("warn", str(message))

    def error(self, message: object) -> None:
        """As `warn`, and louder."""
        self._host.log("error", str(message))
