"""Finite tasks: exact references against enumeration and simulation, each family's rules, and whose draws are whose.

Statistical checks have fixed seeds and pass or fail for good; their tolerance of 5 standard errors would be exceeded by
chance once in 1.7 million comparisons, of which there are about a thousand.
"""

import itertools

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.errors import TaskError
from haepo_bench.tasks.finite.random_walk import RandomWalk
from haepo_bench.tasks.finite.tabular import Tabular, fixed_bits

FAMILIES = [
    "random-walk/8",
    "corridor/equal",
    "corridor/16",
    "corridor/130",
    "deep-sea/5",
    "multi-goal/3",
    "multi-goal/4",
    "key-door/5",
    "umbrella/6",
    "t-maze/4",
]
#: (seed, trajectory) of the simulations.
SHAPE = (4, 5_000)


def streams(*keys: int) -> list[np.random.Generator]:
    return [np.random.default_rng(key) for key in keys]


def play(task, policy, shape=SHAPE, first=0):
    """Plays `policy(states, time)`: returns and lengths [seed, trajectory], visited [seed, trajectory, state]."""
    vector = task.vector(shape[1])
    vector.reset(streams(*range(first, first + shape[0])))
    live = np.ones(shape, bool)
    returns, lengths, visited = np.zeros(shape), np.zeros(shape), np.zeros((*shape, task.states), bool)
    seed, trajectory = np.indices(shape)
    visited[seed, trajectory, vector.visited()] = True
    for t in range(task.horizon):
        step = vector.step(policy(vector.visited(), t), live)
        returns += np.where(live, step.rewards, 0.0)
        lengths += live
        visited[seed, trajectory, vector.visited()] = True
        live &= ~(step.terminated | step.truncated)
        if not live.any():
            break
    assert not live.any(), "the horizon ends every episode"
    return returns, lengths, visited, vector


def near(measured, expected):
    """Within 5 standard errors, or rounding where nothing varies; axis 0 is the sample."""
    error = measured.std(0) / len(measured) ** 0.5
    assert (np.abs(measured.mean(0) - expected) <= 5 * error + 1e-9).all()


@pytest.mark.parametrize("address", FAMILIES)
def test_an_oracle_gets_the_solved_score(address):
    task = catalogue.task(address)
    best = task.optimal_policy()
    assert best.shape == (task.horizon, task.states)
    returns, _, _, _ = play(task, lambda states, t: best[t, states])
    near(task.references.score(returns).ravel(), 1.0)
    if task.success_return is not None:
        assert (returns >= task.success_return).all()


@pytest.mark.parametrize("address", FAMILIES)
def test_a_uniform_policy_gets_the_random_score_and_goes_where_it_is_said_to_go(address):
    """Return, length, success and the probability of visiting every single state."""
    task = catalogue.task(address)
    rng = np.random.default_rng(7)
    returns, lengths, visited, _ = play(task, lambda states, t: rng.integers(task.action_space.n, size=SHAPE))
    near(task.references.score(returns).ravel(), 0.0)
    near(lengths.ravel(), task.uniform.steps)
    assert task.uniform.visits.shape == (task.states,)
    # A share of 20,000 whose own sample shows no spread still has that of its expectation.
    expected = task.uniform.visits
    error = np.sqrt(expected * (1 - expected) / lengths.size)
    assert (np.abs(visited.mean((0, 1)) - expected) <= 5 * error + 1 / lengths.size).all()
    if task.success_return is None:
        assert task.uniform.success is None
    else:
        near((returns >= task.success_return).ravel(), task.uniform.success)
        assert visited[..., list(task.successes)].any(-1).tolist() == (returns >= task.success_return).tolist()
    assert task.references.source.startswith("exact")


