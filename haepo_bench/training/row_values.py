"""A number that differs between the rows of a batch, where an objective has one of its hyper-parameters.

An objective computes with its hyper-parameters as with numbers. With a `RowValue` in the place of one it computes all
rows at once, and each row gets the bits that it has with its own number: only operations are carried out of which that
is certain, because the standard defines their results (IEEE 754) or because Python itself does them, row by row. All
else raises `RowByRow`.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor

_EXACT = {
    *(Tensor.add, Tensor.__add__, Tensor.__radd__, torch.add),
    *(Tensor.sub, Tensor.__sub__, Tensor.__rsub__, torch.sub),
    *(Tensor.mul, Tensor.__mul__, Tensor.__rmul__, torch.mul),
    *(Tensor.div, Tensor.__truediv__, torch.div),
    *(Tensor.gt, Tensor.__gt__, torch.gt, Tensor.lt, Tensor.__lt__, torch.lt),
    *(Tensor.ge, Tensor.__ge__, torch.ge, Tensor.le, Tensor.__le__, torch.le),
    *(Tensor.eq, Tensor.__eq__, torch.eq, Tensor.ne, Tensor.__ne__, torch.ne),
    *(Tensor.where, torch.where, Tensor.maximum, torch.maximum, Tensor.minimum, torch.minimum),
}
_BOUNDING = {
    *(Tensor.clamp, torch.clamp, Tensor.clip, torch.clip),
    *(Tensor.clamp_min, torch.clamp_min, Tensor.clamp_max, torch.clamp_max),
}


class RowByRow(Exception):
    """The rows must be computed one by one."""


class RowValue:
    """A number per row of tensors [row, ...].

    Args:
        values: as Python has them in a configuration that is alone.
    """

    #: numpy's scalars leave arithmetic to this class.
    __array_ufunc__ = None

    def __init__(self, values: Sequence[float]) -> None:
        self.values = tuple(values)
        self._tensors: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def _with(self, other: Any, combine: Callable[[Any, Any], Any]) -> Any:
        """Python's arithmetic, row by row."""
        others = other.values if isinstance(other, RowValue) else [other] * len(self.values)
        if not all(isinstance(value, int | float) for value in others):
            return NotImplemented
        try:
            return RowValue([float(combine(a, b)) for a, b in zip(self.values, others, strict=True)])
        except ArithmeticError as error:
            raise RowByRow(str(error)) from error

    def _agreed(self, other: Any, compare: Callable[[Any, Any], bool]) -> bool:
        """What a comparison says of every row."""
        others = other.values if isinstance(other, RowValue) else [other] * len(self.values)
        answers = {bool(compare(a, b)) for a, b in zip(self.values, others, strict=True)}
        if len(answers) > 1:
            raise RowByRow("the rows take different branches")
        return answers.pop()

    def __add__(self, other: Any) -> Any:
        return other + self if isinstance(other, Tensor) else self._with(other, operator.add)

    def __radd__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: b + a)

    def __sub__(self, other: Any) -> Any:
        # As Tensor.__rsub__ has it: the number minus the tensor, in one step.
        return self.beside(other) - other if isinstance(other, Tensor) else self._with(other, operator.sub)

    def __rsub__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: b - a)

    def __mul__(self, other: Any) -> Any:
        return other * self if isinstance(other, Tensor) else self._with(other, operator.mul)

    def __rmul__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: b * a)

    def __truediv__(self, other: Any) -> Any:
        # As Tensor.__rtruediv__ has it.
        return other.reciprocal() * self if isinstance(other, Tensor) else self._with(other, operator.truediv)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: b / a)

    def __pow__(self, other: Any) -> Any:
        return self._with(other, operator.pow)

    def __neg__(self) -> "RowValue":
        return RowValue([-value for value in self.values])

    def __abs__(self) -> "RowValue":
        return RowValue([abs(value) for value in self.values])

    def __bool__(self) -> bool:
        return self._agreed(0.0, operator.ne)

    def __eq__(self, other: object) -> Any:
        return other == self if isinstance(other, Tensor) else self._agreed(other, operator.eq)

    def __lt__(self, other: Any) -> Any:
        return other > self if isinstance(other, Tensor) else self._agreed(other, operator.lt)

    def __le__(self, other: Any) -> Any:
        return other >= self if isinstance(other, Tensor) else self._agreed(other, operator.le)

    def __gt__(self, other: Any) -> Any:
        return other < self if isinstance(other, Tensor) else self._agreed(other, operator.gt)

    def __ge__(self, other: Any) -> Any:
        return other <= self if isinstance(other, Tensor) else self._agreed(other, operator.ge)

    def _refuse(self, *_: Any) -> NoReturn:
        raise RowByRow("one number is asked for")

    __float__ = __int__ = __index__ = __hash__ = __format__ = _refuse

    def beside(self, tensor: Tensor, dims: int = 0, dtype: torch.dtype | None = None) -> Tensor:
        """The values along the first axis, in the precision in which a number would be taken.

        Raises:
            RowByRow: the tensor's first axis is not that of the rows.
        """
        if tensor.dim() == 0 or len(tensor) != len(self.values):
            raise RowByRow(f"a tensor {tuple(tensor.shape)} does not have these rows")
        taken = dtype or (tensor.dtype if tensor.dtype.is_floating_point else torch.get_default_dtype())
        values = self._tensors.get((taken, tensor.device))
        if values is None:
            values = torch.tensor(self.values, dtype=torch.float64, device=tensor.device).to(taken)
            self._tensors[taken, tensor.device] = values
        return values.view(-1, *(1 for _ in range(max(dims, tensor.dim()) - 1)))

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Sequence[type], arguments: tuple[Any, ...] = (), named: Any = None
    ) -> Any:
        named = named or {}
        if (function not in _EXACT and function not in _BOUNDING) or not set(named) <= {"min", "max"}:
            raise RowByRow(f"{getattr(function, '__name__', function)} is not known to give every row its bits")
        given = [*arguments, *named.values()]
        tensors = [one for one in given if isinstance(one, Tensor)]
        if not tensors:
            raise RowByRow("no tensor says which rows these are")
        widest = max(tensors, key=Tensor.dim)
        # A condition is bool, and takes no part in the precision.
        numeric = [tensor for tensor in tensors if tensor.dtype is not torch.bool] or tensors
        dtype = numeric[0].dtype if numeric[0].dtype.is_floating_point else torch.get_default_dtype()
        if any(tensor.dtype is not numeric[0].dtype for tensor in numeric):
            raise RowByRow("several precisions")
        bounding = function in _BOUNDING

        def placed(one: Any, number: int) -> Any:
            if bounding and number > 0 and isinstance(one, int | float):
                one = RowValue([float(one)] * len(widest))
            if not isinstance(one, RowValue):
                return one
            if bounding and not all(one.values):
                raise RowByRow("at a bound of zero, zeros may differ in sign")
            return one.beside(widest, dtype=dtype)

        moved = [placed(one, number) for number, one in enumerate(arguments)]
        return function(*moved, **{name: placed(one, 1) for name, one in named.items()})
