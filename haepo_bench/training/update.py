"""One iteration's update: several epochs of one objective over one batch of trajectories, all seeds at once.

The network sees only steps that were taken, packed seed by seed into chunks of a fixed number of rows. Its outputs are
scattered into leaves of the objective's batch, the objective is called once, and d loss / d leaf is pushed back chunk
by chunk. So a softmax over whole trajectories, chunks that fit the cache and exact gradient accumulation are one
mechanism. Which steps share a chunk depends on their own seed alone, which keeps every seed's result its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from haepo_bench.objectives.base import Objective, TrajectoryBatch
from haepo_bench.policies.mlp import Network
from haepo_bench.policies.shapes import padded_seeds
from haepo_bench.training.rollout import Rollout

#: Rows of a chunk: 64 units of 512 rows are 128 KiB a layer and seed, which stays in a core's cache.
CHUNK_ROWS = 512

#: Beyond so many rows (over all seeds) the graphs of the chunks are not kept but computed again: bounds the memory.
_KEPT_ROWS = 300_000


@dataclass(frozen=True)
class _Chunk:
    """Rows of the seeds that have any in this chunk.

    Args:
        seeds: which seeds [n]; None for all.
        observations: [n, feature, row]. actions: [n, row, *action].
        slots: [n, row] where each row's step stands in the flat batch; padding stands one past its end.
        reference: outputs of the head under the reference policy [n, output, row].
    """

    seeds: Tensor | None
    observations: Tensor
    actions: Tensor
    slots: Tensor
    reference: Tensor


class Update:
    """The packed batch of one iteration and what is known about it before the first gradient step.

    Args:
        rollout: of S seeds.
        reference: parameters of the reference policy [seed, parameter].
    """

    def __init__(self, network: Network, rollout: Rollout, reference: Tensor, horizon: int, device: str) -> None:
        self._network = network
        S, K, T = rollout.mask.shape
        self._S, self._K, self._T = S, K, T
        self._size = padded_seeds(S, K) * K * T  # of the flat batch
        self._device = device
        self._chunks = list(self._pack(rollout, reference))
        self._kept = sum(chunk.slots.numel() for chunk in self._chunks) <= _KEPT_ROWS
        seed_axis = padded_seeds(S, K)

        def batch_shaped(x: Tensor) -> Tensor:
            padded = torch.zeros(seed_axis, *x.shape[1:], dtype=x.dtype)
            padded[:S] = x
            return padded[:, None].to(device)

        reference_log_probs = self._scatter([network.head.log_prob(c.reference, c.actions) for c in self._chunks])
        # What carries gradient is filled in at each gradient step.
        self._batch = TrajectoryBatch(
            log_probs=reference_log_probs,
            entropy=reference_log_probs,
            kl_to_reference=reference_log_probs,
            behaviour_log_probs=batch_shaped(rollout.behaviour_log_probs),
            reference_log_probs=reference_log_probs,
            mask=batch_shaped(rollout.mask),
            rewards=batch_shaped(rollout.rewards),
            returns=batch_shaped(torch.from_numpy(rollout.returns.astype("float32"))),
            horizon=horizon,
        )

    def gradient(self, parameters: Tensor, objective: Objective) -> tuple[Tensor, dict[str, Tensor]]:
        """The gradient of each seed's loss and what to plot beside it.

        Args:
            parameters: [seed, parameter].

        Returns:
            The gradient [seed, parameter], and diagnostics [seed]: the objective's own, `loss`, `policy_entropy` and
            `kl_previous` (both nats a step).
        """
        parameters = parameters.detach().requires_grad_()
        with torch.set_grad_enabled(self._kept):
            evaluated = [self._evaluate(parameters, chunk) for chunk in self._chunks]
        leaves = [self._scatter([e[i].detach() for e in evaluated]).requires_grad_() for i in range(3)]
        batch = replace(self._batch, log_probs=leaves[0], entropy=leaves[1], kl_to_reference=leaves[2])
        output = objective(batch)
        gradients = torch.autograd.grad(output.loss.sum(), leaves, allow_unused=True, materialize_grads=True)
        flat = [gradient.reshape(-1) for gradient in gradients]
        for chunk, outputs in zip(self._chunks, evaluated, strict=True):
            if not self._kept:
                outputs = self._evaluate(parameters, chunk)
            # Padding rows point one past the end: whatever they read there, their gradient is zero.
            inside = chunk.slots < self._size
            slots = chunk.slots.clamp(max=self._size - 1)
            torch.autograd.backward(outputs, [torch.where(inside, g[slots], 0.0) for g in flat])
        with torch.no_grad():
            log_ratio = batch.log_probs - batch.behaviour_log_probs
            diagnostics = {
                **output.diagnostics,
                "loss": output.loss,
                "policy_entropy": batch.token_mean(batch.entropy),
                # KL(behaviour || policy), k3 on the taken actions.
                "kl_previous": batch.token_mean(torch.exp(log_ratio) - 1 - log_ratio),
            }
        gradient = parameters.grad if parameters.grad is not None else torch.zeros_like(parameters)
        return gradient, {name: value.detach()[: self._S] for name, value in diagnostics.items()}

    def _evaluate(self, parameters: Tensor, chunk: _Chunk) -> tuple[Tensor, Tensor, Tensor]:
        own = parameters if chunk.seeds is None else parameters.index_select(0, chunk.seeds)
        outputs = self._network.outputs(own, chunk.observations)
        return self._network.head.evaluate(outputs, chunk.actions, chunk.reference)

    def _scatter(self, values: list[Tensor]) -> Tensor:
        """Values of the chunks' rows to [seed (padded), group 1, trajectory, step]; zero where no step was taken."""
        flat = torch.zeros(self._size + 1, device=self._device)
        for chunk, value in zip(self._chunks, values, strict=True):
            flat[chunk.slots.reshape(-1)] = value.reshape(-1)
        return flat[:-1].view(-1, 1, self._K, self._T)

    @torch.no_grad()
    def _pack(self, rollout: Rollout, reference: Tensor) -> Iterator[_Chunk]:
        S, K, T = self._S, self._K, self._T
        rows = self._network.padded_rows(min(CHUNK_ROWS, K * T))
        taken = rollout.mask.view(S, K * T)
        counts = taken.sum(1)
        longest = -(-int(counts.max()) // rows) * rows
        # Each seed's taken steps first, in order; then padding.
        seed, slot = taken.nonzero(as_tuple=True)
        place = torch.arange(len(slot)) - (counts.cumsum(0) - counts)[seed]
        steps = torch.full((S, longest), K * T)
        steps[seed, place] = slot
        offset = torch.arange(S)[:, None] * (K * T)
        slots = torch.where(steps < K * T, steps + offset, self._size)
        padded = steps.clamp(max=K * T - 1)
        features = rollout.observations.shape[1]
        observations = rollout.observations.view(S, features, K * T)
        actions = rollout.actions.view(S, K * T, *rollout.actions.shape[3:])
        for start in range(0, longest, rows):
            active = counts > start
            which = None if bool(active.all()) else active.nonzero()[:, 0]
            here = slice(start, start + rows)
            take = padded[:, here] if which is None else padded[which, here]
            index = torch.arange(S) if which is None else which
            x = observations[index].gather(2, take[:, None].expand(-1, features, -1)).to(self._device)
            a = actions[index[:, None], take].to(self._device)
            seeds = None if which is None else which.to(self._device)
            own = reference if seeds is None else reference.index_select(0, seeds)
            chunk_slots = slots[index, here].to(self._device)
            yield _Chunk(seeds, x, a, chunk_slots, self._network.outputs(own, x))
