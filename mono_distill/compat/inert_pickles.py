"""Stand-ins for the classes that a training checkpoint names beside tensors.

A pickle is a program: it names functions and says what to call them with. torch's restricted unpickler runs only
functions on a list, and to load what mmengine saves, that list would need ``builtins.getattr`` and numpy's
reconstruction functions; with ``getattr`` a file can reach anything, and numpy's ``__setstate__`` methods trust their
input down to memory layout. So instead of the real functions the list holds the ones in this file under the names of
the real ones. They only keep what they are given; :func:`materialize` then builds the real objects from checked parts.
A file can thus make containers, numbers, strings, tensors, arrays of plain numbers and log histories, and nothing else.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np

_PLAIN_KINDS = 'biufcSU'  # bool, integers, floats, complex, fixed-length strings


class InertDtype:
    """Keeps the arguments of ``numpy.dtype`` as found in a pickle: the code of a plain type, later its byte order.

    Args:
        code: Code of the type, for example ``'f8'``.
        _flags: Flags of numpy's pickles, without meaning here.

    Raises:
        UnpicklingError: The type is not a plain one.
    """

    def __init__(self, code: Any, *_flags: Any) -> None:
        dtype = np.dtype(code) if isinstance(code, str) and len(code) <= 16 else None
        if dtype is None or dtype.kind not in _PLAIN_KINDS:
            raise UnpicklingError(f'an array of the type {code!r}; only plain numbers and strings can be loaded safely')
        self.dtype = dtype

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        byte_order, subdtype, names, fields = state[1:5]
        if any(part is not None for part in (subdtype, names, fields)) or byte_order not in ('<', '>', '=', '|'):
            raise UnpicklingError(
                'an array with a structured type; only plain numbers and strings can be loaded safely'
            )
        if byte_order in ('<', '>'):
            self.dtype = self.dtype.newbyteorder(byte_order)

    def materialize(self) -> np.dtype[Any]:
        """Return the numpy type."""
        return self.dtype


class InertArray:
    """Keeps the state of a ``numpy.ndarray`` as found in a pickle."""

    def __init__(self) -> None:
        self.array = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, is_fortran, data = state
        if not isinstance(dtype, InertDtype) or not isinstance(data, bytes):
            raise UnpicklingError('an array of objects; only plain numbers and strings can be loaded safely')
        flat = np.frombuffer(data, dtype=dtype.dtype)  # this and reshape check the amount of data against the shape
        self.array = flat.reshape(shape, order='F' if is_fortran else 'C').copy(order='K')

    def materialize(self) -> np.ndarray:
        """Return the array."""
        return self.array


class InertHistoryBuffer:
    """Keeps the state of an ``mmengine.logging.HistoryBuffer`` as found in a pickle, without its functions."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = {key: value for key, value in state.items() if key in ('_log_history', '_count_history')}
        self.max_length = int(state.get('max_length', 1000000))

    def materialize(self) -> Any:
        """Return the buffer; its statistics are the ones registered in this process, not those of the file."""
        log, count = (materialize(self.state.get(key, [])) for key in ('_log_history', '_count_history'))
        if len(log) != len(count):
            raise UnpicklingError(f'a log history of {len(log)} values with {len(count)} counts')
        return importlib.import_module('mmengine.logging').HistoryBuffer(log, count, self.max_length)


def inert_reconstruct(*_args: Any) -> InertArray:
    """Stand for ``numpy.core.multiarray._reconstruct``, which makes an empty array for ``__setstate__`` to fill."""
    return InertArray()


def inert_scalar(dtype: InertDtype, data: bytes) -> Any:
    """Stand for ``numpy.core.multiarray.scalar``: return the numpy scalar with these bytes."""
    if not isinstance(dtype, InertDtype) or not isinstance(data, bytes):
        raise UnpicklingError('a scalar that is not a plain number or string')
    return np.frombuffer(data, dtype=dtype.dtype, count=1)[0]


def inert_bytes(*arguments: Any) -> bytes:
    """Stand for ``builtins.bytes``, which protocol 2 calls for empty bytes, as in an array without elements."""
    if arguments:
        raise UnpicklingError('bytes that are made from something else')
    return b''


def inert_getattr(_owner: Any, name: Any) -> str:
    """Stand for ``builtins.getattr``, by which mmengine's histories name their statistics; looks up nothing."""
    return str(name)


def inert_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Return what torch's unpickler may call, as (stand-in, name in the file) for ``torch.serialization.safe_globals``.

    numpy 2 moved its functions from ``numpy.core`` to ``numpy._core``; files of both are read.
    """
    cores = ('numpy.core.multiarray', 'numpy._core.multiarray')
    return [
        (InertDtype, 'numpy.dtype'),
        (InertArray, 'numpy.ndarray'),
        (InertHistoryBuffer, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (inert_bytes, 'builtins.bytes'),
        (inert_getattr, 'builtins.getattr'),
        *((inert_reconstruct, f'{core}._reconstruct') for core in cores),
        *((inert_scalar, f'{core}.scalar') for core in cores),
    ]


def materialize(value: Any) -> Any:
    """Replace the stand-ins in nested containers by what they stand for.

    Dictionaries and lists are changed in place (a state dict keeps its class and attributes), tuples are rebuilt.

    Args:
        value: What the unpickler returned, or a part of it.

    Returns:
        The same structure with real arrays, numpy types and histories.
    """
    return _materialize(value, set())


def _materialize(value: Any, seen: set[int]) -> Any:
    if isinstance(value, InertDtype | InertArray | InertHistoryBuffer):
        return value.materialize()
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(_materialize(item, seen) for item in value)
    if not isinstance(value, dict | list) or id(value) in seen:
        return value
    seen.add(id(value))
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        value[key] = _materialize(item, seen)
    return value
