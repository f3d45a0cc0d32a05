"""A plugin: its description, and the calls between the contract and its function."""

import json
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._failure import Failure
from ._objects import WrongShape, decode, prepare, show, text_of
from ._run import Host, Run

served: "Plugin | None" = None
"""The plugin of this module: the last that was declared."""


@dataclass
class Event:
    """Told to those who look at the object."""

    reason: str
    message: str
    warning: bool = False


@dataclass
class Answer:
    """What should be. Observed children that are not in it are deleted."""

    children: Sequence[Any] = ()
    status: Any = None
    """None: stays as it is. Keep times out of it."""
    labels: dict[str, str | None] = field(default_factory=dict)
    """To set on the object, or with None to remove."""
    annotations: dict[str, str | None] = field(default_factory=dict)
    events: Sequence[Event] = ()
    requeue_after_ms: int | None = None
    """Look again then, even if nothing changes."""
    finalized: bool = False
    """While finalizing: nothing is left to do."""


class Plugin:
    """A function and what it says of itself; made by `composite` and `decorator`."""

    def __init__(self, function: Callable[[Any, Run], Answer], description: dict):
        self.function = function
        self.description = description
        hints = [hint for name, hint in typing.get_type_hints(function).items() if name != "return"]
        self._type = hints[0] if hints and hints[0] not in (dict, Run) else None
        prepare(self._type)

    def __call__(self, observed: Any, run: Run) -> Answer:
        return self.function(observed, run)

    def describe(self) -> str:
        return json.dumps(self.description)

    def reconcile(self, request: dict, host: Host) -> dict:
        """One call. The texts of the answer are JSON, as the contract has them."""
        run = Run(request, host)
        try:
            observed = decode(self._type, run.object, "the object")
        except WrongShape as error:
            # Not before the object changes.
            raise Failure("terminal", str(error)) from None
        return _response(self.function(observed, run))


def composite(
    kind: str,
    *,
    selector: str | None = None,
    children: Sequence[str | dict] = (),
    reads: Sequence[str | dict] = (),
    finalizes: bool = False,
    resync_seconds: int | None = None,
) -> Callable[[Callable[[Any, Run], Answer]], Plugin]:
    """Makes a function the plugin of its module, one that owns its object's life
    and status.

    The function takes the object, in the class by which its first parameter is
    annotated, and the run. A kind is `"apps/v1/Deployment"`; with more to say of
    it, `{"kind": "apps/v1/Deployment", "update": "recreate"}`.
    """
    objects = [_kind(kind) | ({} if selector is None else {"labelSelector": selector})]
    return _declare("composite", objects, children, reads, finalizes, resync_seconds)


def decorator(
    *kinds: str | dict,
    children: Sequence[str | dict] = (),
    reads: Sequence[str | dict] = (),
    finalizes: bool = False,
    resync_seconds: int | None = None,
) -> Callable[[Callable[[Any, Run], Answer]], Plugin]:
    """Makes a function the plugin of its module, one that adds to objects that
    someone else owns.

    Which of them is said with the kind: `{"kind": "v1/Namespace", "labelSelector":
    "team", "annotationSelector": "profile=full"}`; both must match.
    """
    return _declare("decorator", [_declared(kind) for kind in kinds], children, reads, finalizes, resync_seconds)


def _declare(
    role: str,
    objects: list[dict],
    children: Sequence[str | dict],
    reads: Sequence[str | dict],
    finalizes: bool,
    resync_seconds: int | None,
) -> Callable[[Callable[[Any, Run], Answer]], Plugin]:
    description = {
        "role": role,
        "objects": objects,
        "children": [_declared(child) for child in children],
        "reads": [_declared(read) for read in reads],
        "finalizes": finalizes,
    }
    if resync_seconds is not None:
        description["resyncSeconds"] = resync_seconds

    def declare(function: Callable[[Any, Run], Answer]) -> Plugin:
        global served
        served = Plugin(function, description)
        return served

    return declare


def _declared(given: str | dict) -> dict:
    if isinstance(given, str):
        return _kind(given)
    return _kind(given["kind"]) | {key: value for key, value in given.items() if key != "kind"}


def _kind(text: str) -> dict:
    api_version, _, kind = text.rpartition("/")
    if not api_version or not kind:
        raise ValueError(f"{text!r} is no kind; expected one like 'v1/Secret' or 'apps/v1/Deployment'")
    return {"apiVersion": api_version, "kind": kind}


def _response(answer: Any) -> dict:
    if not isinstance(answer, Answer):
        raise TypeError(f"reconcile returned {show(answer)}; expected an Answer")
    for what in ("children", "events"):
        if not isinstance(getattr(answer, what), (list, tuple)):
            raise TypeError(f"{what} is {show(getattr(answer, what))}; expected a list")
    for at, event in enumerate(answer.events):
        if not isinstance(event, Event):
            raise TypeError(f"events[{at}] is {show(event)}; expected an Event")
    return {
        "children": [text_of(f"children[{at}]", child) for at, child in enumerate(answer.children)],
        "status": None if answer.status is None else text_of("status", answer.status),
        "labels": list(answer.labels.items()),
        "annotations": list(answer.annotations.items()),
        "events": answer.events,
        "requeue_after_ms": answer.requeue_after_ms,
        "finalized": answer.finalized,
    }
