"""What the stand-in can do wrong on demand."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from .kube_http import CHUNKED_HEAD, Answer, Connection, chunk, encode_json
from .kube_store import status

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}

# kind: {argument: default}. Where `applied` is true the request takes effect all the same, and
# only the client does not learn of it.
KINDS: dict[str, dict[str, Any]] = {
    # Instead of the answer.
    "status": {"code": 500, "retry_after_s": None, "reason": None, "applied": False},
    "hang": {"seconds": None, "applied": False},  # None: until cleared, and then no answer
    "reset": {"applied": False},
    "close": {"applied": False},
    "garbage": {"size": 2000},  # 200 with a body that is no JSON
    "not_http": {"size": 2000},
    "huge": {"megabytes": 64},  # 200 with a JSON text that goes on and on
    # The answer, but ...
    "delay": {"seconds": 0.1, "applied": False},
    "drip": {"interval_s": 0.02},  # byte by byte
    "truncate": {},  # half of it, then the end; of a watch: half of the next event
    # Watches only.
    "half_open": {},  # accepted, and then nothing, not even bookmarks
    "error_event": {"code": 410},
}
WATCH_ONLY = frozenset({"half_open", "error_event"})
WAITING = frozenset({"hang", "delay"})
# The request itself is carried out; only the answer suffers.
SHAPING = WAITING | {"drip", "truncate"}


@dataclass(eq=False)
class Fault:
    """Meets the next requests that match: `verb` is RBAC's (get list watch patch create),
    `caller` the Pod whose token is used, `target` the Pod in the path; None is any."""

    kind: str
    left: int | None  # None: until it is cleared
    verb: str | None = None
    caller: str | None = None
    target: str | None = None
    args: dict[str, Any] = field(default_factory=dict)
    hits: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind!r}; one of: {', '.join(KINDS)}")
        unknown = set(self.args) - set(KINDS[self.kind])
        if unknown:
            raise TypeError(f"{self.kind} does not take {', '.join(sorted(unknown))}")
        self.args = KINDS[self.kind] | self.args
        if self.kind in WATCH_ONLY:
            self.verb = "watch"

    @property
    def applied(self) -> bool:
        return bool(self.args.get("applied"))

    @property
    def waits(self) -> bool:
        return self.kind in WAITING

    @property
    def executes(self) -> bool:
        """Whether the request takes effect."""
        return self.applied or self.kind in SHAPING

    def meets(self, verb: str, caller: str, target: str) -> bool:
        wanted = ((self.verb, verb), (self.caller, caller), (self.target, target))
        return self.left != 0 and all(a is None or a == b for a, b in wanted)


class FaultPlan:
    """Faults in the order in which they were asked for; each request meets one at most."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        self.faults.append(fault)
        return fault

    def take(self, verb: str, caller: str, target: str) -> Fault | None:
        for fault in self.faults:
            if fault.meets(verb, caller, target):
                fault.hits += 1
                if fault.left is not None:
                    fault.left -= 1
                return fault
        return None

    def clear(self) -> None:
        """Ends the faults; what hangs is closed."""
        for fault in self.faults:
            fault.left = 0
            fault.over.set()
        self.faults.clear()


def status_answer(fault: Fault) -> Answer:
    code = fault.args["code"]
    reason = fault.args["reason"] or REASONS.get(code, "")
    retry = fault.args["retry_after_s"]
    details = {"retryAfterSeconds": retry} if retry is not None else None
    headers = (("Retry-After", str(retry)),) if retry is not None else ()
    body = encode_json(status(code, reason, f"the stand-in was told to answer {code}", details))
    return Answer(code, body, headers=headers)


async def respond(fault: Fault, connection: Connection, answer: Answer | None) -> bool:
    """Sends what the fault makes of the answer, which is None where the request was swallowed;
    True if the connection can go on."""
    match fault.kind:
        case "status":
            await connection.send(status_answer(fault).encode())
            return True
        case "garbage":
            body = random.Random(fault.hits).randbytes(fault.args["size"])
            await connection.send(Answer(200, body).encode())
            return True
        case "not_http":
            await connection.send(random.Random(fault.hits).randbytes(fault.args["size"]))
        case "huge":
            await send_huge(connection, fault.args["megabytes"])
        case "reset":
            connection.reset()
        case "drip":
            assert answer is not None
            connection.drip_s = fault.args["interval_s"]
            await connection.send(answer.encode())
            connection.drip_s = None
            return True
        case "truncate":
            assert answer is not None
            data = answer.encode()
            await connection.send(data[: len(data) - len(answer.body) // 2])
        case "hang" | "delay":
            assert answer is not None
            await connection.send(answer.encode())
            return True
    return False


async def hang(fault: Fault, connection: Connection) -> bool:
    """True: the time is over, the client still there, the fault not cleared."""
    there = await connection.wait(fault.over, fault.args["seconds"])
    return there and not fault.over.is_set()


async def send_huge(connection: Connection, megabytes: int) -> None:
    filler = chunk(b'"filler",' * (1024 * 1024 // 9))
    await connection.send(CHUNKED_HEAD + chunk(b'{"kind":"PodList","items":['))
    for _ in range(megabytes):
        await connection.send(filler)
