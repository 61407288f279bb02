"""One iteration's update: several epochs of one objective over one batch of trajectories, all seeds at once.

The network sees only steps that were taken, packed seed by seed into chunks of a fixed number of rows. Its outputs are
scattered into the objective's batch, the objective is called once, and d loss / d output is pushed back chunk by chunk.
So a softmax over whole trajectories, chunks that fit the cache and exact gradient accumulation are one
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

#: Beyond so many rows (over all seeds) what layers computed is not kept but computed again: bounds the memory.
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

    def own(self, parameters: Tensor) -> Tensor:
        """Of [seed, parameter] the rows of this chunk's seeds."""
        return parameters if self.seeds is None else parameters.index_select(0, self.seeds)


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
        self._horizon = horizon
        self._device = device
        self._chunks = list(self._pack(rollout, reference))
        self._slots = torch.cat([chunk.slots.reshape(-1) for chunk in self._chunks])
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
        passes = [self._forward(parameters, chunk, keep=self._kept) for chunk in self._chunks]
        outputs = [output.requires_grad_() for output, _ in passes]
        evaluated = [
            self._network.head.evaluate(output, chunk.actions, chunk.reference)
            for output, chunk in zip(outputs, self._chunks, strict=True)
        ]
        log_probs, entropy, kl = (self._scatter([e[i] for e in evaluated]) for i in range(3))
        batch = replace(self._batch, log_probs=log_probs, entropy=entropy, kl_to_reference=kl)
        objective_output = objective(batch)
        # Rows of padding were scattered past the end of the batch, so their gradient is exactly zero.
        back = torch.autograd.grad(objective_output.loss.sum(), outputs)
        gradient = torch.zeros_like(parameters)
        for chunk, (_, inputs), output_gradient in zip(self._chunks, passes, back, strict=True):
            if inputs is None:
                _, inputs = self._forward(parameters, chunk, keep=True)
            own = self._network.backward(chunk.own(parameters), inputs or [], output_gradient)
            if chunk.seeds is None:
                gradient += own
            else:
                gradient.index_add_(0, chunk.seeds, own)
        with torch.no_grad():
            log_ratio = torch.where(batch.mask, batch.log_probs - batch.behaviour_log_probs, 0.0)
            diagnostics = {
                **objective_output.diagnostics,
                "loss": objective_output.loss,
                "policy_entropy": batch.token_mean(batch.entropy),
                # KL(behaviour || policy), k3 on the taken actions.
                "kl_previous": batch.token_mean(torch.exp(log_ratio) - 1 - log_ratio),
            }
        return gradient, {name: value.detach()[: self._S] for name, value in diagnostics.items()}

    def _forward(self, parameters: Tensor, chunk: _Chunk, *, keep: bool) -> tuple[Tensor, list[Tensor] | None]:
        outputs, inputs = self._network.forward(chunk.own(parameters), chunk.observations)
        return outputs, inputs if keep else None

    def _scatter(self, values: list[Tensor]) -> Tensor:
        """Values of the chunks' rows to [seed (padded), group 1, trajectory, step]; zero where no step was taken."""
        flat = torch.zeros(self._size + 1, device=self._device)
        flat = flat.index_put((self._slots,), torch.cat([value.reshape(-1) for value in values]))
        return flat[:-1].view(-1, 1, self._K, self._T)

    @torch.no_grad()
    def _pack(self, rollout: Rollout, reference: Tensor) -> Iterator[_Chunk]:
        S, K, T = self._S, self._K, self._T
        rows = self._network.padded_rows(min(CHUNK_ROWS, K * self._horizon))
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
            chunk = _Chunk(seeds, x, a, slots[index, here].to(self._device), torch.empty(0))
            yield replace(chunk, reference=self._network.outputs(chunk.own(reference), x))
