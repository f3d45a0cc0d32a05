"""Typed objects: dataclasses out of JSON, and JSON out of dataclasses.

A field `observed_generation` is `observedGeneration` in JSON. What a class does
not name is left out, what it names and JSON lacks takes the field's default.
"""

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Union


@dataclass
class Metadata:
    """The metadata that plugins use."""

    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    generation: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    deletion_timestamp: str | None = None


class WrongShape(ValueError):
    """JSON that is not of a class's shape."""


def decode(cls: Any, value: Any, path: str) -> Any:
    """A value of the type `cls`; `path` says where the JSON lies."""
    origin, arguments = typing.get_origin(cls), typing.get_args(cls)
    if cls is Any or cls is None:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        wanted = [argument for argument in arguments if argument is not type(None)]
        return decode(wanted[0], value, path) if len(wanted) == 1 else value
    if dataclasses.is_dataclass(cls):
        return _decode_dataclass(cls, _of(dict, value, path), path)
    if origin is list:
        return [decode(arguments[0], item, f"{path}[{at}]") for at, item in enumerate(_of(list, value, path))]
    if origin is dict:
        return {key: decode(arguments[1], item, f"{path}.{key}") for key, item in _of(dict, value, path).items()}
    if cls is float:
        return float(_of((int, float), value, path))
    return _of(cls, value, path) if isinstance(cls, type) else value


def _decode_dataclass(cls: Any, value: dict, path: str) -> Any:
    given = {}
    for name, key, hint, required in _shape(cls):
        if key in value:
            given[name] = decode(hint, value[key], f"{path}.{key}")
        elif required:
            raise WrongShape(f"{path}.{key} is missing")
    return cls(**given)


@cache
def _shape(cls: Any) -> tuple[tuple[str, str, Any, bool], ...]:
    """The fields of a dataclass: name, JSON's key, type, whether it is required."""
    hints = typing.get_type_hints(cls)
    missing = dataclasses.MISSING
    return tuple(
        (one.name, camel(one.name), hints[one.name], one.default is missing and one.default_factory is missing)
        for one in dataclasses.fields(cls)
    )


def prepare(cls: Any) -> None:
    """Looks into a class and all that it is made of: once, while the plugin is
    built, and not in each call."""
    left, seen = [cls], set()
    while left:
        one = left.pop()
        if one not in seen:
            seen.add(one)
            left += typing.get_args(one)
            if dataclasses.is_dataclass(one):
                left += [hint for _, _, hint, _ in _shape(one)]


def _of(wanted: Any, value: Any, path: str) -> Any:
    # In Python a bool is an int, in JSON it is not.
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        name = wanted.__name__ if isinstance(wanted, type) else "number"
        raise WrongShape(f"{path} is {show(value)}; expected {name}")
    return value


def encode(value: Any) -> Any:
    """JSON's form of a value; a dataclass's fields that are None are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((key, getattr(value, name)) for name, key, _, _ in _shape(type(value)))
        return {key: encode(item) for key, item in fields if item is not None}
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


def text_of(what: str, value: Any) -> str:
    """The JSON text of an object."""
    value = encode(value)
    if not isinstance(value, dict):
        raise TypeError(f"{what} is {show(value)}; expected a dict or a dataclass")
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what} cannot be written as JSON: {error}") from None


def camel(name: str) -> str:
    """`observed_generation` as JSON has it."""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def show(value: Any) -> str:
    """A value, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
