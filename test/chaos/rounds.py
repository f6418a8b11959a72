"""The rounds: what each does to the cluster, and what it may cost."""

from __future__ import annotations

from collections.abc import Callable

from test.harness.resp import ReplyError
from test.harness.topology import MASTER, Member

from .world import Rules, World

Scenario = Callable[[World], Rules]
ROUNDS: dict[str, Scenario] = {}
DOWN_AFTER_S = 5.0
# Goals are tighter, and are measured by scripts/bench; these tell a mechanism from its absence.
BRIEF_S = 0.5  # whoever is not the master was hit
PROMPT_S = 1.0  # crash or hand-over, nothing else amiss
REPAIR_S = 3.0  # a Sentinel leads
BACK_S = 8.0  # every Pod ends, and comes back within 3.6 s
# A Sentinel's own failover, and its hold after an abandoned vote.
LONG_S = (8.0, 14.0)
KINDS = ("redis", "sentinel", "agent")


def scenario(function: Scenario) -> Scenario:
    ROUNDS[function.__name__.replace("_", "-")] = function
    return function


def agent_is_hit(w: World, text: str, **rules: float) -> Rules:
    """Nobody then stands between a Redis that restarts with old data and its replicas, unless the
    launch helper starts it, or its data is on its disk."""
    guarded = w.cluster.launch is not None or w.cluster.append_only
    return Rules(excused=text, volatile=not guarded, **rules)  # type: ignore[arg-type]


def any_of(w: World, members: list[Member]) -> Member:
    return members[w.rng.randrange(len(members))]


# --- kill -9 -----------------------------------------------------------------------------------


@scenario
def kill_master(w: World) -> Rules:
    w.kill("redis", w.master)
    return Rules(gap_max_s=PROMPT_S)


@scenario
def kill_replica(w: World) -> Rules:
    w.kill("redis", any_of(w, w.replicas))
    return Rules(lose_none=True, master_stays=True, no_overlap=True, gap_max_s=BRIEF_S)


@scenario
def kill_sentinel(w: World) -> Rules:
    w.kill("sentinel", any_of(w, w.cluster.sentinels))
    return Rules(lose_none=True, master_stays=True, no_overlap=True, gap_max_s=BRIEF_S)


@scenario
def kill_agent(w: World) -> Rules:
    w.kill("agent", any_of(w, [w.master, w.master, *w.replicas]))
    return Rules(lose_none=True, master_stays=True, no_overlap=True, gap_max_s=BRIEF_S)


@scenario
def kill_any_two(w: World) -> Rules:
    every = [(kind, member) for member in w.cluster.pods for kind in KINDS]
    chosen = w.rng.sample(every, 2)
    for kind, member in chosen:
        w.kill(kind, member, w.rng.choice((0.0, 0.0, w.uniform(0, 0.2))))
    dead = ("redis", w.master) in chosen
    if dead and ("agent", w.master) in chosen:
        return agent_is_hit(w, "the old master's agent died, too")
    return Rules(lose_none=not dead, master_stays=not dead)


@scenario
def kill_master_then_agent(w: World) -> Rules:
    """The candidate's agent dies at a random moment of its candidacy."""
    w.kill("redis", w.master)
    w.kill("agent", w.master, w.uniform(0, 0.15))
    return agent_is_hit(w, "the old master's agent died, too")


@scenario
def kill_master_then_any_agent(w: World) -> Rules:
    w.kill("redis", w.master)
    w.kill("agent", any_of(w, w.replicas), w.uniform(0, 0.15))
    return Rules(gap_max_s=PROMPT_S)


@scenario
def two_failovers(w: World) -> Rules:
    """The new master dies as soon as it is one."""
    w.kill("redis", w.master)
    after_s = w.uniform(0.05, 1.5)

    def again() -> None:
        second = w.cluster.agreed()
        if second is None or second is w.master:
            if w.elapsed < 12:
                w.at(w.elapsed + 0.05, "", again)
            return
        w.kill("redis", second, w.elapsed)

    w.at(after_s, "", again)
    return Rules(gap_max_s=PROMPT_S)


@scenario
def restart_empty(w: World) -> Rules:
    """The master loses its volume, perhaps its configuration, too."""
    w.kill("redis", w.master, restart=False)
    and_conf = w.rng.random() < 0.5

    def restart() -> None:
        w.cluster.empty_redis(w.master, and_conf)
        w.start("redis", w.master)

    w.at(w.uniform(0.3, 3.0), f"redis of {w.master.pod} starts without its data", restart)
    return Rules(gap_max_s=PROMPT_S)


@scenario
def restart_replica_empty(w: World) -> Rules:
    replica = any_of(w, w.replicas)
    w.kill("redis", replica, restart=False)

    def restart() -> None:
        w.cluster.empty_redis(replica, False)
        w.start("redis", replica)

    w.at(w.uniform(0.3, 3.0), f"redis of {replica.pod} starts without its data", restart)
    return Rules(lose_none=True, master_stays=True, no_overlap=True, gap_max_s=BRIEF_S)


