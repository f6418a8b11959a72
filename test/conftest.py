"""Fixtures that contract and integration tests share. This folder is the package `test`: pytest
puts the folder above it on sys.path."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from test.harness import kube_fake, kube_real
from test.harness.kube_api import Unavailable

# Set where the real API server must be there: its absence is then a failure and not a skip.
REQUIRE_REAL = "REDIS_POD_AGENT_REQUIRE_KUBE"


@pytest.fixture
def kube_standin() -> Iterator[kube_fake.KubeServer]:
    """A stand-in of the test's own."""
    with kube_fake.KubeServer() as server:
        yield server


@pytest.fixture(scope="session")
def kube_real_running() -> Iterator[kube_real.KubeServer]:
    """One etcd and kube-apiserver for the whole run."""
    server = kube_real.KubeServer()
    try:
        server.start()
    except Unavailable as reason:
        if os.environ.get(REQUIRE_REAL):
            pytest.fail(f"{REQUIRE_REAL} is set: {reason}", pytrace=False)
        pytest.skip(f"no real API server: {reason}")
    yield server
    server.stop()


@pytest.fixture
def kube_real_server(kube_real_running: kube_real.KubeServer) -> kube_real.KubeServer:
    """The real API server, without Pods and Events."""
    kube_real_running.clear()
    return kube_real_running
