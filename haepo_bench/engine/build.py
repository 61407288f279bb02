"""Builds the kernels' libraries: one call of a C++ compiler each, nothing but the standard library needed.

hatch_build.py runs it when the package is installed; `python -m haepo_bench.engine.build` runs it in a checkout.
"""

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent


class Target(NamedTuple):
    """Processors that a library is built for.

    Args:
        library: the file's name.
        level: of their instructions, as compilers name it.
        needed: what Linux says of such a processor (/proc/cpuinfo, `flags`).
    """

    library: str
    level: str
    needed: tuple[str, ...]


#: The widest vectors first: a processor takes the first library that it can. All of them give the same bytes.
TARGETS = (
    Target("kernels-512.so", "x86-64-v4", ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")),
    # Intel since 2013, AMD since 2017.
    Target("kernels.so", "x86-64-v3", ("avx2", "fma")),
)
#: No fast-math: it breaks training. The compiler fuses nothing by itself, so that two of them give the same bytes.
FLAGS = (
    *("-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
    *("-fno-exceptions", "-fno-rtti", "-fPIC", "-shared", "-Wall", "-Wextra", "-Wno-psabi", "-Wl,--as-needed"),
)
#: For tests: stops at the first access outside of memory taken, and at the first undefined operation.
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1")
#: With this variable at 1 nothing is compiled, and what is compiled is not used.
PURE = "HAEPO_BENCH_PURE"


class NotBuilt(Exception):
    """Why no library was built."""


def sources() -> list[Path]:
    """The kernels' files."""
    return sorted([*FOLDER.glob("*.h"), *FOLDER.glob("*.cpp")])


def sources_hash() -> str:
    """Hash of the kernels' files; a library says which it was built from."""
    hashing = hashlib.sha256()
    for path in sources():
        content = path.read_bytes()
        hashing.update(f"{path.name} {len(content)}\n".encode() + content)
    return hashing.hexdigest()[:16]


def pure() -> bool:
    """Whether the environment asks for an installation without compiled code."""
    return os.environ.get(PURE, "").strip().lower() not in {"", "0", "false", "no"}


def build(path: Path, level: str, extra: tuple[str, ...] = ()) -> None:
    """Compiles one library.

    Args:
        path: of the library.
        level: of a target.
        extra: further flags.

    Raises:
        NotBuilt: not on this system, no compiler, or it failed.
    """
    if pure():
        raise NotBuilt(f"{PURE} is set")
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise NotBuilt(f"the kernels are for Linux on x86-64, and this is {sys.platform} on {platform.machine()}")
    compiler = shlex.split(os.environ.get("CXX", "")) or ["g++"]
    if shutil.which(compiler[0]) is None:
        raise NotBuilt(f"there is no C++ compiler ({compiler[0]} is not found; CXX names another)")
    named = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=False).stdout
    said = f"{level}; {named.splitlines()[0] if named else compiler[0]}".replace('"', "").replace("\\", "")
    defined = (f'-DSOURCES="{sources_hash()}"', f'-DBUILT="{said}"')
    # Built under another name: a process that has the old library open keeps it.
    new = path.with_name(f".{path.name}.{os.getpid()}")
    command = [*compiler, f"-march={level}", *FLAGS, *extra, *defined, str(FOLDER / "kernels.cpp"), "-o", str(new)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotBuilt(f"the C++ compiler failed:\n{shlex.join(command)}\n{done.stderr.strip()}")
        new.replace(path)
    except OSError as error:
        raise NotBuilt(f"the library cannot be built at {path}: {error.strerror}") from error
    finally:
        new.unlink(missing_ok=True)


def build_all(extra: tuple[str, ...] = ()) -> list[Path]:
    """Compiles the library of every target, beside the sources.

    Raises:
        NotBuilt: as `build`.
    """
    for target in TARGETS:
        build(FOLDER / target.library, target.level, extra)
    return [FOLDER / target.library for target in TARGETS]


def platform_tag(paths: list[Path]) -> str:
    """The wheel's platform: the oldest manylinux whose glibc has all that the libraries ask for."""
    asked = re.findall(rb"GLIBC_2\.([0-9]+)", b"".join(path.read_bytes() for path in paths))
    newest = max(17, *(int(minor) for minor in asked))
    return f"manylinux_2_{newest}_x86_64"


def main() -> None:
    """Builds the libraries in their place; with --sanitize some that watch their memory and arithmetic (noxfile.py)."""
    try:
        built = build_all(SANITIZERS if "--sanitize" in sys.argv[1:] else ())
    except NotBuilt as error:
        sys.exit(f"not built: {error}")
    for path in built:
        sys.stdout.write(f"built {path}\n")


if __name__ == "__main__":
    main()
