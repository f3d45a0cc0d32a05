"""Why a run gives no answer, and what the host does about it."""

import traceback
from pathlib import PurePath
from typing import NoReturn

# The innermost of a long stack: where an endless recursion was cut off says more
# than where it began.
FRAMES_MAX = 20
PACKAGE = PurePath(__file__).parent


class Failure(Exception):
    """A run that ends without an answer on purpose."""

    def __init__(self, outcome: str, message: str, retry_after_ms: int | None = None):
        super().__init__(message)
        self.outcome = outcome
        self.message = message
        self.retry_after_ms = retry_after_ms


def wait(what: str) -> NoReturn:
    """Ends the run: `what` is missing. It runs again when a look-up changes."""
    raise Failure("waiting", f"waiting for {what}")


def retry(message: str, *, after_ms: int | None = None) -> NoReturn:
    """Ends the run: something failed that may succeed next time."""
    raise Failure("retry", message, after_ms)


def terminal(message: str) -> NoReturn:
    """Ends the run: the object asks for what cannot be, and has to be changed."""
    raise Failure("terminal", message)


def to_failure(error: BaseException) -> Failure:
    """An exception that nobody meant is retried, and told with its places."""
    if isinstance(error, Failure):
        return error
    lines = [line.rstrip("\n") for line in traceback.format_exception_only(error)]
    frames = [
        f"    at {PurePath(frame.filename).name}:{frame.lineno} in {frame.name}"
        for frame in reversed(traceback.extract_tb(error.__traceback__, limit=-FRAMES_MAX))
        if PurePath(frame.filename).parent != PACKAGE
    ]
    return Failure("retry", "\n".join(lines + frames))
