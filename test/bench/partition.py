"""The master is cut off from all other members for 14 s, and healed; its clients still reach it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from test.chaos.net import Net
from test.harness.topology import Member

from .load import sleep_until
from .report import Goal, Report, note
from .stage import MEMBERS, Rounds, Stage, at_most

BENCH = "partition"
CLIENTS, INTERVAL_US = 8, 1000
CUT_S = 14.0
WARM_UP_S = 0.5
COUNTS = {"ours": 20, "baseline": 5}
COUNTS_QUICK = {"ours": 1, "baseline": 1}
SENTINEL = "Sentinel alone"
HEAL_GOAL_MS = 1500


@dataclass
class Figures:
    taken: list[float] = field(default_factory=list)  # after the election, by the old master
    lost: list[float] = field(default_factory=list)
    heal_ms: list[float] = field(default_factory=list)


class Partition:
    def __init__(self, net: Net, agents: bool) -> None:
        self.net, self.agents = net, agents
        self.figures = Figures()

    def make(self) -> Stage:
        return Stage(self.net, self.agents, launch=self.agents)

    def _cut_off(self, stage: Stage, old: Member) -> None:
        for other in stage.cluster.pods:
            if other is not old:
                self.net.cut_both(old.index, other.index)

    def play(self, stage: Stage, number: int) -> None:
        old = stage.rest()
        clients = stage.clients_of(f"inside{number}", CLIENTS, INTERVAL_US, old)
        try:
            clients.start()
            sleep_until(time.monotonic() + WARM_UP_S)
            began = time.monotonic()
            self._cut_off(stage, old)
            elected, new = stage.wait_named(began, old, MEMBERS - 1)
            sleep_until(began + CUT_S)
            healed = time.monotonic()
            self.net.heal()
            replica = stage.wait_role(old, "slave", healed)
            acks = clients.stop()
        finally:
            clients.close()
        assert stage.rest() is new, f"{new.pod} is not the master in the end"
        f = self.figures
        f.taken.append(float(sum(a.sent > elected for a in acks)))
        f.lost.append(float(len(stage.missing(new, [a.key for a in acks]))))
        f.heal_ms.append((replica - healed) * 1000)
        stage.forget_keys()


def run(report: Report, net: Net, quick: bool, rounds: int | None) -> None:
    counts = at_most(COUNTS_QUICK if quick else COUNTS, rounds)
    note(f"{BENCH}: {counts}")
    found: dict[bool, Figures] = {}
    for agents in (False, True):
        partition = Partition(net, agents)
        what = "ours" if agents else SENTINEL
        played = Rounds(partition.make, partition.play, f"{BENCH}, {what}")
        played.run(counts["ours" if agents else "baseline"])
        for why in played.failures:
            report.missed(BENCH, f"a round: {what}", why)
        found[agents] = partition.figures
    ours, base = found[True], found[False]
    taken = "master cut off: writes it acknowledged after the other side's election"
    report.add(BENCH, taken, "writes", ours.taken, Goal(max=0), (SENTINEL, base.taken))
    lost = "master cut off: acknowledged writes lost in all"
    report.add(BENCH, lost, "writes", ours.lost, None, (SENTINEL, base.lost))
    heal = "healed to the old master is a replica"
    report.add(BENCH, heal, "ms", ours.heal_ms, Goal(p99=HEAL_GOAL_MS), (SENTINEL, base.heal_ms))
