"""Stand-ins that a checkpoint is unpickled with, and what becomes of them."""

from __future__ import annotations

from collections import OrderedDict
from pickle import UnpicklingError

import numpy as np
import pytest

from mono_distill.compat.inert_pickles import (
    InertArray,
    InertDtype,
    InertHistoryBuffer,
    inert_bytes,
    inert_getattr,
    inert_globals,
    inert_scalar,
    materialize,
)


def inert_dtype(code: str, byte_order: str = '<') -> InertDtype:
    dtype = InertDtype(code, False, True)
    dtype.__setstate__((3, byte_order, None, None, None, -1, -1, 0))
    return dtype


def inert_array(shape, code, data, *, byte_order='<', fortran=False) -> InertArray:
    array = InertArray()
    array.__setstate__((1, shape, inert_dtype(code, byte_order), fortran, data))
    return array


def test_array_is_rebuilt():
    original = np.arange(6.0).reshape(2, 3)
    rebuilt = materialize(inert_array((2, 3), 'f8', original.tobytes()))
    assert type(rebuilt) is np.ndarray
    assert rebuilt.flags.writeable
    np.testing.assert_array_equal(rebuilt, original)


def test_array_in_column_order_and_other_byte_order():
    original = np.arange(6, dtype='>i4').reshape(2, 3)
    data = original.tobytes(order='F')
    rebuilt = materialize(inert_array((2, 3), 'i4', data, byte_order='>', fortran=True))
    np.testing.assert_array_equal(rebuilt, original)
    assert rebuilt.flags.f_contiguous


@pytest.mark.parametrize('code', ['O', 'O8', 'f8,f8', 'V16', 'M8', ('f8',), None, 'x' * 40])
def test_types_other_than_plain_ones_are_refused(code):
    with pytest.raises((UnpicklingError, TypeError)):
        InertDtype(code, False, True)


@pytest.mark.parametrize(
    'state',
    [
        (3, '<', ('f8', 2), None, None, -1, -1, 0),
        (3, '<', None, ('a',), {'a': ('O', 0)}, 8, 8, 63),
        (3, 'x', None, None, None, -1, -1, 0),
    ],
)
def test_structured_types_are_refused(state):
    with pytest.raises(UnpicklingError, match='structured type'):
        InertDtype('f8').__setstate__(state)


def test_array_of_objects_is_refused():
    with pytest.raises(UnpicklingError, match='array of objects'):
        InertArray().__setstate__((1, (1,), 'not a type', False, [print]))


@pytest.mark.parametrize(('shape', 'size'), [((3,), 16), ((2,), 24), ((-5,), 3)])
def test_data_that_do_not_fit_the_shape_are_refused(shape, size):
    with pytest.raises(ValueError, match=r'reshape|buffer'):
        inert_array(shape, 'f8', bytes(size))


def test_scalar_is_rebuilt():
    value = inert_scalar(inert_dtype('f8'), np.float64(2.5).tobytes())
    assert type(value) is np.float64
    assert value == 2.5


def test_scalar_of_too_few_bytes_is_refused():
    with pytest.raises(ValueError, match='buffer'):
        inert_scalar(inert_dtype('f8'), b'1234')


def test_scalar_of_an_object_is_refused():
    with pytest.raises(UnpicklingError, match='not a plain number'):
        inert_scalar(print, b'')


def test_looking_up_an_attribute_looks_up_nothing():
    assert inert_getattr(str, 'join') == 'join'


def test_bytes_are_made_from_nothing_only():
    assert inert_bytes() == b''
    with pytest.raises(UnpicklingError, match='bytes that are made'):
        inert_bytes(10**12)


def test_history_keeps_its_numbers_and_none_of_the_functions_of_the_file():
    from mmengine.logging import HistoryBuffer

    before = dict(HistoryBuffer._statistics_methods)
    history = InertHistoryBuffer()
    state = {'max_length': 10, '_log_history': [1.0, 3.0], '_count_history': [1, 1]}
    history.__setstate__({**state, 'statistics_methods': {'mean': print}, 'other': 1})
    real = materialize(history)
    assert isinstance(real, HistoryBuffer)
    assert (real.mean(), real.current(), real.max_length) == (2.0, 3.0, 10)
    assert before.items() <= HistoryBuffer._statistics_methods.items()


def test_history_with_missing_counts_is_refused():
    history = InertHistoryBuffer()
    history.__setstate__({'_log_history': [1.0, 3.0], '_count_history': [1]})
    with pytest.raises(UnpicklingError, match='2 values with 1 counts'):
        materialize(history)


def test_containers_are_searched_and_keep_their_identity():
    array = inert_array((1,), 'f8', bytes(8))
    inner = [array, (1, array)]
    outer = OrderedDict(a=inner, b=InertDtype('i4'))
    outer.attribute = 'kept'
    result = materialize(outer)
    assert result is outer
    assert result['a'] is inner
    assert result.attribute == 'kept'
    assert inner[0] is inner[1][1]
    assert result['b'] == np.dtype('i4')


def test_containers_that_contain_themselves():
    cyclic: list[object] = [InertDtype('i4')]
    cyclic.append(cyclic)
    assert materialize(cyclic)[0] == np.dtype('i4')
    assert cyclic[1] is cyclic


def test_nothing_on_the_list_is_the_real_thing():
    assert {function.__module__ for function, _ in inert_globals()} == {InertDtype.__module__}
