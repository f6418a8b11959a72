"""The set of servers and agents, each member in its network namespace."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Self

from test.harness.kube_api import KubeApi
from test.harness.procs import Process
from test.harness.resp import ReplyError, Resp, flat
from test.harness.topology import MASTER, Member, Options, Topology
from test.harness.wait import wait_for

from .net import Net

DATA = ("dump.rdb", "appendonlydir")


class Cluster(Topology):
    """A Topology whose members have addresses of their own, and Redis configuration files, which
    Sentinel and the agents rewrite as they do in a Pod."""

    def __init__(
        self, kube: KubeApi, net: Net, options: Options, append_only: bool, launched: bool
    ) -> None:
        """launched: Redis starts by the helper, where that is built and the agent has its
        option."""
        self.net = net
        self.append_only = append_only
        helper = options.agent.parent / "redis-pod-agent-launch"
        able = launched and helper.exists() and has_option(options.agent, "launch-socket")
        self.launch = helper if able else None
        self._first_start = True
        super().__init__(kube, options)

    def start(self) -> Self:
        """The first time without the helper, since who is the master is decided here; the
        replicas then once more, with it."""
        super().start()
        self._first_start = False
        if self.launch is not None:
            for member in self.pods[1:]:
                assert member.redis is not None
                member.redis.stop()
                self.start_redis(member, None)
                self.wait_answers(member)
            self.wait(lambda: self.unsettled() is None, 30, "all is at rest")
        return self

    def _make_members(self) -> list[Member]:
        members = [Member(i, self.net.address(i)) for i in range(self.net.members)]
        for member in members:
            member.folder = self.folder / member.pod
            member.folder.mkdir()
        return members

    def _spawn(self, member: Member, argv: list[str], log: str) -> Process:
        return Process(
            self.net.inside(member.index, argv),
            member.folder / log,
            env=self._agent_env(),
            cwd=member.folder,
        )

    # --- Redis --------------------------------------------------------------------------------

    def start_redis(self, member: Member, master: Member | None, *extra: str) -> None:
        """From its own redis.conf where there is one, else as a replica of `master`."""
        path = member.folder / "redis.conf"
        if not path.exists():
            path.write_text(self._redis_conf(member, master), encoding="utf-8")
        # A round may have set it for a while, and CONFIG REWRITE kept it.
        extra = ("--rdb-key-save-delay", "0", *extra)
        argv = [self.options.make.server, str(path), *extra]
        if self.launch is not None and not self._first_start:
            socket = str(member.folder / "launch.sock")
            argv = [str(self.launch), "--socket", socket, "--", *argv]
        member.redis = self._spawn(member, argv, "redis.log")

    def _redis_conf(self, member: Member, master: Member | None) -> str:
        lines = [
            f"bind {member.host}",
            f"port {member.redis_port}",
            f"dir {member.folder}",
            'save ""',
            f"appendonly {'yes' if self.append_only else 'no'}",
            "repl-diskless-sync-delay 0",
            "protected-mode no",
        ]
        if master is not None:
            lines.append(f"replicaof {master.host} {master.redis_port}")
        return "\n".join(lines) + "\n"

    def empty_redis(self, member: Member, and_conf: bool) -> None:
        """Removes the data of a Redis that is down, as a new volume would; with its
        configuration, as a new Pod would."""
        for name in DATA:
            path = member.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if and_conf:
            (member.folder / "redis.conf").unlink(missing_ok=True)

    # --- Sentinel and agent -------------------------------------------------------------------

    def start_sentinel(self, member: Member, master: Member | None = None) -> None:
        path = member.folder / "sentinel.conf"
        if not path.exists():
            path.write_text(self._sentinel_conf(member, master or self.pods[0]), encoding="utf-8")
        argv = [self.options.make.sentinel, str(path)]
        member.sentinel = self._spawn(member, argv, "sentinel.log")

    def _sentinel_conf(self, member: Member, master: Member) -> str:
        conf = super()._sentinel_conf(member, master)
        kept = [line for line in conf.splitlines() if "announce-ip" not in line]
        return "\n".join([*kept, "protected-mode no"]) + "\n"

    def start_agent(self, member: Member, *extra: str) -> None:
        args = self.agent_args(member)
        if self.launch is not None:
            args.append(f"--launch-socket={member.folder / 'launch.sock'}")
        argv = [str(self.options.agent), "run", *args, *extra]
        member.agent = self._spawn(member, argv, "agent.log")

    def kill_agent(self, member: Member, whole: bool) -> None:
        """The worker, which its parent replaces; or the parent, too."""
        assert member.agent is not None
        workers = member.agent.children() if member.agent.alive else []
        if whole:
            member.agent.kill()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def signal_agent(self, member: Member, number: int) -> None:
        assert member.agent is not None
        for pid in (member.agent.pid, *member.agent.children()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    # --- looking ------------------------------------------------------------------------------

    def peers(self) -> dict[str, frozenset[tuple[str, str, str]]]:
        """What each Sentinel knows of the others: address, port and id. Empty where one cannot
        be asked."""
        found = {}
        for s in self.sentinels:
            reply = self.ask_sentinel(s, "SENTINELS", MASTER)
            if reply is None:
                return {}
            known = [flat(entry) for entry in reply]
            found[s.pod] = frozenset((k["ip"], k["port"], k["runid"]) for k in known)
        return found

    def unsettled(self) -> str | None:
        """The first thing that is not as it is at rest; None: all is."""
        master = self.agreed()
        if master is None:
            return "the Sentinels do not agree on a master that says so itself"
        labels = self.labels()
        wanted = {m.pod: "master" if m is master else "replica" for m in self.pods}
        if labels != wanted:
            return f"labels are {labels}, the master is {master.pod}"
        for member in self.pods:
            if member is master:
                continue
            role = self.ask(member, "ROLE")
            if not role or role[0] != "slave" or role[1] != master.host or role[3] != "connected":
                return f"{member.pod} does not replicate from {master.pod}: ROLE {role}"
        for s in self.sentinels:
            view = self.view(s)
            if view is None or view["num-other-sentinels"] != str(self.options.sentinels - 1):
                return (
                    f"the Sentinel of {s.pod} knows {view and view['num-other-sentinels']} others"
                )
            if view["flags"] != "master":
                return f"the Sentinel of {s.pod} flags the master {view['flags']}"
            replicas = [flat(r) for r in self.ask_sentinel(s, "REPLICAS", MASTER) or []]
            if sorted(r["flags"] for r in replicas) != ["slave"] * (self.options.pods - 1):
                return f"the Sentinel of {s.pod} flags replicas {[r['flags'] for r in replicas]}"
        try:
            with self.redis(master, 1) as redis:
                redis("SET", "chaos:probe", "1")
                # After a cut, TCP's next try may be seconds away.
                current = redis("WAIT", self.options.pods - 1, 500)
        except (OSError, ReplyError) as error:
            return f"{master.pod} does not take a write: {error}"
        return None if current == self.options.pods - 1 else f"{current} replicas are current"

    def missing(self, member: Member, keys: list[str]) -> set[str]:
        """Those of the keys that this Redis does not have."""
        found: set[str] = set()
        with self.redis(member, 10) as redis:
            for at in range(0, len(keys), 500):
                part = keys[at : at + 500]
                values = redis("MGET", *part)
                found.update(k for k, v in zip(part, values, strict=True) if v is None)
        return found

    def save_logs(self, to: Path) -> None:
        """Copies logs and configurations, without data."""
        shutil.copytree(
            self.folder,
            to,
            ignore=shutil.ignore_patterns(*DATA, "*.sock", "temp-*"),
            dirs_exist_ok=True,
        )

    def wait_answers(self, member: Member) -> None:
        wait_for(lambda: self._answers(member), 20, f"{member.pod} answers", 0.01)

    def _answers(self, member: Member) -> bool:
        try:
            with Resp(member.host, member.redis_port, timeout_s=1) as redis:
                return bool(redis("PING") == "PONG")
        except (OSError, ReplyError):
            return False


def has_option(agent: Path, name: str) -> bool:
    done = subprocess.run([agent, "--help"], capture_output=True, text=True, check=False)
    return f"--{name}" in done.stdout
