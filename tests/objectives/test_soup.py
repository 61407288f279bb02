"""SOUP: whose steps the prefixes are, under whom they are judged, and which policies are kept."""

import math
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from objective_support import F, random_batch
from torch import Tensor
from training_support import train

from haepo_bench import catalogue
from haepo_bench.objectives.base import ObjectiveOutput, TrajectoryBatch
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.plans import PrefixPlan
from haepo_bench.objectives.soup import Soup
from haepo_bench.policies.heads import Categorical
from haepo_bench.policies.mlp import Network
from haepo_bench.training.episodes.algorithm import NativeAlgorithm, NativeDefinition
from haepo_bench.training.episodes.packed_batch import PackedBatch
from haepo_bench.training.episodes.prefixes import Prefixes, PrefixPolicies
from haepo_bench.training.episodes.rollout import Collector, PrefixActor, Rollout
from haepo_bench.training.episodes.trainer import EpisodeTrainer
from haepo_bench.training.heads import make_head
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.settings import TrainerSettings
from haepo_bench.training.streams import stream


def test_the_loss_has_two_denominators() -> None:
    """In numpy, step by step: ratios to one policy on the first steps, to another on the rest."""
    batch = random_batch(0)
    cut = torch.randint(0, 5, batch.returns.shape, generator=torch.Generator().manual_seed(1))
    historical = -torch.rand(batch.mask.shape, generator=torch.Generator().manual_seed(2), dtype=F)
    on_prefix = torch.arange(5) < cut[..., None]
    mixed = TrajectoryBatch(
        **{**vars(batch), "behaviour_log_probs": torch.where(on_prefix, historical, batch.behaviour_log_probs)}
    )
    found = Soup(entropy_coefficient=0)(mixed).loss.detach().numpy()
    for seed in range(2):
        terms = []
        for group in range(2):
            R = batch.returns[seed, group].numpy()
            for k in range(4):
                A = (R[k] - R.mean()) / (R.std(ddof=1) + 1e-4)
                steps = []
                for t in range(int(batch.mask[seed, group, k].sum())):
                    denominator = historical if t < cut[seed, group, k] else batch.behaviour_log_probs
                    r = math.exp(batch.log_probs[seed, group, k, t].item() - denominator[seed, group, k, t].item())
                    steps.append(-min(r * A, min(max(r, 0.8), 1.2) * A))
                terms.append(sum(steps) / len(steps))
        assert found[seed] == pytest.approx(np.mean(terms), abs=1e-12)


class Spy(Soup):
    """Keeps the batches that it sees."""

    seen: ClassVar[list[TrajectoryBatch]] = []

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        self.seen.append(batch)
        return super().__call__(batch)


