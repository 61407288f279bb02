"""The kernels against torch in double precision, finite differences, and themselves in other company."""

import hashlib
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from haepo_bench.engine import collector, optimiser
from haepo_bench.engine.architecture import Architecture
from haepo_bench.engine.build import TARGETS
from haepo_bench.engine.library import Library, at, libraries_for_this_processor, opened
from haepo_bench.engine.update import HeadValues, StepRows
from haepo_bench.policies.heads import Categorical, DiagonalGaussian, Head, MultiCategorical
from haepo_bench.policies.mlp import Network
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.environments.classic_control import ARRAY_ENVIRONMENTS
from haepo_bench.training.adam import Adam, clip_gradient


class Case:
    """Random policies, reference policies and episodes of some seeds.

    Args:
        lengths: [seed, episode].
    """

    def __init__(self, network: Network, lengths: list[list[int]], seed: int = 0) -> None:
        self.network, self.architecture = network, Architecture(network)
        self.lengths = np.array(lengths, np.int64)
        generator = np.random.default_rng(seed)
        S, K, T = *self.lengths.shape, int(self.lengths.max())
        P = sum(network.sizes)
        self.parameters = np.stack([network.initial(np.random.default_rng([seed, s])) for s in range(S)])
        self.parameters += 0.1 * generator.standard_normal((S, P)).astype(np.float32)
        self.reference = self.parameters + 0.1 * generator.standard_normal((S, P)).astype(np.float32)
        self.observations = generator.standard_normal((S, K, T, network.inputs)).astype(np.float32)
        head = network.head
        if isinstance(head, DiagonalGaussian):
            self.actions = generator.standard_normal((S, K, T, head.dimensions)).astype(np.float32)
        elif isinstance(head, MultiCategorical):
            self.actions = np.stack([generator.integers(0, size, (S, K, T)) for size in head.sizes], -1)
        else:
            self.actions = generator.integers(0, head.outputs, (S, K, T))
        #: d loss / d log-probability, entropy, KL of every step.
        self.weights = [generator.standard_normal((S, K, T)).astype(np.float32) for _ in range(3)]

    def rows(self, seeds: Array | None = None, library: Library | None = None) -> StepRows:
        which = np.arange(len(self.lengths)) if seeds is None else seeds
        parts = (np.ascontiguousarray(x[which]) for x in (self.observations, self.actions, self.lengths))
        return StepRows.packed(library or opened(), self.architecture, *parts)

    def computed(
        self, seeds: Array | None = None, *, keep: bool = True, library: Library | None = None
    ) -> tuple[HeadValues, Array]:
        """What the head says [seed, episode, step], and the gradient of the weighted sum [seed, parameter]."""
        which = np.arange(len(self.lengths)) if seeds is None else seeds
        lengths = np.ascontiguousarray(self.lengths[which])
        rows, own = self.rows(which, library), np.ascontiguousarray(self.parameters[which])
        outputs = rows.outputs(own, keep=keep)
        reference = rows.outputs(np.ascontiguousarray(self.reference[which])).z
        evaluated = rows.evaluate(outputs.z, reference)
        weights = HeadValues(*(rows.rows(np.ascontiguousarray(w[which]), lengths) for w in self.weights))
        gradient = rows.backward(own, outputs, reference, weights)
        dense = HeadValues(
            *(rows.episodes(e, lengths, np.zeros(self.weights[0][which].shape, np.float32)) for e in evaluated)
        )
        return dense, gradient

    def exact(self, seed: int) -> tuple[list[Array], Array]:
        """The same of one seed by torch, in double precision: of the steps taken [step], and [parameter]."""
        network, taken = self.network, np.arange(self.observations.shape[2]) < self.lengths[seed][:, None]
        parameters = torch.from_numpy(self.parameters[seed, None]).double().requires_grad_()
        x = torch.from_numpy(self.observations[seed][taken]).double().T[None].contiguous()
        outputs = network.outputs(network.fold(parameters), x)
        other = network.outputs(network.fold(torch.from_numpy(self.reference[seed, None]).double()), x)
        found = network.head.evaluate(outputs, torch.from_numpy(self.actions[seed][taken])[None], other)
        weighted = [
            torch.from_numpy(w[seed][taken]).double() * part[0] for w, part in zip(self.weights, found, strict=True)
        ]
        (gradient,) = torch.autograd.grad(torch.stack(weighted).sum(), parameters)
        return [part[0].detach().numpy() for part in found], gradient[0].numpy()


