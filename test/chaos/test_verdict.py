"""The judge finds what it is there for."""

from __future__ import annotations

import pytest

from test.harness.kube_api import LabelChange

from .clients import Ack
from .record import Sample
from .verdict import Facts, judge, majority_names
from .world import Rules

A, B = "10.0.0.11", "10.0.0.12"
HOSTS = {"redis-0": A, "redis-1": B}


def sample(t: float, value: str | None) -> Sample:
    return Sample(t, t, value)


def ack(t: float, pod: str, key: str = "") -> Ack:
    return Ack(t - 0.001, t, pod, key or f"{pod}@{t}")


def facts(**changed: object) -> Facts:
    """A crash of redis-0 at 10: named at 10.05, labelled at 10.06, in use since 10.07."""
    made = Facts(
        began=10.0,
        settled=12.0,
        unsettled=None,
        first="redis-0",
        last="redis-1",
        labels={"redis-0": "master", "redis-1": "replica"},
        changes=[
            LabelChange("redis-1", "master", 10.06),
            LabelChange("redis-0", "demoted", 10.062),
        ],
        names={s: [sample(9.0, A), sample(10.05, B)] for s in ("s0", "s1", "s2")},
        roles={
            "redis-0": [sample(9.0, "master"), sample(10.001, None)],
            "redis-1": [sample(9.0, "slave"), sample(10.04, "master")],
        },
        host_of=HOSTS,
        ledger=[ack(9.9, "redis-0", "old"), ack(10.07, "redis-1", "new")],
        missing=set(),
    )
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def test_a_good_round_is_measured() -> None:
    v = judge(facts(), Rules())
    assert v.ok, v.failures
    figures = [
        round(x or 0)
        for x in (v.promoted_ms, v.named_ms, v.label_ms, v.write_ms, v.gap_ms, v.settled_ms)
    ]
    assert figures == [40, 50, 60, 70, 170, 2000]


def test_a_loss_in_a_crash_is_counted_and_no_failure() -> None:
    v = judge(facts(missing={"old"}), Rules())
    assert (v.ok, v.lost, v.lost_late) == (True, 1, 0)
    assert not judge(facts(missing={"old"}), Rules(lose_none=True)).ok


def test_a_loss_after_the_naming_is_a_failure() -> None:
    """By the new master, or by an old one that went on."""
    assert not judge(facts(missing={"new"}), Rules()).ok
    stray = [ack(9.9, "redis-0"), ack(11.0, "redis-0", "stray"), ack(11.1, "redis-1")]
    v = judge(facts(ledger=stray, missing={"stray"}), Rules())
    assert (v.ok, v.lost_late) == (False, 1)
    assert judge(facts(ledger=stray, missing={"stray"}), Rules(excused="its agent was dead")).ok


def test_what_every_replica_had_must_not_be_lost() -> None:
    ledger = [ack(9.0, "redis-0", "long ago"), ack(10.07, "redis-1")]
    v = judge(facts(ledger=ledger, missing={"long ago"}), Rules())
    assert (v.ok, v.lost_late) == (False, 0)


@pytest.mark.parametrize(("until", "ok"), [(10.9, True), (11.5, False)])
def test_two_labelled_masters_that_take_writes(until: float, ok: bool) -> None:
    changes = [LabelChange("redis-1", "master", 10.06), LabelChange("redis-0", "demoted", 11.6)]
    ledger = [
        ack(10.1, "redis-1"),
        ack(10.2, "redis-0"),
        ack(until, "redis-0"),
        ack(until + 0.01, "redis-1"),
    ]
    made = facts(changes=changes, ledger=ledger)
    v = judge(made, Rules())
    assert v.ok is ok
    assert round(v.overlap_ms) == round((until - 10.2) * 1000) - 1
    assert not judge(made, Rules(no_overlap=True)).ok


def test_two_labels_are_fine_where_one_takes_nothing() -> None:
    changes = [LabelChange("redis-1", "master", 10.06), LabelChange("redis-0", "demoted", 11.9)]
    v = judge(facts(changes=changes), Rules(no_overlap=True))
    assert (v.ok, v.overlap_ms) == (True, 0)


def test_two_masters_by_role_are_told() -> None:
    roles = {
        "redis-0": [sample(9, "master"), sample(10.5, "slave")],
        "redis-1": [sample(9, "slave"), sample(10.2, "master")],
    }
    v = judge(facts(roles=roles), Rules())
    assert v.ok
    assert round(v.both_ms) == 300


def test_other_failures() -> None:
    assert not judge(facts(), Rules(master_stays=True)).ok
    assert not judge(facts(unsettled="labels differ"), Rules()).ok
    assert not judge(facts(peers_changed="one more"), Rules()).ok
    assert not judge(facts(ledger=[]), Rules()).ok


def test_a_majority_names() -> None:
    names = {
        "s0": [sample(1, A), sample(5, B)],
        "s1": [sample(1, A), sample(2, None)],
        "s2": [sample(1, A), sample(6, B)],
    }
    assert majority_names(names, 3)[-1] == (6, B)
    assert majority_names({"s0": [sample(1, A)], "s1": [sample(2, B)]}, 3)[-1][1] is None
