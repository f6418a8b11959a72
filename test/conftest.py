"""Fixtures that contract and integration tests share. This folder is the package `test`: pytest
puts the folder above it on sys.path."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from test.harness import kube_fake, kube_real
from test.harness.control_plane import find_apiserver, find_etcd
from test.harness.kube_api import Unavailable

# Set where the real API server must be there: its absence is then a failure and not a skip.
REQUIRE_REAL = "REDIS_POD_AGENT_REQUIRE_KUBE"


def needs_real(item: pytest.Item) -> bool:
    """Whether a test uses kube_real_server, itself or as the parameter "real" of `kube`."""
    callspec = getattr(item, "callspec", None)
    chosen = callspec is not None and callspec.params.get("kube") == "real"
    return chosen or "kube_real_server" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips them all for one reason, told once a file, where the server cannot run."""
    wanting = [item for item in items if needs_real(item)]
    if not wanting or os.environ.get(REQUIRE_REAL):
        return
    try:
        find_etcd()
        find_apiserver()
    except Unavailable as reason:
        for item in wanting:
            item.add_marker(pytest.mark.skip(reason=f"no real API server: {reason}"))


@pytest.fixture
def kube_standin() -> Iterator[kube_fake.KubeServer]:
    """A stand-in of the test's own."""
    with kube_fake.KubeServer() as server:
        yield server


@pytest.fixture(scope="session")
def kube_real_running() -> Iterator[kube_real.KubeServer]:
    """One etcd and kube-apiserver for the whole run."""
    with kube_real.KubeServer() as server:
        yield server


@pytest.fixture
def kube_real_server(kube_real_running: kube_real.KubeServer) -> kube_real.KubeServer:
    """The real API server, without Pods and Events."""
    kube_real_running.clear()
    return kube_real_running
