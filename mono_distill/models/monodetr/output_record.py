"""The intermediate tensors of a model's last forward pass."""

from __future__ import annotations

from typing import Any


class OutputRecord(dict[str, Any]):
    """A dictionary that copies and pickles as an empty one.

    Tensors inside a graph can be neither copied nor pickled, and a copy of a model (EMA makes one) has run nothing.

    Example:
        >>> import copy
        >>> copy.deepcopy(OutputRecord(memory=object()))
        {}
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> OutputRecord:
        return OutputRecord()

    def __reduce__(self) -> tuple[type[OutputRecord], tuple[()]]:
        return OutputRecord, ()
