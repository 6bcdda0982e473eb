"""``mono-distill doctor``: what works on this machine, what does not, and the command that mends it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mono_distill.compat.environment import Check


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    parser.add_argument('--json', action='store_true', help='print the checks as a JSON list')


def run(args: argparse.Namespace) -> int:
    """Print every check and return 1 when something is broken, else 0."""
    from mono_distill.compat.environment import collect

    checks = collect()
    print(as_json(checks) if args.json else as_table(checks))
    return int(any(check.state == 'broken' for check in checks))


def as_json(checks: Sequence[Check]) -> str:
    """Return the checks as a JSON list of objects with the keys name, value, state and cure."""
    fields = ('name', 'value', 'state', 'cure')
    return json.dumps([{field: getattr(check, field) for field in fields} for check in checks], indent=2)


def as_table(checks: Sequence[Check]) -> str:
    """Return one line per check, then what to do about those that are not well, the broken ones first."""
    width = max((len(check.name) for check in checks), default=0)
    lines = [f'{check.state:<6}  {check.name:<{width}}  {check.value}'.rstrip() for check in checks]
    ill = sorted((check for check in checks if check.state != 'ok'), key=lambda check: check.state)
    if not ill:
        return '\n'.join([*lines, '', 'Everything is well.'])
    lines += ['', 'What to do:']
    lines += [f'  {check.name}: {check.cure}' for check in ill if check.cure]
    broken = sum(check.state == 'broken' for check in checks)
    return '\n'.join([*lines, '', f'{broken} broken, {len(ill) - broken} to keep in mind.'])