class Watched(EpisodeTrainer):
    """Keeps what each iteration began with and collected."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.policies: list[Tensor] = []
        self.rollouts: list[Rollout] = []

    def collect(self, iteration: int) -> Rollout:
        self.policies.append(self.parameters.clone())
        self.rollouts.append(super().collect(iteration))
        return self.rollouts[-1]


SEEDS = [4, 9]


@pytest.mark.parametrize(("address", "limit"), [("gym/CartPole-v1", None), ("gym/Pendulum-v1", 30)])
def test_prefixes_are_an_earlier_policys_and_the_rest_is_the_policys_own(address: str, limit: int | None) -> None:
    """Rebuilt from stored parameters and the streams: which steps, their actions, and their log-probabilities.

    Policies of iterations 0, 2, 4 are kept, of which the two newest stay.
    """
    task = catalogue.task(address, **({} if limit is None else {"time_limit": limit}))
    objective = Spy(history_interval=2, history_size=2, longest_prefix=0.9, prefix_share=0.6)
    objective.seen.clear()
    recorder = Recorder(SEEDS, budget=100_000, every=100_000, episodes=2)
    settings = TrainerSettings(trajectories=5, epochs=1, learning_rate=0.03)
    trainer = Watched(task, objective, settings, SEEDS, recorder, "cpu")
    recorder.begin(SEEDS)
    for iteration in range(7):
        trainer.update(trainer.collect(iteration), iteration)
    trainer.close()
    network, head = trainer.network, trainer.head
    used, begun = set(), 0
    for iteration, (rollout, batch) in enumerate(zip(trainer.rollouts, objective.seen, strict=True)):
        kept = list(range(0, iteration, 2))[-2:]
        for row, seed in enumerate(SEEDS):
            draw, lengths = stream("prefix", seed, iteration), np.zeros(5)
            now = earlier = trainer.policies[iteration][row]
            if kept:
                chosen = kept[int(draw.integers(len(kept)))]
                earlier = trainer.policies[chosen][row]
                lengths[:3] = np.floor(draw.random(3) * 0.9 * trainer.rollouts[chosen].lengths[row].mean())
                used.add((iteration, chosen))
            noise = torch.from_numpy(head.noise(stream("action noise", seed, iteration), 5, 128))
            for k in range(5):
                for t in range(min(128, int(rollout.lengths[row, k]))):  # noise is drawn 128 steps at a time
                    policy = earlier if t < lengths[k] else now
                    x = rollout.observations[row, :, k, t].view(1, -1, 1).expand(-1, -1, 8)
                    outputs = network.outputs(network.fold(policy[None]), x)[:, :, :1]
                    action = head.sample(outputs, noise[None, k : k + 1, t], None)
                    torch.testing.assert_close(action[0, 0], rollout.actions[row, k, t])
                    expected = head.log_prob(outputs, rollout.actions[row, k, t][None, None])
                    found = batch.behaviour_log_probs[row, 0, k, t]
                    torch.testing.assert_close(found, expected[0, 0], atol=1e-5, rtol=1e-5)
                    begun += t < lengths[k]
    assert {chosen for _, chosen in used} == {0, 2, 4}
    assert (6, 0) not in used
    assert begun > 100
    # All steps are paid for, those of prefixes included.
    taken = sum(rollout.lengths.sum(1) for rollout in trainer.rollouts).tolist()
    assert [trainer.env_steps[row] for row in range(len(SEEDS))] == taken


def test_policies_that_differ_would_be_noticed() -> None:
    """What the test above tells apart: the earlier policy's log-probabilities are not the current policy's."""
    task = catalogue.task("gym/CartPole-v1")
    network, rollout, parameters = collected("gym/CartPole-v1")
    prefixes = Prefixes(parameters * 1.5, np.full((2, 6), 4))
    plain = PackedBatch(network, rollout, parameters, None, task, "cpu")._batch
    mixed = PackedBatch(network, rollout, parameters, None, task, "cpu", prefixes=prefixes)._batch
    differ = (plain.behaviour_log_probs != mixed.behaviour_log_probs)[:2, 0]
    taken = rollout.mask[..., :4]
    assert (differ[..., :4] & taken).sum() > 0.9 * taken.sum()
    assert not differ[..., 4:].any()
    assert torch.equal(plain.reference_log_probs, mixed.reference_log_probs)


def collected(address: str) -> tuple[Network, Rollout, Tensor]:
    """A network for a task, and six episodes of each of two seeds that it played with the parameters."""
    task = catalogue.task(address)
    network = Network(task.observation_space.shape[0], (16,), make_head(task))
    drawn = [
        network.initial(stream("initialisation", s)) + 0.3 * stream("ppo", s).normal(size=sum(network.sizes))
        for s in SEEDS
    ]
    parameters = torch.from_numpy(np.stack(drawn).astype(np.float32))
    collector = Collector(task, task.vector(6), network.head, 6, network.padded_rows(6))

    def act(x: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        return network.head.sample(network.outputs(network.fold(parameters), x), noise, greedy)

    streams = [[stream(p, s) for s in SEEDS] for p in ("environment", "action noise")]
    return network, collector.collect(act, *streams), parameters


@pytest.mark.parametrize("address", ["gym/CartPole-v1", "gym/Pendulum-v1"])
def test_with_the_current_policy_as_the_historical_one_it_is_grpo(address: str) -> None:
    task = catalogue.task(address)
    network, rollout, parameters = collected(address)
    reference, lengths = parameters * 0.9, np.arange(12).reshape(2, 6)
    for beta in (0.0, 0.5):
        prefixes = Prefixes(parameters.clone(), lengths)
        own = PackedBatch(network, rollout, parameters, reference, task, "cpu", prefixes=prefixes)
        grpo = PackedBatch(network, rollout, parameters, reference, task, "cpu")
        one, two = own.gradient(Soup(beta=beta))[0], grpo.gradient(Grpo(beta=beta))[0]
        torch.testing.assert_close(one, two, atol=1e-7, rtol=1e-5)
        assert one.abs().max() > 1e-3


def test_a_collector_changes_actors_where_each_episode_says() -> None:
    task = catalogue.task("corridor/12")
    head = make_head(task)
    assert isinstance(head, Categorical)
    collector = Collector(task, task.vector(3), head, 3, 8)
    lengths = np.array([[0, 4, 99], [1, 0, 0]])

    def always(action: int) -> Any:
        return lambda x, noise, greedy: torch.full((2, 8), action)

    streams = [[stream(p, s) for s in SEEDS] for p in ("environment", "action noise")]
    rollout = collector.collect(always(0), *streams, prefix=PrefixActor(always(1), lengths))
    expected = np.arange(rollout.mask.shape[2]) < lengths[..., None]
    assert torch.equal(rollout.actions.bool() & rollout.mask, torch.from_numpy(expected) & rollout.mask)
    assert rollout.lengths.min() == 12


def marked(seeds: list[int], iteration: int) -> Tensor:
    """Parameters that say whose they are and when."""
    return torch.tensor([[float(seed), float(iteration)] for seed in seeds])


def test_the_newest_policies_are_kept_and_all_are_drawn() -> None:
    history, seeds = PrefixPolicies(PrefixPlan(share=0.5, longest=0.4, every=3, kept=2)), [7, 8]
    assert history.draw(seeds, 0, groups=2, trajectories=5) is None
    chosen: dict[int, set[float]] = {}
    for iteration in range(300):
        if iteration:
            drawn = history.draw(seeds, iteration, groups=2, trajectories=5)
            assert drawn is not None
            assert drawn.parameters[:, 0].tolist() == seeds
            chosen.setdefault((iteration - 1) % 3, set()).update((iteration - drawn.parameters[:, 1]).tolist())
            lengths = drawn.lengths.reshape(2, 2, 5)
            assert (lengths[:, :, 2:] == 0).all()  # 2.5 is rounded to even
            assert lengths.max() <= 0.4 * 60
            assert lengths.dtype == np.int64
        history.add(iteration, marked(seeds, iteration), np.array([[10, 20, 30], [40, 60, 80]]))
    # Ages: the newest was kept in one of the last three iterations, the other three before it.
    assert chosen == {0: {1.0, 4.0}, 1: {2.0, 5.0}, 2: {3.0, 6.0}}


def test_lengths_are_uniform_up_to_the_longest() -> None:
    """3,000 draws below half of a mean length of 40: each of 0 to 19 in a twentieth of all, within 5 deviations."""
    history = PrefixPolicies(PrefixPlan(share=1.0, longest=0.5, every=1, kept=1))
    history.add(0, marked([0], 0), np.array([[30, 50]]))
    drawn = [history.draw([0], iteration, groups=1, trajectories=30) for iteration in range(1, 101)]
    counts = np.bincount(np.concatenate([one.lengths[0] for one in drawn if one is not None]), minlength=20)
    assert len(counts) == 20
    assert np.abs(counts - 150).max() < 5 * math.sqrt(3000 * 0.05 * 0.95)


def test_a_history_is_each_seeds_own() -> None:
    """Drawn alike alone and among others, also after others have left; and what comes back from a state is the same."""
    plan = PrefixPlan(share=0.5, longest=1.0, every=1, kept=3)
    together, alone = PrefixPolicies(plan), PrefixPolicies(plan)
    lengths = {5: [10, 20], 6: [30, 50], 7: [7, 8]}
    for iteration in range(4):
        together.add(iteration, marked([5, 6, 7], iteration), np.array(list(lengths.values())))
        alone.add(iteration, marked([6], iteration), np.array([lengths[6]]))
    restored = PrefixPolicies(plan)
    restored.restore(together.state())
    for history in (together, restored):
        whole = history.draw([5, 6, 7], 9, groups=1, trajectories=4)
        history.keep([2, 1])
        fewer = history.draw([7, 6], 9, groups=1, trajectories=4)
        single = alone.draw([6], 9, groups=1, trajectories=4)
        assert whole is not None
        assert fewer is not None
        assert single is not None
        for one, row in ((whole, 1), (whole.select([1]), 0), (fewer, 1)):
            assert torch.equal(one.parameters[row], single.parameters[0])
            assert np.array_equal(one.lengths[row], single.lengths[0])


def test_a_history_keeps_copies() -> None:
    history, parameters = PrefixPolicies(PrefixPlan(share=1.0, longest=1.0, every=1, kept=1)), marked([0], 3)
    history.add(0, parameters, np.array([[5]]))
    parameters.zero_()
    drawn = history.draw([0], 1, groups=1, trajectories=1)
    assert drawn is not None
    assert drawn.parameters.tolist() == [[0.0, 3.0]]


def test_only_soup_keeps_a_history() -> None:
    definitions = {name: catalogue.algorithm(name) for name in catalogue.ALGORITHMS}
    natives = {name: d.objective() for name, d in definitions.items() if isinstance(d, NativeDefinition)}
    assert [name for name, objective in natives.items() if objective.prefixes is not None] == ["soup"]
    recorder = Recorder([0], budget=1000, every=1000, episodes=2)
    trainer = EpisodeTrainer(catalogue.task("bandit/10-arm"), Grpo(), TrainerSettings(), [0], recorder, "cpu")
    trainer.collect(0)
    assert trainer.prefix_policies is trainer.prefixes is None
    trainer.close()


def test_tasks_of_one_step_have_no_prefixes() -> None:
    settings = TrainerSettings(reference="initial")
    one, two = (
        train(NativeAlgorithm(objective, settings), "bandit/10-arm", [0], 400, 200)[0].curve["eval_return"]
        for objective in (Soup(), Grpo(beta=0))
    )
    assert one == two
