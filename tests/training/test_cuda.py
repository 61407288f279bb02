"""Training on CUDA, where there is a device: it learns what it learns on the CPU. Bytes are not promised there."""

import numpy as np
import pytest
import torch

from haepo_bench import catalogue
from haepo_bench.training.recorder import Recorder, SeedResult

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device")


@pytest.mark.parametrize(
    ("name", "address", "settings"),
    [
        ("haepo-listwise", "random-walk/20", {}),
        ("grpo", "bandit/contextual", {}),
        ("reinforce", "gym/Pendulum-v1", {}),
        ("aps", "random-walk/20", {}),
        ("ppo-batched", "gym/Pendulum-v1", {"normalize": True}),
    ],
)
def test_a_first_iteration_is_that_of_the_cpu(name, address, settings):
    """Evaluations before the first update agree; later ones may part, because rounding does."""

    def first(device: str) -> list[float]:
        results: list[SeedResult] = []
        task = catalogue.task(address)
        recorder = Recorder([0, 1], budget=4_000, every=2_000, episodes=5, on_finished=results.append)
        catalogue.algorithm_on(task, name).configure(settings, task).train(task, [0, 1], recorder, device=device)
        assert all(result.status == "done" for result in results)
        return [float(result.curve["eval_return"][0] or 0.0) for result in sorted(results, key=lambda r: r.seed)]

    np.testing.assert_allclose(first("cuda"), first("cpu"), rtol=1e-3, atol=1e-3)