def random_table(key):
    """A table with cycles, several starts, ends and unreachable states; [state, action] = [7, 2]."""
    rng = np.random.default_rng(key)
    states = 7
    terminal = rng.random(states) < 0.3
    terminal[0] = False
    start = rng.random(states) * ~terminal * (rng.random(states) < 0.5)
    start[0] += 0.1
    return {
        "next_state": rng.integers(states, size=(states, 2)),
        "reward": rng.normal(size=(states, 2)),
        "terminal": terminal,
        "start": start / start.sum(),
        "horizon": 6,
    }


@pytest.mark.parametrize("key", range(30))
def test_exact_numbers_against_all_paths_of_random_tables(key):
    """Every sequence of actions from every start, followed one by one on the original tables."""
    table = random_table(key)
    task = Tabular("test/random", "", version=1, **table)
    after, reward, terminal = table["next_state"], table["reward"], table["terminal"]
    value, steps, best = 0.0, 0.0, 0.0
    visits, reached = np.zeros(7), set(np.flatnonzero(table["start"]))
    for start in np.flatnonzero(table["start"]):
        totals = []
        for actions in itertools.product((0, 1), repeat=6):
            state, total, length, seen = start, 0.0, 0, {start}
            for action in actions:
                if terminal[state]:
                    break
                total += reward[state, action]
                state, length = after[state, action], length + 1
                seen.add(state)
            totals.append(total)
            probability = table["start"][start] / 2**6
            value, steps = value + probability * total, steps + probability * length
            visits[list(seen)] += probability
            reached |= seen
        best += table["start"][start] * max(totals)  # moves are certain, so the best sequence is the best policy
    kept = sorted(reached)
    assert task.states == len(kept)  # six steps reach all of seven states that can be reached
    assert task.forward.value == pytest.approx(value, abs=1e-12)
    assert task.uniform.steps == pytest.approx(steps, abs=1e-12)
    assert task.uniform.visits == pytest.approx(visits[kept], abs=1e-12)
    assert task.optimal_return() == pytest.approx(best, abs=1e-12)
    number = {old: new for new, old in enumerate(kept)}
    assert task.next_state[~task.terminal].tolist() == [
        [number[s] for s in after[old]] for old in kept if not terminal[old]
    ]
    policy = task.optimal_policy()
    returns, _, _, _ = play(task, lambda states, t: policy[t, states], (1, 4_000))
    near(returns.ravel(), best)


def test_the_random_walks_closed_forms_agree_with_the_tables():
    for states, horizon in ((4, 1), (5, 7), (20, 100), (33, 40)):
        walk = RandomWalk(states, horizon)
        assert walk.visit_probabilities() == pytest.approx(Tabular.visit_probabilities(walk), abs=1e-13)
        assert walk.uniform.success == pytest.approx(walk.uniform.visits[-1], abs=1e-13)
        if walk.references is None:
            assert horizon < states - 2
        else:
            assert walk.references.random == pytest.approx(walk.forward.value, abs=1e-13)
            assert walk.references.solved == walk.optimal_return()
    assert 0 < catalogue.task("random-walk/500").uniform.success < 1e-16
    # Left to walk for ever it ends at the far end with probability 1/(n-1) after n-2 steps: the gambler's ruin.
    assert RandomWalk(6, 5_000).uniform.success == pytest.approx(1 / 5)
    assert RandomWalk(6, 5_000).uniform.steps == pytest.approx(4)


def test_states_that_cannot_be_reached_do_not_count():
    assert catalogue.task("deep-sea/5").states == 15 + 2  # on and below the diagonal, and two ends
    # The left room without the key (its cell excepted), with it, then the door and the right room with it.
    assert catalogue.task("key-door/5").states == (10 - 1) + 10 + 1 + 10
    assert catalogue.task("key-door/6").states == (18 - 1) + 18 + 1 + 12
    assert catalogue.task("umbrella/6").states == 2 + 4 * 5 + 2