@cache
def usable_libraries() -> list[Library]:
    """Of every target that this processor is one of."""
    return [Library(path) for path in libraries_for_this_processor()]


HEADS: list[Head] = [*map(Categorical, (2, 3, 8, 9, 40)), MultiCategorical([2, 3]), MultiCategorical([9, 2, 4])]
HEADS += [DiagonalGaussian(1), DiagonalGaussian(6)]


@settings(max_examples=40)
@given(
    inputs=st.integers(1, 40),
    hidden=st.lists(st.integers(1, 80), max_size=4),
    head=st.sampled_from(HEADS),
    activation=st.sampled_from(["tanh", "relu"]),
    lengths=st.lists(st.lists(st.integers(1, 130), min_size=2, max_size=2), min_size=1, max_size=3),
)
def test_of_any_shape_the_kernels_agree_with_torch(inputs, hidden, head, activation, lengths):
    case = Case(Network(inputs, tuple(hidden), head, last_gain=1.0, activation=activation), lengths)
    evaluated, gradient = case.computed()
    others = [case.computed(library=library) for library in usable_libraries()]
    for again in (case.computed(keep=False), *others):
        assert (gradient == again[1]).all()
        assert all((one == other).all() for one, other in zip(evaluated, again[0], strict=True))
    for seed in range(len(lengths)):
        taken = np.arange(case.observations.shape[2]) < case.lengths[seed][:, None]
        expected, slope = case.exact(seed)
        for mine, theirs in zip(evaluated, expected, strict=True):
            assert mine[seed][taken] == pytest.approx(theirs, rel=1e-5, abs=1e-5)
            assert not mine[seed][~taken].any()
        # Of a gradient most of which cancels, the size of what is added up counts.
        assert np.abs(gradient[seed] - slope).max() <= 1e-4 * max(1.0, np.abs(slope).max())


@pytest.mark.parametrize("head", [Categorical(3), DiagonalGaussian(2)], ids=["categorical", "gaussian"])
def test_the_gradient_is_that_of_finite_differences(head):
    """Along random directions, of the loss in double precision."""
    case = Case(Network(5, (32, 32), head, last_gain=1.0), [[40, 17]])
    _, gradient = case.computed()
    generator = np.random.default_rng(1)

    def loss(parameters: Array) -> float:
        moved = Case.__new__(Case)
        moved.__dict__ |= {**case.__dict__, "parameters": parameters}
        expected, _ = moved.exact(0)
        taken = np.arange(case.observations.shape[2]) < case.lengths[0][:, None]
        return sum(
            float((w[0][taken].astype(float) * part).sum()) for w, part in zip(case.weights, expected, strict=True)
        )

    for _ in range(5):
        direction = generator.standard_normal(gradient.shape)
        direction[:, sum(case.network.sizes[:-1]) :] = 0
        step = 1e-5
        slope = (loss(case.parameters + step * direction) - loss(case.parameters - step * direction)) / (2 * step)
        assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("head", [Categorical(2), Categorical(12), DiagonalGaussian(3)], ids=["2", "12", "gaussian"])
@pytest.mark.parametrize("hidden", [(64, 64), (33,), (256, 256)], ids=str)
def test_a_seed_has_the_same_bytes_alone_and_among_others(head, hidden):
    case = Case(Network(7, hidden, head, last_gain=1.0), [[130, 3], [1, 1], [95, 97], [50, 140]])
    evaluated, gradient = case.computed()
    for some in ([0], [3], [1, 2], [3, 0]):
        own, slope = case.computed(np.array(some))
        assert (slope == gradient[some]).all()
        for part, among in zip(own, evaluated, strict=True):
            assert (part == among[some]).all()


def test_a_row_has_the_same_bytes_wherever_it_is():
    case = Case(Network(4, (64, 64), Categorical(2), last_gain=1.0), [[97]])
    evaluated, _ = case.computed()
    for begin in (1, 5, 16, 95):
        shifted = Case(case.network, [[97 - begin]])
        shifted.parameters, shifted.reference = case.parameters, case.reference
        shifted.observations = np.ascontiguousarray(case.observations[:, :, begin:])
        shifted.actions = np.ascontiguousarray(case.actions[:, :, begin:])
        own, _ = shifted.computed()
        for part, whole in zip(own, evaluated, strict=True):
            assert (part[0, 0] == whole[0, 0, begin:]).all()


