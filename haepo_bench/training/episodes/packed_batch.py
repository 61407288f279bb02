"""One iteration's update: several epochs of one objective over one batch of trajectories, all seeds at once.

The network sees only steps that were taken, packed seed by seed into chunks of a fixed number of rows. Its outputs are
scattered into the objective's batch, the objective is called once, and d loss / d output is pushed back chunk by chunk.
So a softmax over whole trajectories, chunks that fit the cache and exact gradient accumulation are one
mechanism. Which steps share a chunk depends on their own seed alone, which keeps every seed's result its own.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from haepo_bench.objectives.base import Objective
from haepo_bench.objectives.output import output_of
from haepo_bench.policies.network import PolicyNetwork, Prepared
from haepo_bench.policies.shapes import Array, pad
from haepo_bench.tasks.base import Task
from haepo_bench.training.diagnostics import ENTROPY, KL, update_diagnostics
from haepo_bench.training.episodes.expert import ExpertEpisode
from haepo_bench.training.episodes.prefixes import Prefixes
from haepo_bench.training.episodes.rollout import Rollout
from haepo_bench.training.episodes.trajectory_batch import BatchShape, trajectory_batch


@dataclass(frozen=True)
class _Chunk:
    """Rows of the seeds that have any in this chunk.

    Args:
        seeds: which seeds [n]; None for all.
        observations: [n, feature, row]. actions: [n, row, *action].
        slots: [n, row] place of each row's step in the flat batch; of padding one past its end.
        reference: outputs of the head under the reference policy [n, output, row].
    """

    seeds: Tensor | None
    observations: Tensor
    actions: Tensor
    slots: Tensor
    reference: Tensor


class _Pass(NamedTuple):
    """A chunk's way through the network: outputs of the head [n, output, row], inputs of the layers if kept."""

    outputs: Tensor
    inputs: list[Tensor] | None


