"""Network namespaces of a chaos run: a hub with a bridge, and one namespace for each member.

The whole run lives in a network and a mount namespace of its own (enter()), and the names of the
members' namespaces in a tmpfs that only it sees. So nothing has to be unique on the machine, and
everything is gone when the last process of the run is, however it ended.

A one-way cut is a permanent neighbour entry with a MAC that nobody has: what the sender sends is
lost without a word, and nothing but iproute2 is needed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

INSIDE = "REDIS_POD_AGENT_CHAOS_INSIDE"
NETNS_DIR = "/run/netns"
BRIDGE = "br0"
CLIENTS, API = "10.0.0.1", "10.0.0.2"  # both of the bridge
NOBODY = "02:00:00:00:ff:ff"
COMMANDS = ("ip", "unshare", "mount", "redis-server", "redis-sentinel")


def unavailable() -> str | None:
    """Why this machine cannot run it, in one line; None: it can."""
    if os.geteuid() != 0:
        return "network namespaces take root"
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    probe = ["unshare", "--net", "--mount", "ip", "link", "add", "name", "p0", "type", "veth"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"no namespace with a veth can be made: {done.stderr.strip()}"
    return None


def is_inside() -> bool:
    return os.environ.get(INSIDE) == "1"


def enter(argv: Sequence[str]) -> None:
    """Replaces this process by one in namespaces of its own, which runs this Python with argv."""
    script = f'mkdir -p {NETNS_DIR} && mount -t tmpfs none {NETNS_DIR} && exec "$@"'
    os.environ[INSIDE] = "1"
    command = ["unshare", "--net", "--mount", "sh", "-c", script, "sh", sys.executable, *argv]
    os.execvp(command[0], command)


def ip(*args: str) -> str:
    done = subprocess.run(["ip", *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


class Net:
    """Member i has the namespace mI and the address 10.0.0.(11 + i) on its eth0."""

    def __init__(self, members: int) -> None:
        self.members = members
        self._cuts: set[tuple[int, str]] = set()
        self._unplugged: set[int] = set()
        ip("link", "set", "lo", "up")
        ip("link", "add", BRIDGE, "type", "bridge")
        for address in (CLIENTS, API):
            ip("addr", "add", f"{address}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for i in range(members):
            self._add(i)

    def _add(self, i: int) -> None:
        ip("netns", "add", f"m{i}")
        peer = ("peer", "name", "eth0", "address", f"02:00:00:00:00:{11 + i}", "netns", f"m{i}")
        ip("link", "add", f"v{i}", "type", "veth", *peer)
        ip("link", "set", f"v{i}", "master", BRIDGE, "up")
        ip("-n", f"m{i}", "addr", "add", f"{self.address(i)}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", f"m{i}", "link", "set", device, "up")

    @staticmethod
    def address(i: int) -> str:
        return f"10.0.0.{11 + i}"

    @staticmethod
    def inside(i: int, argv: Sequence[str]) -> list[str]:
        """The command that runs argv in the namespace of member i; the pid is argv's own."""
        return ["ip", "netns", "exec", f"m{i}", *argv]

    def cut(self, i: int, to: str) -> None:
        """What member i sends to this address is lost."""
        entry = (to, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent")
        ip("-n", f"m{i}", "neigh", "replace", *entry)
        self._cuts.add((i, to))

    def cut_both(self, i: int, j: int) -> None:
        self.cut(i, self.address(j))
        self.cut(j, self.address(i))

    def unplug(self, i: int) -> None:
        """The link of member i is down: from its clients, too."""
        ip("link", "set", f"v{i}", "down")
        self._unplugged.add(i)

    def heal(self) -> None:
        for i, to in self._cuts:
            ip("-n", f"m{i}", "neigh", "del", to, "dev", "eth0")
        self._cuts.clear()
        for i in self._unplugged:
            ip("link", "set", f"v{i}", "up")
        self._unplugged.clear()

    def describe(self) -> str:
        links = json.loads(ip("-j", "link", "show", "master", BRIDGE))
        return ", ".join(f"{link['ifname']} {link['operstate']}" for link in links)
