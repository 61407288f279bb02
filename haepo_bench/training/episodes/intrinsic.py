"""Rewards of APS that need no task (Liu and Abbeel 2021, arXiv 2108.13956): particle entropy, and w . phi.

phi(s) is a small network's output. A step to s' is rewarded with

    log(1 + 1/k sum_i max(d_i / M - 1e-4, 0)) + w . phi(s') / |phi(s')|

where d_i are the distances from phi(s') to the k nearest of the phi of all steps of the batch, its own 0 among them,
and M is the running mean of all d so far. phi learns to tell w from s': its loss is - mean w . phi(s') / |phi(s')|. As
in the code of the authors' benchmark (rll-research/url_benchmark, agent/aps.py and `PBE` of utils.py).

All of it is computed seed by seed, so that no number depends on who else trains.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from haepo_bench.policies.heads import Categorical
from haepo_bench.policies.mlp import Network
from haepo_bench.policies.shapes import Array
from haepo_bench.training.adam import Adam
from haepo_bench.training.streams import stream

#: Distances, relative to their running mean, below which a neighbour counts as the same point.
CLIP = 1e-4
#: Of Adam on phi: the authors'. At ten times as much phi follows the few w of the latest batch instead of all.
_LEARNING_RATE = 1e-4


class Steps(NamedTuple):
    """What a seed's steps of a batch led to.

    Args:
        arrived: [step, feature] float32, observations after the steps.
        w: [step, size] float32, of the episode that each belongs to.
    """

    arrived: Array
    w: Array


class IntrinsicReward(NamedTuple):
    """The two parts of a reward, [step] float64 each."""

    entropy: Array
    skill: Array


class Features:
    """phi of several seeds, and the running means of distances; row i belongs to the i-th seed that is still kept.

    Args:
        inputs: numbers of an observation.
        hidden: units of the hidden layers.
        size: numbers of phi, and of w.
        neighbours: k.
    """

    def __init__(
        self,
        inputs: int,
        hidden: tuple[int, ...],
        size: int,
        neighbours: int,
        seeds: Sequence[int],
    ) -> None:
        # As a distribution its head is never asked.
        self._network = Network(inputs, hidden, Categorical(size), last_gain=1.0)
        initial = np.stack([self._network.initial(stream("pretraining", seed, "features")) for seed in seeds])
        self._parameters = torch.from_numpy(initial)
        self._optimiser = Adam(self._parameters, _LEARNING_RATE)
        self._neighbours = neighbours
        self._means, self._counts = np.zeros(len(seeds)), np.zeros(len(seeds))

    def learn(self, steps: Sequence[Steps]) -> None:
        """One gradient step of each seed on - mean w . phi / |phi|."""
        self._optimiser.step(torch.stack([self._gradient(row, own) for row, own in enumerate(steps)]))

    def of(self, row: int, observations: Array) -> Array:
        """phi [step, size] float64 of observations [step, feature]."""
        folded = self._network.fold(self._parameters[row : row + 1])
        outputs = self._network.outputs(folded, self._rows(observations))[0, :, : len(observations)]
        return outputs.T.double().numpy()

    def rewards(self, row: int, steps: Steps) -> IntrinsicReward:
        """Of a seed's steps; NaN where a phi is not finite. Counts their distances."""
        phi = self.of(row, steps.arrived)
        if not np.isfinite(phi).all():
            nothing = np.full(len(phi), np.nan)
            return IntrinsicReward(nothing, nothing)
        distances = nearest(phi, self._neighbours)
        self._counts[row] += distances.size
        self._means[row] += (distances.mean() - self._means[row]) * distances.size / self._counts[row]
        return IntrinsicReward(entropy_reward(distances, self._means[row]), (unit(phi) * steps.w).sum(1))

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with some seeds."""
        self._parameters = self._parameters[rows]
        self._optimiser.keep(rows, self._parameters)
        self._means, self._counts = self._means[rows], self._counts[rows]

    def _gradient(self, row: int, steps: Steps) -> Tensor:
        n = len(steps.w)
        folded = self._network.fold(self._parameters[row : row + 1])
        outputs, inputs = self._network.forward(folded, self._rows(steps.arrived))
        phi, w = outputs[0, :, :n], torch.from_numpy(steps.w.T.copy())
        norm = phi.square().sum(0).sqrt().clamp(min=1e-12)
        direction = phi / norm
        gradient = torch.zeros_like(outputs)
        gradient[0, :, :n] = ((w * direction).sum(0) * direction - w) / norm / n
        return self._network.backward(folded, inputs, gradient)[0]

    def _rows(self, observations: Array) -> Tensor:
        """[step, feature] as [1, feature, row], with as many rows as products keep their bits on."""
        rows = torch.zeros(1, observations.shape[1], self._network.padded_rows(len(observations)))
        rows[0, :, : len(observations)] = torch.from_numpy(observations.T.copy())
        return rows


def nearest(points: Array, k: int) -> Array:
    """Distances from each of `points` [point, number] to the k nearest of them, itself among them: [point, k]."""
    k = min(k, len(points))
    # Many points are the same on finite tasks, which balanced trees are slow with.
    found, _ = cKDTree(points, balanced_tree=False, compact_nodes=False).query(points, k)
    return np.asarray(found).reshape(len(points), k)


def entropy_reward(distances: Array, mean: float) -> Array:
    """log(1 + mean over neighbours of max(d / mean - 1e-4, 0)) of distances [point, neighbour]; 0 where all are 0."""
    if mean == 0:
        return np.zeros(len(distances))
    reward: Array = np.log1p(np.maximum(distances / mean - CLIP, 0.0).mean(1))
    return reward


def regressed(phi: Array, rewards: Array) -> Array:
    """The unit vector [size] along the least-squares solution w of rewards [step] = w . phi / |phi|, phi [step, size].

    Zero where no step gave a reward, or phi explains none.
    """
    if len(rewards) == 0 or not rewards.any():
        return np.zeros(phi.shape[1])
    w: Array = np.linalg.lstsq(unit(phi), rewards, rcond=None)[0]
    return unit(w[None]).ravel()


def unit(vectors: Array) -> Array:
    """Vectors [vector, number] at length 1; zeros stay."""
    lengths: Array = np.sqrt(np.square(vectors).sum(1, keepdims=True))
    scaled: Array = vectors / np.maximum(lengths, 1e-12)
    return scaled
