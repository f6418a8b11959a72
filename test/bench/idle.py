"""What an agent costs at rest, and what it keeps after many scrapes and failovers."""

from __future__ import annotations

import http.client
import json
import os
import struct
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from test.harness import kube_fake
from test.harness.procs import Process, free_port
from test.harness.topology import AGENT, Member, Options, Topology

from .fake_redis import FakeSet
from .report import Goal, Report, note

BENCH = "idle"
STEADY_S, STEADY_QUICK_S = 60, 15
SETTLE_S = 5  # after the labels are right: the answers to what the start asked
SCRAPES, SCRAPES_QUICK = 10_000, 2_000
FAILOVERS, FAILOVERS_QUICK = 1_000, 100
FAILOVERS_END_S, FAILOVERS_QUICK_END_S = 180, 20
WARM_SHARE = 10  # the first tenth fills caches and pools of the allocator
CPU_MILLI = 2
RSS_MIB, PRIVATE_MIB = 14, 4
GROWTH_KB = 256
STEP_TIMEOUT_S = 10


@dataclass
class Memory:
    """Of the parent and its worker, in KiB. rss counts a page that both have mapped once, as a
    container's memory does; without the right to see page frames it counts it twice. pss shares
    the pages of libraries with all other programs as well."""

    parent_rss: int
    worker_rss: int
    rss: int
    pss: int
    private: int


