"""The short form of scripts/chaos: each group of rounds once, with a seed that is printed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from test.harness.topology import ROOT

from .net import unavailable
from .rounds import SELECTIONS

TIMEOUT_S = 280


@pytest.mark.parametrize("selection", SELECTIONS)
def test_chaos(selection: str, tmp_path: Path) -> None:
    if reason := unavailable():
        pytest.skip(f"no chaos here: {reason}")
    seed = os.environ.get("REDIS_POD_AGENT_SEED") or str(random.randrange(1_000_000))
    argv = [sys.executable, "-m", "test.chaos", "--selection", selection, "--seed", seed]
    argv += ["--quick", "--logs", str(tmp_path)]
    done = subprocess.run(
        argv,
        cwd=ROOT,
        timeout=TIMEOUT_S,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    print(done.stdout)
    assert done.returncode == 0, f"scripts/chaos --selection {selection} --seed {seed}"