class PackedBatch:
    """The packed batch of one iteration and what is known about it before the first gradient step.

    Args:
        rollout: of S seeds.
        parameters: [seed, parameter] of the policy that collected it; the caller changes them in place afterwards.
        reference: parameters of the reference policy [seed, parameter]; None: it is the policy that collected.
        objective: which says what its batch must bring along.
        reference_returns: [seed, group * sample] of episodes of the reference policy; None where there are none, and
            the batch's own returns, which are such a sample, stand in if the reference collected it.
        expert: an expert's episode of each seed, on a task with one group; None where the objective asks for none.
        prefixes: the steps that earlier policies took; None where the policy that collected took all.
        greedy_returns: [seed, group] of the greedy policy; None where the objective asks for none.
        flipped: [seed, group, trajectory, trajectory] bool, pairs whose order is reported reversed; None for none.
    """

    def __init__(
        self,
        network: PolicyNetwork,
        rollout: Rollout,
        parameters: Tensor,
        reference: Tensor | None,
        task: Task,
        device: str,
        objective: Objective | None = None,
        reference_returns: Array | None = None,
        expert: ExpertEpisode | None = None,
        prefixes: Prefixes | None = None,
        greedy_returns: Array | None = None,
        flipped: Array | None = None,
    ) -> None:
        self._network, self._parameters, self._device = network, parameters, device
        self._horizon, self._shape = task.horizon, BatchShape.of(rollout, task)
        self._S, self._K, self._T = self._shape.seeds, self._shape.trajectories, self._shape.steps
        self._size = self._shape.padded * self._K * self._T
        chunks = list(self._pack(rollout))
        self._slots = torch.cat([chunk.slots.reshape(-1) for chunk in chunks])
        self._kept = network.keeps(len(self._slots))
        with torch.no_grad():
            behaviour = self._passes(chunks, network.fold(parameters))
            if reference is None:
                references = [outputs.detach() for outputs, _ in behaviour]
            else:
                references = self._outputs(chunks, reference)
            self._chunks = [replace(c, reference=r) for c, r in zip(chunks, references, strict=True)]
            behaviour_log_probs = self._log_probs([outputs for outputs, _ in behaviour])
            reference_log_probs = self._log_probs(references) if reference is not None else behaviour_log_probs
            temperatures = () if objective is None else objective.temperatures
            tempered = tuple(
                self._log_probs([network.head.tempered(outputs, temperature) for outputs, _ in behaviour])
                for temperature in temperatures
            )
        # The first gradient is taken where the batch was collected, so its forward pass is done.
        self._first = behaviour if self._kept else None

        if prefixes is not None:
            with torch.no_grad():
                earlier = self._log_probs(self._outputs(self._chunks, prefixes.parameters))
            begun = self._shape.padded_to(torch.from_numpy(prefixes.lengths), device)
            theirs = torch.arange(self._T, device=device) < begun[..., None]
            behaviour_log_probs = torch.where(theirs, earlier, behaviour_log_probs)
        # What carries gradient is filled in at each gradient step.
        self._batch = trajectory_batch(
            rollout,
            task,
            objective,
            device,
            behaviour_log_probs=behaviour_log_probs,
            reference_log_probs=reference_log_probs,
            tempered=tempered,
            expert_log_probs=None if expert is None else expert.log_probs(network, parameters, self._T),
            reference_returns=reference_returns,
            greedy_returns=greedy_returns,
            flipped=flipped,
        )

    def gradient(
        self, objective: Objective, wanted: Collection[str] = (ENTROPY, KL)
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The gradient of each seed's loss at its parameters as they are now, and what to plot beside it.

        Args:
            wanted: of `update_diagnostics`.

        Returns:
            The gradient [seed, parameter], and diagnostics [seed].
        """
        folded = self._network.fold(self._parameters)
        passes, self._first = self._first or self._passes(self._chunks, folded), None
        outputs = [output.requires_grad_() for output, _ in passes]
        evaluated = [
            self._network.head.evaluate(output, chunk.actions, chunk.reference)
            for output, chunk in zip(outputs, self._chunks, strict=True)
        ]
        log_probs, entropy, kl = (self._scatter([e[i] for e in evaluated]) for i in range(3))
        batch = replace(self._batch, log_probs=log_probs, entropy=entropy, kl_to_reference=kl)
        objective_output = output_of(objective, batch)
        # Rows of padding were scattered past the end of the batch, so their gradient is exactly zero.
        back = torch.autograd.grad(objective_output.loss.sum(), outputs)
        gradient = torch.zeros_like(self._parameters)
        for chunk, (_, inputs), output_gradient in zip(self._chunks, passes, back, strict=True):
            own = folded.select(chunk.seeds)
            if inputs is None:
                _, inputs = self._network.forward(own, chunk.observations)
            found = self._network.backward(own, inputs, output_gradient)
            if chunk.seeds is None:
                gradient += found
            else:
                gradient.index_add_(0, chunk.seeds, found)
        diagnostics = update_diagnostics(objective_output, batch, wanted)
        return gradient, {name: value.detach()[: self._S] for name, value in diagnostics.items()}

    def _passes(self, chunks: list[_Chunk], folded: Prepared) -> list[_Pass]:
        passes = []
        for chunk in chunks:
            outputs, inputs = self._network.forward(folded.select(chunk.seeds), chunk.observations)
            passes.append(_Pass(outputs, inputs if self._kept else None))
        return passes

    def _outputs(self, chunks: list[_Chunk], parameters: Tensor) -> list[Tensor]:
        """Outputs of the head under other policies [seed, parameter]."""
        folded = self._network.fold(parameters)
        return [self._network.outputs(folded.select(c.seeds), c.observations) for c in chunks]

    def _log_probs(self, outputs: list[Tensor]) -> Tensor:
        """Log-probabilities of the taken actions, as `_scatter` shapes them."""
        head = self._network.head
        return self._scatter([head.log_prob(o, c.actions) for o, c in zip(outputs, self._chunks, strict=True)])

    def _scatter(self, values: list[Tensor]) -> Tensor:
        """Values of the chunks' rows to [seed (padded), group, trajectory, step]; zero where no step was taken."""
        flat = torch.zeros(self._size + 1, device=self._device)
        flat = flat.index_put((self._slots,), torch.cat([value.reshape(-1) for value in values]))
        return self._shape.grouped(flat[:-1].view(-1, self._K, self._T))

    def _pack(self, rollout: Rollout) -> Iterator[_Chunk]:
        """The chunks, without outputs of the reference policy."""
        S, K, T = self._S, self._K, rollout.mask.shape[2]
        rows = self._network.padded_rows(min(self._network.chunk_rows, K * self._horizon))
        # Each seed's taken steps first, in order; then padding.
        seed, trajectory, step = rollout.mask.nonzero(as_tuple=True)
        counts = rollout.mask.sum((1, 2))
        longest = pad(int(counts.max()), rows)
        place = torch.arange(len(seed)) - (counts.cumsum(0) - counts)[seed]
        steps = torch.zeros(S, longest, dtype=torch.int64)  # where each row's step stands in the rollout
        steps[seed, place] = trajectory * T + step
        slots = torch.full((S, longest), self._size)
        slots[seed, place] = (seed * K + trajectory) * self._T + step
        features = rollout.observations.shape[1]
        observations = rollout.observations.reshape(S, features, K * T)
        actions = rollout.actions.reshape(S, K * T, *rollout.actions.shape[3:])
        for start in range(0, longest, rows):
            active = counts > start
            which = None if bool(active.all()) else active.nonzero()[:, 0]
            here = slice(start, start + rows)
            index = torch.arange(S) if which is None else which
            take = steps[index, here]
            own = observations if which is None else observations[which]
            x = own.gather(2, take[:, None].expand(-1, features, -1)).to(self._device)
            a = actions[index[:, None], take].to(self._device)
            seeds = None if which is None else which.to(self._device)
            yield _Chunk(seeds, x, a, slots[index, here].to(self._device), torch.empty(0))
