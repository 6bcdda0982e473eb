"""What became of every key of a checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from mono_distill.utils.errors import CheckpointError

# Counters that PyTorch before 0.4.1 did not store and that no computation here reads.
OPTIONAL_SUFFIX = 'num_batches_tracked'


@dataclass(frozen=True)
class KeyReport:
    """Outcome of matching a checkpoint with a module, key by key.

    Attributes:
        loaded: Keys present in both with equal shapes.
        dropped: Keys left out on purpose (their modules do not exist here).
        missing: Keys of the module that the checkpoint lacks.
        unexpected: Keys of the checkpoint that the module lacks.
        mismatched: Keys with different shapes, written ``key: checkpoint shape vs module shape``.
    """

    loaded: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the checkpoint covers the module exactly."""
        return not (self.missing or self.unexpected or self.mismatched)

    def summary(self) -> str:
        """One line for a log.

        Example:
            >>> KeyReport(loaded=('a', 'b'), dropped=('fc.weight',)).summary()
            '2 tensors loaded, 1 dropped (fc.weight)'
        """
        parts = [f'{len(self.loaded)} tensors loaded']
        for label in ('dropped', 'missing', 'unexpected', 'mismatched'):
            keys = getattr(self, label)
            if keys:
                parts.append(f'{len(keys)} {label} ({_shorten(keys)})')
        return ', '.join(parts)

    def require_complete(self, source: str) -> None:
        """Raise unless the checkpoint covers the module exactly.

        Args:
            source: What was loaded, for the message.

        Raises:
            CheckpointError: If keys are missing, unexpected or of another shape.
        """
        if not self.complete:
            raise CheckpointError(
                f'{source} does not fit the model: {self.summary()}. Load it into the architecture it was made for, or '
                'rename its keys first; nothing was loaded.'
            )


def compare_state(
    state: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    *,
    dropped: Iterable[str] = (),
    may_miss: Collection[str] = (),
) -> KeyReport:
    """Match a checkpoint with a module's ``state_dict()``.

    Args:
        state: The (renamed) checkpoint.
        expected: ``module.state_dict()``.
        dropped: Keys that were left out while renaming, for the report.
        may_miss: Keys of the module that the checkpoint may lack; ``*.num_batches_tracked`` always may.

    Returns:
        The report; nothing is loaded.
    """
    missing = (key for key in expected if key not in state and not key.endswith(OPTIONAL_SUFFIX))
    common = [key for key in state if key in expected]
    unequal = {key for key in common if state[key].shape != expected[key].shape}
    return KeyReport(
        loaded=tuple(key for key in common if key not in unequal),
        dropped=tuple(dropped),
        missing=tuple(key for key in missing if key not in may_miss),
        unexpected=tuple(key for key in state if key not in expected),
        mismatched=tuple(
            f'{key}: {tuple(state[key].shape)} vs {tuple(expected[key].shape)}' for key in common if key in unequal
        ),
    )


def _shorten(keys: tuple[str, ...], limit: int = 5) -> str:
    more = f', and {len(keys) - limit} more' if len(keys) > limit else ''
    return ', '.join(keys[:limit]) + more
