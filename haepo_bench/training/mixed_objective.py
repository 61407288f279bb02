"""The objectives of several configurations over the rows of one batch.

Configurations that differ in numbers alone are computed at once (row_values.py), others apart, each on its own rows.
Either way a row's loss and gradient have the bits that they have where its configuration is alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import torch
from pydantic import PrivateAttr
from torch import Tensor

from haepo_bench.objectives.base import Objective, ObjectiveOutput, TrajectoryBatch
from haepo_bench.objectives.output import output_of
from haepo_bench.policies.shapes import pad
from haepo_bench.results.declared_columns import own_name
from haepo_bench.training.row_values import RowByRow, RowValue

#: What carries gradient in a batch.
_LEAVES = ("log_probs", "entropy", "kl_to_reference", "values", "halves_apart")
#: Of a batch, what is not a tensor with an axis of rows.
_SHARED = frozenset({"horizon", "deterministic"})


class _Part(NamedTuple):
    """Rows that are computed at once, and the objective that each has."""

    rows: list[int]
    objectives: list[Objective]

    @property
    def differing(self) -> bool:
        first = self.objectives[0]
        return any(own is not first and own != first for own in self.objectives)


class MixedObjective(Objective):
    """An objective per row; in what they ask of a batch all must agree (`Objective.reference_sample` and the like)."""

    _objectives: list[Objective] = PrivateAttr()
    _padding: int = PrivateAttr()
    _parts: list[_Part] = PrivateAttr()
    _apart: set[tuple[str, ...]] = PrivateAttr(default_factory=set)
    _failures: dict[int, Exception] = PrivateAttr(default_factory=dict)
    _reported: dict[int, frozenset[str]] = PrivateAttr(default_factory=dict)
    #: By part and name, what was last taken of a batch, and its rows: epochs share all that carries no gradient.
    _copies: dict[tuple[int, str], tuple[Any, Any]] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, objectives: Sequence[Objective], padding: int) -> Objective:
        """The objective of these rows: not a mixture where all have the same.

        Args:
            padding: the rows of a part are padded to a multiple of this (policies/shapes.py).
        """
        return cls._made(objectives, padding, set())

    @classmethod
    def _made(cls, objectives: Sequence[Objective], padding: int, apart: set[tuple[str, ...]]) -> Objective:
        if not _Part([], list(objectives)).differing:
            return objectives[0]
        mixed = cls()
        mixed._objectives, mixed._padding, mixed._apart = list(objectives), padding, apart
        mixed._divide()
        return mixed

    @property
    def wants_halves(self) -> bool:  # type: ignore[override]  # those of its rows say
        return self._objectives[0].wants_halves

    @property
    def reference_sample(self) -> int:
        return self._objectives[0].reference_sample

    @property
    def temperatures(self) -> tuple[float, ...]:
        return self._objectives[0].temperatures

    @property
    def failures(self) -> dict[int, Exception]:
        """By row, why its objective could not be computed when this was called last; its loss is NaN."""
        return self._failures

    def reported(self, row: int) -> frozenset[str]:
        """The diagnostics that a row's own objective has."""
        return self._reported[row]

    @property
    def all_reported(self) -> frozenset[str]:
        """The diagnostics that any row has."""
        return frozenset().union(*self._reported.values())

    def at(self, remaining: float) -> Objective:  # type: ignore[override]  # a mixture may become plain
        now = {id(own): own.at(remaining) for own in self._objectives}
        return self._made([now[id(own)] for own in self._objectives], self._padding, self._apart)

    def keep(self, rows: Sequence[int]) -> Objective:
        """That of some rows."""
        return self._made([self._objectives[row] for row in rows], self._padding, self._apart)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        """The loss of each row, zero in the padding."""
        self._failures, self._reported = {}, {}
        while True:
            try:
                outputs = [self._part(part, taken) for part, taken in zip(self._parts, self._cut(batch), strict=True)]
                break
            except RowByRow:
                self._divide()
        return self._joined(outputs, batch)

    def _divide(self) -> None:
        """Makes parts of rows whose configurations differ in numbers alone, or in nothing where that is not enough."""
        together: dict[tuple[str, ...], list[int]] = {}
        for row, own in enumerate(self._objectives):
            kind = _kind(own)
            together.setdefault((*kind, repr(own)) if kind in self._apart else kind, []).append(row)
        self._copies = {}
        self._parts = [_Part(rows, [self._objectives[row] for row in rows]) for rows in together.values()]

    def _cut(self, batch: TrajectoryBatch) -> list[TrajectoryBatch]:
        """The batch of each part."""
        found = []
        pieces: dict[str, tuple[Tensor, ...]] = {}
        for number, part in enumerate(self._parts):
            places = self._places(part, batch)
            if places is None:
                found.append(batch)
                continue
            index = torch.tensor(places, device=batch.mask.device)
            own: dict[str, Any] = {}
            for each in fields(batch):
                value = getattr(batch, each.name)
                if each.name in _SHARED or value is None:
                    own[each.name] = value
                elif each.name in _LEAVES and value.requires_grad:
                    # One node of the graph for all parts, whose gradients are copied and never added.
                    pieces.setdefault(each.name, value.unbind())
                    real = [pieces[each.name][place] for place in dict.fromkeys(places)]
                    padding = [pieces[each.name][places[-1]].detach()] * (len(places) - len(real))
                    own[each.name] = torch.stack([*real, *padding])
                else:
                    own[each.name] = self._copied(number, each.name, value, index)
            found.append(TrajectoryBatch(**own))
        return found

    def _copied(self, part: int, name: str, value: Any, index: Tensor) -> Any:
        """Some rows of what carries no gradient."""
        source, copy = self._copies.get((part, name), (None, None))
        if source is not value:
            copy = tuple(one[index] for one in value) if isinstance(value, tuple) else value[index]
            self._copies[part, name] = value, copy
        return copy

    def _places(self, part: _Part, batch: TrajectoryBatch) -> list[int] | None:
        """The rows of a part's batch with their padding, the last one again; None for the whole batch as it is."""
        others = {size for each in fields(batch) for size in _sizes(getattr(batch, each.name))}
        whole = part.rows == list(range(len(self._objectives)))
        if whole and (not part.differing or len(batch.mask) not in others):
            return None
        count = pad(len(part.rows), self._padding)
        # The axis of rows must be told from all others by its length.
        while part.differing and count in others:
            count += self._padding
        return [*part.rows, *[part.rows[-1]] * (count - len(part.rows))]

    def _part(self, part: _Part, batch: TrajectoryBatch) -> ObjectiveOutput | None:
        """What the rows of a part come to, [row of the part]; None where their one objective raises.

        Raises:
            RowByRow: their objectives cannot be computed at once.
        """
        first = part.objectives[0]
        if not part.differing:
            try:
                found = output_of(first, batch)
            except Exception as error:
                self._failures |= dict.fromkeys(part.rows, error)
                return None
        else:
            try:
                found = _together(part.objectives, len(batch.mask))(batch)
            except Exception as error:  # one by one each says what it is
                self._apart.add(_kind(first))
                raise RowByRow from error
        self._reported |= dict.fromkeys(part.rows, frozenset(found.diagnostics))
        return found

    def _joined(self, outputs: Sequence[ObjectiveOutput | None], batch: TrajectoryBatch) -> ObjectiveOutput:
        """The parts' numbers in the order of the batch's rows."""
        rows = len(batch.mask)
        losses: list[Tensor] = []
        order: list[int] = []
        diagnostics: dict[str, Tensor] = {}
        for part, found in zip(self._parts, outputs, strict=True):
            if found is None:
                continue
            losses.append(found.loss[: len(part.rows)])
            order += part.rows
            for name, value in found.diagnostics.items():
                column = diagnostics.setdefault(name, value.new_full((rows,), torch.nan))
                column[part.rows] = value[: len(part.rows)].detach()
        if not losses:  # a loss without any effect
            return ObjectiveOutput(0 * batch.log_probs.flatten(1).sum(1) + torch.nan, {})
        loss = losses[0].new_zeros(rows)
        loss[list(self._failures)] = torch.nan
        return ObjectiveOutput(
            loss.index_put((torch.tensor(order, device=loss.device),), torch.cat(losses)), diagnostics
        )


