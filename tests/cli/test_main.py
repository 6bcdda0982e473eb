"""Dispatch, version, wrong usage and the form of errors of the ``mono-distill`` command."""

from __future__ import annotations

import importlib

import pytest

from mono_distill.cli import doctor
from mono_distill.cli.main import COMMANDS, main
from mono_distill.utils.errors import ConfigError
from mono_distill.version import __version__


def test_version_is_the_version_of_the_package(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['--version'])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


def test_unknown_command_is_wrong_usage_and_names_the_known_ones(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['trane'])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert 'trane' in message
    assert 'train' in message


def test_no_command_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert 'COMMAND' in capsys.readouterr().err


def test_exit_status_of_a_command_is_passed_on(monkeypatch):
    monkeypatch.setattr(doctor, 'run', lambda args: 7)
    assert main(['doctor']) == 7


def test_an_error_of_the_package_is_one_line_and_status_2(monkeypatch, capsys):
    def fail(args):
        raise ConfigError('there is no tap s; known: t')

    monkeypatch.setattr(doctor, 'run', fail)
    assert main(['doctor']) == 2
    assert capsys.readouterr().err == 'mono-distill doctor: there is no tap s; known: t\n'


def test_an_unforeseen_error_keeps_its_traceback(monkeypatch):
    def fail(args):
        raise RuntimeError('a bug')

    monkeypatch.setattr(doctor, 'run', fail)
    with pytest.raises(RuntimeError, match='a bug'):
        main(['doctor'])


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        main(['--help'])
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize('name', COMMANDS)
def test_every_command_has_a_module_with_help(name, capsys):
    module = importlib.import_module(f'mono_distill.cli.{name}')
    assert callable(module.run)
    with pytest.raises(SystemExit) as stop:
        main([name, '--help'])
    assert stop.value.code == 0
    assert 'usage: mono-distill' in capsys.readouterr().out
