"""What a loss under the contract is, and how its arguments are taken apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Arguments = dict[str, Any]


def tensors(inputs: Any) -> list[Tensor]:
    """Return the tensors of a tensor, a sequence or a dict of such, in order."""
    if isinstance(inputs, Tensor):
        return [inputs]
    parts = inputs.values() if isinstance(inputs, Mapping) else inputs
    return [leaf for part in parts for leaf in tensors(part)]


def change(inputs: Any, fn: Callable[[Tensor], Tensor]) -> Any:
    """Apply ``fn`` to every tensor, keeping the containers."""
    if isinstance(inputs, Tensor):
        return fn(inputs)
    if isinstance(inputs, Mapping):
        return {name: change(part, fn) for name, part in inputs.items()}
    return [change(part, fn) for part in inputs]


def filled(inputs: Any, leaves: Sequence[Tensor]) -> Any:
    """Put other tensors into the same containers."""
    rest = iter(leaves)
    return change(inputs, lambda _: next(rest))


@dataclass(frozen=True)
class Case:
    """A loss, how to call it and what it can do.

    Attributes:
        function: The pure function; ``student`` and ``teacher`` are keywords of it.
        module: Name of the registered class.
        make: Makes the keyword arguments for a dtype; tensors, or sequences or dicts of tensors. Every tensor has the
            batch first.
        options: Further keywords, of the function and of the class alike.
        compiles: Whether ``torch.compile(fullgraph=True)`` captures it.
        exact_zero: Whether identical inputs cost exactly nothing (a correlation is 1 up to rounding or softness only).
        permutes: Whether the order of the images does not matter.
        degree: k when inputs a times as large give a loss a^k times as large (0: no change); ``None`` for no such law.
        scaled: Which arguments that law scales.
        without_objects: Makers of argument changes that leave no object; the loss is then 0 and stays connected.
        one_object: Change that leaves one object in every image.
        any_width: Whether the teacher may have other channels than the student.
        dead: Whether a channel of zeros makes sense.
        channel_dim: Which dimension of student and teacher holds the channels: 1 in maps, -1 in lists of points.
        nan_teacher: ``'ignored'``: NaN entries of the teacher add nothing and send no gradient; ``'shown'``: the loss
            becomes NaN, so that nobody trains on it unknowingly.
        unused: Entries of the student (positions among its tensors) that get no gradient by the formula.
        detached: Whether the formula holds a part of the student fixed for the gradient (an attention, say), so that
            finite differences say something else.
    """

    function: Callable[..., Tensor]
    module: str
    make: Callable[[torch.dtype], Arguments]
    options: dict[str, Any] = field(default_factory=dict)
    compiles: bool = True
    exact_zero: bool = True
    permutes: bool = True
    degree: float | None = None
    scaled: tuple[str, ...] = ('student', 'teacher')
    without_objects: Mapping[str, Callable[[], Arguments]] = field(default_factory=dict)
    one_object: Callable[[], Arguments] | None = None
    any_width: bool = False
    dead: bool = True
    channel_dim: int = 1
    nan_teacher: str = 'shown'
    unused: tuple[int, ...] = ()
    detached: bool = False

    def __call__(self, arguments: Arguments) -> Tensor:
        """Evaluate the loss."""
        return self.function(**arguments, **self.options)
