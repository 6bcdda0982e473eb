"""All checks together: complete, never raising, and true on the machine that runs the tests."""

from __future__ import annotations

import dataclasses

import pytest

from mono_distill.compat.environment import CHECKS, Check, collect


def test_this_machine_is_described():
    checks = {check.name: check for check in collect()}
    assert {'Python', 'cores', 'torch', 'numpy', 'mmengine', 'mmcv', 'setuptools', 'tier', 'opencv'} <= checks.keys()
    assert checks['ops on cpu'].state == 'ok'
    assert not any('could not be checked' in check.value for check in checks.values())


def test_what_is_not_well_has_a_cure():
    assert [check for check in collect() if check.state != 'ok' and not check.cure] == []


def test_a_check_that_fails_becomes_a_warning_and_the_others_still_run():
    def check_something() -> list[Check]:
        raise LookupError('no such thing')

    failed, fine = collect([check_something, lambda: [Check('other', 'here')]])
    assert (failed.name, failed.state) == ('something', 'warn')
    assert 'LookupError: no such thing' in failed.value
    assert fine == Check('other', 'here', 'ok', '')


def test_every_check_of_the_room_is_run():
    assert len(set(CHECKS)) == len(CHECKS) == 12


def test_a_check_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Check('torch', '2.13').value = '2.14'