@pytest.mark.parametrize("address", ["deep-sea/4", "deep-sea/9"])
def test_the_deep_sea_follows_bsuites_rules(address):
    """Written down once more as in bsuite's deep_sea.py, 500 random episodes and the one that finds the treasure."""
    task = catalogue.task(address)
    size = task.horizon
    mapping = fixed_bits((size, size), 42, size)
    assert 0.25 < mapping.mean() < 0.75
    actions = np.random.default_rng(0).integers(2, size=(size, 1, 501))
    actions[:, 0, -1] = mapping.diagonal()
    vector = task.vector(501)
    observations = vector.reset(streams(0))
    rows, columns = np.indices((size, size))
    returns = np.zeros(501)
    for t in range(size):
        step = vector.step(actions[t], np.ones((1, 501), bool))
        assert step.terminated.all() == (t == size - 1)
        for k in range(501):
            row, column = np.argwhere(observations[0, k].reshape(size, size)).tolist()[0]
            assert row == t
            right = actions[t, 0, k] == mapping[row, column]
            expected = -0.01 / size * right
            if column == size - 1 and right:
                expected += 1.0
            assert step.rewards[0, k] == pytest.approx(expected, abs=1e-15)
            column = min(column + 1, size - 1) if right else max(column - 1, 0)
            if t < size - 1:
                here = (rows == t + 1) & (columns == column)
                assert (step.observations[0, k].reshape(size, size) == here).all()
        returns += step.rewards[0]
        observations = step.observations
    assert returns[-1] == pytest.approx(0.99)
    assert (returns > task.success_return).sum() == (actions == actions[..., -1:]).all(0).sum()
    assert task.references.solved == pytest.approx(0.99)
    # A right move at each step with probability one half, and the treasure in one episode of 2^size.
    assert task.references.random == pytest.approx(2.0**-size - 0.005)
    assert task.uniform.success == 2.0**-size


def test_deep_seas_of_twenty_rows_are_floors():
    assert catalogue.task("deep-sea/19").tags == ("exploration",)
    assert catalogue.task("deep-sea/20").tags == ("exploration", "floor")


def test_both_ways_of_the_equal_corridor_are_paid_alike():
    task = catalogue.task("corridor/equal")
    returns, lengths, _, vector = play(task, lambda states, t: np.array([[0, 1, 2]]), (1, 3))
    assert returns.tolist() == [[1, 1, 0]]
    assert lengths.tolist() == [[5, 45, 5]]
    assert {name: values.tolist() for name, values in vector.measures().items()} == {
        "short_way_share": [[1, 0, 0]],
        "long_way_share": [[0, 1, 0]],
    }
    assert task.references.random == pytest.approx(2 / 3)
    assert task.uniform.steps == pytest.approx(55 / 3)


@pytest.mark.parametrize("horizon", [16, 128, 256])
def test_straight_corridors_agree_with_their_closed_forms(horizon):
    """A policy right with probability 0.7 at each position: mean, variance, credit of one action, log-probabilities."""
    task = catalogue.task(f"corridor/{horizon}")
    right, p, n = task.optimal_policy()[0], 0.7, 20_000
    hits = np.random.default_rng(1).random((horizon, 1, n)) < p
    returns, lengths, _, _ = play(task, lambda states, t: np.where(hits[t], right[states], 1 - right[states]), (1, n))
    assert (lengths == horizon).all()
    assert 0.3 < right[:-1].mean() < 0.7
    assert returns[0] == pytest.approx(hits.mean((0, 1)))
    near(returns[0], p)
    near((returns[0] - p) ** 2, p * (1 - p) / horizon)
    near(horizon**0.5 * (returns[0] - p) * (hits[3, 0] - p) / (p * (1 - p)) * horizon**0.5, 1.0)
    log_probs = np.where(hits, np.log(p), np.log(1 - p)).sum((0, 1))
    expected = horizon * (p * np.log(p) + (1 - p) * np.log(1 - p))
    near((log_probs - expected) ** 2, horizon * p * (1 - p) * np.log(p / (1 - p)) ** 2)


def test_positions_of_a_long_corridor_are_told_apart():
    one_hot = catalogue.task("corridor/128").observations
    assert (one_hot[:-1] == np.eye(128)).all()
    codes = catalogue.task("corridor/512").observations
    assert codes.shape == (513, 128)
    products = codes[:-1] @ codes[:-1].T
    assert products.diagonal() == pytest.approx(1.0)
    assert np.abs(products - np.eye(512)).max() < 0.55
    assert (codes[-1] == 0).all()


