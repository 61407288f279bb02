"""Weights & Biases: a project per suite, a group per cell, a run per seed; offline unless WANDB_MODE says otherwise."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from haepo_bench.loggers.logger import LoggedRun

#: Nothing but what is logged: no names of machine and user, no console, no repository, no installed packages.
_SETTINGS = {
    "console": "off",
    "silent": True,
    "disable_git": True,
    "disable_code": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
}


class WandbRuns:
    """Writes runs to a server, or to folders that `wandb sync` takes later. There the folder of the same run from
    before gives way; on a server a run that is there goes on, and W&B takes no step twice.

    Args:
        folder: which gets a folder `wandb`, unless WANDB_DIR names another.
        suite: name of the project, unless WANDB_PROJECT has one.
    """

    def __init__(self, folder: Path, suite: str) -> None:
        self._folder = Path(os.environ.get("WANDB_DIR") or folder)
        self._project = os.environ.get("WANDB_PROJECT") or suite
        self._folder.mkdir(parents=True, exist_ok=True)

    def begin(self, run: LoggedRun) -> "_Run":
        """Begins a run."""
        for before in self._folder.glob(f"wandb/offline-run-*-{run.identity}"):
            shutil.rmtree(before)
        return _Run(
            wandb.init(
                project=self._project,
                dir=self._folder,
                id=run.identity,
                name=run.name,
                group=run.group,
                job_type=run.algorithm,
                config={**run.parameters, "run": run.about},
                resume="allow",
                # Several runs are open at a time.
                reinit="create_new",
                settings=wandb.Settings(**_SETTINGS),
            )
        )

    def close(self) -> None:
        """Ends W&B's own process."""
        wandb.teardown()


class _Run:
    def __init__(self, run: "wandb.Run") -> None:
        self._run = run

    def log(self, env_steps: int, values: Mapping[str, float | int]) -> None:
        self._run.log(dict(values), step=env_steps)

    def finish(self, status: str, provenance: Mapping[str, Any]) -> None:
        self._run.config.update({"provenance": dict(provenance)}, allow_val_change=True)
        self._run.summary["status"] = status
        self._run.finish(exit_code=0 if status in ("done", "diverged") else 1)
