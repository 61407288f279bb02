"""MLflow: an experiment per suite, a run per cell, and in it a run per seed.

What is not sent to a server of the user's is a folder of files (`mlruns` as MLflow calls it), which needs no database.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.tracking import MlflowClient

from haepo_bench.exchange.logs import MLFLOW_TAG
from haepo_bench.loggers.logger import LoggedRun

#: The tag by which a cell's run is found again, as MLFLOW_TAG is that of a seed's: their identities.
_CELL = "haepo_bench.cell"
_PARENT = "mlflow.parentRunId"
#: Status of a run to MLflow's; others have failed.
_STATUS = {"done": "FINISHED", "diverged": "FINISHED", "interrupted": "KILLED"}
#: What a value may be long; servers refuse longer ones.
_PARAM_CHARACTERS, _TAG_CHARACTERS = 500, 5000
#: Of a page of a search; and parameters of one call, which MLflow limits.
_PAGE, _BATCH = 1000, 100


class MlflowExperiment:
    """Writes to the server or store that MLFLOW_TRACKING_URI names, else to a folder. A run that is there goes on.

    Args:
        folder: where no server or store is named.
        suite: name of the experiment, unless MLFLOW_EXPERIMENT_NAME has one.
    """

    def __init__(self, folder: Path, suite: str) -> None:
        elsewhere = os.environ.get("MLFLOW_TRACKING_URI")
        if not elsewhere:
            # In a new one MLflow would make its experiment `Default`, which names this folder by its absolute path.
            folder.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(elsewhere or folder.absolute().as_uri())
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", suite)
        there = self._client.get_experiment_by_name(name)
        # No artifacts are logged. Their place would be an absolute path, so it is what a server resolves.
        place = None if elsewhere else "mlflow-artifacts:/"
        self._experiment = there.experiment_id if there else self._client.create_experiment(name, place)
        self._known = self._all_known()
        self._parents: dict[str, str] = {}

    def begin(self, run: LoggedRun) -> "_Run":
        """Begins a run, or goes on with one of the same identity: the points that it has are not logged again."""
        parent = self._parent(run)
        known = self._known.get(run.identity)
        if known is not None:
            self._client.update_run(known, status="RUNNING")
            history = self._client.get_metric_history(known, "eval_return")
            return _Run(self._client, known, max((point.step for point in history), default=-1))
        tags = {MLFLOW_TAG: run.identity, _PARENT: parent, **_about(run), "seed": str(run.seed)}
        made = self._client.create_run(self._experiment, tags=tags, run_name=run.name).info.run_id
        self._known[run.identity] = made
        self._describe(made, run, {"seed": run.seed})
        return _Run(self._client, made, -1)

    def close(self) -> None:
        """Ends the runs of cells."""
        for parent in self._parents.values():
            self._client.set_terminated(parent)
        self._parents.clear()

    def _parent(self, run: LoggedRun) -> str:
        """The run of a cell."""
        if run.cell not in self._parents:
            known = self._known.get(run.cell)
            if known is None:
                tags = {_CELL: run.cell, **_about(run)}
                known = self._client.create_run(self._experiment, tags=tags, run_name=run.group).info.run_id
                self._known[run.cell] = known
                self._describe(known, run, {})
            else:
                self._client.update_run(known, status="RUNNING")
            self._parents[run.cell] = known
        return self._parents[run.cell]

    def _describe(self, run_id: str, run: LoggedRun, seed: Mapping[str, int]) -> None:
        facts = {f"run.{key}": value for key, value in run.facts.items()}
        config = {**facts, **run.parameters, **_about(run), **seed}
        params = [Param(key, _text(value, _PARAM_CHARACTERS)) for key, value in config.items()]
        for start in range(0, len(params), _BATCH):
            self._client.log_batch(run_id, params=params[start : start + _BATCH])

    def _all_known(self) -> dict[str, str]:
        """Identities to run ids, of runs and of cells: one search, because a folder of files is read whole for each."""
        known: dict[str, str] = {}
        token = None
        while True:
            found = self._client.search_runs([self._experiment], max_results=_PAGE, page_token=token)
            known |= {key: run.info.run_id for run in reversed(found) if (key := _identity(run))}
            token = found.token
            if not token:
                return known


class _Run:
    """A run of one seed.

    Args:
        latest: the last step that it has.
    """

    def __init__(self, client: MlflowClient, run_id: str, latest: int) -> None:
        self._client, self._id, self._latest = client, run_id, latest

    def log(self, env_steps: int, values: Mapping[str, float | int]) -> None:
        if env_steps <= self._latest:
            return
        now = time.time_ns() // 1_000_000
        # The return comes last: where it is, all of a point is.
        names = sorted(values, key=lambda name: name == "eval_return")
        self._client.log_batch(self._id, metrics=[Metric(name, values[name], now, env_steps) for name in names])

    def finish(self, status: str, provenance: Mapping[str, Any]) -> None:
        about = {"status": status, **{f"provenance.{key}": value for key, value in provenance.items()}}
        tags = [RunTag(key, _text(value, _TAG_CHARACTERS)) for key, value in about.items()]
        self._client.log_batch(self._id, tags=tags)
        self._client.set_terminated(self._id, _STATUS.get(status, "FAILED"))


def _about(run: LoggedRun) -> dict[str, str]:
    return {"suite": run.suite, "task": run.task, "algorithm": run.algorithm}


def _identity(run: Run) -> str:
    tags: dict[str, str] = run.data.tags
    return tags.get(MLFLOW_TAG) or tags.get(_CELL, "")


def _text(value: Any, characters: int) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= characters else f"{text[: characters - 1]}…"
