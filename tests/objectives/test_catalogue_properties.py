"""What must hold of every objective in the catalogue, on random batches: parametrised over all of them."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_support import F, each_tensor, outcome, random_batch
from torch import Tensor

from haepo_bench import catalogue
from haepo_bench.errors import ParameterError
from haepo_bench.objectives.base import Objective
from haepo_bench.objectives.ppo import Ppo
from haepo_bench.objectives.ratios import k3
from haepo_bench.tasks.base import Task
from haepo_bench.training.episodes.algorithm import NativeDefinition

DEFINITIONS = {name: catalogue.algorithm(name) for name in catalogue.ALGORITHMS}
CLASSES = {name: d.objective for name, d in DEFINITIONS.items() if isinstance(d, NativeDefinition)}

#: Every objective of whole episodes with its defaults, and those whose options change the formula.
OBJECTIVES: dict[str, Objective] = {name: objective() for name, objective in CLASSES.items()} | {
    f"{name} {options}": CLASSES[name](**options)
    for name, options in [
        ("haepo-weighted", {"score": "ratio", "weight_gradient": False}),
        ("haepo-weighted", {"score": "mean", "entropy_of": "weights", "kl_of": "weights"}),
        ("haepo-listwise", {"target": "returns", "temperature": 3.0}),
        ("grpo", {"aggregation": "token", "clip_high": 0.28}),
        ("grpo", {"advantage_entropy_coefficient": 0.5}),
        ("dpo", {"pairs": "best-worst", "alpha": 0.9}),
        ("reinforce-pp", {"baseline": "group", "variance": "biased"}),
        ("lpo-forward", {"length_norm": False}),
        ("lpo-reverse", {"temperature": "one"}),
        ("qrpo", {"transform": "log"}),
        ("qrpo", {"transform": "normal"}),
        ("a2po", {"scale_returns": False}),
        ("rebel", {"return_normalisation": "none"}),
        ("soup", {"beta": 0.04, "aggregation": "token"}),
        ("grpo", {"two_sided_clip": 1.5, "kl_correction": True}),
        ("grpo", {"kl_estimator": "k2"}),
        ("grpo", {"kl_estimator": "k3+"}),
        ("grpo", {"baseline": "length", "advantage_scale": "mean"}),
        ("gspo-token", {"advantages_of": "trajectory"}),
        ("gpg", {"counted": "nonzero"}),
        ("clip-cov", {"share": 0.2, "cov_low": -1.0}),
        ("kl-cov", {"share": 0.2}),
        ("dpo", {"pair_loss": "hinge"}),
        ("dpo", {"label_smoothing": 0.2}),
        ("dpo", {"label_smoothing": 0.2, "smoothing": "robust"}),
    ]
}
every_objective = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=list(OBJECTIVES))

#: Those whose gradient is by definition not that of their value: they are checked against worked numbers instead.
DETACHED = (
    "haepo-weighted {'score': 'ratio'",
    "grpo {'kl_estimator': 'k3+'",
    "cispo",
    "dppo",
    "bapo",
    "dcpo",
    "gspo-token",
    "vespo",
    "kto",
)
DIFFERENTIABLE = {name: objective for name, objective in OBJECTIVES.items() if not name.startswith(DETACHED)}


@pytest.mark.parametrize("objective", DIFFERENTIABLE.values(), ids=list(DIFFERENTIABLE))
def test_gradients_agree_with_finite_differences(objective: Objective) -> None:
    batch = random_batch(1)

    def of(log_probs: Tensor, entropy: Tensor, kl: Tensor) -> Tensor:
        return objective(replace(batch, log_probs=log_probs, entropy=entropy, kl_to_reference=kl)).loss

    leaves = (batch.log_probs, batch.entropy, batch.kl_to_reference)
    assert torch.autograd.gradcheck(of, leaves, eps=1e-6, atol=1e-6)


@every_objective
@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 1e38])
def test_what_stands_where_no_step_was_taken_changes_nothing(objective: Objective, garbage: float) -> None:
    batch = random_batch(2)

    def spoilt(x: Tensor) -> Tensor:
        return torch.where(batch.mask, x.detach(), garbage).requires_grad_(x.requires_grad)

    other = each_tensor(batch, spoilt, steps=True)
    assert not torch.isfinite(other.log_probs).all() or garbage == 1e38
    for one, two in zip(outcome(objective, batch), outcome(objective, other), strict=True):
        assert torch.equal(one, two)


@every_objective
@settings(deadline=None, max_examples=6)
@given(
    seed=st.integers(0, 10_000),
    steps=st.sampled_from([1, 3, 1000]),
    trajectories=st.sampled_from([1, 2, 5]),
    ties=st.booleans(),
    equal=st.booleans(),
    single=st.booleans(),
)
def test_finite_everywhere(
    objective: Objective, seed: int, steps: int, trajectories: int, ties: bool, equal: bool, single: bool
) -> None:
    """Ties, groups of one, equal returns, one-hot weights (long episodes); in both precisions."""
    batch = random_batch(seed, steps=steps, trajectories=trajectories, ties=ties)
    if equal:
        batch = replace(batch, returns=torch.full_like(batch.returns, 0.1))
    if single:
        batch = each_tensor(batch, as_float32)
    for value in outcome(objective, batch):
        assert torch.isfinite(value).all()


@every_objective
def test_episodes_of_ten_thousand_steps_stay_finite(objective: Objective) -> None:
    """In float32, and with log-ratios of tens of thousands of nats between policies that have nothing in common."""
    batch = each_tensor(random_batch(5, steps=10_000, trajectories=3, spread=8.0), as_float32)
    apart = replace(
        batch,
        behaviour_log_probs=batch.behaviour_log_probs * torch.tensor([0.01, 1.0, 2.0])[:, None],
        returns=batch.returns * 1e4,
    )
    for value in outcome(objective, batch) + outcome(objective, apart):
        assert torch.isfinite(value).all()


@every_objective
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("nats", [-1000.0, -50.0, 50.0, 1000.0])
def test_policies_that_are_far_apart_have_finite_losses(
    objective: Objective, nats: float, everywhere: bool, dtype: torch.dtype
) -> None:
    """Log-ratios of single steps, to the policy that collected and to the reference, of all trajectories or of some."""
    for behaviour, reference in ((nats, nats), (nats, 0.0), (0.0, nats), (nats, -nats)):
        batch = each_tensor(random_batch(6), lambda x: x.detach().to(dtype) if x.dtype == F else x)
        apart = batch.mask & (everywhere | (torch.arange(4) % 2 == 0)[:, None])
        lp, old, ref = (torch.where(apart, x, batch.log_probs) for x in far(batch.log_probs, behaviour, reference))
        leaves = {"log_probs": lp, "entropy": batch.entropy, "kl_to_reference": batch.kl_to_reference}
        given = {name: leaf.requires_grad_() for name, leaf in leaves.items()}
        for value in outcome(objective, replace(batch, **given, behaviour_log_probs=old, reference_log_probs=ref)):
            assert torch.isfinite(value).all()


def far(log_probs: Tensor, behaviour: float, reference: float) -> tuple[Tensor, Tensor, Tensor]:
    """(lp, behaviour, reference) with lp - behaviour and lp - reference as given; probabilities of at most 1."""
    highest = log_probs - max(0.0, -behaviour, -reference)
    return highest, highest - behaviour, highest - reference


@pytest.mark.parametrize("nats", [-1000.0, -50.0, 50.0, 1000.0])
@pytest.mark.parametrize("options", [{}, {"normalize_advantage": False, "clip_range_vf": 0.2}])
def test_ppo_with_policies_that_are_far_apart_has_a_finite_loss(nats: float, options: dict[str, object]) -> None:
    drawn = each_tensor(random_batch(6), as_float32)
    lp, old, _ = far(drawn.log_probs.detach(), nats, nats)
    given = {"values": drawn.rewards, "behaviour_values": drawn.rewards, "advantages": drawn.rewards}
    batch = replace(drawn, log_probs=lp.requires_grad_(), behaviour_log_probs=old, value_targets=drawn.rewards, **given)
    for value in outcome(Ppo(**options), batch):
        assert torch.isfinite(value).all()


@pytest.mark.parametrize("d", [-1000.0, -25.0, -20.0, -3.0, 0.0, 3.0, 20.0])
def test_k3_is_exact_up_to_the_limit_and_below(d: float) -> None:
    """Its gradient as well: where the policy has moved mass to where the reference has none it is 1, not 0."""
    lp = torch.tensor([-1.0], dtype=F, requires_grad=True)
    found = k3(lp, lp.detach() + d)
    assert found.item() == pytest.approx(math.exp(d) - d - 1, rel=1e-8)
    (gradient,) = torch.autograd.grad(found.sum(), lp)
    assert gradient.item() == pytest.approx(1 - math.exp(d), rel=1e-8)


@pytest.mark.parametrize("d", [20.5, 50.0, 1000.0])
def test_k3_is_constant_beyond(d: float) -> None:
    lp = torch.tensor([-1.0], dtype=F, requires_grad=True)
    found = k3(lp, lp.detach() + d)
    assert found.item() == pytest.approx(math.exp(20) - 21)
    assert torch.autograd.grad(found.sum(), lp)[0].item() == 0


@every_objective
def test_seeds_do_not_mix(objective: Objective) -> None:
    batch = random_batch(3)
    alone = each_tensor(batch, lambda x: x[1:])
    assert torch.allclose(objective(batch).loss[1:], objective(alone).loss, atol=1e-12)
    (full,) = torch.autograd.grad(objective(batch).loss[1], batch.log_probs)
    assert torch.count_nonzero(full[0]) == 0


@every_objective
@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 10_000), ties=st.booleans())
def test_the_order_of_trajectories_does_not_matter(objective: Objective, seed: int, ties: bool) -> None:
    batch = random_batch(seed, ties=ties)
    if "best-worst" in repr(objective) and ties:
        return  # which of two best ones stands for both is open
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))

    def permuted(x: Tensor) -> Tensor:
        return x if x.shape[2] != 4 else x[:, :, order].detach().requires_grad_(x.requires_grad)

    other = each_tensor(batch, permuted)
    assert torch.allclose(objective(batch).loss, objective(other).loss, atol=1e-10)
    one, two = (torch.autograd.grad(objective(b).loss.sum(), b.log_probs)[0] for b in (batch, other))
    assert torch.allclose(one[:, :, order], two, atol=1e-10)


@every_objective
def test_groups_are_compared_apart(objective: Objective) -> None:
    """The returns of one group say nothing about the trajectories of another, but for what batches normalise with."""
    if objective.mixes_groups:
        pytest.skip("by its definition the whole batch whitens, bounds or counts")
    batch = random_batch(4)
    other = replace(batch, returns=torch.stack([batch.returns[:, 0], batch.returns[:, 1] * 2 - 1], 1))
    one, two = (torch.autograd.grad(objective(b).loss.sum(), batch.log_probs)[0] for b in (batch, other))
    assert torch.allclose(one[:, 0], two[:, 0], atol=1e-12)


@pytest.mark.parametrize("name", CLASSES)
def test_entries_say_what_their_classes_say(name: str) -> None:
    entry, objective = catalogue.ALGORITHMS[name], CLASSES[name]
    assert entry.summary == objective.summary
    assert entry.confidence == objective.confidence.split(" ")[0].rstrip(":")
    assert entry.confidence in ("high", "medium", "low")
    assert objective.__doc__
    labels = [other.label for other in CLASSES.values()]
    assert labels.count(objective.label) == 1


def as_float32(x: Tensor) -> Tensor:
    return x.detach().float().requires_grad_(x.requires_grad) if x.dtype == F else x


@pytest.mark.parametrize(
    "objective",
    [
        *OBJECTIVES.values(),
        *(CLASSES[name](return_normalisation="none") for name in ("reinforce", "reinforce-togo", "awr", "rwr")),
        *(
            CLASSES[name](weight_gradient=gradient, return_normalisation="none")
            for name in ("haepo-weighted", "snis")
            for gradient in (False, True)
        ),
        CLASSES["dcpo"](success_return=0.0),
    ],
    ids=repr,
)
def test_what_is_said_to_be_compared_is(objective: Objective) -> None:
    """Returns of trajectories that are alone change the gradient where, and only where, nothing is compared there."""

    def returns_matter(*, trajectories: int, groups: int) -> bool:
        batch = each_tensor(random_batch(5, trajectories=trajectories), lambda x: x[:, :groups])
        gradients = []
        for seed in (6, 7):
            other = each_tensor(random_batch(seed, trajectories=trajectories), lambda x: x[:, :groups])
            paid = replace(
                batch,
                log_probs=batch.log_probs.detach().requires_grad_(),
                behaviour_log_probs=batch.log_probs.detach(),
                reference_log_probs=batch.log_probs.detach(),
                returns=other.returns,
                rewards=other.rewards,
            )
            (gradient,) = torch.autograd.grad(objective(paid).loss.sum(), paid.log_probs)
            gradients.append(gradient)
        return not torch.allclose(*gradients, rtol=1e-9, atol=1e-12)

    assert returns_matter(trajectories=4, groups=2)
    assert returns_matter(trajectories=1, groups=2) is (objective.compares != "group")
    assert returns_matter(trajectories=1, groups=1) is (objective.compares is None)
    assert ("at least two trajectories" in " ".join(objective.needs)) is (objective.compares is not None)


def test_a_batch_without_anything_to_compare_is_refused() -> None:
    """Not where a choice of hyper-parameters leaves each trajectory to itself, or there are other groups."""
    bandit, contexts, sums = map(catalogue.task, ("bandit/10-arm", "bandit/contextual", "lm/arithmetic"))

    def refused(name: str, task: Task, **overrides: object) -> bool:
        size = "completions" if task is sums else "trajectories"
        if name == "repo" and task is sums:
            overrides["rephrasing_prompt"] = "{demonstration}{prompt}"  # in characters that the tiny model knows
        catalogue.algorithm_on(task, name).configure({size: 2, **overrides}, task)
        try:
            catalogue.algorithm_on(task, name).configure({size: 1, **overrides}, task)
        except ParameterError as error:
            return (error.parameter, error.remedy) == (size, f"set {size} to 2 or more")
        return False

    alone = {name for name in CLASSES if not refused(name, bandit)}
    assert alone == {"qrpo", "a2po", "remax"}
    assert {name for name in CLASSES if not refused(name, sums)} == {"qrpo", "a2po", "remax", "reinforce-pp"}
    assert not refused("ppo-batched", sums)
    assert refused("reinforce-pp", sums, prompts=1)
    assert refused("reinforce-pp", sums, baseline="group")
    assert not refused("reinforce-pp", contexts)
    assert refused("grpo", contexts)
    assert not refused("reinforce", bandit, return_normalisation="none")
