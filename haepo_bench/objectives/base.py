"""What every objective shares: the batch it sees, and what it returns.

Axes are [seed, group, trajectory, step], reduced from the right. A group is what trajectories are compared within. The
loss is one number per seed; seeds never mix. Everything is detached except the tensors marked with * in
`TrajectoryBatch`. Formulas, sources and worked numbers: docs/reference/algorithms.md.
"""

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch
from torch import Tensor

from haepo_bench.objectives.hyperparameters import Hyperparameters as Hyperparameters
from haepo_bench.objectives.hyperparameters import hyper as hyper

# Objectives take both from here.
from haepo_bench.objectives.plans import BranchingPlan, DesignPlan, ImplicitReward, PrefixPlan, RephrasingPlan
from haepo_bench.objectives.spaces import COEFFICIENT
from haepo_bench.results.columns import Column

#: What trajectories are compared within; None where each is judged by itself.
Compared = Literal["group", "batch"] | None


@dataclass(frozen=True)
class TrajectoryBatch:
    """Trajectories of one iteration; [seed, group, trajectory, step] unless said otherwise, * = carries gradient.

    What stands where `mask` is false has no meaning and may be anything, NaN included; objectives never let it into a
    sum (`masked_sum`), and never take its exponential before it is replaced.

    Args:
        log_probs: * log pi(a|s) of the taken action.
        entropy: * entropy of pi(.|s), nats.
        kl_to_reference: * KL(pi(.|s) || reference(.|s)), nats; exact a state.
        behaviour_log_probs: log-probability of the taken action under the policy that took it.
        reference_log_probs: the same under the reference policy.
        mask: bool, true where a step was taken.
        rewards: float64, reward of each step.
        returns: [seed, group, trajectory] float64, undiscounted return; NaN for segments, which are not whole episodes.
            Equal but for the rounding of their sums means equal (`training.rollout.comparable`). What is made of
            returns goes to the policy's precision, `dtype`, once they are centred: before, differences between
            returns that are far from zero would be lost in it.
        horizon: most steps that an episode of the task has; the step axis may be longer (padding).
        deterministic: True if a state and an action always lead to the same next state.
        reference_returns: [seed, group, sample] float64, returns of episodes of the reference policy; None where the
            objective asks for none (`Objective.reference_sample`).
        tempered_log_probs: log-probability of the taken action under the policy that took it, at each of the
            objective's `temperatures`; None where it asks for none.
        greedy_returns: [seed, group, 1] float64, return of the episode of the greedy policy from the same start; None
            where the objective asks for none.
        flipped: [seed, group, trajectory, trajectory] bool, symmetric: pairs whose order is reported reversed to
            objectives that learn from pairs; None where none is.
        expert_log_probs: [seed, group, step] log-probability, under the policy that collected the batch, of the actions
            of an expert's episode from the same start, NaN beyond its end; None where the objective asks for none.

    Objectives that collect segments see one minibatch: the steps of a seed, shuffled, as one trajectory of one group,
    and besides (None for all other objectives):

    Args:
        values: * V(s) by the value network.
        behaviour_values: V(s) when the step was taken.
        advantages: generalised advantage estimates, not normalised.
        value_targets: what the values should become: advantages + behaviour_values.
        halves_apart: * distance between the two halves of the current policy's doubled actions (`Head.apart`); None
            where its actions are not doubled.
    """

    log_probs: Tensor
    entropy: Tensor
    kl_to_reference: Tensor
    behaviour_log_probs: Tensor
    reference_log_probs: Tensor
    mask: Tensor
    rewards: Tensor
    returns: Tensor
    horizon: int
    deterministic: bool = False
    reference_returns: Tensor | None = None
    tempered_log_probs: tuple[Tensor, ...] | None = None
    expert_log_probs: Tensor | None = None
    greedy_returns: Tensor | None = None
    flipped: Tensor | None = None
    values: Tensor | None = None
    behaviour_values: Tensor | None = None
    advantages: Tensor | None = None
    value_targets: Tensor | None = None
    halves_apart: Tensor | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The precision that the policy computes in."""
        return self.log_probs.dtype

    def masked_sum(self, x: Tensor) -> Tensor:
        """Sum over the steps that were taken: [seed, group, trajectory]."""
        return torch.where(self.mask, x, 0.0).sum(-1)

    @property
    def lengths(self) -> Tensor:
        """Steps of each trajectory, at least 1: [seed, group, trajectory]."""
        return self.mask.sum(-1).clamp(min=1)

    def token_mean(self, x: Tensor) -> Tensor:
        """Mean over all steps that a seed took: [seed]."""
        return self.masked_sum(x).sum((-1, -2)) / self.mask.sum((-1, -2, -3)).clamp(min=1)


def own_docstring(objective: type) -> str:
    """What a class says of itself; empty where it says nothing, whatever the class that it is derived from says."""
    return inspect.cleandoc(objective.__doc__ or "")


class ObjectiveOutput(NamedTuple):
    """A loss and what to plot beside it.

    Args:
        loss: [seed], carries gradient.
        diagnostics: name to [seed], detached.
    """

    loss: Tensor
    diagnostics: dict[str, Tensor]


class Objective(Hyperparameters, ABC):
    """A loss over a batch of complete episodes, or over minibatches of segments; its fields are its hyper-parameters.

    Subclasses read like their equation: the docstring gives formula, source and what is our choice.
    """

    #: One line for `list`, and the kind that tables and figures print; by default the docstring's first line, and the
    #: class's name.
    summary: ClassVar[str]
    label: ClassVar[str]
    #: Raised when the meaning of the objective changes; part of a run's identity.
    version: ClassVar[int] = 1
    #: What is collected before an update: complete episodes, or `n_steps` steps of each of `n_envs` environments that
    #: start anew whenever an episode ends. With segments comes a value network.
    collects: ClassVar[Literal["episodes", "segments"]] = "episodes"
    #: What the objective is told about a trajectory.
    told: ClassVar[Literal["per-step rewards", "returns", "oracle preferences"]] = "returns"
    #: Which policy `reference_log_probs` and `kl_to_reference` speak of, unless the user says otherwise.
    reference: ClassVar[Literal["previous", "initial"]] = "previous"
    #: Share of the budget that small policies are first trained for without rewards, unless the user says otherwise.
    pretraining: ClassVar[float] = 0.0
    #: Caveat that everything printed about the objective carries.
    footnote: ClassVar[str] = ""
    #: How sure it is that the formula is that of its source: high, medium or low, then why; empty where nobody said.
    confidence: ClassVar[str] = ""
    #: What its diagnostics are called in tables and mean; those that neither it nor the registry of columns
    #: (results/columns.py) names are shown under their own names.
    columns: ClassVar[tuple[Column, ...]] = ()
    #: Whether it has a meaning for discrete actions only, whose probabilities are at most 1; refused elsewhere.
    discrete_only: ClassVar[bool] = False
    #: Whether all trajectories of a group must start alike, also where the task draws its start states: pairs are
    #: compared within one start state.
    shares_start: ClassVar[bool] = False

    #: Whether its gradient is by definition not that of its value, because parts of it are detached.
    surrogate: ClassVar[bool] = False
    #: Whether its definition brings the groups of a batch together: whitens, bounds or counts over all of them.
    mixes_groups: ClassVar[bool] = False
    #: What may happen to all returns of a batch without a change of the gradient; `haepo-bench test` tries it.
    invariances: ClassVar[tuple[Literal["shift", "scale"], ...]] = ()
    #: Whether the batch must bring along an expert's episode, or have it as a trajectory (`rephrasing`); tasks without
    #: an expert are refused.
    wants_expert: ClassVar[bool] = False
    #: Whether it needs doubled actions, and how far their halves lie apart: a policy that is a flow.
    wants_halves: ClassVar[bool] = False
    #: Whether the batch must bring along the return of the greedy policy from the same start.
    wants_greedy: ClassVar[bool] = False

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        # An objective in a file of its own need not say either.
        super().__pydantic_init_subclass__(**kwargs)
        if not hasattr(cls, "summary"):
            cls.summary = (own_docstring(cls) or cls.__name__).partition("\n")[0]
        if not hasattr(cls, "label"):
            cls.label = cls.__name__

    @abstractmethod
    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        """The loss of each seed."""

    @property
    def reference_sample(self) -> int:
        """Episodes of the reference policy (of each group) whose returns the batch must bring along."""
        return 0

    @property
    def prefixes(self) -> PrefixPlan | None:
        """How earlier policies begin a part of the trajectories; `behaviour_log_probs` of those steps are theirs."""
        return None

    @property
    def rephrasing(self) -> RephrasingPlan | None:
        """When an expert's episode takes the place of a group's worst; objectives with it have `wants_expert`."""
        return None

    @property
    def branching(self) -> BranchingPlan | None:
        """How trajectories branch; of them and their branches the best make the batch. Moves must be certain."""
        return None

    @property
    def design(self) -> DesignPlan | None:
        """How many trajectories a G-optimal design plays; the task must know its moves (`Task.moves`)."""
        return None

    @property
    def implicit_reward(self) -> ImplicitReward | None:
        """The reward, step by step, for which the policy is optimal, where its loss implies one (credit.py)."""
        return None

    @property
    def compares(self) -> Compared:
        """Where trajectories are only compared with each other: the return of one that is alone there has no effect."""
        return None

    @property
    def needs(self) -> tuple[str, ...]:
        """What it needs beyond a batch of trajectories with their returns, in words."""
        kept = self.prefixes.kept if self.prefixes else 0
        temperatures = " and ".join(f"{temperature:g}" for temperature in self.temperatures)
        expert = "an expert's episode (finite tasks with certain moves; language tasks with own responses)"
        sample = f"{self.reference_sample} episodes of the reference policy, unless that is the previous one"
        asked = (
            (self.compares, f"at least two trajectories per {self.compares}, to compare with each other"),
            (self.discrete_only, "discrete actions"),
            (self.shares_start, "trajectories that start alike"),
            (self.reference_sample, sample),
            (self.wants_expert, expert),
            (self.design, "the task's moves and features, for a design that plays a part of the trajectories"),
            (self.wants_halves, "a policy that is a flow on doubled actions, hence continuous ones"),
            (self.wants_greedy, "an episode of the greedy policy per group and batch"),
            (self.pretraining, "observations that are vectors, from which features are learnt without rewards"),
            (self.prefixes, f"copies of {kept} earlier policies, which begin a part of the trajectories"),
            (self.temperatures, f"the policy's log-probabilities at temperatures {temperatures}"),
        )
        return tuple(words for asks, words in asked if asks)

    @property
    def temperatures(self) -> tuple[float, ...]:
        """Temperatures at which the batch must bring along the log-probabilities of the policy that collected it."""
        return ()

    def at(self, remaining: float) -> Self:
        """The objective as its schedules have it when `remaining` (1 to 0) of the budget is left.

        Asked before each update; only objectives that collect segments have schedules.
        """
        return self


class EntropyBonus(Objective):
    """Objectives whose papers have no regulariser of the policy's entropy, with the bonus that native ones share."""

    entropy_coefficient: float = hyper(
        0.01,
        "weight of the entropy bonus (mean policy entropy per step)",
        source="ours, shared by all; the paper has none",
        ge=0,
        search=COEFFICIENT,
    )

    def finish(self, loss: Tensor, batch: TrajectoryBatch, diagnostics: dict[str, Tensor]) -> ObjectiveOutput:
        """loss - alpha * mean entropy per step; `loss`: [seed], `diagnostics` are detached here."""
        return ObjectiveOutput(
            loss - self.entropy_coefficient * batch.token_mean(batch.entropy),
            {name: value.detach() for name, value in diagnostics.items()},
        )