@settings(max_examples=15)
@given(head=st.sampled_from(HEADS), rows=st.integers(1, 200), inputs=st.integers(1, 9))
def test_actions_are_those_of_torch(head, rows, inputs):
    """Greedy ones and drawn ones, from the same noise; a draw at the edge of two actions may differ."""
    network = Network(inputs, (16,), head, last_gain=1.0)
    generator = np.random.default_rng(rows)
    parameters = np.stack([network.initial(np.random.default_rng(seed)) for seed in range(2)])
    shown = generator.standard_normal((2, rows, inputs)).astype(np.float32)
    noise = np.concatenate([head.noise(generator, rows, 1) for _ in range(2)], 1).swapaxes(0, 1).copy()
    greedy = np.arange(rows) % 2 == 0
    found = collector.act(opened(), Architecture(network), parameters, shown, noise, greedy)
    outputs = network.outputs(
        network.fold(torch.from_numpy(parameters)), torch.from_numpy(shown).transpose(1, 2).contiguous()
    )
    expected = head.sample(outputs, torch.from_numpy(noise), torch.from_numpy(greedy)).numpy()
    assert found.dtype == expected.dtype
    assert np.isclose(found, expected, atol=1e-5).mean() > 0.995


def test_weights_that_are_not_numbers_give_results_that_are_none():
    case = Case(Network(4, (64, 64), Categorical(2)), [[20, 30], [20, 30]])
    clean = case.computed()
    case.parameters[1, 10] = np.nan
    evaluated, gradient = case.computed()
    assert np.isnan(evaluated.log_probs[1, 0, :20]).all()
    assert np.isnan(gradient[1]).any()
    assert (gradient[0] == clean[1][0]).all()
    assert (evaluated.log_probs[0] == clean[0].log_probs[0]).all()


@pytest.mark.parametrize("largest", [None, 0.5, 1e9])
def test_a_gradient_step_is_adams(largest):
    generator = np.random.default_rng(0)
    P = 96
    start = generator.standard_normal((3, P)).astype(np.float32)
    theirs, mine = torch.from_numpy(start.copy()), start.copy()
    adam = Adam(theirs, 1e-2, 1e-5)
    mean, square = np.zeros_like(mine), np.zeros_like(mine)
    for t in range(1, 6):
        gradient = generator.standard_normal((3, P)).astype(np.float32)
        given = torch.from_numpy(gradient.copy())
        expected = clip_gradient(given, largest)
        adam.step(given)
        norms = np.empty(3, np.float32)
        optimiser.clip(opened(), gradient, [largest] * 3, norms)
        assert norms == pytest.approx(expected.numpy(), rel=1e-6)
        sizes = {"sizes": [1e-2 / (1 - 0.9**t)] * 3, "unbias": 1 / (1 - 0.999**t), "epsilon": 1e-5}
        optimiser.adam(opened(), mine, mean, square, gradient, **sizes)
        assert mine == pytest.approx(theirs.numpy(), rel=1e-5, abs=1e-6)


def test_whatever_is_not_an_array_of_the_right_kind_is_refused():
    good = np.zeros((4, 3), np.float32)
    assert at(good, np.float32, 4, 3).value == good.ctypes.data
    # Nobody else holds this one.
    assert at(np.full((2, 2), 7.0), np.float64, 2, 2).array[1, 1] == 7.0
    for wrong in (good.astype(np.float64), good[:3], good.T.copy(), np.zeros((3, 4), np.float32).T, good[:, ::2]):
        with pytest.raises(ValueError, match="a kernel takes"):
            at(wrong, np.float32, 4, 3)
    case = Case(Network(4, (8,), Categorical(2)), [[3, 4]])
    rows = case.rows()
    with pytest.raises(ValueError, match="a kernel takes"):
        rows.outputs(case.parameters[:, :-1])
    with pytest.raises(ValueError, match="lengths"):
        StepRows.packed(opened(), case.architecture, case.observations, case.actions, case.lengths + 5)
    with pytest.raises(ValueError, match="whole groups"):
        StepRows(
            opened(),
            case.architecture,
            np.array([0, 5]),
            np.array([5]),
            np.zeros((5, 4), np.float32),
            np.zeros(5, np.int64),
        )


