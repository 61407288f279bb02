"""Going on from checkpoints: what a trainer's state is, its bytes, and how a job's seeds start or go on.

A checkpoint is one seed's, although seeds train as a batch: after a death a job is divided otherwise. Seeds that stand
at one iteration go on as one batch, which changes none of them. No generator is kept, because streams follow from
their keys (streams.py), and no evaluation waits.
"""

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from haepo_bench.training.recorder import Recorder

#: Of several seeds: tensors, arrays and lists [seed, ...], None, and dictionaries of such. Of one: without that axis.
State = Mapping[str, Any]


class Checkpoint(NamedTuple):
    """What one seed goes on from.

    Args:
        iteration: the next one.
        state: of its trainer.
        recorded: what the recorder has of it, as JSON types.
    """

    iteration: int
    state: State
    recorded: dict[str, Any]

    def packed(self) -> bytes:
        """As bytes."""
        buffer = io.BytesIO()
        # As text, in which a number has one type.
        whole = {"iteration": self.iteration, "state": _own(self.state), "recorded": json.dumps(self.recorded)}
        torch.save(whole, buffer)
        return buffer.getvalue()

    @classmethod
    def unpacked(cls, data: bytes, device: str) -> "Checkpoint":
        """What was `packed`; arrays come back as tensors, all of them on `device`."""
        # Without weights_only a file could run code.
        found = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
        return cls(int(found["iteration"]), dict(found["state"]), dict(json.loads(found["recorded"])))


class Resumable(Protocol):
    """Trains some seeds that start together, or go on from one iteration."""

    #: The next one.
    iteration: int

    def resume(self, states: Sequence[State]) -> None:
        """Goes on from states of its seeds, in their order; raises anything where they are not such."""
        ...

    def train(self) -> None:
        """Runs until every seed is over, and lets go of environments."""
        ...

    def close(self) -> None:
        """Lets go of environments of one that does not train."""
        ...


def train_from_checkpoints(
    blocks: Iterable[Sequence[int]],
    trainer: Callable[[Sequence[int]], Resumable],
    recorder: Recorder,
    *,
    device: str,
    unit: str = "env steps",
    mixed: bool = False,
) -> None:
    """Trains blocks of seeds, each seed from its checkpoint where it has one.

    Args:
        blocks: seeds that are trained at a time, as the recorder calls them.
        trainer: makes what trains some seeds, from their beginning.
        unit: what a budget counts.
        mixed: whether they are of several configurations: what ends one block is then no matter of the others.
    """
    for block in blocks:
        found = {seed: _kept(recorder, seed, device) for seed in block}
        starts: dict[int, list[int]] = {}
        for seed, checkpoint in found.items():
            starts.setdefault(-1 if checkpoint is None else checkpoint.iteration, []).append(seed)
        for seeds in starts.values():
            own = {seed: checkpoint for seed in seeds if (checkpoint := found.pop(seed)) is not None}
            try:
                _trained(seeds, own, trainer, recorder, unit)
            except Exception as error:
                if not mixed:
                    raise
                unfinished = set(recorder.unfinished)
                for seed in unfinished.intersection(seeds):
                    recorder.failed(seed, error)


def _trained(
    seeds: Sequence[int],
    own: dict[int, Checkpoint],
    trainer: Callable[[Sequence[int]], Resumable],
    recorder: Recorder,
    unit: str,
) -> None:
    """Trains seeds that stand at one iteration to their end; empties `own`, their checkpoints."""
    made = trainer(seeds)
    if own and not _gone_on(made, own, recorder, unit):
        # It may have taken over a part of them.
        made.close()
        made = trainer(seeds)
    own.clear()
    made.train()


def _kept(recorder: Recorder, seed: int, device: str) -> Checkpoint | None:
    """What `seed` goes on from; None where it starts from its beginning."""
    data = recorder.resumed(seed)
    if data is None:
        return None
    try:
        return Checkpoint.unpacked(data, device)
    except (MemoryError, torch.OutOfMemoryError):
        raise  # nothing is wrong with the checkpoint
    except Exception as error:  # whatever its content makes torch raise
        _refuse(recorder, [seed], error)
        return None


def _gone_on(trainer: Resumable, found: Mapping[int, Checkpoint], recorder: Recorder, unit: str) -> bool:
    """Whether a trainer goes on from what was found of its seeds; where not, they start from their beginning."""
    try:
        trainer.resume([checkpoint.state for checkpoint in found.values()])
        for seed, (iteration, _, recorded) in found.items():
            trainer.iteration = iteration
            recorder.restore(seed, recorded, iteration=iteration)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever the parts of the state raise
        _refuse(recorder, list(found), error)
        return False
    for seed, (iteration, _, recorded) in found.items():
        print(f"seed {seed} goes on from its checkpoint: iteration {iteration}, {recorded['env_steps']} {unit}")
    return True


def _refuse(recorder: Recorder, seeds: Sequence[int], error: Exception) -> None:
    for seed in seeds:
        # Not torch's own message, which advises to load what nobody has reason to trust.
        recorder.refuse(seed, f"it does not load ({type(error).__name__})")


def row_of(state: Any, row: int) -> Any:
    """One seed's part of a state."""
    if isinstance(state, Mapping):
        return {name: row_of(part, row) for name, part in state.items()}
    return None if state is None else state[row]


def joined(parts: Sequence[Any]) -> Any:
    """The state of several seeds, from what `row_of` gave of each; arrays as tensors.

    Raises:
        ValueError: they are not alike.
    """
    first = parts[0]
    if isinstance(first, Mapping):
        if any(part.keys() != first.keys() for part in parts):
            raise ValueError("states of different kinds")
        return {name: joined([part[name] for part in parts]) for name in first}
    if any((part is None) != (first is None) for part in parts):
        raise ValueError("states of different kinds")
    if first is None:
        return None
    return torch.stack(list(parts)) if isinstance(first, torch.Tensor) else list(parts)


def arrays_of(state: Any) -> Any:
    """A state of tensors, with arrays in their place."""
    if isinstance(state, Mapping):
        return {name: arrays_of(part) for name, part in state.items()}
    return None if state is None else state.cpu().numpy()


def _own(state: Any) -> Any:
    """Tensors in place of arrays, and copies in place of parts: torch.save writes all of what a part is of."""
    if isinstance(state, Mapping):
        return {name: _own(part) for name, part in state.items()}
    if isinstance(state, list):
        return [_own(part) for part in state]
    if isinstance(state, np.ndarray | np.generic):
        return torch.from_numpy(np.array(state))
    if isinstance(state, torch.Tensor) and state.untyped_storage().nbytes() > state.nbytes:
        return state.clone()
    return state
