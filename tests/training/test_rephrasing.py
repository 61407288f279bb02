"""`repo-stand-in`: whose episodes take the place of which, what the loss sees of them, and that it learns from them."""

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from objective_support import random_batch
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.objectives.base import ObjectiveOutput, TrajectoryBatch
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.plans import RephrasingPlan
from haepo_bench.objectives.repo import RepoStandIn
from haepo_bench.suite.shipped import list_suites
from haepo_bench.training.episodes.algorithm import NativeAlgorithm
from haepo_bench.training.episodes.expert import Expert
from haepo_bench.training.episodes.rephrasing import rephrased
from haepo_bench.training.episodes.rollout import Rollout
from haepo_bench.training.episodes.trainer import EpisodeTrainer
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.settings import TrainerSettings
from haepo_bench.training.streams import stream


def played(returns: list[list[float]], lengths: list[list[int]], marked: int) -> Rollout:
    """Episodes of one feature, in which everything is `marked` and all reward comes with the last step."""
    paid, steps = np.array(returns), np.array(lengths)
    mask = np.arange(steps.max()) < steps[..., None]
    rewards = np.where(np.arange(steps.max()) == steps[..., None] - 1, paid[..., None], 0.0)
    return Rollout(
        torch.full((len(paid), 1, *mask.shape[1:]), float(marked)),
        torch.full(mask.shape, marked),
        torch.from_numpy(rewards),
        torch.from_numpy(mask),
        steps,
        paid,
        {"coins": paid + 10},
    )


@pytest.mark.parametrize(
    ("plan", "own", "places"),
    [
        # Below an expert's 1 are three of four of the first group, and two of the second.
        (RephrasingPlan(0.75, None, 0), [1, 1], {0: 1}),
        (RephrasingPlan(0.5, None, 0), [1, 1], {0: 1, 1: 6}),
        (RephrasingPlan(0.8, None, 0), [1, 1], {}),
        # Failures are below 0.5: all but one and all but two; the second expert fails itself.
        (RephrasingPlan(0.5, 0.5, 0), [2, 0.4], {0: 1}),
        # An expert who is no better than the worst replaces nothing.
        (RephrasingPlan(0.1, None, 0), [0, -1], {}),
    ],
)
def test_the_worst_of_groups_that_fail_is_replaced(
    plan: RephrasingPlan, own: list[float], places: dict[int, int]
) -> None:
    """Two groups of four; of several worst ones the first. The expert's episodes are longer than all others."""
    returns = [[0.2, 0.0, 0.0, 1.0, 1.0, 1.0, 0.1, 0.3]]
    before = played(returns, [[3, 2, 3, 1, 1, 2, 3, 2]], 1)
    versions = played([own], [[5, 4]], 2)
    after, replaced = rephrased(before, versions, plan)
    assert replaced.tolist() == [[group in places for group in range(2)]]
    for place in range(8):
        group = next((group for group, where in places.items() if where == place), None)
        source, at = (before, place) if group is None else (versions, group)
        length = int(source.lengths[0, at])
        assert after.lengths[0, place] == length == int(after.mask[0, place].sum())
        assert after.returns[0, place] == source.returns[0, at] == float(after.rewards[0, place].sum())
        assert after.measures["coins"][0, place] == source.measures["coins"][0, at]
        mark = 1 if group is None else 2
        assert (after.actions[0, place, :length] == mark).all()
        assert (after.observations[0, 0, place, :length] == mark).all()
    assert before.returns.tolist() == returns  # what the policy did stays as it was, for the report


class Spy(RepoStandIn):
    """Keeps the batches that it sees."""

    seen: ClassVar[list[TrajectoryBatch]] = []

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        self.seen.append(batch)
        return super().__call__(batch)


def test_the_loss_takes_the_experts_steps_for_the_policys() -> None:
    """In the deep sea only the expert finds the treasure: with its episode a ratio is 1 as with all others."""
    Spy.seen.clear()
    algorithm = NativeAlgorithm(Spy(slip=0), TrainerSettings(epochs=1, trajectories=4))
    train(algorithm, "deep-sea/8", [0], 80, 80)
    batch = Spy.seen[0]
    (best,) = torch.nonzero(batch.returns[0, 0] == batch.returns.max()).flatten().tolist()
    assert float(batch.returns[0, 0, best]) == pytest.approx(0.99)
    assert torch.equal(batch.log_probs[0, 0, best], batch.behaviour_log_probs[0, 0, best])


def test_what_is_played_is_the_expert_but_for_slips() -> None:
    recorder = Recorder([0, 1, 2], budget=10_000, every=10_000, episodes=2)
    task = catalogue.task("umbrella/10")
    trainer = EpisodeTrainer(task, RepoStandIn(slip=0), TrainerSettings(), [0, 1, 2], recorder, "cpu")
    assert trainer.rephraser is not None
    actor = trainer.engine.actor(trainer.parameters)
    pure = trainer.rephraser.play(actor, [0, 1, 2], 3, device="cpu")
    expert = Expert(task).play([stream("environment", seed, 3) for seed in (0, 1, 2)])
    assert np.array_equal(pure.actions[:, 0].numpy(), expert.actions[:, : pure.actions.shape[2]])
    trainer.rephraser.plan = RephrasingPlan(0.5, None, 0.3)
    differ = []
    for i in range(400):
        slipped = trainer.rephraser.play(actor, [0, 1, 2], i, device="cpu").actions[:, 0, 0].numpy()
        differ.append(
            slipped != Expert(task).play([stream("environment", seed, i) for seed in (0, 1, 2)]).actions[:, 0]
        )
    # An untrained policy takes either action about equally often: 0.3 / 2 of the first steps differ, within 4.5
    # standard errors of 1,200 and as much again for the policy.
    assert float(np.mean(differ)) == pytest.approx(0.15, abs=0.09)
    trainer.close()


def test_the_loss_is_grpos() -> None:
    batch = random_batch(4)
    assert torch.equal(RepoStandIn()(batch).loss, Grpo()(batch).loss)


def test_it_learns_what_grpo_alone_does_not_find_and_its_runs_are_the_same_alone_and_among_others() -> None:
    """The deep sea's treasure takes 8 right steps of 8: of 2^8 paths one finds it."""
    options: dict[str, Any] = {"trajectories": 8, "learning_rate": 3e-3}
    among = train("repo-stand-in", "deep-sea/8", [0, 1], 4_000, 2_000, **options)
    alone = train("repo-stand-in", "deep-sea/8", [1], 4_000, 2_000, **options)
    assert without_clocks(among[1]) == without_clocks(alone[1])
    for result in among.values():
        assert result.final["eval_return_greedy"] == pytest.approx(0.99)
        assert result.curve["rephrased_share"][1] > 0
        assert result.cost["env_steps_collected"] >= 4_000
    for result in train("grpo", "deep-sea/8", [0, 1], 4_000, 4_000, **options).values():
        assert result.final["eval_return_greedy"] <= 0.01


@pytest.mark.parametrize("task", ["gym/CartPole-v1", "bandit/10-arm", "lm/arithmetic"])
def test_tasks_without_an_expert_to_play_are_refused(task: str) -> None:
    made = catalogue.task(task)
    assert "only finite tasks with certain moves" in str(catalogue.algorithm_on(made, "repo-stand-in").refuses(made))


def test_its_name_says_what_it_is_and_no_suite_of_ours_has_it() -> None:
    definition = catalogue.algorithm("repo-stand-in")
    assert "stand-in" in definition.name
    assert "stand-in" in str(definition.information)
    for file in list_suites().values():
        assert "repo-stand-in" not in file.read_text()
