"""Trackio: a project per suite, a group per cell, a run per seed; kept here unless the user names another place."""

import contextvars
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from haepo_bench.loggers.logger import LoggedRun, markdown_table


class TrackioProject:
    """Writes to the Space or server that TRACKIO_SPACE_ID or TRACKIO_SERVER_URL names, else to a local store. There a
    run of the same identity from before gives way; elsewhere it is kept, next to the new one.

    Args:
        folder: of the store, unless TRACKIO_DIR names another.
        suite: name of the project.
    """

    def __init__(self, folder: Path, suite: str) -> None:
        self._local = not (os.environ.get("TRACKIO_SPACE_ID") or os.environ.get("TRACKIO_SERVER_URL"))
        if self._local:
            # Else it would ask the Hub who is logged in, and note the name.
            os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ.setdefault("TRACKIO_DIR", str(folder.absolute()))
        # It reads its environment when it is imported.
        import trackio

        self._init, self._markdown, self._api = trackio.init, trackio.Markdown, trackio.Api()
        self._project = suite
        self._problems: list[str] = []
        if self._local:
            warnings.simplefilter("always")
            warnings.showwarning = self._take_warning  # type: ignore[assignment]  # it takes any more arguments
        self._known = self._all_known() if self._local else {}

    def begin(self, run: LoggedRun) -> "_Run":
        """Begins a run."""
        for before in self._known.pop(run.identity, ()):
            before.delete()
        # In a context of its own, because in one context a new run ends the one before.
        opened = contextvars.Context().run(
            self._init,
            project=self._project,
            name=run.name,
            group=run.group,
            config={**run.parameters, "run": {**run.about, "identity": run.identity}},
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        self._check()
        return _Run(opened, self._markdown, self._check)

    def close(self) -> None:
        """With every run that was finished all of it was written."""

    def _all_known(self) -> dict[str, list[Any]]:
        """Identities to the runs of the store."""
        known: dict[str, list[Any]] = {}
        try:
            runs = list(self._api.runs(self._project))
        except ValueError:  # no such project
            return known
        for run in runs:
            about = (run.config or {}).get("run")
            if isinstance(about, dict) and "identity" in about:
                known.setdefault(about["identity"], []).append(run)
        return known

    def _take_warning(self, message: Warning | str, category: type[Warning], filename: str, *_: Any) -> None:
        if category is UserWarning and "trackio" in Path(filename).parts:
            self._problems.append(str(message))

    def _check(self) -> None:
        """Raises what trackio only warned of: that something was not written."""
        if self._problems:
            raise RuntimeError(self._problems[0])


class _Run:
    def __init__(self, run: Any, markdown: Callable[[str], Any], check: Callable[[], None]) -> None:
        self._run, self._markdown, self._check = run, markdown, check
        self._latest = 0

    def log(self, env_steps: int, values: Mapping[str, float | int]) -> None:
        self._run.log(dict(values), step=env_steps)
        self._latest = env_steps
        self._check()

    def finish(self, status: str, provenance: Mapping[str, Any]) -> None:
        # A configuration is written with the first point, and not again.
        table = markdown_table({"status": status, **provenance})
        self._run.log({"provenance": self._markdown(table)}, step=self._latest)
        self._run.finish()
        self._check()
