"""Judges a round from what was recorded. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from test.harness.kube_api import LabelChange

from .clients import Ack
from .record import Sample
from .world import Rules

OVERLAP_MAX_S = 1.0
REPLICATED_S = 0.5  # after so long, with nothing amiss, a write is on every replica


@dataclass
class Facts:
    """Times are of CLOCK_MONOTONIC, in seconds. Pods by name; `host_of` gives their addresses."""

    began: float  # of the first fault
    settled: float | None
    unsettled: str | None  # what was not at rest in the end
    first: str  # the master at the begin
    last: str | None  # … and at the end
    labels: dict[str, str | None]  # at the begin
    changes: list[LabelChange]
    names: dict[str, list[Sample]]  # Sentinel -> whom it names
    roles: dict[str, list[Sample]]  # Pod -> the first word of its ROLE
    host_of: dict[str, str]
    ledger: list[Ack]
    missing: set[str]  # keys of the ledger that the survivor does not have
    peers_changed: str = ""
    sentinels: int = 3


@dataclass
class Verdict:
    failures: list[str] = field(default_factory=list)
    promoted_ms: float | None = None  # ROLE of another says master
    named_ms: float | None = None
    label_ms: float | None = None
    write_ms: float | None = None
    gap_ms: float = 0.0
    settled_ms: float | None = None
    acked: int = 0
    lost: int = 0
    lost_late: int = 0  # acknowledged after the new master was named by a majority
    overlap_ms: float = 0.0
    both_ms: float = 0.0  # the ROLE of two said master, labelled or not

    @property
    def ok(self) -> bool:
        return not self.failures

    def text(self) -> str:
        def ms(value: float | None) -> str:
            return "-" if value is None else f"{value:.0f} ms"

        parts = [
            f"promoted {ms(self.promoted_ms)}, named {ms(self.named_ms)}, "
            f"label {ms(self.label_ms)}, write {ms(self.write_ms)}, gap {ms(self.gap_ms)}, "
            f"settled {ms(self.settled_ms)}",
            f"acked {self.acked}, lost {self.lost} ({self.lost_late} after naming), "
            f"two masters {ms(self.overlap_ms)}, by ROLE {ms(self.both_ms)}",
        ]
        parts += [f"FAILED: {failure}" for failure in self.failures]
        return "; ".join(parts)


def majority_names(names: dict[str, list[Sample]], count: int) -> list[tuple[float, str | None]]:
    """(since when, which address a majority of the Sentinels names). A Sentinel that does not
    answer goes on naming what it named last."""
    events = sorted((s.t, who, s.value) for who, all_of in names.items() for s in all_of if s.value)
    now: dict[str, str] = {}
    result: list[tuple[float, str | None]] = []
    for t, who, value in events:
        now[who] = value or ""
        held = list(now.values())
        best = max(held, key=held.count)
        chosen = best if held.count(best) > count / 2 else None
        if not result or result[-1][1] != chosen:
            result.append((t, chosen))
    return result


def named_at(named: list[tuple[float, str | None]], t: float) -> str | None:
    """Whom a majority named at t; while none did, whom the last one named."""
    found = None
    for since, who in named:
        if since > t:
            break
        found = who or found
    return found


def both_labelled(facts: Facts) -> Iterator[tuple[float, float, set[str]]]:
    """(from, to, Pods) of each time in which more than one carried the label master."""
    labels = dict(facts.labels)
    before = facts.began
    end = max([facts.settled or 0.0, before, *(c.t for c in facts.changes)])
    for change in [*facts.changes, LabelChange("", None, end)]:
        holders = {pod for pod, label in labels.items() if label == "master"}
        if len(holders) > 1 and change.t > before:
            yield before, change.t, holders
        labels[change.pod] = change.label
        before = change.t


def overlap_s(facts: Facts) -> float:
    """For how long two Pods carried the label and both took writes: in each time of two labels,
    from the first write that the later one of them took to the last one of the other."""
    total = 0.0
    for begin, end, holders in both_labelled(facts):
        taken = {
            pod: [a for a in facts.ledger if a.pod == pod and begin <= a.t <= end]
            for pod in holders
        }
        writing = [acks for acks in taken.values() if acks]
        if len(writing) > 1:
            since = max(acks[0].t for acks in writing)
            until = min(acks[-1].sent for acks in writing)
            total += max(0.0, until - since)
    return total


def judge(facts: Facts, rules: Rules) -> Verdict:
    v = Verdict(acked=len(facts.ledger), lost=len(facts.missing))
    measure(v, facts)
    lost = [a for a in facts.ledger if a.key in facts.missing]
    late = lost_late(facts, lost)
    v.lost_late = len(late)
    if rules.volatile:
        lost, late = [], []
    if facts.unsettled is not None:
        v.failures.append(f"not at rest: {facts.unsettled}")
    if facts.peers_changed:
        v.failures.append(facts.peers_changed)
    if not facts.ledger:
        v.failures.append("nothing was written")
    if rules.lose_none and lost:
        v.failures.append(f"{len(lost)} acknowledged writes are lost, {where(facts, lost)}")
    elif late and not rules.excused:
        v.failures.append(
            f"{len(late)} writes are lost that were acknowledged after a majority named another, "
            f"{where(facts, late)}"
        )
    old = [a for a in lost if a.t < facts.began - REPLICATED_S]
    if old:
        v.failures.append(f"{len(old)} writes are lost that every replica had")
    if rules.master_stays and facts.last is not None and facts.last != facts.first:
        v.failures.append(f"{facts.first} was replaced by {facts.last} without need")
    if v.gap_ms > rules.gap_max_s * 1000:
        v.failures.append(f"no write was acknowledged for {v.gap_ms:.0f} ms")
    limit = 0.0 if rules.no_overlap else OVERLAP_MAX_S
    if v.overlap_ms > limit * 1000:
        v.failures.append(f"two labelled masters took writes for {v.overlap_ms:.0f} ms")
    return v


def where(facts: Facts, acks: list[Ack]) -> str:
    """On which Pods, and when, counted from the begin of the round."""
    pods = sorted({a.pod for a in acks})
    first, last = acks[0].t - facts.began, acks[-1].t - facts.began
    return f"on {', '.join(pods)} from {first * 1000:.0f} to {last * 1000:.0f} ms"


def lost_late(facts: Facts, lost: list[Ack]) -> list[Ack]:
    """Those that a Pod acknowledged when a majority had named another; and those that the master
    of the end took after it was named anew."""
    named = majority_names(facts.names, facts.sentinels)
    final = named[-1] if named else (0.0, None)
    return [
        a
        for a in lost
        if named_at(named, a.t) not in (None, facts.host_of.get(a.pod))
        or (a.t > final[0] > facts.began and facts.host_of.get(a.pod) == final[1])
    ]


def measure(v: Verdict, facts: Facts) -> None:
    began, old_host = facts.began, facts.host_of[facts.first]

    def after(t: float) -> float:
        return (t - began) * 1000

    named = majority_names(facts.names, facts.sentinels)
    v.named_ms = next(
        (after(t) for t, who in named if t > began and who not in (None, old_host)), None
    )
    v.label_ms = next(
        (
            after(c.t)
            for c in facts.changes
            if c.t > began and c.label == "master" and c.pod != facts.first
        ),
        None,
    )
    v.write_ms = next(
        (after(a.t) for a in facts.ledger if a.sent > began and a.pod != facts.first), None
    )
    v.promoted_ms = min(
        (
            after(s.t)
            for pod, samples in facts.roles.items()
            for s in samples
            if pod != facts.first and s.t > began and s.value == "master"
        ),
        default=None,
    )
    v.both_ms = two_masters_s(facts) * 1000
    times = [a.t for a in facts.ledger]
    v.gap_ms = max((b - a for a, b in zip(times, times[1:], strict=False)), default=0.0) * 1000
    v.overlap_ms = overlap_s(facts) * 1000
    if facts.settled is not None:
        v.settled_ms = after(facts.settled)


def two_masters_s(facts: Facts) -> float:
    """For how long ROLE said master at two places, from one sample to the next that differs."""
    events = sorted(
        ((s.t, pod, s.value) for pod, all_of in facts.roles.items() for s in all_of),
        key=lambda event: event[0],
    )
    now: dict[str, str | None] = {}
    total, since = 0.0, None
    for t, pod, value in events:
        now[pod] = value
        two = list(now.values()).count("master") > 1
        if two and since is None:
            since = t
        elif not two and since is not None:
            total += t - since
            since = None
    if since is not None and facts.settled is not None:
        total += max(0.0, facts.settled - since)
    return total
