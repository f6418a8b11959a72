"""An old master that comes back, and one that was replaced by hand: what it takes and destroys."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from test.chaos.net import Net
from test.harness.topology import Member

from .load import Load, sleep_until
from .report import Goal, Report, note
from .stage import MEMBERS, ROUND_TIMEOUT_S, Rounds, Stage, at_most

BENCH = "restart"
KEYS = 3000
CLIENTS, INTERVAL_US = 4, 1000
BACK_S = 0.5
WATCH_S = 3.0  # how long the replicas' keys are counted after the restart
WARM_UP_S = 0.5
COUNTS = {"ours": 20, "baseline": 5}
COUNTS_QUICK = {"ours": 2, "baseline": 1}
SENTINEL = "Sentinel alone"
KINDS = ("empty", "old")


@dataclass
class Figures:
    taken: list[float] = field(default_factory=list)  # writes, by the old master
    thrown_away: list[float] = field(default_factory=list)  # of these
    keys_lost: list[float] = field(default_factory=list)  # on the worst replica, at any time
    replica_ms: list[float] = field(default_factory=list)  # until it follows


def fill(stage: Stage, master: Member, number: int) -> list[str]:
    """Keys that every Redis of the set has."""
    keys = [f"kept:{number}:{i}" for i in range(KEYS)]
    with stage.cluster.redis(master, 10) as redis:
        for at in range(0, KEYS, 500):
            words = [word for key in keys[at : at + 500] for word in (key, "1")]
            redis("MSET", *words)
        assert redis("WAIT", MEMBERS - 1, 5000) == MEMBERS - 1
    return keys


class Restart:
    """After kill -9 the old master starts again, as its container would, with an old or an empty
    volume. With the agents, half a second later. Sentinel alone would not even have missed it:
    there it starts empty after half a second, or old after Sentinel's failover."""

    def __init__(self, net: Net, agents: bool, launch: bool, kind: str) -> None:
        self.net, self.agents, self.launch, self.kind = net, agents, launch, kind
        self.figures = Figures()

    def make(self) -> Stage:
        return Stage(self.net, self.agents, self.launch, append_only=True)

    def play(self, stage: Stage, number: int) -> None:
        old = stage.rest()
        keys = fill(stage, old, number)
        clients = stage.clients_of(f"stray{number}", CLIENTS, INTERVAL_US, old)
        try:
            self._play(stage, old, keys, clients)
        finally:
            clients.close()
        stage.forget_keys()

    def _play(self, stage: Stage, old: Member, keys: list[str], clients: Load) -> None:
        clients.start()
        sleep_until(time.monotonic() + WARM_UP_S)
        began = time.monotonic()
        stage.cluster.kill_redis(old)
        noticed = self.agents or self.kind == "old"
        if not self.agents and noticed:
            stage.wait_named(began, old)
        sleep_until(began + BACK_S)
        back = time.monotonic()
        stage.start_redis(old, empty=self.kind == "empty")
        others = [m for m in stage.cluster.pods if m is not old]
        self.figures.keys_lost.append(self._watch_keys(stage, others, keys, back))
        if noticed:
            replica = stage.wait_role(old, "slave", back)
            self.figures.replica_ms.append((replica - back) * 1000)
        acks = clients.stop()
        taken = [a for a in acks if a.t > back]
        master = stage.rest()
        lost = stage.missing(master, [a.key for a in taken])
        self.figures.taken.append(float(len(taken)) if noticed else 0.0)
        self.figures.thrown_away.append(float(len(lost)))

    @staticmethod
    def _watch_keys(stage: Stage, others: list[Member], keys: list[str], back: float) -> float:
        """How many of the keys the worst of the others had lost at its worst moment. Each is
        asked, not counted: the strays' own keys come and go."""
        worst = 0
        while time.monotonic() < back + WATCH_S:
            for member in others:
                try:
                    worst = max(worst, len(stage.missing(member, keys)))
                except (OSError, RuntimeError):
                    continue  # it loads what the empty one sent
            time.sleep(0.05)
        return float(worst)


