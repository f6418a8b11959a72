#!/usr/bin/env python3
"""The layers of the program: arrows point down only, in includes and in linked symbols.

usage: layers.py [--root DIR] [--strict] [ARCHIVE...]

Reads every source under agent/ and lib/ and, for each static archive given (librpa_NAME.a), the
symbols it imports. Every import must be defined by an archive of a layer that may be used, by the
C library, or by a library that the layer may use. Prints each violation; exit status 1 if any.
Without --strict a symbol that nobody here defines is left to the linker, so that a function may be
called before it is written.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Libraries by the first path component of their headers and by the prefix of their symbols.
FOREIGN_HEADERS = {
    "uv": re.compile(r"^(uv\.h|uv/)"),
    "hiredis": re.compile(r"^(hiredis/|hiredis(_ssl)?\.h|async\.h|adapters/)"),
    "curl": re.compile(r"^curl/"),
    "cJSON": re.compile(r"^(cjson/|cJSON)"),
    "microhttpd": re.compile(r"^microhttpd"),
    "openssl": re.compile(r"^openssl/"),
}
FOREIGN_SYMBOLS = {
    "uv": re.compile(r"^uv_"),
    "hiredis": re.compile(r"^(redis[A-Z]|freeReplyObject|sds|hi_|hiredis)"),
    "curl": re.compile(r"^curl_"),
    "cJSON": re.compile(r"^cJSON_"),
    "microhttpd": re.compile(r"^MHD_"),
    "openssl": re.compile(
        r"^(SSL|TLS|EVP|HMAC|SHA|RAND|ERR|BIO|X509|PEM|OPENSSL|CRYPTO|OpenSSL|d2i|i2d|ASN1|BN)_"
    ),
}
IO_LIBRARIES = frozenset({"uv", "hiredis", "curl", "microhttpd", "openssl"})

# What the core may take from the C library: pure functions of memory and text. No clock, no
# allocation, no file, no output. qsort is absent because glibc's allocates.
CORE_LIBC = frozenset(
    "memcpy memmove memset memcmp memchr memrchr memmem strlen strnlen strcmp strncmp strcasecmp "
    "strncasecmp strchr strrchr strstr strspn strcspn snprintf vsnprintf bsearch explicit_bzero "
    "abort __stack_chk_fail _GLOBAL_OFFSET_TABLE_".split()
)
CORE_HEADERS = frozenset(
    "stdbool.h stddef.h stdint.h stdarg.h stdio.h string.h strings.h inttypes.h limits.h".split()
)
# lib/base offers these too, to layers other than the core.
ALLOCATING = re.compile(r"^(x(malloc|calloc|realloc|strdup|strndup)|mem_auto_free|buf_|jsonw_)")
LOGGING = re.compile(r"^log_(write|set_|enabled)")


@dataclass(frozen=True)
class Layer:
    folder: str
    uses: tuple[str, ...]  # layers it may include and link, itself left out
    libraries: frozenset[str] = frozenset()
    one_file_only: frozenset[str] = frozenset()  # libraries that a single source may use
    banned_symbols: tuple[re.Pattern[str], ...] = ()
    pure: bool = False


LAYERS = {
    "base": Layer("lib/base", ()),
    "codec": Layer(
        "lib/codec",
        ("base",),
        frozenset({"cJSON"}),
        one_file_only=frozenset({"cJSON"}),
        banned_symbols=(LOGGING,),
    ),
    "io": Layer("lib/io", ("base", "codec"), IO_LIBRARIES, banned_symbols=(LOGGING,)),
    "core": Layer(
        "agent/core", ("base", "codec"), banned_symbols=(LOGGING, ALLOCATING), pure=True
    ),
    # The shell and the commands own the loop, so they see libuv; protocols stay behind lib/io.
    "shell": Layer("agent/shell", ("base", "codec", "io", "core"), frozenset({"uv"})),
    "cmd": Layer("agent/cmd", ("base", "codec", "io", "core", "shell"), frozenset({"uv"})),
}

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
# Written by the build; for the two layers that may say which program this is.
GENERATED = {"version.h": ("shell", "cmd")}


def check_include(layer: str, name: str, quoted: bool, libraries: set[str]) -> str | None:
    rules = LAYERS[layer]
    if quoted:
        if name in GENERATED:
            ok = layer in GENERATED[name]
            return None if ok else f"may not include {name}"
        if "/" not in name:
            return f'"{name}" is not written from the root of the tree'
        folder = str(Path(name).parent)
        allowed = [LAYERS[used].folder for used in (layer, *rules.uses)]
        if not any(folder == a or folder.startswith(a + "/") for a in allowed):
            return f"may not include {name}; allowed: {', '.join(allowed)}"
        return None
    for library, pattern in FOREIGN_HEADERS.items():
        if pattern.match(name):
            libraries.add(library)
            return None if library in rules.libraries else f"may not include <{name}> ({library})"
    if rules.pure and name not in CORE_HEADERS:
        return f"may not include <{name}>: the core is pure"
    return None


def check_includes(root: Path) -> list[str]:
    problems = []
    for layer, rules in LAYERS.items():
        users: dict[str, set[str]] = {}
        for path in sorted((root / rules.folder).rglob("*.[ch]")):
            libraries: set[str] = set()
            where = path.relative_to(root)
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                match = INCLUDE.match(line)
                if match is None:
                    continue
                quoted = match[1] is not None
                problem = check_include(layer, match[1] or match[2], quoted, libraries)
                if problem is not None:
                    problems.append(f"{where}:{number}: {rules.folder} {problem}")
            for library in libraries & rules.one_file_only:
                users.setdefault(library, set()).add(str(where))
        for library, files in users.items():
            if len(files) > 1:
                problems.append(
                    f"{rules.folder}: {library} belongs behind one file, but these include it: "
                    + ", ".join(sorted(files))
                )
    return problems


def nm(path: Path, *options: str) -> list[tuple[str, str, str]]:
    """(member, type, name) of each symbol."""
    output = subprocess.run(
        ["nm", "-A", "-P", "-g", *options, str(path)], check=True, capture_output=True, text=True
    ).stdout
    rows = []
    for line in output.splitlines():
        where, _, rest = line.partition(": ")
        fields = rest.split()
        member = re.search(r"\[(.*)\]$", where)
        rows.append((member[1] if member else where, fields[1], fields[0].split("@")[0]))
    return rows


def libc_symbols() -> set[str]:
    names: set[str] = set()
    # libgcc holds what the compiler calls by itself, such as 128-bit arithmetic.
    loaders = ("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1")
    for library in ("libc.so.6", "libm.so.6", "libgcc_s.so.1", *loaders):
        found = subprocess.run(
            ["cc", f"-print-file-name={library}"], check=True, capture_output=True, text=True
        ).stdout.strip()
        if Path(found).is_absolute():
            names |= {name for _, kind, name in nm(Path(found), "-D") if kind != "U"}
    return names | {"_GLOBAL_OFFSET_TABLE_"}


def plain_name(symbol: str) -> str:
    """The function that was called, where a header redirects it (__snprintf_chk, __isoc99_…)."""
    symbol = re.sub(r"^__isoc\d\d_", "", symbol)
    return re.sub(r"^__(\w+)_chk$", r"\1", symbol)


def check_symbol(
    layer: str, symbol: str, defined: dict[str, set[str]], libc: set[str], strict: bool
) -> str:
    """The reason why LAYER may not import SYMBOL, or the empty string."""
    rules = LAYERS[layer]
    if any(pattern.match(symbol) for pattern in rules.banned_symbols):
        return "is not for this layer"
    for owner, names in defined.items():
        if symbol in names:
            return "" if owner == layer or owner in rules.uses else f"belongs to {owner}"
    for library, pattern in FOREIGN_SYMBOLS.items():
        if pattern.match(symbol):
            return "" if library in rules.libraries else f"belongs to {library}"
    if symbol in libc:
        return "" if not rules.pure or plain_name(symbol) in CORE_LIBC else "is not pure"
    return "is of no layer or library that is known here" if strict else ""


def check_archives(archives: list[Path], strict: bool) -> list[str]:
    problems = []
    symbols = {}
    for path in archives:
        layer = path.stem.removeprefix("librpa_")
        if layer not in LAYERS:
            problems.append(f"{path.name}: is not the archive of a layer")
            continue
        symbols[layer] = nm(path)
    defined = {
        layer: {name for _, kind, name in rows if kind != "U"} for layer, rows in symbols.items()
    }
    libc = libc_symbols()
    for layer, rows in symbols.items():
        users: dict[str, set[str]] = {}
        for member, kind, symbol in rows:
            if kind != "U":
                continue
            reason = check_symbol(layer, symbol, defined, libc, strict)
            if reason:
                problems.append(f"rpa_{layer} ({member}): imports {symbol}, which {reason}")
            for library in LAYERS[layer].one_file_only:
                if FOREIGN_SYMBOLS[library].match(symbol):
                    users.setdefault(library, set()).add(member)
        for library, members in users.items():
            if len(members) > 1:
                problems.append(
                    f"rpa_{layer}: {library} belongs behind one file, but these import it: "
                    + ", ".join(sorted(members))
                )
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("archives", type=Path, nargs="*")
    args = parser.parse_args()
    problems = check_includes(args.root) + check_archives(args.archives, args.strict)
    for problem in problems:
        print(f"layers: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
