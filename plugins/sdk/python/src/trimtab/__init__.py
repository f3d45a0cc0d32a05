"""Write Trimtab plugins in Python: a function from what is observed to what
should be."""

from ._failure import Failure, retry, terminal, wait
from ._objects import Metadata
from ._plugin import Answer, Event, Plugin, composite, decorator
from ._run import Run

__all__ = [
    "Answer",
    "Event",
    "Failure",
    "Metadata",
    "Plugin",
    "Run",
    "composite",
    "decorator",
    "retry",
    "terminal",
    "wait",
]