class ByHand:
    """SENTINEL FAILOVER by a person, with clients that stay at the old master."""

    def __init__(self, net: Net, agents: bool) -> None:
        self.net, self.agents = net, agents
        self.figures = Figures()

    def make(self) -> Stage:
        return Stage(self.net, self.agents, launch=self.agents)

    def play(self, stage: Stage, number: int) -> None:
        old = stage.rest()
        clients = stage.clients_of(f"stray{number}", CLIENTS, INTERVAL_US, old)
        try:
            clients.start()
            sleep_until(time.monotonic() + WARM_UP_S)
            began = time.monotonic()
            stage.force_failover()
            replica = stage.wait_role(old, "slave", began)
            _, new = stage.wait_named(began, old)
            acks = clients.stop()
        finally:
            clients.close()
        stage.cluster.wait(
            lambda: stage.cluster.agreed() is new, ROUND_TIMEOUT_S, f"{new.pod} is the master"
        )
        stage.rest()
        f = self.figures
        f.thrown_away.append(float(len(stage.missing(new, [a.key for a in acks]))))
        f.taken.append(float(sum(a.t > began for a in acks)))
        f.replica_ms.append((replica - began) * 1000)
        stage.forget_keys()


def measure(report: Report, played: Restart | ByHand, what: str, count: int) -> Figures:
    rounds = Rounds(played.make, played.play, f"{BENCH}, {what}")
    rounds.run(count)
    for why in rounds.failures:
        report.missed(BENCH, f"a round: {what}", why)
    return played.figures


def run(report: Report, net: Net, quick: bool, rounds: int | None) -> None:
    counts = at_most(COUNTS_QUICK if quick else COUNTS, rounds)
    note(f"{BENCH}: {counts}")
    base = {
        kind: measure(
            report, Restart(net, False, False, kind), f"{SENTINEL}, {kind}", counts["baseline"]
        )
        for kind in KINDS
    }
    for launch in (True, False):
        for kind in KINDS:
            what = f"{kind} volume, {'with' if launch else 'without'} launch"
            ours = measure(report, Restart(net, True, launch, kind), what, counts["ours"])
            tell(report, ours, base, kind, what, launch)
    tell_by_hand(report, net, counts)


def tell(
    report: Report, ours: Figures, base: dict[str, Figures], kind: str, what: str, launch: bool
) -> None:
    # Without launch the guard is the best that can be done after the start.
    goal = Goal(max=0) if launch else None
    taken = f"old master back after 0.5 s: writes it takes, {what}"
    after = (f"{SENTINEL}, back after its failover", base["old"].taken)
    report.add(BENCH, taken, "writes", ours.taken, goal, after)
    lost = f"old master back after 0.5 s: keys lost on the replicas of {KEYS}, {what}"
    report.add(BENCH, lost, "keys", ours.keys_lost, goal, (SENTINEL, base[kind].keys_lost))
    follows = f"old master back after 0.5 s: until it is a replica, {what}"
    theirs = (f"{SENTINEL}, back after its failover", base["old"].replica_ms)
    report.add(BENCH, follows, "ms", ours.replica_ms, None, theirs)


def tell_by_hand(report: Report, net: Net, counts: dict[str, int]) -> None:
    what = "SENTINEL FAILOVER by hand"
    base = measure(report, ByHand(net, False), f"{what}, {SENTINEL}", counts["baseline"])
    ours = measure(report, ByHand(net, True), what, counts["ours"])
    thrown = f"{what}: writes of the old master that are thrown away"
    of = (SENTINEL, base.thrown_away)
    report.add(BENCH, thrown, "writes", ours.thrown_away, Goal(max=0), of)
    follows = f"{what}: until the old master is a replica"
    report.add(BENCH, follows, "ms", ours.replica_ms, None, (SENTINEL, base.replica_ms))
