"""The two servers of the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from test.harness.kube_api import KubeApi

from .contract import World


@pytest.fixture(params=["standin", "real"])
def kube(request: pytest.FixtureRequest) -> KubeApi:
    name = {"standin": "kube_standin", "real": "kube_real_server"}[request.param]
    return request.getfixturevalue(name)


@pytest.fixture
def world(kube: KubeApi) -> Iterator[World]:
    world = World(kube)
    yield world
    world.close()
