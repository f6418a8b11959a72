"""A process that notes things between begin() and end(), so that its Python disturbs no other."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Protocol

from test.harness.procs import die_with_parent

ANSWER_TIMEOUT_S = 20


class Notes(Protocol):
    """What runs in the process."""

    def begin(self, number: int) -> None: ...

    def end(self) -> Any: ...  # noqa: ANN401 - each has its own


class Child:
    """`make` is called in the process, once; what end() returns there it returns here."""

    def __init__(self, make: Callable[..., Notes], *args: object) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(
            target=_serve, args=(theirs, make, args), daemon=True
        )
        self._process.start()
        theirs.close()
        self._ask("ready")

    def begin(self, number: int) -> None:
        self._ask("begin", number)

    def end(self) -> Any:  # noqa: ANN401
        return self._ask("end")

    def stop(self) -> None:
        """Idempotent."""
        self._process.kill()
        self._process.join()

    def _ask(self, *request: object) -> Any:  # noqa: ANN401
        self._pipe.send(request)
        if not self._pipe.poll(ANSWER_TIMEOUT_S):
            raise TimeoutError(f"no answer to {request}")
        return self._pipe.recv()


def _serve(pipe: Connection, make: Callable[..., Notes], args: tuple[object, ...]) -> None:
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    notes = make(*args)
    while True:
        request, *rest = pipe.recv()
        match request:
            case "begin":
                pipe.send(notes.begin(*rest))
            case "end":
                pipe.send(notes.end())
            case _:
                pipe.send(None)
