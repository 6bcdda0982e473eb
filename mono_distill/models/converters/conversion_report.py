"""What a conversion did with every key."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mono_distill.utils.errors import CheckpointError

# Outcomes in the order of a report, with what they say of a number of keys.
_OUTCOMES = {
    'mapped': 'mapped',
    'filled': 'filled in',
    'dropped': 'dropped',
    'missing': 'missing',
    'unexpected': 'not of this model',
    'mismatched': 'of another shape',
}
_FAULTS = ('missing', 'unexpected', 'mismatched')
_SHOWN = 5


@dataclass(frozen=True)
class KeyFate:
    """What became of one key.

    Attributes:
        outcome: ``'mapped'``; ``'filled'`` (ours alone, kept at its initial value); ``'dropped'``; or a fault:
            ``'missing'`` (ours, and the file has nothing for it), ``'unexpected'``, ``'mismatched'``.
        official: Its name in the file, or ``''``.
        ours: Its name in our model, or ``''``.
        note: Shape, or why.
    """

    outcome: str
    official: str = ''
    ours: str = ''
    note: str = ''


@dataclass(frozen=True)
class ConversionReport:
    """The fate of every key of an official checkpoint and of every key of our model.

    Attributes:
        fates: In the order of the file, then what the file does not have.
        header: What was converted: file, sha256, repository, part, config.
    """

    fates: tuple[KeyFate, ...]
    header: Mapping[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the file covers our model exactly."""
        return not any(fate.outcome in _FAULTS for fate in self.fates)

    def of(self, outcome: str) -> list[KeyFate]:
        """Return the keys with one outcome."""
        return [fate for fate in self.fates if fate.outcome == outcome]

    def summary(self) -> str:
        """Count the outcomes.

        Example:
            >>> ConversionReport((KeyFate('mapped', 'a', 'b'), KeyFate('dropped', 'fc', note='classifier'))).summary()
            '1 key mapped, 1 dropped'
        """
        counts = Counter(fate.outcome for fate in self.fates)
        parts = [f'{counts[name]} {text}' for name, text in _OUTCOMES.items() if counts[name] or name == 'mapped']
        noun = 'key' if counts['mapped'] == 1 else 'keys'
        return ', '.join(parts).replace(' mapped', f' {noun} mapped', 1)

    def require_complete(self, source: str) -> None:
        """Raise unless the file covers our model exactly.

        Args:
            source: What was converted, for the message.

        Raises:
            CheckpointError: Keys are missing, foreign or of another shape; the message counts and names them.
        """
        if self.complete:
            return
        faults = '; '.join(_name_keys(self.of(name), _OUTCOMES[name]) for name in _FAULTS if self.of(name))
        raise CheckpointError(
            f'{source}: {faults} (and {len(self.of("mapped"))} that fit). Nothing was written. Convert the file as the '
            'official repository released it, or name the config of a detector of the same size with --config'
        )

    def to_text(self) -> str:
        """Return one line a key, after a few about the file."""
        width = max((len(fate.official) for fate in self.fates), default=0)
        lines = [*(f'{name}: {value}' for name, value in self.header.items()), self.summary(), '']
        lines += [_line(fate, width).rstrip() for fate in self.fates]
        return '\n'.join(lines) + '\n'

    def to_json(self) -> str:
        """Return the report as a JSON object: ``header``, ``counts`` and ``keys``."""
        counts = Counter(fate.outcome for fate in self.fates)
        content = {
            'header': dict(self.header),
            'counts': {name: counts[name] for name in _OUTCOMES},
            'keys': [asdict(fate) for fate in self.fates],
        }
        return json.dumps(content, indent=1) + '\n'


def _line(fate: KeyFate, width: int) -> str:
    return f'{fate.outcome:<10}  {fate.official:<{width}}  ->  {fate.ours or "-"}  {fate.note}'


def _name_keys(fates: list[KeyFate], what: str) -> str:
    shown = ', '.join(_faulty(fates))
    more = f' and {len(fates) - _SHOWN} more' if len(fates) > _SHOWN else ''
    return f'{len(fates)} {"key" if len(fates) == 1 else "keys"} {what}: {shown}{more}'


def _faulty(fates: list[KeyFate]) -> Iterator[str]:
    for fate in fates[:_SHOWN]:
        yield (fate.official or fate.ours) + (f' {fate.note}' if fate.outcome == 'mismatched' else '')
