"""What a flow as critic (policies/return_flow.py) learns from: samples of the return, and the losses on them.

From Value Flows (arXiv 2510.07650; chongyi-zheng/value-flows, agents/value_flows.py), with phi' and v' those of the
critic when the steps were taken, noises eps ~ N(0, 1) and times t drawn anew in each epoch:

    anchor        z = t R + (1 - t) eps,  L_B = (v(z, t, s) - (R - eps))^2
    bootstrapped  z' = phi'(eps, t, s'),  z = t r + gamma z' + (1 - t) h eps2,  h = sqrt(1 - gamma^2)
                  L_D = (v(z, t, s) - (r + gamma v'(z', t, s') - h eps2))^2
    straightness  z = eps + t v(eps, 0, s),  L_S = ((1 - t) (sg[v(eps, 0, s)] - v(z, t, s)))^2
    confidence    c = sigmoid(-0.3 / |d phi'(eps3, 1, s) / d eps3|) + 1/2

    loss = mean over steps of c (L_B + L_D) + 0.01 L_S

Ours:

- the sample R. Value Flows has r + gamma phi'(eps, 1, s'). Here R goes on with the segment's next sample with
  probability lambda, else with phi', so that its mean is the target of generalised advantage estimation (after
  SR(lambda), arXiv 2105.11366). Where a time limit cut the episode off, V stands for all that would have come.
- L_D's z and target, and that it is zero where nothing follows. The code has z = r + gamma z' and the target
  v'(z', t, s'). Where L_B is least, z' has the law of t R' + (1 - t) eps, so that z here has that of t R + (1 - t) eps
  and the target has the mean R - eps: L_D has L_B's minimum. The code's has another one where r is not 0 and returns
  have more than one outcome.
- L_S and its weight. DFPO's abstract has no formula for its consistency.
- the critic at collection in the place of a slowly moving copy, one critic in the place of two, no bounds of returns.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from haepo_bench.policies.return_flow import STEPS, Field
from haepo_bench.policies.shapes import Array

#: Of Value Flows' code.
TEMPERATURE = 0.3
#: Ours.
STRAIGHTNESS = 0.01


class Drawn(NamedTuple):
    """What the losses of some steps are made of; [seed, row] each, or rows of [seed, 7, row].

    Args:
        noise: eps.
        step: of Euler's, whose time is t.
        returns: R.
        point: z of the bootstrapped loss.
        velocity: its target.
        follows: 1 where something follows, else 0.
        confidence: c.
    """

    noise: Tensor
    step: Tensor
    returns: Tensor
    point: Tensor
    velocity: Tensor
    follows: Tensor
    confidence: Tensor


class FlowReturns:
    """The steps of one iteration, as a flow learns from them; rows are steps, environment by environment.

    Args:
        here: velocities of the critic that collected, at the observations [seed, ..., row + padding].
        after: the same at what was observed after the last step of each environment.
        rewards: [seed, environment, step] float32; where a time limit cut the episode off, plus gamma V.
        over: bool [seed, environment, step], true where an episode ended or was cut off.
        gae_lambda: of all seeds, or [seed] float64.
        streams: of each seed.
    """

    def __init__(
        self,
        here: Field,
        after: Field,
        rewards: Array,
        over: Array,
        *,
        gamma: float,
        gae_lambda: float | Array,
        streams: Sequence[np.random.Generator],
    ) -> None:
        self._here, self._after, self._rewards, self._over = here, after, rewards, over
        self._gamma, self._lambda, self._streams = gamma, gae_lambda, list(streams)
        K, T = rewards.shape[1:]
        # What follows a step stands in the next row, or where the segment ends in `after`.
        following = here.seen.roll(-1, 2)
        following[:, :, T - 1 : K * T : T] = after.seen[:, :, :K]
        self._next = here._replace(seen=following)

    def select(self, rows: Sequence[int]) -> Self:
        """Those of some seeds."""
        here, after = self._here.select(rows), self._after.select(rows)
        decays = self._lambda if isinstance(self._lambda, float) else self._lambda[rows]
        return type(self)(
            here,
            after,
            self._rewards[rows],
            self._over[rows],
            gamma=self._gamma,
            gae_lambda=decays,
            streams=[self._streams[row] for row in rows],
        )

    @torch.no_grad()
    def drawn(self) -> Tensor:
        """New samples of all steps [seed, 7, row], in the order of `Drawn`."""
        S, K, T = self._rewards.shape
        N, rows = K * T, self._here.seen.shape[2]
        device = self._here.seen.device
        noise, second, own, chances = (np.zeros((S, rows), np.float32) for _ in range(4))
        step = np.zeros((S, rows), np.int64)
        for seed, stream in enumerate(self._streams):
            for part in (noise, second, own):
                part[seed, :N] = stream.standard_normal(N, dtype=np.float32)
            chances[seed, :N] = stream.random(N, dtype=np.float32)
            step[seed, :N] = stream.integers(0, STEPS, N)
        eps, steps = torch.from_numpy(noise).to(device), torch.from_numpy(step).to(device)
        path = self._next.path(eps)
        there = path.gather(1, steps[:, None])[:, 0]
        velocity = (path.gather(1, steps[:, None] + 1)[:, 0] - there) * STEPS
        ends = path[:, -1, :N].reshape(S, K, T).cpu().numpy()
        returns = sampled_returns(
            self._rewards, ends, self._over, chances[:, :N].reshape(S, K, T), gamma=self._gamma, decay=self._lambda
        )
        follows = torch.from_numpy((~self._over).astype(np.float32).reshape(S, N)).to(device)
        rewards = torch.from_numpy(self._rewards.reshape(S, N)).to(device)
        fresh = math.sqrt(1 - self._gamma**2) * torch.from_numpy(second).to(device)[:, :N]
        t = steps[:, :N] / STEPS
        deviation = self._here.deviation(torch.from_numpy(own).to(device))
        confidence = (-TEMPERATURE / deviation.clamp(min=1e-6)).sigmoid() + 0.5
        found = Drawn(
            noise=eps[:, :N],
            step=steps[:, :N].to(eps.dtype),
            returns=torch.from_numpy(returns.reshape(S, N)).to(device),
            point=t * rewards + self._gamma * there[:, :N] + (1 - t) * fresh,
            velocity=rewards + self._gamma * velocity[:, :N] - fresh,
            follows=follows,
            confidence=confidence[:, :N],
        )
        return torch.stack(list(found), 1)


def sampled_returns(
    rewards: Array, ends: Array, over: Array, chances: Array, *, gamma: float, decay: float | Array
) -> Array:
    """Samples R [seed, environment, step] of the return from each step.

    Args:
        rewards, over: as `FlowReturns` has them.
        ends: [seed, environment, step] samples of the return from what each step leads to.
        chances: uniform, [seed, environment, step]; below `decay` a sample goes on with the next step's.
        decay: lambda, of all seeds or [seed].
    """
    found = np.zeros_like(rewards)
    bound = np.asarray(decay, np.float32)
    goes_on = chances < (bound[:, None, None] if bound.ndim else bound)
    following = ends[:, :, -1]
    for t in reversed(range(rewards.shape[2])):
        later = ends[:, :, t] if t == rewards.shape[2] - 1 else np.where(goes_on[:, :, t], following, ends[:, :, t])
        found[:, :, t] = rewards[:, :, t] + np.float32(gamma) * np.where(over[:, :, t], np.float32(0), later)
        following = found[:, :, t]
    return found


def flow_errors(field: Field, drawn: Tensor) -> Tensor:
    """The loss of each step [seed, row], with gradient to `field`; drawn: [seed, 7, row] of `FlowReturns.drawn`."""
    of = Drawn(*drawn.unbind(1))
    step = of.step.long()
    t = of.step / STEPS
    anchor = field.velocity(t * of.returns + (1 - t) * of.noise, step) - (of.returns - of.noise)
    bootstrapped = of.follows * (field.velocity(of.point, step) - of.velocity)
    first = field.velocity(of.noise, 0).detach()
    straight = (1 - t) * (first - field.velocity(of.noise + t * first, step))
    return of.confidence * (anchor.square() + bootstrapped.square()) + STRAIGHTNESS * straight.square()