def kept(objective: Objective, rows: Sequence[int]) -> Objective:
    """The objective of some of a batch's rows."""
    return objective.keep(rows) if isinstance(objective, MixedObjective) else objective


def reported_by(objective: Objective, row: int, names: Iterable[str]) -> list[str]:
    """Those of the names of diagnostics that a row's own objective, and not only another's, has."""
    if not isinstance(objective, MixedObjective):
        return list(names)
    lacking = {own_name(name) for name in objective.all_reported - objective.reported(row)}
    return [name for name in names if name not in lacking]


def _kind(objective: Objective) -> tuple[str, ...]:
    """What must be the same of objectives that are computed at once: all but the values of numbers other than zero."""
    values = {name: getattr(objective, name) for name in type(objective).model_fields}
    said = [name if _free(value) else f"{name} {value!r}" for name, value in values.items()]
    return (f"{type(objective).__module__}.{type(objective).__qualname__} {id(type(objective))}", *said)


def _free(value: Any) -> bool:
    return isinstance(value, float) and value != 0


def _together(objectives: Sequence[Objective], rows: int) -> Objective:
    """An objective whose numbers are those of each row; the rows beyond are padding."""
    first = objectives[0]
    values: dict[str, Any] = {}
    for name in type(first).model_fields:
        own = [getattr(objective, name) for objective in objectives]
        values[name] = own[0]
        if any(value != own[0] for value in own):
            values[name] = RowValue([*own, *[own[-1]] * (rows - len(own))])
    # What a class makes of its fields is made anew.
    return type(first).model_construct(**values)


def _sizes(value: Any) -> list[int]:
    """Lengths of the axes after the first."""
    tensors = value if isinstance(value, tuple) else (value,)
    return [size for tensor in tensors if isinstance(tensor, Tensor) for size in tensor.shape[1:]]
