"""One iteration's gradient of an objective over a batch of responses, exact whatever the micro-batch.

The policy is evaluated micro-batch by micro-batch without a graph, the objective is called once on detached leaves,
and d loss / d leaf is pushed back through each micro-batch, computed again with its graph. So a softmax over whole
responses and gradient accumulation are one mechanism. A batch that passes in one piece keeps its graph instead.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from haepo_bench.objectives.base import Objective, TrajectoryBatch
from haepo_bench.objectives.output import output_of
from haepo_bench.objectives.ratios import k3
from haepo_bench.policies.language import Evaluated, LanguagePolicy
from haepo_bench.policies.responses import Responses
from haepo_bench.policies.shapes import Array
from haepo_bench.training.advantages import generalised_advantages
from haepo_bench.training.diagnostics import ENTROPY, KL, update_diagnostics
from haepo_bench.training.episodes.prefixes import Prefixes
from haepo_bench.training.returns import comparable


@dataclass(frozen=True)
class GeneralisedAdvantages:
    """What advantage estimates need, for objectives with a value function."""

    gamma: float
    gae_lambda: float


@dataclass(frozen=True)
class _Chunk:
    """A micro-batch: which rows of the batch, and the responses without columns that none of them needs."""

    rows: Tensor
    responses: Responses


class PackedResponses:
    """A batch of responses and what is known about it before the first gradient step.

    Args:
        policy: that collected the responses; its parameters may be changed in place between gradients.
        responses: of all groups, group by group.
        returns: [row].
        groups: rows of a group stand together and are equally many.
        horizon: most tokens of a response.
        reference: parameters of the reference policy; "previous": it is the policy as it is now; None: the model
            without its adapter.
        objective: which says what its batch must bring along.
        reference_returns: [group, sample] of responses of the reference policy; None where there are none, and the
            batch's own returns, which are such a sample, stand in if the reference collected it.
        expert: an expert's response to the prompt of each group; None where the objective asks for none.
        prefixes: the tokens that an earlier policy sampled; None where there are none.
        greedy_returns: [group] of the greedy policy's responses; None where the objective asks for none.
        flipped: bool [group, trajectory, trajectory], pairs whose order is reported reversed; None for none.
        micro_batch: rows that pass through the model at a time; None: all.
        advantages: for objectives that collect segments; None for the others.
    """

    def __init__(
        self,
        policy: LanguagePolicy,
        responses: Responses,
        returns: Array,
        *,
        groups: int,
        horizon: int,
        reference: Tensor | str | None = "previous",
        objective: Objective | None = None,
        reference_returns: Array | None = None,
        expert: Responses | None = None,
        prefixes: Prefixes | None = None,
        greedy_returns: Array | None = None,
        flipped: Array | None = None,
        micro_batch: int | None = None,
        advantages: GeneralisedAdvantages | None = None,
    ) -> None:
        self._policy, self._groups, self._rows, self._T = policy, groups, len(responses), responses.columns
        temperatures = () if objective is None else objective.temperatures
        self._chunks = self._cut(responses, micro_batch)
        # A batch in one piece keeps its graph: the first gradient is taken where it was collected.
        self._keep = len(self._chunks) == 1
        first = self._passes(grad=self._keep, temperatures=temperatures)
        self._first: list[Evaluated] | None = first
        behaviour = self._gather([one.log_probs for one in first]).detach()
        reference_log_probs = behaviour
        if not isinstance(reference, str):
            reference_log_probs = self._log_probs_under(reference)
        if prefixes is not None:
            begun = self._grouped(torch.from_numpy(prefixes.lengths[0]).to(policy.device))
            theirs = torch.arange(self._T, device=policy.device) < begun[..., None]
            behaviour = torch.where(theirs, self._log_probs_under(prefixes.parameters), behaviour)
        paid = np.zeros((self._rows, self._T))
        lengths = responses.lengths.cpu().numpy()
        paid[np.arange(self._rows), lengths - 1] = returns
        grouped_returns = self._grouped(_returns(returns, policy.device))
        sampled = grouped_returns if reference_returns is None else _returns(reference_returns, policy.device)[None]
        self._batch = TrajectoryBatch(
            log_probs=behaviour,
            entropy=behaviour,
            kl_to_reference=behaviour,
            behaviour_log_probs=behaviour,
            reference_log_probs=reference_log_probs,
            mask=self._grouped(responses.mask),
            rewards=self._grouped(torch.from_numpy(paid).to(policy.device)),
            returns=grouped_returns,
            horizon=horizon,
            deterministic=True,  # a text and a token make one longer text
            reference_returns=sampled if objective is not None and objective.reference_sample else None,
            tempered_log_probs=tuple(
                self._gather([one.tempered[number] for one in first]) for number in range(len(temperatures))
            )
            or None,
            expert_log_probs=None if expert is None else self._expert_log_probs(expert, micro_batch),
            greedy_returns=None if greedy_returns is None else _returns(greedy_returns, policy.device)[None, :, None],
            flipped=None if flipped is None else torch.from_numpy(flipped)[None].to(policy.device),
        )
        if advantages is not None:
            values = self._gather([_given(one.values) for one in first]).detach()
            over = np.zeros((1, self._rows, self._T), bool)
            over[0, np.arange(self._rows), lengths - 1] = True
            estimates = generalised_advantages(
                paid[None].astype(np.float32),
                values.reshape(1, self._rows, self._T).cpu().numpy(),
                np.zeros((1, self._rows), np.float32),
                over,
                gamma=advantages.gamma,
                gae_lambda=advantages.gae_lambda,
            )
            found_advantages = self._grouped(torch.from_numpy(estimates[0]).to(policy.device))
            self._batch = replace(
                self._batch,
                values=values,
                behaviour_values=values,
                advantages=found_advantages,
                value_targets=found_advantages + values,
            )

    def gradient(self, objective: Objective, wanted: Collection[str] = (ENTROPY, KL)) -> dict[str, Tensor]:
        """Puts the gradient of the loss at the policy's parameters as they are now into `policy.gradient`.

        Args:
            wanted: of `update_diagnostics`.

        Returns:
            Diagnostics [1].
        """
        found, self._first = self._first or self._passes(grad=self._keep), None
        log_probs = self._leaf([one.log_probs for one in found])
        entropy = self._leaf([_given(one.entropy) for one in found])
        leaves = [log_probs, entropy]
        values = None
        if self._batch.values is not None:
            values = self._leaf([_given(one.values) for one in found])
            leaves.append(values)
        lp = torch.where(self._batch.mask, log_probs, 0.0)
        kl = k3(lp, torch.where(self._batch.mask, self._batch.reference_log_probs, 0.0))
        batch = replace(self._batch, log_probs=log_probs, entropy=entropy, kl_to_reference=kl, values=values)
        output = output_of(objective, batch)
        # A coefficient of 0 asks for nothing back, as if it were not in the loss.
        back = tuple(
            None if gradient is None or not gradient.any() else gradient
            for gradient in torch.autograd.grad(output.loss.sum(), leaves, allow_unused=True)
        )
        self._policy.gradient.zero_()
        needs_entropy = back[1] is not None
        for number, chunk in enumerate(self._chunks):
            one = found[number] if self._keep else self._policy.evaluate(chunk.responses, entropy=needs_entropy)
            self._push(chunk, one, back)
        diagnostics = update_diagnostics(output, batch, wanted)
        return {name: value.detach() for name, value in diagnostics.items()}

    def _push(self, chunk: _Chunk, evaluated: Evaluated, back: tuple[Tensor | None, ...]) -> None:
        outputs, gradients = [], []
        for output, gradient in zip((evaluated.log_probs, evaluated.entropy, evaluated.values), back, strict=False):
            if output is not None and gradient is not None:
                outputs.append(output)
                gradients.append(gradient.reshape(self._rows, self._T)[chunk.rows, : output.shape[1]])
        if outputs:
            torch.autograd.backward(outputs, gradients)

    def _cut(self, responses: Responses, micro_batch: int | None) -> list[_Chunk]:
        rows = torch.arange(len(responses), device=responses.tokens.device)
        if micro_batch is None or micro_batch >= len(responses):
            return [_Chunk(rows, responses)]
        # Rows of like length together, so that little of a micro-batch is padding.
        order = responses.total_lengths.argsort(stable=True)
        return [_Chunk(part, responses.select(part)) for part in torch.split(order, micro_batch)]

    def _passes(self, *, grad: bool, temperatures: Sequence[float] = ()) -> list[Evaluated]:
        with torch.set_grad_enabled(grad):
            return [self._policy.evaluate(chunk.responses, temperatures=temperatures) for chunk in self._chunks]

    @torch.no_grad()
    def _log_probs_under(self, parameters: Tensor | None) -> Tensor:
        """Of the batch's tokens under the policy with other parameters, as `LanguagePolicy.under` takes them."""
        with self._policy.under(parameters):
            return self._gather(
                [self._policy.evaluate(chunk.responses, entropy=False).log_probs for chunk in self._chunks]
            )

    @torch.no_grad()
    def _expert_log_probs(self, expert: Responses, micro_batch: int | None) -> Tensor:
        """[1, group, step] under the policy as it is now, as long as the batch; NaN beyond a response's end."""
        found = torch.full((len(expert), max(self._T, expert.columns)), torch.nan, device=self._policy.device)
        for chunk in self._cut(expert, micro_batch):
            log_probs = self._policy.evaluate(chunk.responses, entropy=False).log_probs
            log_probs = torch.where(chunk.responses.mask, log_probs, torch.nan)
            found[chunk.rows, : log_probs.shape[1]] = log_probs
        return found[None, :, : self._T]

    def _leaf(self, values: list[Tensor]) -> Tensor:
        return self._gather(values).detach().requires_grad_()

    def _gather(self, values: list[Tensor]) -> Tensor:
        """Values of the micro-batches to [1, group, trajectory, step]; zero beyond what a micro-batch has."""
        with torch.no_grad():
            if self._keep:
                return self._grouped(values[0].detach())
            whole = torch.zeros(self._rows, self._T, device=values[0].device)
            for chunk, value in zip(self._chunks, values, strict=True):
                whole[chunk.rows, : value.shape[1]] = value
            return self._grouped(whole)

    def _grouped(self, x: Tensor) -> Tensor:
        """[row, ...] to [1, group, trajectory, ...]."""
        return x.reshape(1, self._groups, -1, *x.shape[1:])


def _returns(returns: Array, device: str) -> Tensor:
    return torch.from_numpy(comparable(returns)).to(device)


def _given(x: Tensor | None) -> Tensor:
    if x is None:
        raise ValueError("the policy was not asked for it")
    return x