def rollup(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    words = [line.split() for line in lines]
    return {w[0].rstrip(":"): int(w[1]) for w in words if w[-1] == "kB"}


def resident_frames(pid: int) -> set[int]:
    """The page frames of a process (Documentation/admin-guide/mm/pagemap.rst)."""
    size = os.sysconf("SC_PAGE_SIZE")
    frames: set[int] = set()
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
        for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
            begin, end = (int(x, 16) // size for x in line.split()[0].split("-"))
            entries = os.pread(pagemap.fileno(), (end - begin) * 8, begin * 8)
            for (entry,) in struct.iter_unpack("<Q", entries):
                if entry >> 63:  # present
                    frames.add(entry & ((1 << 55) - 1))
    return frames


def counted_once(parent: int, worker: int, sum_kb: int) -> int:
    frames = resident_frames(parent) | resident_frames(worker)
    # Frame numbers are all 0 for those who may not see them.
    return len(frames) * os.sysconf("SC_PAGE_SIZE") // 1024 if len(frames) > 1 else sum_kb


def pids(agent: Process) -> list[int]:
    found = [agent.pid, *agent.children()]
    assert len(found) == 2, f"a parent and a worker are expected, not {len(found)} processes"
    return found


def memory(agent: Process) -> Memory:
    both = pids(agent)
    parent, worker = (rollup(pid) for pid in both)
    return Memory(
        parent["Rss"],
        worker["Rss"],
        counted_once(both[0], both[1], parent["Rss"] + worker["Rss"]),
        parent["Pss"] + worker["Pss"],
        sum(m[k] for m in (parent, worker) for k in ("Private_Clean", "Private_Dirty")),
    )


def cpu_s(pid: int) -> float:
    """Of all its threads, in nanoseconds' resolution: its CPU-time clock (clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def wakeups(pid: int) -> int:
    """Each is a return from a wait."""
    count = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text(encoding="ascii").splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                count += int(line.split()[1])
    return count


def until(end: float) -> None:
    while (left := end - time.monotonic()) > 0:
        time.sleep(left)


# --- at rest --------------------------------------------------------------------------------------


def agent_of(member: Member) -> Process:
    assert member.agent is not None
    return member.agent


def steady(report: Report, quick: bool) -> None:
    seconds = STEADY_QUICK_S if quick else STEADY_S
    note(f"{BENCH}: {seconds} s at rest")
    with kube_fake.KubeServer() as kube, Topology(kube, Options()) as top:
        top.start()
        until(time.monotonic() + SETTLE_S)
        agents = [agent_of(m) for m in top.pods]
        writes = len(kube.writes)
        before = [(cpu_s(p), wakeups(p)) for a in agents for p in pids(a)]
        start = time.monotonic()
        until(start + seconds)
        after = [(cpu_s(p), wakeups(p)) for a in agents for p in pids(a)]
        took = time.monotonic() - start
        writes = len(kube.writes) - writes
        memories = [memory(a) for a in agents]
    used = [
        ((b[0] - a[0]) / took, (b[1] - a[1]) / took) for a, b in zip(before, after, strict=True)
    ]
    pairs = list(zip(used[::2], used[1::2], strict=True))
    cpu = [(parent[0] + worker[0]) * 1000 for parent, worker in pairs]
    who = f"over {seconds} s, of each of 3 agents"
    report.add(BENCH, "CPU, parent + worker", "m", cpu, Goal(max=CPU_MILLI), samples=who)
    report.add(BENCH, "wake-ups, worker", "1/s", [w[1] for _, w in pairs], samples=who)
    report.add(BENCH, "wake-ups, parent", "1/s", [p[1] for p, _ in pairs], samples=who)
    report.add(BENCH, "API writes, all agents", "count", [writes], Goal(max=0))

    def mib(name: str) -> list[float]:
        return [getattr(m, name) / 1024 for m in memories]

    report.add(
        BENCH, "RSS, parent and worker, each page once", "MiB", mib("rss"), Goal(max=RSS_MIB)
    )
    report.add(BENCH, "RSS, parent", "MiB", mib("parent_rss"))
    report.add(BENCH, "RSS, worker", "MiB", mib("worker_rss"))
    report.add(BENCH, "PSS, parent + worker", "MiB", mib("pss"))
    report.add(BENCH, "private, parent + worker", "MiB", mib("private"), Goal(max=PRIVATE_MIB))


# --- after much work ------------------------------------------------------------------------------


class Keeping:
    """One agent on loopback, beside a Redis and Sentinels that are simulated."""

    def __init__(self, kube: kube_fake.KubeServer, fake: FakeSet, folder: Path) -> None:
        self.fake = fake
        self.is_master = False
        self.port = free_port()
        kube.create_pod("redis-0", ip=fake.redis.address[0])
        host, port = fake.redis.address
        sentinels = ",".join(f"{s.address[0]}:{s.address[1]}" for s in fake.sentinels)
        argv = [
            *(AGENT, "run", f"--redis-addr={host}:{port}", f"--sentinel-addrs={sentinels}"),
            *(f"--http-addr=127.0.0.1:{self.port}", *kube.agent_args("redis-0")),
        ]
        dropped = ("RPA_", "POD_", "KUBERNETES_")
        env = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        self.agent = Process(argv, folder / "agent.log", env=env)
        self.http = http.client.HTTPConnection("127.0.0.1", self.port, timeout=STEP_TIMEOUT_S)

    def get(self, path: str) -> bytes:
        self.http.request("GET", path)
        answer = self.http.getresponse()
        body = answer.read()
        assert answer.status == 200 and body, f"{path} is answered {answer.status}"
        return body

    def role(self) -> str:
        try:
            return str(json.loads(self.get("/status"))["role"]["state"])
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            self.http.close()
            return "none"

    def await_role(self, role: str) -> None:
        end = time.monotonic() + STEP_TIMEOUT_S
        while (seen := self.role()) != role:
            assert time.monotonic() < end, f"the role stays {seen}; {role} is due"
            time.sleep(0.002)

    def fail_over(self) -> None:
        self.fake.fail_over()
        self.is_master = not self.is_master
        self.await_role("master" if self.is_master else "replica")


def grow(
    report: Report, name: str, agent: Process, count: int, step: Callable[[], object], end_s: float
) -> None:
    """Does it `count` times; what counts is memory from a tenth of it to its end."""
    start = time.monotonic()
    before = memory(agent)
    done = 0
    while done < count and time.monotonic() - start < end_s:
        step()
        done += 1
        if done == count // WARM_SHARE:
            before = memory(agent)
    after = memory(agent)
    took = time.monotonic() - start
    if done < count:
        report.missed(BENCH, f"RSS growth, {count} {name}", f"only {done} in {end_s} s")
        return
    report.add(
        BENCH,
        f"RSS growth, {count} {name}",
        "KB",
        [after.rss - before.rss],
        Goal(max=GROWTH_KB),
        private_growth=after.private - before.private,
        rss_after=after.rss,
        seconds=round(took, 1),
    )


def keeping(report: Report, quick: bool) -> None:
    scrapes = SCRAPES_QUICK if quick else SCRAPES
    failovers = FAILOVERS_QUICK if quick else FAILOVERS
    note(f"{BENCH}: {scrapes} scrapes, {failovers} simulated failovers")
    with (
        kube_fake.KubeServer() as kube,
        FakeSet() as fake,
        tempfile.TemporaryDirectory(prefix="redis-pod-agent-bench-") as folder,
    ):
        keep = Keeping(kube, fake, Path(folder))
        try:
            keep.await_role("replica")
            end_s = FAILOVERS_QUICK_END_S if quick else FAILOVERS_END_S
            agent = keep.agent
            grow(report, "scrapes", agent, scrapes, lambda: keep.get("/metrics"), end_s)
            grow(report, "simulated failovers", agent, failovers, keep.fail_over, end_s)
        finally:
            keep.http.close()
            keep.agent.stop()


def run(report: Report, quick: bool) -> None:
    steady(report, quick)
    keeping(report, quick)