@pytest.mark.parametrize("n", [2, 5, 16])
def test_every_goal_is_as_good_and_as_likely_as_the_others(n):
    task = catalogue.task(f"multi-goal/{n}")
    assert len(set(task.goals)) == n
    rng = np.random.default_rng(0)
    returns, lengths, visited, _ = play(task, lambda states, t: rng.integers(n, size=(2, 6_000)), (2, 6_000))
    assert (lengths == 5).all()
    found = visited[..., list(task.goals)]
    assert found.any((0, 1)).all()
    assert np.isclose(returns, np.where(found.any(-1), 1.0, 0.1)).all()
    if n % 2 == 0:  # else the halves that go on differ by one action
        assert task.uniform.visits[list(task.goals)] == pytest.approx(1 / n / 16)
    # Whichever way is taken first, the best actions lead to its goal.
    best = task.optimal_policy()
    ends = play(task, lambda states, t: np.arange(n)[None] if t == 0 else best[t, states], (1, n))[3].visited()
    assert ends.tolist() == [list(task.goals)]


@pytest.mark.parametrize("size", [5, 6, 15])
def test_the_goal_needs_the_key(size):
    shortest = 4 * (size - 1)
    assert catalogue.task(f"key-door/{size}", time_limit=shortest).optimal_return() == 1.0
    assert catalogue.task(f"key-door/{size}", time_limit=shortest - 1).references is None
    task = catalogue.task(f"key-door/{size}")
    right, down, left, up = range(4)
    for detour in (True, False):  # past the key's cell, or straight to the door
        way = [down] * (size - 1) + [up] * (size - 1) if detour else [left] * (2 * size - 2)
        actions = [*way, *[right] * (size - 1), *[down] * (size - 1)]
        vector = task.vector(1)
        observation, paid = vector.reset(streams(0)), 0.0
        assert np.flatnonzero(observation[0, 0]).tolist() == [0, size]
        for t, action in enumerate(actions):
            step = vector.step(np.array([[action]]), np.ones((1, 1), bool))
            paid += float(step.rewards[0, 0])
            assert step.terminated[0, 0] == (detour and t == len(actions) - 1)
        assert paid == float(detour)
        stopped = [size - 1, size + size // 2 - 1]  # before the wall, without the key
        assert detour or np.flatnonzero(step.observations[0, 0]).tolist() == stopped


def test_an_umbrellas_first_action_decides_its_last_reward():
    task = catalogue.task("umbrella/6")
    rng = np.random.default_rng(5)
    actions = rng.integers(2, size=(6, 2, 500))
    vector = task.vector(500)
    seen = [vector.reset(streams(0, 1))]
    rewards = []
    for t in range(6):
        step = vector.step(actions[t], np.ones((2, 500), bool))
        seen.append(step.observations)
        rewards.append(step.rewards)
    suits = seen[0][..., 0] == actions[0]
    assert 0.4 < seen[0][..., 0].mean() < 0.6
    assert (rewards[-1] == np.where(suits, 1, -1)).all()
    assert (vector.measures()["right_choice_share"] == suits).all()
    before = np.stack(rewards[:-1])
    assert set(before.ravel()) == {-1.0, 1.0}
    near(before.reshape(5, -1).T, 0.0)
    np.testing.assert_allclose(np.corrcoef(before.reshape(5, -1)), np.eye(5), atol=5 / 1000**0.5)
    for t in range(6):
        assert (seen[t][..., 0] == seen[0][..., 0]).all()
        assert (seen[t][..., 1] == (0 if t == 0 else actions[0])).all()
        assert seen[t][..., 2] == pytest.approx(1 - t / 6)


def test_a_t_maze_asks_for_the_oldest_observation_and_no_other():
    task = catalogue.task("t-maze/4")
    vector = task.vector(64)
    observations = vector.reset(streams(0))[0]
    hint = observations[:, -4:-2].argmax(-1)
    assert 0 < hint.mean() < 1
    assert (observations[:, :-4] == 0).all()
    rng = np.random.default_rng(0)
    for _ in range(4):
        step = vector.step(rng.integers(2, size=(1, 64)), np.ones((1, 64), bool))
        assert not step.terminated.any()
        assert (step.rewards == 0).all()
        observations = np.concatenate([observations[:, 4:], step.observations[0, :, -4:]], -1)
        np.testing.assert_array_equal(observations, step.observations[0])
    assert (observations[:, :2].argmax(-1) == hint).all()
    assert (observations[:, 4:] == observations[0, 4:]).all()  # nothing else tells one hint from the other
    assert (observations[:, -4:] == [0, 0, 0, 1]).all()
    step = vector.step(observations[None, :, :2].argmax(-1), np.ones((1, 64), bool))
    assert step.terminated.all()
    assert (step.rewards == 1).all()


@pytest.mark.parametrize("address", FAMILIES)
def test_a_seed_sees_the_same_whoever_is_beside_it_and_whichever_episodes_still_live(address):
    """Also where episodes were started anew, each from a stream of its own."""
    task = catalogue.task(address)
    rng = np.random.default_rng(3)
    actions = rng.integers(task.action_space.n, size=(24, 3, 4))

    def stepped(keys: list[int], stopped: int | None) -> list[np.ndarray]:
        vector = task.vector(4)
        seen = [vector.reset(streams(*keys))]
        for t in range(24):
            live = np.ones((len(keys), 4), bool)
            live[:, 3] = stopped is None or t < stopped
            step = vector.step(actions[t, keys], live)
            seen += [step.observations[:, :3].copy(), step.rewards[:, :3].copy(), step.terminated[:, :3].copy()]
            where = (step.terminated | step.truncated) & live
            before = step.observations.copy()
            begun = vector.restart(where, [np.random.default_rng((keys[i], k, t)) for i, k in np.argwhere(where)])
            np.testing.assert_array_equal(step.observations, before)
            assert begun.shape == (where.sum(), *task.observation_space.shape)
            shown = before.copy()
            shown[where] = begun
            seen.append(shown[:, :3])
        return seen

    together = stepped([0, 1, 2], None)
    for keys, stopped in (([1], None), ([2, 0], None), ([0, 1, 2], 2), ([1, 2], 5)):
        for full, part in zip(together, stepped(keys, stopped), strict=True):
            np.testing.assert_array_equal(full[keys], part)


@pytest.mark.parametrize("address", FAMILIES)
def test_an_episode_that_starts_anew_is_like_a_first_one(address):
    task = catalogue.task(address)
    rng = np.random.default_rng(0)
    vector, fresh = task.vector(2), task.vector(1)
    vector.reset(streams(0))
    for _ in range(3):
        vector.step(rng.integers(task.action_space.n, size=(1, 2)), np.ones((1, 2), bool))
    begun = vector.restart(np.array([[False, True]]), streams(9))
    starts = {tuple(fresh.reset(streams(key))[0, 0]) for key in range(20)}
    assert tuple(begun[0]) in starts
    assert task.start[vector.visited()[0, 1]] > 0
    for _ in range(task.horizon):
        step = vector.step(rng.integers(task.action_space.n, size=(1, 2)), np.array([[False, True]]))
        if step.terminated[0, 1]:
            break
    assert (step.terminated | step.truncated)[0, 1], "it has all its steps before it"


@pytest.mark.parametrize("algorithm", ["haepo-weighted", "ppo-batched"])
@pytest.mark.parametrize("address", ["umbrella/6", "t-maze/4"])
def test_runs_are_the_same_alone_and_among_others(algorithm, address):
    settings = {"trajectories": 8} if algorithm == "haepo-weighted" else {"n_envs": 4, "n_steps": 32}
    among = train(algorithm, address, [0, 1, 2], 200, 100, **settings)
    alone = train(algorithm, address, [1], 200, 100, **settings)
    assert without_clocks(among[1]) == without_clocks(alone[1])
    assert without_clocks(among[1]) != without_clocks(among[0])


@pytest.mark.parametrize("address", FAMILIES)
@pytest.mark.filterwarnings("ignore:.*Box.*:UserWarning", "ignore::UserWarning:gymnasium")
def test_single_environments_pass_the_checkers(address):
    check_env(catalogue.task(address).environment(), skip_render_check=True)
    check_env_sb3(catalogue.task(address).environment(), warn=False)


@pytest.mark.parametrize("address", FAMILIES)
def test_observations_lie_in_their_space(address):
    task = catalogue.task(address)
    rng = np.random.default_rng(0)
    vector = task.vector(3)
    observations = vector.reset(streams(0))
    for _ in range(task.horizon):
        assert observations.dtype == np.float32
        assert all(task.observation_space.contains(observation) for observation in observations[0])
        observations = vector.step(rng.integers(task.action_space.n, size=(1, 3)), np.ones((1, 3), bool)).observations


def test_fixed_instances_are_what_version_1_has():
    """Changing these bits changes the tasks: their versions would have to be raised."""
    pinned = {
        (42, 4): "101001001001",
        (7, 16): "101110011100",
        (8, 256): "100000010111",
        (9, 3): "001101101001",
    }
    for key, bits in pinned.items():
        assert "".join(str(int(bit)) for bit in fixed_bits((12,), *key)) == bits
    # and the tables are made of them
    assert "".join(map(str, catalogue.task("corridor/16").optimal_policy()[0, :12])) == pinned[7, 16]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("deep-sea/3", "the size of a deep sea is a whole number from 4 to 50, not '3'"),
        ("deep-sea/010", "write deep-sea/10"),
        ("deep-sea/" + "9" * 5_000, "4 to 50"),
        ("random-walk/" + "9" * 5_000, "4 to 10000 states"),
        ("corridor/7", "8 to 512"),
        ("corridor/513", "8 to 512"),
        ("corridor/equals", "corridor/equal"),
        ("corridor/\u0669", "8 to 512"),
        ("multi-goal/17", "2 to 16"),
        ("key-door/4", "5 to 15"),
        ("umbrella/1", "2 to 200"),
        ("t-maze/0", "1 to 100"),
    ],
)
def test_bad_variants(address, says):
    with pytest.raises(TaskError, match=says):
        catalogue.task(address)


