"""Language runs from start to end: what they record, what they depend on, that they learn, and that they can go on."""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_support import Vowels, small_tiny_model, texts
from training_support import without_clocks

from haepo_bench import catalogue
from haepo_bench.errors import TaskError
from haepo_bench.tasks.base import Array
from haepo_bench.tasks.lm.examples import Pair
from haepo_bench.training.language.evaluation import distinct, pass_at
from haepo_bench.training.language.models import find_source
from haepo_bench.training.language.settings import LanguageSettings
from haepo_bench.training.language.start import cache_folder, starting_model
from haepo_bench.training.recorder import Recorder, SeedResult

ALGORITHMS = ["haepo-weighted", "haepo-listwise", "haepo-ranking", "reinforce", "reinforce-togo", "grpo", "dpo"]
#: Those that ask for more than a batch of responses.
ASKING = {"qrpo": {"reference_episodes": 2}, "a2po": {"reference_episodes": 2}, "dcpo": {}, "soup": {}}
SMALL = {"prompts": 4, "completions": 4, "learning_rate": 1e-2}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    # The tiny one is tried by the suites; here a quarter of it will do.
    with small_tiny_model(tmp_path_factory.mktemp("cache")):
        yield cache_folder()


class Memory:
    """Checkpoints in memory, one an iteration."""

    def __init__(self) -> None:
        self.kept: dict[int, bytes] = {}

    def due(self) -> bool:
        return True

    def write(self, seeds: Sequence[int], state: Callable[[int], bytes]) -> None:
        self.kept.update({seed: state(seed) for seed in seeds})

    def read(self, seed: int) -> bytes | None:
        return self.kept.get(seed)


def run(
    algorithm: str, *, seed: int = 0, budget: int = 240, task: Any = None, checkpoints: Any = None, **parameters: Any
) -> SeedResult:
    task = task or Vowels()
    own = {**SMALL, **parameters}
    if algorithm == "dpo-offline":
        del own["completions"]
    made = catalogue.language_algorithm(algorithm).configure(own, task)
    results: list[SeedResult] = []
    recorder = Recorder(
        [seed], budget=budget, every=budget // 3, episodes=6, on_finished=results.append, checkpoints=checkpoints
    )
    made.train(task, [seed], recorder, device="cpu")
    return results[0]


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, *ASKING, "dpo-offline", "ppo-batched"])
def test_every_algorithm_trains_and_a_run_repeats_itself(algorithm: str) -> None:
    one, two = (run(algorithm, seed=3, **ASKING.get(algorithm, {})) for _ in range(2))
    assert one.status == "done"
    assert without_clocks(one) == without_clocks(two)
    assert one.final == two.final
    assert one.curve["env_steps"] == [0, 80, 160, 240]
    assert one.cost["env_steps_collected"] >= 240
    assert one.curve["kl_initial"][0] == 0 < one.curve["kl_initial"][-1]
    assert all(0 < value <= 5 for value in one.curve["eval_response_length"])
    assert {"tokens_per_second"} <= set(one.curve) or algorithm == "dpo-offline"
    assert one.curve["reward_alignment"][0] is None
    assert set(one.final) >= {"pass_at_1", "pass_at_8", "initial_pass_at_1", "initial_pass_at_8"}


def test_algorithms_share_the_start_and_seeds_differ_after_it() -> None:
    runs = [run(algorithm, seed=seed) for algorithm, seed in (("reinforce", 0), ("grpo", 0), ("reinforce", 1))]
    first = [(r.curve["eval_return"][0], r.curve["eval_return_greedy"][0]) for r in runs]
    assert first[0] == first[1] != first[2]
    assert runs[0].final["initial_pass_at_1"] == runs[1].final["initial_pass_at_1"]
    assert without_clocks(runs[0]) != without_clocks(runs[2])


@pytest.mark.parametrize("algorithm", ["reinforce", "grpo", "ppo-batched", "dpo-offline"])
def test_they_learn_to_write_one_letter(algorithm: str) -> None:
    """From a quarter of `a` on; an algorithm that does not learn stays below 0.4."""
    pairs = Vowels()
    pairs.pairs = [Pair(example.prompt, "aaaa", other) for example in pairs.train for other in ("bbcc", "cdab", "dddd")]
    result = run(algorithm, budget=2000, task=pairs, learning_rate=2e-2, completions=8)
    assert float(result.curve["eval_return"][0] or 0) < 0.5
    assert float(result.final["eval_return"] or 0) > 0.8


def test_settings_change_runs_and_all_of_them_work() -> None:
    """Micro-batches and checkpointing give the same curve to rounding; the rest another."""
    plain, longer = run("reinforce", budget=120), run("reinforce")
    for same in ({"micro_batch": 3}, {"gradient_checkpointing": True}):
        other = run("reinforce", budget=120, **same)
        assert other.curve["eval_return"] == plain.curve["eval_return"]
    for different in (
        {"dtype": "bfloat16"}, {"lora_rank": 2}, {"top_p": 0.5}, {"sampling_temperature": 0.5}, {"epochs": 2},
        {"reference": "initial", "kl_coefficient": 5.0}, {"reference": 2, "kl_coefficient": 5.0},
    ):  # fmt: skip
        other = run("reinforce", budget=240, **different)
        assert other.status == "done"
        assert without_clocks(other) != without_clocks(longer)


