"""`haepo-bench doctor`."""

import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

import haepo_bench
from haepo_bench.cli.layout import columns
from haepo_bench.errors import ExitCode

_REQUIREMENT = re.compile(r"""^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?.*?(?:extra\s*==\s*['"]([^'"]+)['"])?$""")


class Finding(NamedTuple):
    """One line of the report; what is not `ok` keeps `run` from working."""

    ok: bool
    subject: str
    text: str


def doctor(
    results: Annotated[Path, typer.Option("--results", help="Results folder to check.")] = Path("results"),
) -> None:
    """Check that this machine can run suites, and say what it has."""
    from haepo_bench.suite.machine import usable_cores

    findings = [
        Finding(True, "haepo-bench", haepo_bench.__version__),
        Finding(True, "python", f"{platform.python_version()} on {platform.platform()}"),
        *_packages(),
        *_torch(),
        Finding(True, "cores", f"{usable_cores()} usable of {os.cpu_count()}"),
        Finding(True, "memory", _memory()),
        _git(),
        _writable(results),
    ]
    typer.echo(columns(("ok" if f.ok else "PROBLEM", f.subject, f.text) for f in findings))
    problems = sum(not finding.ok for finding in findings)
    if problems:
        typer.echo(f"\n{problems} to mend before suites can run", err=True)
        raise typer.Exit(ExitCode.USAGE)


def _packages() -> Iterator[Finding]:
    """Required packages one a line; an extra's in one line."""
    import importlib.metadata as metadata

    try:
        requirements = metadata.requires("haepo-bench") or ()
    except metadata.PackageNotFoundError:
        yield Finding(False, "packages", "haepo-bench is not installed, only lies here: pip install -e .")
        return
    extras: dict[str, list[str]] = {}
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement)
        assert match is not None
        name, extra = match.groups()
        if extra is None:
            found = _version(name)
            yield Finding(found is not None, name, found or f"missing: pip install {name}")
        elif name != "haepo-bench":
            extras.setdefault(extra, []).append(name)
    for extra, names in extras.items():
        missing = [name for name in names if _version(name) is None]
        text = f"not installed: {', '.join(missing)} (pip install 'haepo-bench[{extra}]')" if missing else "installed"
        yield Finding(True, f"extra {extra}", text)


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library of it that does not load
        yield Finding(False, "torch", f"cannot be imported: {error}")
        return
    yield Finding(True, "torch threads", f"{torch.get_num_threads()} (workers use one each)")
    if torch.cuda.is_available():
        yield Finding(True, "cuda", f"{torch.version.cuda}, {torch.cuda.get_device_name()}")
    else:
        yield Finding(True, "cuda", "none; the device is the CPU")


def _memory() -> str:
    gibibyte = 2**30
    page = os.sysconf("SC_PAGE_SIZE")
    total, free = (os.sysconf(name) * page / gibibyte for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    return f"{total:.1f} GiB, {free:.1f} GiB of it unused"


def _git() -> Finding:
    git = shutil.which("git")
    if git is None:
        return Finding(True, "git", "not found: runs will not say from which commit they come")
    answer = subprocess.run([git, "--version"], capture_output=True, text=True, timeout=30, check=False)
    return Finding(True, "git", answer.stdout.strip().removeprefix("git version "))


def _writable(results: Path) -> Finding:
    # The folder need not exist yet: what counts is the nearest one that does.
    folder = next(path for path in (results, *results.absolute().parents) if os.path.exists(path))  # noqa: PTH110  # Path.exists raises
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding(
            False, "results", f"{folder} cannot be written ({error.strerror}): choose another with --results"
        )
    free = shutil.disk_usage(folder).free / 2**30
    return Finding(True, "results", f"{results.absolute()} can be written, {free:.1f} GiB free")


def _version(distribution: str) -> str | None:
    import importlib.metadata as metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
