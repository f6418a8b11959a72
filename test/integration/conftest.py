"""Fixtures of the tests that run real agents beside real Redis and Sentinel."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from test.harness.kube_fake import KubeServer
from test.harness.topology import AGENT, SYSTEM, Make, Options, Topology, find_make

MakeTopology = Callable[..., Topology]


@pytest.fixture(scope="session")
def agent() -> Path:
    """The binary under test."""
    path = Path(os.environ.get("REDIS_POD_AGENT_BINARY", AGENT))
    assert path.exists(), f"{path} is not built; scripts/build release builds it"
    return path


@pytest.fixture(params=["redis-7.0", "redis-8", "valkey-8"])
def make(request: pytest.FixtureRequest) -> Make:
    """Each make and version of the servers that there is."""
    name, _, major = request.param.partition("-")
    if request.param == "redis-7.0":
        return SYSTEM
    found = find_make(name, int(major))
    if found is None:
        pytest.skip(f"no {request.param} in the cache: scripts/setup --full builds it")
    return found


@pytest.fixture
def kube() -> Iterator[KubeServer]:
    with KubeServer() as server:
        yield server


@pytest.fixture
def topology(
    kube: KubeServer, agent: Path, request: pytest.FixtureRequest
) -> Iterator[MakeTopology]:
    """Makes topologies beside `kube`; what still runs at the end is stopped. The folder with
    the logs stays where the test failed."""
    with ExitStack() as stack:

        def start(**options: object) -> Topology:
            top = Topology(kube, Options(agent=agent, **options))  # type: ignore[arg-type]
            stack.callback(finish, top, request)
            return top.start()

        yield start


def finish(top: Topology, request: pytest.FixtureRequest) -> None:
    failed = getattr(request.node, "failed", False)
    top.keep_folder = True
    top.stop()
    logs = {m.pod: m.agent.output() for m in top.pods if m.agent}
    crashed = [pod for pod, log in logs.items() if "Sanitizer" in log or "bug:" in log]
    if failed or crashed:
        print(f"logs are in {top.folder}")
    else:
        shutil.rmtree(top.folder)
    assert not crashed, f"the agent of {crashed} has met a bug of its own"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    if outcome.get_result().failed:  # type: ignore[attr-defined]
        item.failed = True  # type: ignore[attr-defined]
