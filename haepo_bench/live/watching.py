"""A results folder, watched: what is stored in it, what goes on in it, and the report of it."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from haepo_bench.files import list_folder
from haepo_bench.live.inside import stays_inside
from haepo_bench.live.reporting import ReportMaker
from haepo_bench.live.stored import LETTERS, StoredRuns
from haepo_bench.results.live_file import HEARTBEAT_SECONDS, LIVE_FILE, LiveProblem, LiveState, read_live
from haepo_bench.results.store import PLAN_FILE, REPORT_FOLDER, SHARDS_FOLDER

_LOOK_SECONDS = 0.5
_PROBLEMS: dict[LiveProblem, str] = {
    "newer": "a newer haepo-bench runs here: update this one to see what goes on",
    "unreadable": f"{LIVE_FILE} cannot be read, so what goes on is not shown",
}
#: A session that says nothing for so long is taken for dead: three missed signs of life.
SILENT_SECONDS = 3 * HEARTBEAT_SECONDS


class _Live:
    """The live state of one folder, and when it last changed by our own clock."""

    def __init__(self) -> None:
        self.state: LiveState | LiveProblem | None = None
        self._stamp: tuple[int, ...] | None = None
        self._changed = float("-inf")

    def read(self, folder: Path) -> None:
        stamp = _stamp(folder / LIVE_FILE)
        if stamp is not None and stamp == self._stamp:
            return
        before, self.state, self._stamp = self.state, read_live(folder), stamp
        if isinstance(self.state, LiveState) and self.state != before:
            first = not isinstance(before, LiveState)
            # The writer's clock may be another machine's: it is asked only where nothing else is known.
            age = max(0.0, time.time() - self.state.written) if first else 0.0
            self._changed = time.monotonic() - age

    @property
    def silent(self) -> float:
        """Seconds since the last change."""
        return time.monotonic() - self._changed

    @property
    def alive(self) -> bool:
        """Whether a session is at work."""
        return isinstance(self.state, LiveState) and self.silent < SILENT_SECONDS


class Watched:
    """Everything that the page shows of a results folder; only ever reads it.

    Args:
        results: a suite's folder, or a folder of such.
        scratch: a folder for reports, the caller's to remove.
    """

    def __init__(self, results: Path, scratch: Path) -> None:
        self.results = results
        self.report = ReportMaker(results, scratch)
        self._stored: dict[Path, StoredRuns] = {}
        self._live: dict[Path, _Live] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._looked = False
        self._problem = ""
        self._thread = threading.Thread(target=self._look_on, name="watching", daemon=True)

    def start(self) -> None:
        """Begins to look, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and whatever it has started."""
        self._stop.set()
        self._thread.join(5.0)
        self.report.stop()

    def look(self) -> None:
        """Looks once at what is stored, and has a report made where it is time."""
        folders = list(_folders(self.results))
        stored = {folder: self._stored.get(folder) or StoredRuns(folder, self.results) for folder in folders}
        for runs in stored.values():
            try:
                runs.refresh()
            except Exception as error:  # the page says so, and shows the others
                runs.problem = f"what is stored cannot be read: {type(error).__name__}: {error}"
        with self._lock:
            self._stored, self._looked = stored, True
        self._read_live()
        counts = [runs.counts() for runs in stored.values()]
        finished = sum(count[LETTERS["done"]] + count[LETTERS["diverged"]] for count in counts)
        running = any(live.alive for live in list(self._live.values()))
        self.report.look(self._fingerprint(), finished=finished, running=running)

    def done(self) -> bool:
        """Whether nothing more is to come, and the report is of all that there is."""
        stored, live = self._stored, list(self._live.values())
        letters = {letter for runs in stored.values() for cell in runs.cells for letter in cell["states"]}
        finished = letters and letters <= {LETTERS["done"], LETTERS["diverged"]}
        return bool(finished) and not any(each.alive for each in live) and self.report.is_current(self._fingerprint())

    def snapshot(self) -> dict[str, Any]:
        """What the page shows, as plain data."""
        self._read_live()
        with self._lock:
            stored = dict(self._stored)
        folders = []
        for folder in dict.fromkeys([*stored, *self._live]):
            runs, live = stored.get(folder), self._live.get(folder)
            state = live.state if live is not None else None
            folders.append(
                {
                    "path": folder.relative_to(self.results).as_posix(),
                    "name": self._name(folder),
                    "live": state.model_dump() if isinstance(state, LiveState) else None,
                    "alive": live is not None and live.alive,
                    "silent": round(live.silent) if live is not None and isinstance(state, LiveState) else None,
                    "problem": _PROBLEMS[state] if isinstance(state, str) else runs.problem if runs is not None else "",
                    "cells": runs.cells if runs is not None else [],
                    "failures": runs.failures if runs is not None else [],
                }
            )
        report = self.report
        return {
            "name": self.results.resolve().name,
            "done": self.done(),
            "looked": self._looked,
            "problem": self._problem,
            "folders": folders,
            "report": {
                "version": report.version,
                "making": report.making,
                "current": report.is_current(self._fingerprint()),
                "problem": report.problem,
            },
        }

    def _name(self, folder: Path) -> str:
        return folder.resolve().name if folder == self.results else folder.relative_to(self.results).as_posix()

    def _fingerprint(self) -> tuple[Any, ...]:
        return tuple((str(folder), runs.fingerprint) for folder, runs in self._stored.items())

    def _read_live(self) -> None:
        with self._lock:
            folders = list(dict.fromkeys([*self._stored, *(() if self._looked else _folders(self.results))]))
            self._live = {folder: self._live.get(folder) or _Live() for folder in folders}
            for folder, live in self._live.items():
                live.read(folder)

    def _look_on(self) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                self.look()
                self._problem = ""
            except Exception as error:  # the page says so, and the next look may go well
                self._problem = f"{type(error).__name__}: {error}"
            took = time.monotonic() - begun
            self._stop.wait(max(_LOOK_SECONDS, 4 * took))


def _folders(results: Path) -> Iterator[Path]:
    """The folders with a plan or a session at work: `results`, those in it, their shards'; none outside by a link."""
    inner = _below(results)
    places = [results, *inner]
    places += [shard for folder in places for shards in _below(folder, SHARDS_FOLDER) for shard in _below(shards)]
    yield from (place for place in dict.fromkeys(places) if _is_watched(place))


def _below(folder: Path, only: str = "") -> list[Path]:
    try:
        entries, root = list_folder(folder), folder.resolve()
    except (OSError, RuntimeError):
        return []
    named = [
        entry
        for entry in entries
        if only in {"", entry.name} and not entry.name.startswith(".") and entry.name != REPORT_FOLDER
    ]
    return [folder / entry.name for entry in named if _is_folder(entry) and stays_inside(folder / entry.name, root)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links, a server that does not answer: no reason to hide the others
        return False


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is replaced or written, or its mode is; None where nobody can tell."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _is_watched(folder: Path) -> bool:
    # A folder that may not be entered counts as empty.
    return any(os.path.exists(folder / name) for name in (PLAN_FILE, LIVE_FILE))  # noqa: PTH110  # Path.exists raises
