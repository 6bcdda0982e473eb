"""The result of looking at one thing on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal['ok', 'warn', 'broken']


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        name: What was looked at, for example ``'numpy'``.
        value: What is there, in a few words.
        state: ``'ok'``; ``'warn'``: works, with something to keep in mind; ``'broken'``: something does not work.
        cure: The command or action that mends it; empty where nothing is wrong.
    """

    name: str
    value: str
    state: State = 'ok'
    cure: str = ''
