"""`haepo-bench doctor`."""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

import haepo_bench
from haepo_bench.cli import installation, probes
from haepo_bench.cli.layout import columns
from haepo_bench.errors import ExitCode
from haepo_bench.terminal import echo


class Finding(NamedTuple):
    """One line of the report; what is not `ok` keeps `run` from working."""

    ok: bool
    subject: str
    text: str


def doctor(
    results: Annotated[Path, typer.Option("--results", help="Results folder to check.")] = Path("results"),
) -> None:
    """Check that this machine can run suites: try what a run does with each package, and say what there is."""
    from haepo_bench.suite.machine import usable_cores

    findings = [
        Finding(True, "haepo-bench", haepo_bench.__version__),
        Finding(True, "python", f"{platform.python_version()} on {platform.platform()}"),
        *_packages(),
        _engine(),
        Finding(True, "cores", f"{usable_cores()} usable of {os.cpu_count()}"),
        Finding(True, "memory", _memory()),
        _git(),
        _writable(results),
    ]
    echo(columns(("ok" if f.ok else "PROBLEM", f.subject, f.text) for f in findings))
    problems = sum(not finding.ok for finding in findings)
    if problems:
        echo(f"\n{problems} to fix before suites can run", err=True)
        raise typer.Exit(ExitCode.USAGE)


def _engine() -> Finding:
    """Which engine `auto` means here, and why; that torch is it keeps nothing from working."""
    from haepo_bench.engine.library import status

    found = status()
    if found.library is not None:
        return Finding(True, "engine", f"compiled, kernels for {found.library.built}")
    return Finding(True, "engine", f"torch: {found.reason}" + (f" ({found.remedy})" if found.remedy else ""))


def _packages() -> Iterator[Finding]:
    """Required packages, one per line, an extra's in one line, then what else there is to try."""
    from haepo_bench.cli.installation import Group

    groups = installation.groups()
    if groups is None:
        yield Finding(False, "packages", "haepo-bench is not installed, only its files are here: pip install -e .")
        return
    possible = [probe for probe in probes.PROBES if all(installation.version(name) for name in probe.packages)]
    tried = probes.make(possible)
    named = {group.subject for group in groups}
    groups += [Group(probe.subject, dict.fromkeys(probe.packages)) for probe in possible if probe.subject not in named]
    for group in groups:
        yield _group(group, [(probe, outcome) for probe, outcome in tried if probe.subject == group.subject])


def _group(group: installation.Group, tried: Sequence[tuple[probes.Probe, probes.ProbeOutcome]]) -> Finding:
    missing = [name for name in group.wanted if installation.version(name) is None]
    if missing and group.required:
        return Finding(False, group.subject, f"missing: {group.remedy}")
    absent = [f"not installed: {', '.join(missing)} ({group.remedy})"] if missing else []
    failed = [
        f"cannot {probe.does}: {outcome.problem}; {', '.join(_known(name, group) for name in probe.packages)}"
        for probe, outcome in tried
        if outcome.problem
    ]
    if failed:
        return Finding(False, group.subject, "; ".join([*failed, *absent]))
    if said := [outcome.said for _, outcome in tried if outcome.said]:
        return Finding(True, group.subject, "; ".join(said))
    if group.required:
        there = [_version(group.subject, group)]
    elif tried:
        there = [", ".join(f"{name} {_version(name, group)}" for name in group.wanted if name not in missing)]
    else:
        there = [] if missing else ["installed"]
    return Finding(True, group.subject, "; ".join([*absent, *there, *(f"can {probe.does}" for probe, _ in tried)]))


def _version(name: str, group: installation.Group) -> str:
    """The version of a package; where another one is asked for, that too."""
    version, asked = str(installation.version(name)), group.wanted.get(name)
    return version if asked is None or asked.contains(version, prereleases=True) else f"{version} (needed: {asked})"


def _known(name: str, group: installation.Group) -> str:
    """A package with its version, and those that would do."""
    asked, works = group.wanted.get(name), installation.known_to_work(name)
    notes = [f"needed: {asked}"] * bool(asked) + [f"known to work: {' or '.join(works)}"] * bool(works)
    return f"{name} {installation.version(name)}" + (f" ({'; '.join(notes)})" if notes else "")


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