# --- frozen ------------------------------------------------------------------------------------


@scenario
def freeze_redis_briefly(w: World) -> Rules:
    w.freeze("redis", any_of(w, [w.master, w.master, *w.replicas]), 0, w.uniform(0.1, 3.0))
    return Rules(lose_none=True, master_stays=True, no_overlap=True)


@scenario
def freeze_master_long(w: World) -> Rules:
    w.freeze("redis", w.master, 0, w.uniform(*LONG_S))
    return Rules()


@scenario
def freeze_sentinel(w: World) -> Rules:
    w.freeze("sentinel", any_of(w, w.cluster.sentinels), 0, w.uniform(0.5, 9.0))
    return Rules(lose_none=True, master_stays=True, no_overlap=True, gap_max_s=BRIEF_S)


@scenario
def freeze_agent(w: World) -> Rules:
    w.freeze("agent", any_of(w, [w.master, w.master, *w.replicas]), 0, w.uniform(0.5, 9.0))
    return Rules(lose_none=True, master_stays=True, no_overlap=True, gap_max_s=BRIEF_S)


@scenario
def freeze_sentinel_and_kill_master(w: World) -> Rules:
    w.freeze("sentinel", any_of(w, w.cluster.sentinels), 0, w.uniform(0.2, 8.0))
    w.kill("redis", w.master, w.uniform(0, 0.2))
    return Rules()


@scenario
def freeze_agent_and_kill_master(w: World) -> Rules:
    w.freeze("agent", w.master, 0, w.uniform(0.2, 8.0))
    w.kill("redis", w.master, w.uniform(0.01, 0.2))
    return agent_is_hit(w, "the old master's agent was frozen")


@scenario
def freeze_agent_in_candidacy(w: World) -> Rules:
    """It stalls in the middle, and goes on when everything may be decided otherwise."""
    w.kill("redis", w.master)
    w.freeze("agent", w.master, w.uniform(0, 0.06), w.uniform(0.2, 2.5))
    return agent_is_hit(w, "the old master's agent was frozen")


# --- partitions --------------------------------------------------------------------------------


@scenario
def cut_master_off(w: World) -> Rules:
    """Its clients and the API server still reach it: only its fence stops the writes."""
    w.cut_off(w.master, 0)
    w.heal(w.uniform(*LONG_S))
    return Rules()


@scenario
def cut_master_off_briefly(w: World) -> Rules:
    w.cut_off(w.master, 0)
    w.heal(w.uniform(0.3, 4.0))
    return Rules(lose_none=True, master_stays=True, no_overlap=True)


@scenario
def cut_master_off_and_api(w: World) -> Rules:
    w.cut_off(w.master, 0)
    w.cut_api([w.master], 0)
    w.heal(w.uniform(*LONG_S))
    return Rules()


@scenario
def cut_one_way(w: World) -> Rules:
    """The master, or a replica, is heard and does not hear, or the other way round."""
    member = any_of(w, [w.master, *w.replicas])
    out = w.rng.random() < 0.5
    w.cut_off(member, 0, out=out, into=not out)
    w.heal(w.uniform(*LONG_S))
    return Rules(lose_none=member is not w.master)


@scenario
def cut_replica_off(w: World) -> Rules:
    w.cut_off(any_of(w, w.replicas), 0)
    w.heal(w.uniform(*LONG_S))
    return Rules(lose_none=True, master_stays=True, no_overlap=True, gap_max_s=BRIEF_S)


@scenario
def cut_a_pair(w: World) -> Rules:
    """Two members do not see each other, both see the third."""
    i, j = w.rng.sample(range(len(w.cluster.members)), 2)
    w.at(0, f"members {i} and {j} are cut from each other", lambda: w.net.cut_both(i, j))
    w.heal(w.uniform(*LONG_S))
    return Rules()


@scenario
def unplug(w: World) -> Rules:
    """The link is down: from clients, too."""
    member = any_of(w, [w.master, w.master, *w.replicas])
    w.at(0, f"the link of {member.pod} is down", lambda: w.net.unplug(member.index))
    w.heal(w.uniform(*LONG_S))
    return Rules(lose_none=member is not w.master, master_stays=member is not w.master)


@scenario
def cut_api(w: World) -> Rules:
    w.cut_api(w.rng.choice(([w.master], w.replicas, list(w.cluster.pods))), 0)
    w.heal(w.uniform(1, 10))
    return Rules(lose_none=True, master_stays=True, no_overlap=True, gap_max_s=BRIEF_S)