@pytest.mark.slow
def test_a_broken_off_run_ends_as_one_that_was_not() -> None:
    """At every kind of reference, with several epochs and a value head; the optimiser's state and marks included."""

    class Broken(Exception):
        pass

    class Breaking(Memory):
        def write(self, seeds: Sequence[int], state: Callable[[int], bytes]) -> None:
            super().write(seeds, state)
            self.writes = getattr(self, "writes", 0) + 1
            if self.writes == 3:
                raise Broken

    for algorithm, parameters in (
        ("grpo", {"epochs": 2}),
        ("reinforce", {"reference": 3, "dtype": "bfloat16"}),
        ("ppo-batched", {"lora_rank": 2}),
        ("dpo-offline", {}),
        ("qrpo", {"reference_episodes": 2, "budget": 480}),
        ("a2po", {"reference_episodes": 2, "reference": 4, "budget": 480}),
        ("soup", {"history_interval": 2, "history_size": 2, "longest_prefix": 1.0, "budget": 480}),
    ):
        whole = run(algorithm, seed=2, **parameters)
        memory = Breaking()
        with pytest.raises(Broken):
            run(algorithm, seed=2, checkpoints=memory, **parameters)
        resumed = Memory()
        resumed.kept = memory.kept
        again = run(algorithm, seed=2, checkpoints=resumed, **parameters)
        assert without_clocks(again) == without_clocks(whole)
        assert again.final == whole.final
        assert {k: v for k, v in again.cost.items() if "seconds" not in k and "memory" not in k} == {
            k: v for k, v in whole.cost.items() if "seconds" not in k and "memory" not in k
        }


def test_a_proxy_reward_stands_beside_the_gold_one() -> None:
    class Bribed(Vowels):
        gold_is_reward = False  # type: ignore[assignment]

        def compute_rewards(self, examples: Any, responses: Any, stream: Any) -> Array:
            return np.array([response.count("b") / 4 for response in responses])

    result = run("reinforce", task=Bribed(), budget=1500, learning_rate=2e-2)
    assert float(result.curve["proxy_return"][-1] or 0) > 0.8
    assert float(result.final["eval_return"] or 0) < 0.2
    assert float(result.curve["clean_return"][-1] or 0) < 0.3


def test_mean_and_deviation_of_the_proxy_are_those_of_the_responses_that_gold_is_of() -> None:
    class Stretched(Vowels):
        gold_is_reward = False  # type: ignore[assignment]

        def compute_rewards(self, examples: Any, responses: Any, stream: Any) -> Array:
            return 3 - 2 * self.compute_gold(examples, responses)

    curve = run("reinforce", task=Stretched()).curve
    assert float(curve["eval_return_std"][0] or 0) > 0
    assert curve["proxy_return"] == pytest.approx([3 - 2 * float(gold or 0) for gold in curve["eval_return"]])
    assert curve["proxy_return_std"] == pytest.approx([2 * float(gold or 0) for gold in curve["eval_return_std"]])


def test_a_reward_that_is_not_finite_is_named() -> None:
    class Mad(Vowels):
        def compute_rewards(self, examples: Any, responses: Any, stream: Any) -> Array:
            return np.full(len(responses), np.nan)

    with pytest.raises(TaskError, match="is nan for"):
        run("reinforce", task=Mad())


def test_a_run_that_becomes_nan_diverges() -> None:
    result = run("haepo-listwise", target="proportional", task=_Negative())
    assert result.status == "diverged"
    assert result.curve["eval_return"][-1] is None


class _Negative(Vowels):
    def compute_rewards(self, examples: Any, responses: Any, stream: Any) -> Array:
        return self.compute_gold(examples, responses) - 0.5


def test_workers_share_one_starting_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two at once: the lock is the system's, and holds between threads as between processes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def start(_: int) -> bytes:
        torch.set_num_threads(1)
        model = starting_model(Vowels(), find_source("tiny"), texts(), LanguageSettings(), "cpu")
        return b"".join(p.detach().numpy().tobytes() for p in model.parameters())

    with ThreadPoolExecutor(3) as pool:
        one, two, three = pool.map(start, range(3))
    assert one == two == three
    assert capsys.readouterr().out.count("fine-tuning the starting policy") == 1
    assert len(list(tmp_path.rglob("*.policy"))) == 1


def test_another_start_has_another_file(cache: Path) -> None:
    before = set(cache.glob("*.policy"))
    starting_model(Vowels(), find_source("tiny"), texts(), LanguageSettings(fine_tuning_steps=3), "cpu")
    starting_model(Vowels(), find_source("tiny"), texts(), LanguageSettings(fine_tuning_steps=3), "cpu")
    assert len(set(cache.glob("*.policy")) - before) == 1
    # Whoever finds the lock held waits; nobody holds it now.
    for lock in cache.glob("*.lock"):
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_fine_tuning_teaches_the_demonstrations() -> None:
    task = Vowels()
    task.train, task.held_out = task.held_out, task.train
    task.demonstrations = [(example.prompt, "dcba") for example in task.held_out]
    result = run("reinforce", task=task, budget=60, fine_tuning_steps=300, fine_tuning_learning_rate=5e-3)
    assert result.curve["eval_return"][0] == result.curve["eval_return_greedy"][0] == 0.25
    assert result.curve["eval_response_length"][0] > 4.5


def test_metrics_of_texts() -> None:
    assert distinct([[1, 2, 1, 2], [1, 2]], 2) == 2 / 4
    assert np.isnan(distinct([[1]], 2))
    for n, c, k in ((8, 0, 8), (8, 3, 1), (8, 3, 4), (8, 8, 1)):
        expected = 1 - np.prod([(n - c - i) / (n - i) for i in range(k)])
        assert pass_at(k, n, c) == pytest.approx(expected)
        assert comb(n, k) >= 1
