"""The command line as a user meets it: help, errors, exit codes, and the README's table."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USAGE, UNAVAILABLE, CONFIG = 2, 69, 78


def run(
    agent: Path, *args: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("RPA_", "POD_", "KUBERNETES"))
    }
    return subprocess.run(
        [agent, *args],
        capture_output=True,
        text=True,
        timeout=10,
        env=clean | (env or {}),
        check=False,
    )


def test_help_names_every_command_option_and_exit_code(agent: Path) -> None:
    out = run(agent, "--help")
    assert out.returncode == 0
    for word in (
        "run",
        "drain",
        "status",
        "check-config",
        "print-config",
        "version",
        "--sentinel-addrs",
        "RPA_MODE",
        "69",
        "78",
    ):
        assert word in out.stdout
    assert run(agent, "help").stdout == out.stdout
    assert run(agent, "run", "--help").stdout == out.stdout


def test_version_names_revision_and_libraries(agent: Path) -> None:
    out = run(agent, "--version")
    assert out.returncode == 0
    assert re.match(r"redis-pod-agent \d+\.\d+\.\d+ \([0-9a-f]{7,}", out.stdout)
    for library in ("libuv", "hiredis", "libcurl", "libmicrohttpd"):
        assert library in out.stdout
    assert run(agent, "version").stdout == out.stdout


@pytest.mark.parametrize(
    ("args", "env", "code", "texts"),
    [
        (("nonsense",), {}, USAGE, ["'nonsense': no such command"]),
        (("run", "--nonsense", "1"), {}, USAGE, ["--nonsense: no such option"]),
        (("run", "--redis-adr", "x"), {}, USAGE, ["did you mean --redis-addr?"]),
        (("check-config", "--mode"), {}, USAGE, ["--mode: needs a value"]),
        (("check-config", "--mode", "x"), {}, CONFIG, ["'x'", "command line", "auto, standalone"]),
        (("check-config",), {"RPA_EAGER": "maybe"}, CONFIG, ["--eager", "RPA_EAGER", "on, off"]),
        (("check-config",), {"RPA_EAGR": "on"}, CONFIG, ["did you mean RPA_EAGER?"]),
        (("run", "--kube-url", "none", "--mode", "cluster"), {}, CONFIG, ["not supported yet"]),
        (("run", "--kube-url", "none", "--http-addr", "192.0.2.1:1"), {}, CONFIG, ["--http-addr"]),
        (
            ("run", "--mode", "x", "--eager", "y", "--log-level", "z"),
            {},
            CONFIG,
            ["--mode", "--eager", "--log-level", "--kube-url"],
        ),
    ],
)
def test_errors_name_the_cause_and_the_way_out(
    agent: Path, args: tuple[str, ...], env: dict[str, str], code: int, texts: list[str]
) -> None:
    out = run(agent, *args, env=env)
    assert out.returncode == code, out.stderr
    for text in texts:
        assert text in out.stderr


@pytest.mark.parametrize("words", [("drain",), ("status",), ("status", "--json")])
@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::]:1", ":1", "0.0.0.0:1"])
def test_no_agent_to_ask(agent: Path, words: tuple[str, ...], address: str) -> None:
    out = run(agent, *words, "--http-addr", address)
    assert (out.returncode, out.stdout) == (UNAVAILABLE, "")
    assert "the agent does not answer: http://127.0.0.1:1/" in out.stderr


def test_check_and_print_config(agent: Path, tmp_path: Path) -> None:
    env = {"RPA_SENTINEL_ADDRS": "a:1,b:2,c:3", "POD_IP": "10.0.0.1", "RPA_KUBE_URL": "none"}
    out = run(agent, "check-config", env=env)
    assert (out.returncode, "mode sentinel, 3 Sentinels" in out.stdout) == (0, True)
    secret = tmp_path / "password"
    secret.write_text("hunter2")
    out = run(agent, "print-config", "--redis-password-file", str(secret), env=env)
    assert out.returncode == 0
    assert re.search(r"^sentinel-addrs +a:1,b:2,c:3 +# environment$", out.stdout, re.M)
    assert re.search(r"^mode +auto +# default$", out.stdout, re.M)
    assert "hunter2" not in out.stdout + out.stderr


def test_readme_table_is_the_option_table(agent: Path) -> None:
    table = run(agent, "print-config", "--markdown").stdout.strip()
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"<!-- OPTIONS -->\n(.*?)\n<!-- /OPTIONS -->", readme, re.S)
    assert found, "README.md has no table between the OPTIONS marks"
    assert found[1].strip() == table, (
        "paste `redis-pod-agent print-config --markdown` into README.md"
    )
