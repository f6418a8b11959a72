#!/usr/bin/env python3
"""The lints can fail: each rule is broken once in a scratch copy and must be reported.

The layer rule is also seen to fail the build, with the CMakeLists.txt of this tree.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINT = ROOT / "test" / "lint"


LAYERS = (sys.executable, LINT / "layers.py")
TEXT = (sys.executable, LINT / "text.py")


def run(*args: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(a) for a in args], capture_output=True, text=True, check=False, env=env
    )


class Scratch(unittest.TestCase):
    """A tree with one clean source in each layer."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="lint-selftest-")
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name)
        for folder in ("lib/base", "lib/codec", "lib/io", "agent/core", "agent/shell", "agent/cmd"):
            name = Path(folder).name
            self.write(f"{folder}/{name}.h", f"int {name}_one(void);\n")
            body = f'#include "{folder}/{name}.h"\n\nint {name}_one(void)\n{{\n    return 1;\n}}\n'
            self.write(f"{folder}/{name}.c", body)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def append(self, name: str, text: str) -> None:
        path = self.root / name
        path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")

    def archive(self, layer: str, source: str) -> Path:
        target = self.root / f"librpa_{layer}.a"
        obj = self.root / f"{layer}.o"
        done = run("cc", "-c", "-O0", "-I", self.root, "-o", obj, self.root / source)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(run("ar", "rcs", target, obj).returncode, 0)
        return target


class Includes(Scratch):
    def layers(self) -> subprocess.CompletedProcess[str]:
        return run(*LAYERS, "--root", self.root)

    def test_clean(self) -> None:
        done = self.layers()
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_violations(self) -> None:
        cases = {
            "lib/base/base.c": '#include "lib/codec/codec.h"',
            "lib/codec/codec.c": '#include "lib/io/io.h"',
            "lib/io/io.c": '#include "agent/core/core.h"',
            "agent/core/core.c": '#include "lib/io/io.h"',
            "agent/core/core.h": "#include <time.h>",
            "agent/shell/shell.c": '#include "agent/cmd/cmd.h"',
            "agent/cmd/cmd.c": "#include <hiredis/hiredis.h>",
            "lib/codec/codec.h": "#include <uv.h>",
        }
        for name, line in cases.items():
            with self.subTest(name=name, line=line):
                clean = (self.root / name).read_text(encoding="utf-8")
                self.append(name, line + "\n")
                done = self.layers()
                self.write(name, clean)
                self.assertEqual(done.returncode, 1)
                self.assertIn(name, done.stderr)

    def test_json_library_in_two_files(self) -> None:
        self.write("lib/codec/one.c", "#include <cjson/cJSON.h>\n")
        self.assertEqual(self.layers().returncode, 0)
        self.write("lib/codec/two.c", "#include <cjson/cJSON.h>\n")
        done = self.layers()
        self.assertEqual(done.returncode, 1)
        self.assertIn("one.c", done.stderr)
        self.assertIn("two.c", done.stderr)


class Symbols(Scratch):
    # (layer, source, a call that must be refused): none of them needs a bad include.
    CASES = (
        ("base", "lib/base/base.c", "void cJSON_Delete(void *)", "cJSON_Delete(0)"),
        ("base", "lib/base/base.c", "int codec_one(void)", "codec_one()"),
        ("codec", "lib/codec/codec.c", "int uv_now(void)", "uv_now()"),
        ("codec", "lib/codec/codec.c", "int log_write(void)", "log_write()"),
        ("io", "lib/io/io.c", "int core_one(void)", "core_one()"),
        ("core", "agent/core/core.c", "long time(long *)", "time(0)"),
        ("core", "agent/core/core.c", "int clock_gettime(int, void *)", "clock_gettime(0, 0)"),
        ("core", "agent/core/core.c", "void free(void *)", "free((void *)1)"),
        ("core", "agent/core/core.c", "int printf(const char *, ...)", 'printf("%d", 1)'),
        ("core", "agent/core/core.c", "void *xmalloc(unsigned long)", "xmalloc(1)"),
        ("core", "agent/core/core.c", "int redisAsyncFree(void)", "redisAsyncFree()"),
        ("core", "agent/core/core.c", "int io_one(void)", "io_one()"),
        ("shell", "agent/shell/shell.c", "int curl_easy_init(void)", "curl_easy_init()"),
    )

    def test_violations(self) -> None:
        sources = {layer: source for layer, source, _, _ in self.CASES}
        clean = [self.archive(layer, source) for layer, source in sources.items()]
        done = run(*LAYERS, "--root", self.root, "--strict", *clean)
        self.assertEqual(done.returncode, 0, done.stderr)
        for layer, source, prototype, call in self.CASES:
            with self.subTest(layer=layer, call=call):
                text = (self.root / source).read_text(encoding="utf-8")
                self.append(
                    source, f"{prototype};\nvoid bad(void);\nvoid bad(void)\n{{\n    {call};\n}}\n"
                )
                self.archive(layer, source)
                done = run(*LAYERS, "--root", self.root, *clean)
                self.write(source, text)
                self.archive(layer, source)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn(f"rpa_{layer} ", done.stderr)


