"""The minibatches of one update from segments, all seeds at once.

A seed's steps are shuffled by its own stream, and every minibatch has the same number of rows (padded, masked where the
last one is shorter), which keeps every seed's result its own (policies/shapes.py).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from haepo_bench.objectives.base import Objective, TrajectoryBatch
from haepo_bench.objectives.output import output_of
from haepo_bench.policies.actor_critic import ActorCritic
from haepo_bench.policies.return_flow import ReturnFlow
from haepo_bench.policies.shapes import Array
from haepo_bench.training.diagnostics import update_diagnostics
from haepo_bench.training.segments.collector import Segments
from haepo_bench.training.segments.flow_returns import flow_errors


class Minibatches:
    """Segments cut into minibatches, anew at every `shuffle`.

    Args:
        size: steps a minibatch; the last one has what is left over.
        horizon: of the task.
    """

    def __init__(self, network: ActorCritic, segments: Segments, size: int, horizon: int) -> None:
        self._network, self._segments, self._horizon = network, segments, horizon
        self.steps = segments.observations.shape[2]
        self._size = min(size, self.steps)
        self._rows = network.padded_rows(self._size)
        self.count = -(-self.steps // self._size)
        behind = (segments.log_probs, segments.rewards, segments.values, segments.advantages)
        parts = [segments.outputs, *(part[:, None] for part in behind)]
        self._widths = [segments.outputs.shape[1], 1, 1, 1, 1]
        # Pixels are bytes, and are taken when a minibatch is: there may be more of them than fit twice.
        self._pixels = segments.observations if segments.observations.dtype == torch.uint8 else None
        if self._pixels is None:
            parts = [segments.observations, *parts]
            self._widths = [segments.observations.shape[1], *self._widths]
        # All numbers of a step together, so that a shuffle gathers once.
        self._packed = torch.cat(parts, 1)
        self._flow = segments.flow

    def shuffle(self, orders: Array) -> None:
        """Cuts the steps in new orders: [seed, step] int64, a permutation per seed."""
        S, M, R = len(orders), self.count, self._rows
        filled = np.zeros((S, M * self._size), np.int64)
        filled[:, : self.steps] = orders
        padded = np.zeros((S, M, R), np.int64)
        padded[:, :, : self._size] = filled.reshape(S, M, self._size)
        real = np.zeros((M, R), bool)
        real[:, : self._size] = np.arange(M * self._size).reshape(M, self._size) < self.steps
        device = self._packed.device
        index = torch.from_numpy(padded.reshape(S, M * R)).to(device)
        self._index = index.view(S, M, R)
        packed = self._packed if self._flow is None else torch.cat([self._packed, self._flow.drawn()], 1)
        gathered = packed.gather(2, index[:, None].expand(-1, packed.shape[1], -1))
        # [minibatch, seed, number, row]: so each minibatch lies in one piece.
        self._numbers = gathered.view(S, -1, M, R).permute(2, 0, 1, 3).contiguous()
        actions = self._segments.actions[torch.arange(S, device=device)[:, None], index]
        self._actions = actions.view(S, M, R, *actions.shape[2:])
        self._mask = torch.from_numpy(np.broadcast_to(real[:, None], (M, S, R)).copy()).to(device)

    def _images(self, number: int, rows: Sequence[int] | None) -> Tensor:
        """Observations [seed, feature, row] of a minibatch."""
        assert self._pixels is not None
        pixels, index = self._pixels, self._index[:, number]
        if rows is not None:
            pixels, index = pixels[rows], index[rows]
        return pixels.gather(2, index[:, None].expand(-1, pixels.shape[1], -1))

    def gradient(
        self, number: int, parameters: Tensor, objective: Objective, rows: Sequence[int] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The gradient of each seed's loss on one minibatch and what to plot beside it.

        Args:
            parameters: [seed, parameter], of the seeds `rows`; None for all.

        Returns:
            The gradient [seed, parameter], and diagnostics [seed]: the objective's own, `loss`, `policy_entropy` and
            `kl_previous` (both nats per step), and the critic's where it has a loss of its own, `flow_loss`.
        """
        numbers, actions, mask = self._numbers[number], self._actions[:, number], self._mask[number]
        if rows is not None:
            numbers, actions, mask = numbers[rows], actions[rows], mask[rows]
        numbers, drawn = numbers.tensor_split([sum(self._widths)], 1)
        *shown, behaviour, a, b, c, d = numbers.split_with_sizes(self._widths, 1)
        observations, behind = shown[0] if shown else self._images(number, rows), (a, b, c, d)
        log_probs, rewards, values, advantages = (part[:, :, None] for part in behind)
        folded = self._network.fold(parameters)
        outputs, estimates, inputs = self._network.forward(folded, observations)
        outputs, estimates = outputs.requires_grad_(), estimates.requires_grad_()
        evaluated = self._network.policy.head.evaluate(outputs, actions, behaviour)
        new_log_probs, entropy, kl = (part[:, None, None] for part in evaluated)
        batch = TrajectoryBatch(
            log_probs=new_log_probs,
            entropy=entropy,
            kl_to_reference=kl,
            behaviour_log_probs=log_probs,
            reference_log_probs=log_probs,
            mask=mask[:, None, None],
            rewards=rewards,
            returns=torch.full((len(mask), 1, 1), torch.nan, device=mask.device),
            horizon=self._horizon,
            values=self._network.critic.values(estimates)[:, None, None],
            behaviour_values=values,
            advantages=advantages,
            value_targets=advantages + values,
        )
        # Only objectives that ask for it have it computed: it is a pass through the flow of its own.
        if objective.wants_halves:
            apart = self._network.policy.head.apart(outputs, actions, behaviour)
            batch = replace(batch, halves_apart=None if apart is None else apart[:, None, None])
        found = output_of(objective, batch)
        loss, own = found.loss, {}
        if isinstance(self._network.critic, ReturnFlow):
            errors = flow_errors(self._network.critic.field(estimates), drawn)
            own["flow_loss"] = batch.token_mean(errors[:, None, None])
            loss = loss + own["flow_loss"]
        back = torch.autograd.grad(
            loss.sum(), (outputs, estimates), allow_unused=True, materialize_grads=True
        )  # an objective may do without values
        gradient = self._network.backward(folded, inputs, *back)
        return gradient, {name: value.detach() for name, value in (update_diagnostics(found, batch) | own).items()}