@pytest.mark.parametrize(
    "address", ["deep-sea/5", "corridor/equal", "corridor/8", "multi-goal/2", "umbrella/2", "t-maze/2"]
)
def test_lengths_that_are_part_of_the_task_take_no_limit(address):
    with pytest.raises(TaskError, match="remove time_limit"):
        catalogue.task(address, time_limit=3)


def test_tables_that_do_not_fit_are_refused():
    table = random_table(0)
    for wrong, says in (
        ({"reward": np.zeros((6, 2))}, "disagree"),
        ({"start": np.ones(7)}, "a distribution"),
        ({"start": np.flatnonzero(table["terminal"])[0]}, "a distribution"),
        ({"goals": [np.setdiff1d(range(7), _reached(table))[0]]}, "within reach"),
        ({"successes": [0]}, "successes terminal"),
    ):
        with pytest.raises(ValueError, match=says):
            Tabular("test/wrong", "", version=1, **{**table, **wrong})
    with pytest.raises(TaskError, match="episodes of 0 steps"):
        Tabular("test/wrong", "", version=1, **{**table, "horizon": 0})
    with pytest.raises(TaskError, match="episodes of 200,000 steps"):
        catalogue.task("key-door/5", time_limit=200_000)


def _reached(table):
    reached = set(np.flatnonzero(table["start"]))
    for _ in range(7):
        reached |= {s for at in reached if not table["terminal"][at] for s in table["next_state"][at]}
    return sorted(reached)