def test_several_kinds_of_numbers_move_together(compiled):
    """To episodes and back, at once and one by one; seeds beyond those of the rows took no step."""
    case = Case(Network(4, (8,), Categorical(2)), [[3, 0, 5], [1, 20, 2]])
    rows, lengths = case.rows(), case.lengths
    numbers = np.random.default_rng(0).standard_normal((3, 48)).astype(np.float32)
    together = rows.episodes(numbers, lengths, np.zeros((3, 4, 3, 20), np.float32))
    for kind in range(3):
        alone = rows.episodes(numbers[kind], lengths, np.zeros((2, 3, 20), np.float32))
        np.testing.assert_array_equal(together[kind, :2], alone)
        assert not together[kind, 2:].any()
    back = rows.rows(together, lengths)
    for kind in range(3):
        np.testing.assert_array_equal(back[kind], rows.rows(np.ascontiguousarray(together[kind, :2]), lengths))
    np.testing.assert_array_equal(back[:, :8], numbers[:, :8])
    assert not back[:, 8:16].any()
    for shape in ((3, 1, 3, 20), (2, 4, 20), (3, 2, 3, 19), (1, 3, 2, 3, 20)):
        with pytest.raises(ValueError, match="not the episodes"):
            rows.rows(np.zeros(shape, np.float32), lengths)


@pytest.mark.parametrize("head", [Categorical(2), DiagonalGaussian(2)], ids=["categorical", "gaussian"])
def test_numbers_too_small_to_be_normal_are_zero_to_kernels_alone(head):
    """A gradient of such numbers is none, and after the call they are numbers again."""
    case = Case(Network(4, (16,), head), [[20, 30]])
    case.weights = [np.full_like(weight, 1e-40) for weight in case.weights]
    _, gradient = case.computed()
    assert not gradient.any()
    assert case.weights[0][0, 0, 0] * np.float32(1) > 0


def kernels_alone(library: Library) -> str:
    """Hash of what the kernels make of fixed inputs: rollouts, passes through networks, Adam; no torch in between.

    Inputs are whole numbers times powers of two, made without any function whose bits a library could change.
    """
    hashing = hashlib.sha256()

    def numbers(count: int, start: int) -> Array:
        # A linear congruential generator (Knuth's MMIX), its upper bits as multiples of 2^-12 in [-1, 1).
        state, found = start, []
        for _ in range(count):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            found.append((state >> 51) / 2**12 - 1.0)
        return np.array(found, np.float32)

    kinds: list[tuple[str, int, Head]] = [
        ("CartPole-v1", 4, Categorical(2)),
        ("Acrobot-v1", 6, Categorical(3)),
        ("MountainCar-v0", 2, Categorical(3)),
        ("Pendulum-v1", 3, DiagonalGaussian(1)),
    ]
    for name, features, head in kinds:
        environment = ARRAY_ENVIRONMENTS[name](3, 60)
        network = Network(features, (64, 48), head)
        architecture, P = Architecture(network), sum(network.sizes)
        parameters = (numbers(2 * P, 1).reshape(2, P) / 4).astype(np.float32)
        environment.state = numbers(2 * 3 * len(environment.low), 2).reshape(-1, 2, 3).astype(np.float64) / 32
        noise = np.abs(numbers(2 * 3 * 60, 3)).reshape(2, 3, 60, *head.action_shape)
        kept = collector.KeptSteps.room(architecture, 2, 3, 60)
        ends = collector.play(
            library, architecture, parameters, environment, 60, lambda live, drawn=noise: drawn, 60, kept=kept
        )
        rows = StepRows.packed(library, architecture, kept.observations, kept.actions, ends.lengths)
        outputs = rows.outputs(parameters, keep=True)
        reference = rows.outputs(parameters * np.float32(0.5)).z
        evaluated = rows.evaluate(outputs.z, reference)
        gradient = rows.backward(parameters, outputs, reference, evaluated)
        mean, square, norms = np.zeros_like(parameters), np.zeros_like(parameters), np.empty(2, np.float32)
        optimiser.clip(library, gradient, [0.5, 0.5], norms)
        optimiser.adam(library, parameters, mean, square, gradient, sizes=[2**-6] * 2, unbias=2.0**9, epsilon=2**-20)
        said = [rows.episodes(part, ends.lengths, np.zeros((2, 3, 60), np.float32)) for part in evaluated]
        learnt = (outputs.z, *said, gradient, norms, parameters, mean, square)
        for array in (*ends, kept.rewards, *learnt):
            hashing.update(np.ascontiguousarray(array).tobytes())
    return hashing.hexdigest()[:16]


#: On every x86 processor with AVX2, whatever compiler built the library, and for vectors of whatever width.
GOLDEN = "c270386e6d5c1b08"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.level)
def test_the_kernels_give_the_same_bytes_on_every_machine(target):
    found = [library for library in usable_libraries() if library.built.startswith(f"{target.level};")]
    if not found:
        pytest.skip(f"the processor is no {target.level}")
    assert found[0].lanes == (16 if target == TARGETS[0] else 8)
    assert kernels_alone(found[0]) == GOLDEN
