"""Starts etcd and kube-apiserver on loopback, with TLS and RBAC, and ends them again.

Needs the binaries: etcd of the system, kube-apiserver built by test/kube/build. About 4 s to
ready, 330 MiB. Needs neither root nor cgroups.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

from .kube_api import Unavailable
from .kube_client import KubeClient
from .procs import Process

ROOT = Path(__file__).resolve().parents[2]
START_ATTEMPTS = 3
READY_TIMEOUT_S = 60
# kube-apiserver waits for its open watches; nobody needs them any more.
STOP_TIMEOUT_S = 1


def find_etcd() -> str:
    # Directories of system programs are not on every user's PATH.
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/bin:/usr/bin:/usr/sbin"
    found = shutil.which("etcd", path=path)
    if found is None:
        raise Unavailable("etcd is not installed (Debian's etcd-server): scripts/setup")
    return found


def find_apiserver() -> str:
    build = ROOT / "test" / "kube" / "build"
    check = subprocess.run([build, "--check"], capture_output=True, text=True, check=False)
    if check.returncode != 0:
        raise Unavailable((check.stdout + check.stderr).strip())
    path = subprocess.run([build, "--path"], capture_output=True, text=True, check=True)
    return path.stdout.strip()


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago: neither server tells which one it took for 0."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def openssl(folder: Path, *argv: str) -> None:
    done = subprocess.run(["openssl", *argv], cwd=folder, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {argv[0]}: {done.stderr.decode(errors='replace')}")


def make_keys(folder: Path) -> None:
    """A CA, the server's certificate and the key that signs ServiceAccount tokens."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    request = ("req", "-x509", "-days", "2", *key)
    openssl(folder, *request, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test-ca")
    openssl(
        folder,
        *request,
        *("-keyout", "server.key", "-out", "server.crt", "-subj", "/CN=kube-apiserver"),
        *("-CA", "ca.crt", "-CAkey", "ca.key"),
        *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
        *("-addext", "extendedKeyUsage=serverAuth"),
    )
    openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sa.key")
    openssl(folder, "ec", "-in", "sa.key", "-pubout", "-out", "sa.pub")


def tail(process: Process, lines: int = 15) -> str:
    return "\n".join(process.log.read_text(errors="replace").splitlines()[-lines:])


class StartFailed(Exception):
    pass


class ControlPlane:
    """One etcd, one kube-apiserver. The caller owns `folder`, which keeps keys, data and logs."""

    def __init__(self, folder: Path, apiserver_args: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.apiserver_args = apiserver_args
        self.url = ""
        self.etcd_url = ""
        self.ca_file = str(folder / "ca.crt")
        self.admin_token = secrets.token_hex(16)
        self.processes: list[Process] = []

    def start(self) -> None:
        etcd, apiserver = find_etcd(), find_apiserver()
        make_keys(self.folder)
        tokens = self.folder / "tokens.csv"
        tokens.write_text(f'{self.admin_token},admin,admin,"system:masters"\n', encoding="ascii")
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                self._start(etcd, apiserver)
                return
            except StartFailed:
                # A port may have been taken since it was found free; all else fails again.
                self.stop()
                if attempt == START_ATTEMPTS:
                    raise

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.stop(STOP_TIMEOUT_S)
        self.processes.clear()

    def _start(self, etcd: str, apiserver: str) -> None:
        client_port, peer_port, secure_port = free_ports(3)
        self.etcd_url = f"http://127.0.0.1:{client_port}"
        self.url = f"https://127.0.0.1:{secure_port}"
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)
        self._run("etcd", self._etcd_argv(etcd, f"http://127.0.0.1:{peer_port}"))
        self._await_ready(self._etcd_ready)
        # kube-apiserver's caches begin at etcd's present revision: the ones before are then too
        # old for a watch (410) from the first moment.
        for _ in range(5):
            self._etcd_put("history", "begins")
        self._run_apiserver(apiserver, secure_port)

    def _run_apiserver(self, apiserver: str, port: int) -> None:
        self._run("kube-apiserver", self._apiserver_argv(apiserver, port))
        admin = KubeClient(self.url, self.ca_file, self.admin_token)
        try:
            self._await_ready(lambda: admin.get("/readyz").status == 200)
        finally:
            admin.close()

    def restart_apiserver(self) -> None:
        """Ends kube-apiserver and starts it at the same port; etcd and its data stay."""
        self.processes.pop().stop(STOP_TIMEOUT_S)
        self._run_apiserver(find_apiserver(), int(self.url.rpartition(":")[2]))

    def _run(self, name: str, argv: list[str]) -> None:
        # etcd takes options from variables, too.
        env = {k: v for k, v in os.environ.items() if not k.startswith("ETCD_")}
        self.processes.append(Process(argv, self.folder / f"{name}.log", env, self.folder))

    def _etcd_ready(self) -> bool:
        with urlopen(f"{self.etcd_url}/health", timeout=5) as answer:
            return answer.status == 200

    def _etcd_put(self, key: str, value: str) -> None:
        body = {k: b64encode(v.encode()).decode() for k, v in (("key", key), ("value", value))}
        request = Request(f"{self.etcd_url}/v3/kv/put", json.dumps(body).encode())
        with urlopen(request, timeout=5) as answer:
            answer.read()

    def _await_ready(self, ready: Callable[[], bool]) -> None:
        process = self.processes[-1]
        end = time.monotonic() + READY_TIMEOUT_S
        while True:
            try:
                if ready():
                    return
            except (OSError, HTTPException):
                pass  # not listening yet, or not yet with TLS
            if not process.alive:
                raise StartFailed(f"{process.argv[0]} ended at its start:\n{tail(process)}")
            if time.monotonic() > end:
                raise StartFailed(f"{process.argv[0]} is not ready in time:\n{tail(process)}")
            time.sleep(0.05)

    def _etcd_argv(self, etcd: str, peer_url: str) -> list[str]:
        return [
            etcd,
            "--name=etcd",
            "--data-dir=etcd",
            f"--listen-client-urls={self.etcd_url}",
            f"--advertise-client-urls={self.etcd_url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--initial-cluster=etcd={peer_url}",
        ]

    def _apiserver_argv(self, apiserver: str, port: int) -> list[str]:
        return [
            apiserver,
            f"--etcd-servers={self.etcd_url}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            # Loopback is refused as the endpoint of the service "kubernetes"; nobody uses it.
            "--advertise-address=192.0.2.1",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=192.0.2.0/24",
            "--tls-cert-file=server.crt",
            "--tls-private-key-file=server.key",
            "--token-auth-file=tokens.csv",
            "--service-account-key-file=sa.pub",
            "--service-account-signing-key-file=sa.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=RBAC",
            "--profiling=false",
            *self.apiserver_args,
        ]
