"""Refuses to compare BEV features of different places."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mono_distill.registry import HOOKS
from mono_distill.utils.errors import ConfigError


@HOOKS.register_module()
class BEVGridCheckHook(Hook):
    """Compares the ``bev_layout()`` of the student and of all teachers before training starts.

    Maps of one shape may show different ranges, and an assistant with other depth bins puts the same depth elsewhere;
    no loss can see either.

    Raises:
        ConfigError: A detector differs from the student in something that both state, or the student states nothing.
    """

    def before_train(self, runner: Runner) -> None:
        """Compare."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not hasattr(model, 'bank'):
            return
        check_layouts('student', model.student, {name: t.model for name, t in model.bank.teachers.items()})


def check_layouts(name: str, student: Any, others: dict[str, Any]) -> None:
    """Raise ConfigError unless all detectors agree with the student.

    Args:
        name: What to call the student in messages.
        student: A detector with ``bev_layout()``.
        others: The others by name; those without ``bev_layout()`` are not compared.
    """
    if not hasattr(student, 'bev_layout'):
        raise ConfigError(
            f'BEVGridCheckHook: the {name} ({type(student).__name__}) has no bev_layout(); remove the hook'
        )
    wanted: dict[str, Any] = student.bev_layout()
    for other, detector in others.items():
        found: dict[str, Any] = detector.bev_layout() if hasattr(detector, 'bev_layout') else {}
        for key in wanted.keys() & found.keys():
            if wanted[key] != found[key]:
                raise ConfigError(
                    f'{key} of the {name} is {wanted[key]}, that of {other} {found[key]}: their BEV features are of '
                    'different places; train both on one grid with the same depth bins'
                )
