"""Write Trimtab plugins in Python: a function from what is observed to what
should be."""

from ._composite import Answer, Composite, Event, composite
from ._failure import Failure, retry, terminal, wait
from ._objects import Metadata
from ._run import Run

__all__ = [
    "Answer",
    "Composite",
    "Event",
    "Failure",
    "Metadata",
    "Run",
    "composite",
    "retry",
    "terminal",
    "wait",
]