@scenario
def cut_api_and_kill_master(w: World) -> Rules:
    cut = w.rng.choice(([w.master], w.replicas))
    w.cut_api(cut, 0)
    w.kill("redis", w.master, w.uniform(0.05, 0.5))
    w.heal(w.uniform(3, 8))
    # Whom the API server does not hear it cannot label.
    return Rules(gap_max_s=PROMPT_S if w.master in cut else 60.0)


@scenario
def api_down_and_kill_master(w: World) -> Rules:
    w.api_down(0, 8 if w.quick else 60)
    w.kill("redis", w.master, w.uniform(0.05, 1.0))
    # The label still leads to the old master, which its agent makes a replica in about 0.1 s;
    # only a start by the helper leaves no such time.
    return Rules(excused="" if w.cluster.launch else "it restarted without the launch helper")


# --- hand-over ---------------------------------------------------------------------------------


@scenario
def drain(w: World) -> Rules:
    w.drain(w.master)
    return Rules(lose_none=True, no_overlap=True, gap_max_s=PROMPT_S)


@scenario
def delete_master_pod(w: World) -> Rules:
    w.delete_pod(w.master)
    return Rules(lose_none=True, no_overlap=True, gap_max_s=PROMPT_S)


@scenario
def delete_replica_pod(w: World) -> Rules:
    w.delete_pod(any_of(w, w.replicas))
    return Rules(lose_none=True, master_stays=True, no_overlap=True, gap_max_s=BRIEF_S)


@scenario
def delete_all_pods(w: World) -> Rules:
    """With `kubectl delete pods --all` nobody is left to hand over to."""
    for member in w.cluster.pods:
        w.delete_pod(member)
    return Rules(
        lose_none=w.cluster.append_only, volatile=not w.cluster.append_only, gap_max_s=BACK_S
    )


def slow_sync(w: World, replica: Member) -> None:
    """The replica comes back empty, and its full sync takes seconds."""
    w.at(0, "full syncs are slow", lambda: set_key_delay(w, 1000))
    w.kill("redis", replica, restart=False)

    def restart() -> None:
        w.cluster.empty_redis(replica, False)
        w.start("redis", replica)

    w.at(0.3, f"redis of {replica.pod} starts without its data", restart)
    w.at(6.0, "full syncs are fast", lambda: set_key_delay(w, 0))


def set_key_delay(w: World, delay_us: int) -> None:
    for member in w.cluster.pods:
        w.cluster.ask(member, "CONFIG", "SET", "rdb-key-save-delay", str(delay_us))


@scenario
def drain_during_full_sync(w: World) -> Rules:
    slow_sync(w, any_of(w, w.replicas))
    w.drain(w.master, w.uniform(0.6, 1.5))
    return Rules(lose_none=True, no_overlap=True, gap_max_s=PROMPT_S)


@scenario
def drain_and_kill(w: World) -> Rules:
    """Someone dies in the middle of the hand-over."""
    w.drain(w.master)
    kind = w.rng.choice(("redis", "sentinel", "agent"))
    member = any_of(w, list(w.cluster.pods))
    w.kill(kind, member, w.uniform(0, 0.08))
    planned = kind != "redis"
    return Rules(lose_none=planned)


@scenario
def delete_and_kill(w: World) -> Rules:
    w.delete_pod(w.master)
    replica = any_of(w, w.replicas)
    w.kill(w.rng.choice(KINDS), replica, w.uniform(0, 0.1))
    return Rules()


@scenario
def failover_by_hand(w: World) -> Rules:
    sentinel = any_of(w, list(w.cluster.sentinels))

    def do() -> None:
        try:
            w.cluster.failover(sentinel)
        except (OSError, ReplyError) as error:
            w.tell(f"refused: {error}")

    w.at(0, f"SENTINEL FAILOVER {MASTER} at {sentinel.pod}", do)
    return Rules(lose_none=True, gap_max_s=REPAIR_S)


@scenario
def failover_by_hand_and_kill_master(w: World) -> Rules:
    sentinel = any_of(w, list(w.cluster.sentinels))
    w.at(
        0,
        f"SENTINEL FAILOVER at {sentinel.pod}",
        lambda: w.cluster.ask_sentinel(sentinel, "FAILOVER", MASTER),
    )
    w.kill("redis", w.master, w.uniform(0, 0.4))
    return Rules()


# What test_chaos.py runs: every group in well under two minutes.
SELECTIONS: dict[str, list[str]] = {
    "kill": [
        "kill-master",
        "kill-replica",
        "kill-sentinel",
        "kill-agent",
        "kill-any-two",
        "kill-master-then-agent",
        "two-failovers",
        "restart-empty",
    ],
    "cut": [
        "cut-master-off",
        "cut-one-way",
        "cut-api-and-kill-master",
        "freeze-redis-briefly",
        "api-down-and-kill-master",
    ],
    "hand-over": [
        "drain",
        "delete-master-pod",
        "drain-during-full-sync",
        "drain-and-kill",
        "failover-by-hand",
    ],
}
