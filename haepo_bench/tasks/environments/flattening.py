"""Other people's spaces as policies take them: observations as vectors, actions as choices or as numbers.

Observations are flattened as `gymnasium.spaces.flatten` does it: whole numbers become one-hot vectors, dictionaries and
tuples are laid end to end in their space's order. Actions that consist of several whole numbers are several choices,
one for each.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from haepo_bench.errors import TaskError
from haepo_bench.tasks.base import ActionSpace, Array
from haepo_bench.tasks.images import MOST_PIXELS, image_of

#: Numbers of an observation, and outputs of a policy, beyond which a space is not meant to be learnt from like this.
MOST_FEATURES = 1_000_000
MOST_CHOICES = 10_000

_EMPTY = "correct its spaces, or choose another environment"
_Encode = Callable[[Any], Array]


class _Part(NamedTuple):
    """A space flattened.

    Args:
        low: [feature] float32; `high` likewise.
        encode: one observation to [feature] float32; raises ValueError for what is not of the space.
        measured: of the features, those that are not one-hot.
    """

    low: Array
    high: Array
    encode: _Encode
    measured: int = 0


class Observations:
    """Turns an environment's observations into flat float32 vectors.

    Args:
        name: of the environment, for messages.
        pixels: whether what looks like an image is one.

    Attributes:
        image: that they are; None where they are none.

    Raises:
        TaskError: nothing can flatten the space, or it holds no number.
    """

    def __init__(self, name: str, space: spaces.Space[Any], *, pixels: bool = True) -> None:
        self._original = space
        self.image = image_of(space) if pixels else None
        part = _part(name, space)
        self._encode = part.encode
        if not part.low.size:
            raise TaskError(f"{name} has observations without any number", remedy=_EMPTY)
        if self.image is None:
            _check_size(name, part)
        self.space = spaces.Box(part.low, part.high, dtype=np.float32)

    def __call__(self, observation: Any) -> Array:
        """One observation as a vector [feature].

        Raises:
            ValueError: it is not of the space.
        """
        row = self._encode(observation)
        looked_at = self.image is not None and self.image.whole
        if looked_at and np.asarray(observation).dtype not in (np.uint8, np.bool_) and not _bytes(row):
            raise ValueError("its pixels are not whole numbers from 0 to 255, as its space says")
        return row

    def value(self, observation: Any, row: Array, place: int) -> Any:
        """A number of an observation as it was before it was rounded to single precision, if known."""
        return np.asarray(observation).ravel()[place] if isinstance(self._original, spaces.Box) else row[place]

    def rows(self, observations: Array) -> Array:
        """[episode, ...] to [episode, feature]."""
        if isinstance(self._original, spaces.Box):
            return observations.astype(np.float32).reshape(len(observations), -1)
        return np.stack([self._encode(observation) for observation in observations])


def _check_size(name: str, part: _Part) -> None:
    """Refuses what a fully connected network would learn nothing from."""
    if part.measured > MOST_PIXELS:
        raise TaskError(
            f"{name} observes {part.measured:,} numbers that are not an image by themselves: a fully connected "
            "network would see them all",
            remedy="give the task a wrapper that shows nothing but the image (a Box of three axes with bounds) or "
            f"at most {MOST_PIXELS:,} numbers, below wrappers:",
        )
    if part.low.size > MOST_FEATURES:
        raise _too_many_features(name, part.low.size)


def _too_many_features(name: str, features: int) -> TaskError:
    return TaskError(
        f"{name} has observations that would be {features:,} numbers, one for each value",
        remedy="give the task a wrapper that turns them into a Box, below wrappers:",
    )


def _bytes(row: Array) -> bool:
    """Whether all numbers are those of a byte."""
    return bool(((row >= 0) & (row <= 255) & (row == np.floor(row))).all())


class Actions:
    """Turns a policy's actions into an environment's.

    Args:
        name: of the environment, for messages.

    Raises:
        TaskError: no policy can drive the space.
    """

    def __init__(self, name: str, space: spaces.Space[Any]) -> None:
        self._original = space
        self.space, self._start = _action_space(name, space)
        # Bounds of double precision lie a little off in single precision, in which policies keep to them.
        self._bounds = (space.low, space.high) if isinstance(space, spaces.Box) and space.dtype == np.float64 else None

    def __call__(self, action: Any) -> Any:
        """One action as the environment takes it."""
        if isinstance(self._original, spaces.Discrete):
            return int(action) + int(self._original.start)
        native = np.asarray(action) + self._start
        return self._within(native.astype(self._original.dtype).reshape(self._original.shape or ()))

    def rows(self, actions: Array) -> Array:
        """[episode, *action] likewise."""
        native: Array = (actions + self._start).astype(self._original.dtype)
        shape = self._original.shape
        return self._within(native.reshape(-1, *shape) if shape else native)

    def _within(self, native: Array) -> Array:
        return np.clip(native, *self._bounds) if self._bounds else native


def _part(name: str, space: spaces.Space[Any]) -> _Part:
    if isinstance(space, spaces.Box):
        return _box(space)
    if isinstance(space, spaces.Discrete):
        return _one_hot(name, space, np.array([space.n]), np.array([space.start]), ())
    if isinstance(space, spaces.MultiDiscrete):
        return _one_hot(name, space, space.nvec.ravel(), space.start.ravel(), space.nvec.shape)
    if isinstance(space, spaces.MultiBinary):
        return _bits(space)
    if isinstance(space, spaces.Dict):
        return _dictionary(name, space)
    if isinstance(space, spaces.Tuple):
        return _tuple(name, space)
    raise TaskError(
        f"{name} has observations of kind {type(space).__name__}, which have no fixed number of numbers",
        remedy="give the task a wrapper that turns them into a Box, below wrappers:",
    )


def _box(space: spaces.Box) -> _Part:
    """The same bounds in single precision, one axis; bounds that it cannot hold become infinite."""
    with np.errstate(over="ignore"):
        low, high = (np.asarray(bound, np.float32).ravel() for bound in (space.low, space.high))

    def encode(observation: Any) -> Array:
        array = np.asarray(observation)
        if array.dtype.kind not in "biuf":
            kind = f" of {array.dtype}" if isinstance(observation, np.ndarray) else ""
            raise ValueError(f"a {type(observation).__name__}{kind} is not an array of real numbers")
        if array.shape != space.shape and _longer_than_one(array.shape) != _longer_than_one(space.shape):
            raise ValueError(f"its shape is {array.shape}, where its space says {space.shape}")
        with np.errstate(over="ignore"):  # what becomes infinite is found by who looks
            return array.astype(np.float32).ravel()

    return _Part(low, high, encode, measured=low.size)


def _longer_than_one(shape: tuple[int, ...]) -> list[int]:
    """The axes that say how numbers are arranged."""
    return [length for length in shape if length != 1]


def _one_hot(name: str, space: spaces.Space[Any], sizes: Array, starts: Array, shape: tuple[int, ...]) -> _Part:
    """Whole numbers, of which there are `sizes` from `starts` on, as one-hot vectors end to end."""
    features = int(sizes.astype(object).sum())
    if features > MOST_FEATURES:
        raise _too_many_features(name, features)
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)

    def encode(observation: Any) -> Array:
        numbers = np.asarray(_element(observation) if shape == () else observation)
        if numbers.dtype.kind not in "biuf" or numbers.shape != shape:
            raise ValueError(f"{observation!r:.60} is not {'a whole number' if shape == () else f'of shape {shape}'}")
        places = numbers.ravel() - starts
        if not ((places == np.floor(places)) & (places >= 0) & (places < sizes)).all():
            raise ValueError(f"{observation!r:.60} is not one of {space}")
        row = np.zeros(features, np.float32)
        row[offsets + places.astype(np.int64)] = 1
        return row

    return _Part(np.zeros(features, np.float32), np.ones(features, np.float32), encode)


def _bits(space: spaces.MultiBinary) -> _Part:
    def encode(observation: Any) -> Array:
        array = np.asarray(observation)
        if array.shape != space.shape or array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
            raise ValueError(f"{observation!r:.60} is not of zeros and ones of shape {space.shape}")
        return array.astype(np.float32).ravel()

    features = int(np.prod(space.shape))
    return _Part(np.zeros(features, np.float32), np.ones(features, np.float32), encode, measured=features)


def _dictionary(name: str, space: spaces.Dict) -> _Part:
    parts = {key: _part(name, inner) for key, inner in space.spaces.items()}

    def encode(observation: Any) -> Array:
        if not isinstance(observation, Mapping) or set(observation) != set(parts):
            found = sorted(map(str, observation)) if isinstance(observation, Mapping) else type(observation).__name__
            raise ValueError(f"it is {found}, where its space has the keys {sorted(map(str, parts))}")
        return np.concatenate([_within(f"[{key!r}]", part, observation[key]) for key, part in parts.items()])

    return _joined(list(parts.values()), encode)


def _tuple(name: str, space: spaces.Tuple[Any]) -> _Part:
    parts = [_part(name, inner) for inner in space.spaces]

    def encode(observation: Any) -> Array:
        if not isinstance(observation, tuple | list) or len(observation) != len(parts):
            raise ValueError(f"{observation!r:.60} is not {len(parts)} values")
        both = zip(parts, observation, strict=True)
        return np.concatenate([_within(f"[{place}]", part, value) for place, (part, value) in enumerate(both)])

    return _joined(parts, encode)


def _within(place: str, part: _Part, value: Any) -> Array:
    try:
        return part.encode(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ValueError(f"{place}: {error}") from None


def _joined(parts: Sequence[_Part], encode: _Encode) -> _Part:
    if not parts:
        empty = np.zeros(0, np.float32)
        return _Part(empty, empty, encode)
    low, high = (np.concatenate([getattr(part, end) for part in parts]) for end in ("low", "high"))
    return _Part(low, high, encode, measured=sum(part.measured for part in parts))


def _action_space(name: str, space: spaces.Space[Any]) -> tuple[ActionSpace, Any]:
    """The space that policies drive, and what is added to get an action of the original one."""
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(_choices(name, np.array([space.n])).nvec[0])), int(space.start)
    if isinstance(space, spaces.MultiDiscrete):
        return _choices(name, space.nvec.ravel()), space.start.ravel()
    if isinstance(space, spaces.MultiBinary):
        return _choices(name, np.full(int(np.prod(space.shape)), 2)), 0
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        part = _box(space)
        if not part.low.size:
            raise TaskError(f"{name} has actions without any number", remedy=_EMPTY)
        return spaces.Box(part.low, part.high, dtype=np.float32), np.float32(0)
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.integer):
        if not space.is_bounded():
            raise TaskError(
                f"{name} has actions of whole numbers without bounds",
                remedy="give the task a wrapper that takes a Discrete or a Box of floats, below wrappers:",
            )
        # As Python's numbers: the range of an integer type does not fit that type.
        sizes = space.high.ravel().astype(object) - space.low.ravel().astype(object) + 1
        return _choices(name, sizes), space.low.ravel().astype(np.int64)
    kind = f"Box of {space.dtype}" if isinstance(space, spaces.Box) else type(space).__name__
    raise TaskError(
        f"{name} has actions of kind {kind}; only Discrete, MultiDiscrete, MultiBinary and a Box of floats or of whole "
        "numbers can be driven",
        remedy="give the task a wrapper that takes one of these, below wrappers:",
    )


def _choices(name: str, sizes: Array) -> spaces.MultiDiscrete:
    if not sizes.size:
        raise TaskError(f"{name} has actions without any number", remedy=_EMPTY)
    outputs = int(sizes.astype(object).sum())
    if outputs > MOST_CHOICES:
        raise TaskError(
            f"{name} has actions with {outputs:,} values, each of which would be an output of the policy",
            remedy="give the task a wrapper that takes a Box of floats, below wrappers:",
        )
    return spaces.MultiDiscrete(sizes.astype(np.int64))


def one_number(value: Any) -> float:
    """A number, a boolean, or an array or tensor of one element as a float.

    Raises:
        TypeError, ValueError, OverflowError, RuntimeError: it is something else.
    """
    return float(_element(value))


def _element(value: Any) -> Any:
    """The one element of whatever holds one; of whole numbers every digit, which a float would not keep."""
    if isinstance(value, int | float):
        return value
    if isinstance(value, str | bytes):
        raise TypeError("text is not a number")
    return value.item() if hasattr(value, "item") else np.asarray(value).item()