class Build(Scratch):
    """The build itself stops; the scratch tree is built by this tree's CMakeLists.txt."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("CMakeLists.txt", "agent/version.cmake", "agent/version.h.in"):
            shutil.copy(ROOT / name, self.root / name)
        (self.root / "test" / "lint").mkdir(parents=True)
        shutil.copy(LINT / "layers.py", self.root / "test" / "lint")
        self.write("test/CMakeLists.txt", "")
        self.write("agent/launch/CMakeLists.txt", "")
        own = [str(p) for p in (ROOT / "build" / "deps").glob("*/lib/pkgconfig")]
        path = ":".join([*own, os.environ.get("PKG_CONFIG_PATH", "")])
        self.env = {**os.environ, "PKG_CONFIG_PATH": path}
        done = run(
            *("cmake", "-G", "Ninja", "-S", self.root, "-B", self.root / "build"),
            "-DRPA_VARIANT=debug",
            env=self.env,
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    def build(self) -> subprocess.CompletedProcess[str]:
        return run("ninja", "-C", self.root / "build", env=self.env)

    def test_include_and_symbol_fail_the_build(self) -> None:
        done = self.build()
        self.assertEqual(done.returncode, 0, done.stdout)
        clean = (self.root / "agent/core/core.c").read_text(encoding="utf-8")

        self.append("agent/core/core.c", '#include "lib/io/io.h"\n')
        done = self.build()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("may not include lib/io/io.h", done.stdout)

        bad = "int core_two(void);\nint core_two(void)\n{\n    return io_one();\n}\n"
        self.write("agent/core/core.c", clean + "int io_one(void);\n" + bad)
        done = self.build()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("imports io_one, which belongs to io", done.stdout)

        self.write("agent/core/core.c", clean)
        self.assertEqual(self.build().returncode, 0)


class Text(Scratch):
    def text(self, check: str) -> subprocess.CompletedProcess[str]:
        return run(*TEXT, "--root", self.root, check)

    def test_banned(self) -> None:
        self.assertEqual(self.text("banned").returncode, 0)
        calls = ("void f(char *d) { strcpy(d, d); }", "int f = getaddrinfo();")
        for line in (*calls, "typedef struct x y;"):
            with self.subTest(line=line):
                self.write("lib/base/bad.c", line + "\n")
                self.assertEqual(self.text("banned").returncode, 1)
        self.write("test/test_bad.py", "time.sleep" + "(1)\n")
        self.assertEqual(self.text("banned").returncode, 1)
        self.write("test/test_bad.py", "wait_until(ready)\n")
        self.write("lib/base/bad.c", '/* strcpy(a, b) */\nconst char *s = "atoi(";\n')
        self.assertEqual(self.text("banned").returncode, 0)

    def test_names(self) -> None:
        self.assertEqual(self.text("names").returncode, 0)
        # Joined here, so that this file keeps the rule that it tests.
        for words in (("see /ro", "ot/x"), ("http://deb.deb", "ian.org/"), ("py", "pi.org")):
            with self.subTest(words=words):
                self.write("scripts/bad", "".join(words) + "\n")
                self.assertEqual(self.text("names").returncode, 1)

    def test_sizes(self) -> None:
        self.assertEqual(self.text("sizes").returncode, 0)
        for body in ("x" * 101 + "\n", "int x;\n" * 601, "int x; \n"):
            with self.subTest(body=body[:20]):
                self.write("lib/base/bad.c", body)
                self.assertEqual(self.text("sizes").returncode, 1)

    def test_top(self) -> None:
        # Files first: missing entries and extra ones are separate findings.
        self.write("notes.txt", "x\n")
        done = self.text("top")
        self.assertEqual(done.returncode, 1)
        self.assertIn("notes.txt", done.stderr)
        self.assertIn("README.md", done.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=1))
