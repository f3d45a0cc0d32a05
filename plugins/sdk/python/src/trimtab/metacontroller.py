"""Hooks in Metacontroller's shapes: what the webhooks of its controllers are sent
and answer, served by a plugin."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from ._objects import show
from ._plugin import Answer, Plugin, composite, decorator
from ._run import Run

Hook = Callable[[dict], dict]

LIMIT = 0xFFFFFFFF
"""All there are: the host bounds what a run may be given."""


def composite_hook(
    kind: str,
    *,
    children: Sequence[str | dict] = (),
    reads: Sequence[str | dict] = (),
    finalize: Hook | None = None,
    customize: Hook | None = None,
    **options: Any,
) -> Callable[[Hook], Plugin]:
    """Makes the sync hook of a CompositeController the plugin of its module; the
    options are those of `composite`.

    A hook takes the request and returns the response, both as dicts. `controller`
    in a request is the plugin's config.
    """

    def declare(sync: Hook) -> Plugin:
        def reconcile(parent: dict, run: Run) -> Answer:
            asked = {"controller": run.config, "parent": parent}
            request = asked | _observed("children", children, reads, customize, run)
            response = _response("children", sync, finalize, request)
            generation = parent["metadata"].get("generation")
            observed = {} if generation is None else {"observedGeneration": generation}
            # The whole of it: what is not in the response goes.
            return _answer(response, response.get("children"), (response.get("status") or {}) | observed)

        finalizes = finalize is not None
        return composite(kind, children=children, reads=reads, finalizes=finalizes, **options)(reconcile)

    return declare


def decorator_hook(
    *kinds: str | dict,
    attachments: Sequence[str | dict] = (),
    reads: Sequence[str | dict] = (),
    finalize: Hook | None = None,
    customize: Hook | None = None,
    **options: Any,
) -> Callable[[Hook], Plugin]:
    """The same for a DecoratorController; the options are those of `decorator`."""

    def declare(sync: Hook) -> Plugin:
        def reconcile(decorated: dict, run: Run) -> Answer:
            asked = {"controller": run.config, "object": decorated}
            request = asked | _observed("attachments", attachments, reads, customize, run)
            response = _response("attachments", sync, finalize, request)
            return _answer(response, response.get("attachments"), response.get("status"))

        finalizes = finalize is not None
        return decorator(*kinds, children=attachments, reads=reads, finalizes=finalizes, **options)(reconcile)

    return declare


def _observed(
    called: str, owned: Sequence[str | dict], reads: Sequence[str | dict], customize: Hook | None, run: Run
) -> dict:
    """What a request holds besides its object; children are called so or so."""
    rules = customize({"controller": run.config, "parent": run.object}) if customize else {}
    return {
        called: {_key(_kind(one)): run.children(_kind(one)) for one in owned},
        "related": _related(rules.get("relatedResources") or [], [_kind(read) for read in reads], run),
        "finalizing": run.finalizing,
    }


def _response(called: str, sync: Hook, finalize: Hook | None, request: dict) -> dict:
    hook, name = (finalize, "finalize") if request["finalizing"] and finalize else (sync, "sync")
    response = hook(request)
    if not isinstance(response, dict):
        raise TypeError(f"{name} returned {show(response)}; expected an object like {{ status, {called} }}")
    return response


def _answer(response: dict, children: list | None, status: dict | None) -> Answer:
    seconds = response.get("resyncAfterSeconds") or 0
    return Answer(
        children=children or [],
        status=status,
        labels=response.get("labels") or {},
        annotations=response.get("annotations") or {},
        requeue_after_ms=round(seconds * 1000) if seconds > 0 else None,
        finalized=bool(response.get("finalized")),
    )


def _related(rules: list[dict], reads: list[str], run: Run) -> dict:
    """The objects that rules ask for, grouped as children are."""
    home = run.object["metadata"].get("namespace")
    groups: dict[str, dict] = {}
    for rule in rules:
        kind = next((read for read in reads if _is_resource(rule, read)), None)
        if kind is None:
            asked = f"{rule.get('resource')} of {rule.get('apiVersion')}"
            raise LookupError(f"customize asks for {asked}, which is none of the reads: {', '.join(reads)}")
        group = groups.setdefault(_key(kind), {})
        for one in _found(rule, kind, home, run):
            name, namespace = one["metadata"]["name"], one["metadata"].get("namespace", home)
            group[name if namespace == home else f"{namespace}/{name}"] = one
    return groups


def _found(rule: dict, kind: str, home: str | None, run: Run) -> list[dict]:
    names, labels = rule.get("names") or [], _selector(rule.get("labelSelector"))

    def inside(namespace: str | None) -> list[dict]:
        if not names:
            return run.select(kind, namespace=namespace, selector=labels, limit=LIMIT)
        if namespace is not None:
            found = (run.get(kind, name, namespace=namespace) for name in names)
            return [one for one in found if one is not None]
        everywhere = run.select(kind, namespace=None, limit=LIMIT)
        return [one for one in everywhere if one["metadata"]["name"] in names]

    if "namespaceSelector" not in rule:
        return inside(rule.get("namespace", home) or None)
    which = _selector(rule["namespaceSelector"])
    namespaces = run.select("v1/Namespace", namespace=None, selector=which, limit=LIMIT)
    return [one for namespace in namespaces for one in inside(namespace["metadata"]["name"])]


def _is_resource(rule: dict, read: str) -> bool:
    """Whether a rule's plural names the kind, as the API conventions make it."""
    api_version, _, kind = read.rpartition("/")
    name = kind.lower()
    if re.search(r"(s|x|z|ch|sh)$", name):
        plural = f"{name}es"
    elif re.search(r"[^aeiou]y$", name):
        plural = f"{name[:-1]}ies"
    else:
        plural = f"{name}s"
    return rule.get("apiVersion") == api_version and rule.get("resource") in (plural, name)


def _selector(selector: dict | None) -> str | None:
    """A LabelSelector as `kubectl -l` takes it; None: all."""
    selector = selector or {}
    parts = [f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()]
    for one in selector.get("matchExpressions", []):
        key, values = one["key"], ", ".join(one.get("values", []))
        operators = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key, "DoesNotExist": f"!{key}"}
        if one["operator"] not in operators:
            raise ValueError(f"a selector has the operator {one['operator']!r}; expected {', '.join(operators)}")
        parts.append(operators[one["operator"]])
    return ",".join(parts) or None


def _kind(declared: str | dict) -> str:
    return declared if isinstance(declared, str) else declared["kind"]


def _key(kind: str) -> str:
    """`Deployment.apps/v1`"""
    api_version, _, name = kind.rpartition("/")
    return f"{name}.{api_version}"
