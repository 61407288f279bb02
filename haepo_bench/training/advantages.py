"""Generalised advantage estimation, of segments and of responses alike."""

import numpy as np

from haepo_bench.policies.shapes import Array


def generalised_advantages(
    rewards: Array, values: Array, last_values: Array, over: Array, *, gamma: float, gae_lambda: float | Array
) -> Array:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438), [seed, environment, step] float32.

        delta_t = r_t + gamma V(s_t+1) - V(s_t),   A_t = delta_t + gamma lambda A_t+1

    with V(s_t+1) and A_t+1 zero where step t ended an episode.

    Args:
        rewards: [seed, environment, step]; where a time limit cut the episode off, plus gamma V(last observation).
        values: [seed, environment, step] V(s_t).
        last_values: [seed, environment] V of what is observed after the last step.
        gae_lambda: of all seeds, or [seed] float64.
        over: bool [seed, environment, step], true where an episode ended or was cut off.
    """
    advantages = np.zeros_like(values)
    decay: float | Array = gamma * gae_lambda
    if isinstance(decay, np.ndarray):
        decay = decay.astype(np.float32)[:, None]  # as a number is taken
    following, advantage = last_values, np.zeros_like(last_values)
    for t in reversed(range(values.shape[2])):
        going_on = 1 - over[:, :, t].astype(np.float32)
        delta = rewards[:, :, t] + gamma * following * going_on - values[:, :, t]
        advantage = delta + decay * going_on * advantage
        advantages[:, :, t] = advantage
        following = values[:, :, t]
    return advantages
