"""The contract's side of a plugin. Imported by the build alone: what it imports
there is made from the contract."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import host, types

from . import _plugin
from ._failure import Failure, to_failure

LEVELS = {
    "debug": host.Level.DEBUG,
    "info": host.Level.INFO,
    "warn": host.Level.WARN,
    "error": host.Level.ERROR,
}
OUTCOMES = {
    "retry": types.Outcome.RETRY,
    "waiting": types.Outcome.WAITING,
    "terminal": types.Outcome.TERMINAL,
}


class Controller(exports.Controller):
    """What the module exports."""

    def describe(self, config: str) -> str:
        if _plugin.served is None:
            raise Err("this module declares no plugin: decorate a function with trimtab.composite or trimtab.decorator")
        return _plugin.served.describe()

    def reconcile(self, request: types.Request) -> types.Response:
        try:
            answer = _plugin.served.reconcile(_request(request), _Imports())
            events = [types.Event(event.warning, event.reason, event.message) for event in answer.pop("events")]
            return types.Response(**answer, events=events, extra=None)
        except (Exception, SystemExit) as error:
            failure = to_failure(error)
        raise Err(types.Failure(OUTCOMES[failure.outcome], failure.message, failure.retry_after_ms))


class _Imports:
    def log(self, level: str, message: str) -> None:
        host.log(LEVELS[level], message)

    def get(self, kind: str, namespace: str | None, name: str) -> str | None:
        return _asked(lambda: host.get(_ref(kind), namespace, name))

    def select(self, kind: str, namespace: str | None, selector: str | None, limit: int) -> list[str]:
        return _asked(lambda: host.select(_ref(kind), namespace, selector, limit))


def _asked(question):
    try:
        return question()
    except Err as refusal:
        raise Failure("retry", refusal.value) from None


def _ref(kind: str) -> types.KindRef:
    api_version, _, kind = kind.rpartition("/")
    return types.KindRef(None, api_version, kind)


def _request(request: types.Request) -> dict:
    children = {f"{group.of.api_version}/{group.of.kind}": group.objects for group in request.children}
    return vars(request) | {"children": children}
