"""The tools by their names, each loaded only where it is asked for."""

from pathlib import Path
from typing import get_args

from haepo_bench.loggers.logger import Logger
from haepo_bench.suite.execution_keys import LoggerName


def logger_for(name: str, folder: Path, suite: str) -> Logger:
    """The tool of a name, in this process.

    Args:
        folder: of the suite's results; what is kept on this machine goes below it.
    """
    match name:
        case "tensorboard":
            from haepo_bench.loggers.event_files import EventFiles

            return EventFiles(folder / "tensorboard")
        case "wandb":
            from haepo_bench.loggers.wandb_runs import WandbRuns

            return WandbRuns(folder, suite)
        case "trackio":
            from haepo_bench.loggers.trackio_project import TrackioProject

            return TrackioProject(folder / "trackio", suite)
        case "mlflow":
            from haepo_bench.loggers.mlflow_experiment import MlflowExperiment

            return MlflowExperiment(folder / "mlflow", suite)
    raise ValueError(f"no logger is called {name}; there are {', '.join(get_args(LoggerName))}")
