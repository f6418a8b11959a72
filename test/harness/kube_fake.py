"""The stand-in for the API server: the part of the API that agents use, in this process.

usage: python3 -m test.harness.kube_fake [--port N] [--namespace NS] [--pod NAME[=IP]]...

Plain HTTP/1.1 on loopback; answers in well under a millisecond; does wrong on demand. What it
answers is held against the real server by test/kube/test_contract.py. See kube_api.KubeApi for
the interface; the rest of KubeServer is what only a stand-in can do.

As a program: prints one line of JSON (url, port, namespace, admin_token, and of each Pod uid and
token_file) and runs until SIGINT or SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import shutil
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self, TypeVar

from . import kube_faults
from .kube_api import (
    NAMESPACE,
    SERVICE_ACCOUNT,
    Json,
    KubeApi,
    LabelRecorder,
    pod_body,
    pod_status,
)
from .kube_faults import Fault, FaultPlan
from .kube_http import (
    BODY_MAX,
    HEADER_MAX,
    Answer,
    BadRequest,
    Connection,
    Protocol,
    Request,
    TooLarge,
    encode_json,
)
from .kube_policy import ANONYMOUS, Attributes, User, authorize
from .kube_resources import Resources, attributes_of
from .kube_store import Change, Refusal, Store
from .kube_watch import Watch, WatchOptions

T = TypeVar("T")

REQUESTS_MAX = 100_000
START_TIMEOUT_S = 10


class Write(NamedTuple):
    """A request that wanted to change something."""

    t: float  # time.monotonic() when the answer was ready, before it was sent
    verb: str  # patch, create, delete
    path: str
    pod: str  # whose token was used; "" an administrator
    body: Json | None
    code: int  # 0: it was swallowed by a fault and did not take effect


class Seen(NamedTuple):
    """Any request."""

    t: float
    verb: str
    path: str
    pod: str
    code: int  # 0: swallowed by a fault
    user_agent: str


class Exchange(NamedTuple):
    connection: Connection
    request: Request
    user: User
    attributes: Attributes
    fault: Fault | None


class KubeServer(KubeApi):
    """The Python API may be used from any thread; all state lives in the server's own.

    bookmark_s: distance of bookmarks in a watch that allows them (the real server: 60 s)."""

    def __init__(
        self,
        namespace: str = NAMESPACE,
        role_label: str = "role",
        port: int = 0,
        bookmark_s: float = 60.0,
    ) -> None:
        super().__init__(namespace, role_label)
        self.port = port
        self.writes: list[Write] = []
        self.requests: deque[Seen] = deque(maxlen=REQUESTS_MAX)
        self.watch_options = WatchOptions(bookmark_s)
        self._store = Store(namespace)
        self._resources = Resources(self._store)
        self._recorder = LabelRecorder(self.label_history, role_label)
        self._faults = FaultPlan()
        self._users: dict[str, User] = {}
        self._connections: set[Connection] = set()
        self._watches: set[Watch] = set()
        self._hold: socket.socket | None = None
        self._listener: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    # --- start and stop ---------------------------------------------------------------------

    def start(self) -> Self:
        self.make_folder()
        self.admin_token = secrets.token_hex(16)
        self._users[self.admin_token] = User("admin", admin=True)
        # Holds the port while nothing listens: without it another program could be given it,
        # or a client that tries again and again could connect to itself.
        self._hold = self._bound_socket(self.port)
        self.port = self._hold.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        if not ready.wait(START_TIMEOUT_S):
            raise RuntimeError("the stand-in does not start")
        return self

    def stop(self) -> None:
        if self._thread is not None and self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None
        if self._hold is not None:
            self._hold.close()
            self._hold = None
        self.remove_folder()

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._main(ready))

    async def _main(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._store.on_change = self._changed
        await self._listen()
        ready.set()
        await self._stop.wait()
        self._faults.clear()
        self._refuse()

    async def _listen(self) -> None:
        if self._listener is not None:
            return
        loop = asyncio.get_running_loop()

        def protocol() -> Protocol:
            return Protocol(asyncio.StreamReader(HEADER_MAX, loop), self._serve)

        listener = self._bound_socket(self.port)
        self._listener = await loop.create_server(protocol, sock=listener)

    def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self._connections):
            connection.reset()

    @staticmethod
    def _bound_socket(port: int) -> socket.socket:
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(("127.0.0.1", port))
        return bound

    def _call(self, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401 - passed on
        """Runs it in the server's thread."""
        assert self._loop is not None, "the server was not started"

        async def run() -> T:
            return function(*args)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    # --- requests -----------------------------------------------------------------------------

    def _changed(self, change: Change) -> None:
        if change.new is None:
            self._recorder.removed(change.last["metadata"]["name"], change.t)
        else:
            self._recorder.stored(change.new, change.t)
        for watch in self._watches:
            watch.wake()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        self._connections.add(connection)
        try:
            await self._serve_requests(connection)
        except TooLarge:
            message = f"Request entity too large: limit is {BODY_MAX}"
            refusal = Refusal(413, "RequestEntityTooLarge", message)
            await connection.send(answer_of(refusal).encode())
        except BadRequest as error:
            await connection.send(Answer(400, str(error).encode(), "text/plain").encode())
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            self._connections.discard(connection)
            connection.close()

    async def _serve_requests(self, connection: Connection) -> None:
        while request := await connection.read_request():
            if not await self._handle(connection, request) or not request.keep_alive:
                return

    async def _handle(self, connection: Connection, request: Request) -> bool:
        """True if the connection can go on."""
        user = self._authenticate(request)
        if user is None:
            await connection.send(answer_of(Refusal(401, "Unauthorized", "Unauthorized")).encode())
            return True
        a = attributes_of(request)
        if a is None:
            answer = self._execute(lambda: self._resources.nonresource(request, user))
            await connection.send(answer.encode())
            return True
        fault = None if user.admin else self._faults.take(a.verb, user.pod, a.name)
        exchange = Exchange(connection, request, user, a, fault)
        if fault is not None and not fault.executes and fault.kind not in kube_faults.WATCH_ONLY:
            self._note(exchange, fault.args.get("code", 0))
            return await kube_faults.respond(fault, connection, None)
        # "applied" is about what a request changes; a watch changes nothing.
        early = fault is not None and fault.waits and not fault.applied
        if early and not await kube_faults.hang(fault, connection):
            self._note(exchange, 0)
            return False
        if a.verb == "watch" and a.resource == "pods":
            return await self._watch(exchange)
        answer = self._execute(lambda: self._authorized(exchange))
        self._note(exchange, answer.code)
        if fault is None:
            await connection.send(answer.encode())
            return True
        if fault.waits and not early and not await kube_faults.hang(fault, connection):
            return False
        return await kube_faults.respond(fault, connection, answer)

    async def _watch(self, exchange: Exchange) -> bool:
        connection, request, fault = exchange.connection, exchange.request, exchange.fault
        try:
            authorize(exchange.user, exchange.attributes, self.namespace)
            watch = Watch(self._store, connection, request, self.watch_options, fault)
        except Refusal as refusal:
            self._note(exchange, refusal.code)
            await connection.send(answer_of(refusal).encode())
            return True
        self._note(exchange, 200)
        if fault is not None and fault.kind == "drip":
            connection.drip_s = fault.args["interval_s"]
        self._watches.add(watch)
        try:
            return await watch.run()
        finally:
            self._watches.discard(watch)

    def _authenticate(self, request: Request) -> User | None:
        """None: the token is none of ours, or its Pod has gone."""
        given = request.headers.get("authorization")
        if given is None:
            return ANONYMOUS
        user = self._users.get(given.removeprefix("Bearer ").strip())
        if user is None or user.admin:
            return user
        pod = self._store.pods.get(user.pod)
        return user if pod is not None and pod["metadata"]["uid"] == user.uid else None

    def _authorized(self, exchange: Exchange) -> Answer:
        authorize(exchange.user, exchange.attributes, self.namespace)
        return self._resources.answer(exchange.request, exchange.attributes, exchange.user)

    @staticmethod
    def _execute(function: Callable[[], Answer]) -> Answer:
        try:
            return function()
        except Refusal as refusal:
            return answer_of(refusal)

    def _note(self, exchange: Exchange, code: int) -> None:
        request, user, verb = exchange.request, exchange.user, exchange.attributes.verb
        t = time.monotonic()
        agent = request.headers.get("user-agent", "")
        self.requests.append(Seen(t, verb, request.path, user.pod, code, agent))
        if request.method != "GET":
            body = None
            with contextlib.suppress(ValueError):
                body = json.loads(request.body)
            self.writes.append(Write(t, verb, request.path, user.pod, body, code))

    # --- Pods, Events, tokens -------------------------------------------------------------------

    def create_pod(
        self,
        name: str,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        ordinal: int | None = None,
        ip: str | None = None,
        owner_uid: str | None = None,
        service_account: str = SERVICE_ACCOUNT,
    ) -> Json:
        body = pod_body(
            name, self.namespace, labels, annotations, ordinal, owner_uid, service_account
        )
        if ip is not None:
            body["status"] = pod_status(ip)
        return self._call(self._store.create_pod, body)

    def delete_pod(self, name: str, grace: int = 0) -> None:
        self._call(self._store.delete_pod, name, grace)

    def get_pod(self, name: str) -> Json | None:
        return self._call(self._store.pods.get, name)

    def list_pods(self) -> list[Json]:
        return self._call(lambda: [pod for _, pod in sorted(self._store.pods.items())])

    def patch_pod(self, name: str, body: Json) -> Json:
        return self._call(self._store.merge_pod, name, body)

    def list_events(self) -> list[Json]:
        return self._call(lambda: list(self._store.events.values()))

    def new_token(self, pod_name: str) -> str:
        pod = self.get_pod(pod_name)
        if pod is None:
            raise KeyError(pod_name)
        account = pod["spec"]["serviceAccountName"]
        user = User(
            f"system:serviceaccount:{self.namespace}:{account}",
            pod_name,
            pod["metadata"]["uid"],
            account,
        )
        # Three parts and about a kilobyte, like a signed token.
        token = ".".join(secrets.token_urlsafe(size) for size in (60, 500, 256))
        self._users[token] = user
        return token

    def revoke_tokens(self, pod_name: str) -> None:
        """Those given out so far are answered with 401."""
        self._users = {t: u for t, u in self._users.items() if u.admin or u.pod != pod_name}

    def clear(self) -> None:
        def clear() -> None:
            for name in list(self._store.pods):
                self._store.delete_pod(name, 0)
            self._store.events.clear()

        self._call(clear)
        shutil.rmtree(self.folder / "pods", ignore_errors=True)
        for record in (self.label_history, self.writes, self.requests):
            record.clear()

    def forget_history(self) -> None:
        def forget() -> None:
            self._store.forget_history()
            for watch in self._watches:
                watch.wake()

        self._call(forget)

    # --- what can go wrong ------------------------------------------------------------------

    def fault(
        self,
        kind: str,
        n: int | None = 1,
        verb: str | None = None,
        caller: str | None = None,
        target: str | None = None,
        **args: Any,  # noqa: ANN401 - each kind has its own
    ) -> Fault:
        """The next n matching requests of agents meet this fault (None: all, until
        clear_faults). Kinds and arguments: kube_faults.KINDS; matching: kube_faults.Fault."""
        return self._call(self._faults.add, Fault(kind, n, verb, caller, target, args))

    def clear_faults(self) -> None:
        self._call(self._faults.clear)

    def refuse(self) -> None:
        """Stops listening and resets every connection, as a server that is killed does."""
        self._call(self._refuse)

    def accept(self) -> None:
        """Listens again, at the same address."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def close_watches(self) -> None:
        """Ends the open watches in good order, as the server does after timeoutSeconds."""
        self._call(lambda: [watch.close() for watch in self._watches])

    def mute_watches(self) -> None:
        """The open watches stay open and tell nothing more: half-open connections."""

        def mute() -> None:
            for watch in self._watches:
                watch.muted = True

        self._call(mute)

    def open_watches(self) -> int:
        return len(self._watches)

    def drop_changes(self) -> None:
        """From now on changes are told to no watch ..."""
        self._call(lambda: setattr(self.watch_options, "paused", True))

    def resume_changes(self) -> None:
        """... and are lost to all that are open: each ends with 410."""
        self.watch_options.paused = False
        self.forget_history()


def answer_of(refusal: Refusal) -> Answer:
    return Answer(refusal.code, encode_json(refusal.body))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--namespace", default=NAMESPACE)
    parser.add_argument("--bookmark-seconds", type=float, default=60.0)
    parser.add_argument("--pods", nargs="*", default=[], metavar="NAME[=IP]")
    args = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with KubeServer(args.namespace, port=args.port, bookmark_s=args.bookmark_seconds) as kube:
        pods = {}
        for spec in args.pods:
            name, _, ip = spec.partition("=")
            uid = kube.create_pod(name, ip=ip or None)["metadata"]["uid"]
            pods[name] = {"uid": uid, "token_file": kube.token_file(name)}
        told = {
            "url": kube.url,
            "port": kube.port,
            "namespace": kube.namespace,
            "admin_token": kube.admin_token,
            "pods": pods,
        }
        print(json.dumps(told), flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
