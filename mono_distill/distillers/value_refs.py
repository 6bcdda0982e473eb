"""What an input of a node names: a tap or another node, or a part of what it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mono_distill.distillers.taps import describe, parse_selectors
from mono_distill.utils.errors import ConfigError

_REF = re.compile(r'^(?P<name>\w+)(?P<selectors>(\[[^\[\]]*\])*)$')


@dataclass(frozen=True)
class ValueRef:
    """A value by name, or a part of it.

    Attributes:
        name: A tap or a node.
        selectors: Applied in order: int index, slice, or string key.
    """

    name: str
    selectors: tuple[int | slice | str, ...] = ()

    def __str__(self) -> str:
        return self.name + ''.join(f'[{selector}]' for selector in self.selectors)

    def of(self, known: Mapping[str, Any]) -> Any:
        """Return the value.

        Args:
            known: Values by name.

        Raises:
            ConfigError: A selector does not fit the value.
        """
        value = known[self.name]
        for selector in self.selectors:
            try:
                value = value[selector]
            except (KeyError, IndexError, TypeError) as error:
                raise ConfigError(
                    f"input '{self}': cannot take [{selector}] of '{self.name}', which is "
                    f'{describe(known[self.name])}: {error}'
                ) from error
        return value


def parse_ref(text: Any, where: str) -> ValueRef:
    """Read one entry of a node's ``inputs``.

    Args:
        text: ``'name'`` or ``'name[selector]'``, with selectors as in a tap.
        where: The node, for messages.

    Raises:
        ConfigError: The text does not follow the grammar.

    Example:
        >>> parse_ref('objects[boxes]', 'model.targets.mask')
        ValueRef(name='objects', selectors=('boxes',))
    """
    match = _REF.match(text) if isinstance(text, str) else None
    if match is None:
        raise ConfigError(f"{where}.inputs: {text!r} is no 'name' or 'name[selector]', e.g. 'objects[boxes]'")
    return ValueRef(match['name'], parse_selectors(match['selectors']))
