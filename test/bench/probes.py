"""How fast kubelet's probe is answered while Redis is frozen."""

from __future__ import annotations

import subprocess
import time

from test.harness import kube_fake
from test.harness.topology import ROOT, SYSTEM, Member, Options, Topology

from .report import Goal, Report, note

BENCH = "probes"
HTTP_LOAD = ROOT / "build" / "release" / "bench" / "http_load"
COUNT, COUNT_QUICK = 10_000, 2_000
FORKS, FORKS_QUICK = 300, 100
# The Sentinels are to leave the frozen master alone.
DOWN_AFTER_MS = 60_000


def load(member: Member, count: int) -> tuple[list[float], dict[int, int]]:
    argv = [HTTP_LOAD, member.host, str(member.http_port), "/readyz", str(count)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{len(done.stdout.splitlines())} of {count}: {done.stderr}"
    pairs = [line.split() for line in done.stdout.splitlines()]
    codes: dict[int, int] = {}
    for code, _ in pairs:
        codes[int(code)] = codes.get(int(code), 0) + 1
    return [int(ns) / 1e6 for _, ns in pairs], codes


def fork_pings(member: Member, count: int) -> list[float]:
    """An exec probe, as charts have it: a new redis-cli each time. Redis is alive."""
    argv = [SYSTEM.cli, "-h", member.host, "-p", str(member.redis_port), "ping"]
    took = []
    for _ in range(count):
        start = time.monotonic()
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
        took.append((time.monotonic() - start) * 1000)
    return took


def run(report: Report, quick: bool) -> None:
    count = COUNT_QUICK if quick else COUNT
    note(f"{BENCH}: {count} GET /readyz while Redis is frozen")
    with (
        kube_fake.KubeServer() as kube,
        Topology(kube, Options(down_after_ms=DOWN_AFTER_MS)) as top,
    ):
        top.start()
        master = top.master()
        forks = fork_pings(master, FORKS_QUICK if quick else FORKS)
        assert master.redis is not None
        master.redis.freeze()
        # One half while the last proof of the role still counts, the other after it expired.
        fresh, fresh_codes = load(master, count // 2)
        top.wait(lambda: top.get(master, "/readyz")[0] == 503, 15, "the proof expires")
        expired, expired_codes = load(master, count - count // 2)
        assert expired_codes == {503: len(expired)}, expired_codes
        master.redis.thaw()
    baseline = ("exec redis-cli ping, Redis alive", forks)
    codes = {str(k): fresh_codes.get(k, 0) + expired_codes.get(k, 0) for k in (200, 503)}
    metric = "GET /readyz, Redis frozen"
    report.add(BENCH, metric, "ms", fresh + expired, Goal(p99=1), baseline, answers=codes)