class Regularised(Objective):
    """Objectives with an entropy bonus and a KL penalty beside their own loss: loss - alpha * H + beta * KL."""

    entropy_coefficient: float = hyper(
        0.01,
        "alpha: weight of the entropy bonus (mean policy entropy per step)",
        source="ours, shared by all",
        ge=0,
        search=COEFFICIENT,
    )
    kl_coefficient: float = hyper(
        0.1,
        "beta: weight of the KL penalty to the reference policy (mean per step)",
        source="ours, shared by all",
        ge=0,
        search=COEFFICIENT,
    )

    def regularise(self, loss: Tensor, batch: TrajectoryBatch) -> Tensor:
        """loss - alpha * mean entropy per step + beta * mean KL to the reference per step: [seed]."""
        return (
            loss
            - self.entropy_coefficient * batch.token_mean(batch.entropy)
            + self.kl_coefficient * batch.token_mean(batch.kl_to_reference)
        )


ReturnNormalisation = Literal["standardise", "centre", "none"]


def centre(returns: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """R - mean within the group, taken in float64: [seed, group, trajectory] to the same.

    A group whose returns are all equal becomes exactly zero.

    Args:
        dtype: of the result: the policy's, `batch.dtype`; None: that of `returns`.
    """
    exact = returns.double()
    centred = exact - exact.mean(-1, keepdim=True)
    # The mean of equal numbers can be off by a rounding error, which a division would blow up to order one.
    equal = (returns == returns[..., :1]).all(-1, keepdim=True)
    return torch.where(equal, 0.0, centred).to(dtype or returns.dtype)


def normalise_returns(returns: Tensor, how: ReturnNormalisation, dtype: torch.dtype | None = None) -> Tensor:
    """Returns normalised within their group; [seed, group, trajectory] to the same.

    `standardise`: (R - mean) / (std + 1e-8) with the biased standard deviation (ddof 0); `centre`: R - mean; `none`: R.
    A group whose returns are all equal becomes exactly zero.

    Args:
        dtype: of the result: the policy's, `batch.dtype`; None: that of `returns`.
    """
    if how == "none":
        return returns.to(dtype or returns.dtype)
    centred = centre(returns, dtype)
    if how == "centre":
        return centred
    return centred / (centred.square().mean(-1, keepdim=True).sqrt() + 1e-8)
