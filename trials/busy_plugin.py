"""An algorithm that takes a given time and learns nothing, as a plugin in a folder of its own: for what runs jobs."""

from pathlib import Path

CODE = """
import time

import numpy as np

from haepo_bench.results.record import Information
from haepo_bench.training.algorithm import Algorithm, AlgorithmDefinition
from haepo_bench.training.seed_record import Evaluation


class Busy(Algorithm):
    notes = ()
    information = Information(told="returns", critic=False, discount=None, label="busy")
    batches_seeds = False

    def __init__(self, parameters):
        self.parameters = parameters

    def train(self, task, seeds, recorder, *, device):
        for seed in seeds:
            generator = np.random.default_rng(seed)
            for _ in range(recorder.budget // 10):
                self.wait()
                recorder.collected(seed, 10, 1, {"loss": float(generator.random())})
                for due, _ in recorder.due():
                    recorder.evaluated(due, Evaluation(float(generator.random()), 0.0, 1.0, 5))
                recorder.progress()

    def wait(self):
        if not self.parameters["computing"]:
            return time.sleep(self.parameters["seconds"])
        end = time.process_time() + self.parameters["seconds"]
        while time.process_time() < end:
            pass


class BusyDefinition(AlgorithmDefinition):
    name, summary, version, description = "busy", "takes its time", 1, "Takes its time."

    def describe_parameters(self):
        return []

    def refuses(self, task):
        return None

    def configure(self, overrides, task):
        return Busy({"seconds": 0.1, "computing": False, **overrides})
"""


def install(site: Path) -> None:
    """Makes the plugin importable from `site`, to be put on PYTHONPATH."""
    information = site / "busy-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "busy.py").write_text(CODE, encoding="utf-8")
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: busy\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[haepo_bench.algorithms]\nbusy = busy:BusyDefinition\n")
