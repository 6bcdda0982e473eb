"""Taps: named tensors read from a model while it runs, without touching its code.

A tap is written ``'<owner>:<module.path>'`` with optional selectors, for example ``'student:neck'``,
``'depth:backbone[1:]'`` or ``'student:bbox_head[heatmap]'``; the owner is ``student`` or the name of a teacher. Where
the path names no module, the owner's own ``distill_outputs()`` dictionary is asked for it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from mono_distill.utils.errors import ConfigError

_TAP = re.compile(r'^(?P<owner>\w+):(?P<path>[\w.]*)(?P<selectors>(\[[^\[\]]*\])*)$')
_OPTIONS = ('path', 'io', 'call')


@dataclass(frozen=True)
class TapSpec:
    """Where a tap reads.

    Attributes:
        owner: ``'student'`` or a teacher's name.
        path: Dotted module path inside the owner; ``''`` is the owner itself.
        selectors: Applied in order to the recorded value: int index, slice, or string key.
        io: Read the module's ``'output'`` or its ``'input'``.
        call: Which call of the module counts when it runs more than once in a forward pass: an index, ``'last'``,
            ``'all'`` (a list), or ``None`` if it must run exactly once.
    """

    owner: str
    path: str
    selectors: tuple[int | slice | str, ...] = ()
    io: str = 'output'
    call: int | str | None = None


def parse_tap(name: str, tap: str | Mapping[str, Any]) -> TapSpec:
    """Read one entry of a config's ``taps``.

    Args:
        name: The tap's name, for messages.
        tap: ``'owner:path[selector]'`` or a dict ``path=…, io=…, call=…``.

    Raises:
        ConfigError: The text does not follow the grammar, or an option is unknown.

    Example:
        >>> parse_tap('f', 'student:neck[1:]').selectors
        (slice(1, None, None),)
    """
    options: dict[str, Any] = {'path': tap} if isinstance(tap, str) else dict(tap)
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown or not isinstance(options.get('path'), str):
        raise ConfigError(f"tap '{name}': expected a string or dict with path, io, call, but got {tap!r}")
    match = _TAP.match(options['path'])
    if match is None:
        raise ConfigError(
            f"tap '{name}': '{options['path']}' is not '<owner>:<module.path>[selector]', e.g. 'student:neck[1:]'"
        )
    io, call = options.get('io', 'output'), options.get('call')
    if io not in ('output', 'input'):
        raise ConfigError(f"tap '{name}': io must be 'output' or 'input', not {io!r}")
    if not (call is None or call in ('last', 'all') or isinstance(call, int)):
        raise ConfigError(f"tap '{name}': call must be an index, 'last', 'all' or None, not {call!r}")
    return TapSpec(match['owner'], match['path'], parse_selectors(match['selectors']), io, call)


def parse_selectors(text: str) -> tuple[int | slice | str, ...]:
    """Read ``'[heatmap][0]'``: integers, slices and keys in brackets.

    Example:
        >>> parse_selectors('[heatmap][1:]')
        ('heatmap', slice(1, None, None))
    """
    return tuple(_parse_selector(part) for part in re.findall(r'\[([^\[\]]*)\]', text))


def _parse_selector(text: str) -> int | slice | str:
    if re.fullmatch(r'-?\d+', text):
        return int(text)
    if re.fullmatch(r'(-?\d*)?:(-?\d*)?(:-?\d*)?', text):
        return slice(*(int(part) if part else None for part in text.split(':')))
    return text


class _Recorder:
    """A forward hook that keeps what a module produced while recording is on.

    An object rather than a closure, so that ``copy.deepcopy`` of a model (EMA does it) gives the copy its own record.
    """

    def __init__(self, io: str) -> None:
        self.io = io
        self.recording = False
        self.calls: list[Any] = []

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if not self.recording:
            return
        if self.io == 'output':
            self.calls.append(output)
        elif not args:
            self.calls.append(kwargs)
        else:
            self.calls.append(args[0] if len(args) == 1 else args)


class TapSet:
    """All taps of one model: hooks placed once at construction, switched by a plain attribute.

    Args:
        owner: Name of the model in messages (``'student'`` or a teacher's name).
        model: The model to read from.
        specs: Tap name to :class:`TapSpec`; all of this owner.

    Raises:
        ConfigError: A path names neither a module nor, where the model has it, an entry of ``distill_outputs()``.
    """

    def __init__(self, owner: str, model: nn.Module, specs: Mapping[str, TapSpec]) -> None:
        self.owner = owner
        self.model: Any = model
        self.specs = dict(specs)
        self._recorders: dict[str, _Recorder] = {}
        modules = dict(model.named_modules())
        for name, spec in self.specs.items():
            if spec.path in modules:
                recorder = self._recorders[name] = _Recorder(spec.io)
                modules[spec.path].register_forward_hook(recorder, with_kwargs=True)
            elif not hasattr(model, 'distill_outputs'):
                raise ConfigError(_no_such_module(name, spec, list(modules)))

    def start(self) -> None:
        """Forget the last pass and record the next one."""
        for recorder in self._recorders.values():
            recorder.calls.clear()
            recorder.recording = True

    def stop(self) -> None:
        """Stop recording; hooks stay in place and cost one attribute test a call."""
        for recorder in self._recorders.values():
            recorder.recording = False

    def collect(self) -> dict[str, Any]:
        """Return the recorded values by tap name and let go of them.

        Raises:
            ConfigError: A tapped module did not run, ran more than once without ``call`` saying which run counts, or
                a selector does not fit the value.
        """
        values = {name: self._value(name, spec) for name, spec in self.specs.items()}
        for recorder in self._recorders.values():
            recorder.calls.clear()
        return values

    def _value(self, name: str, spec: TapSpec) -> Any:
        if name in self._recorders:
            value = self._pick_call(name, spec, self._recorders[name].calls)
        else:
            outputs = self.model.distill_outputs()
            if spec.path not in outputs:
                raise ConfigError(_no_such_module(name, spec, list(outputs)))
            value = outputs[spec.path]
        for selector in spec.selectors:
            try:
                value = value[selector]
            except (KeyError, IndexError, TypeError) as error:
                raise ConfigError(
                    f"tap '{name}': cannot take [{selector}] of what {spec.owner}:{spec.path} gave "
                    f'({describe(value)}): {error}'
                ) from error
        return value

    def _pick_call(self, name: str, spec: TapSpec, calls: list[Any]) -> Any:
        where = f"tap '{name}' ({spec.owner}:{spec.path})"
        if not calls:
            raise ConfigError(
                f'{where}: the module did not run in this forward pass, or was replaced (SyncBN replaces BN layers); '
                'tap another'
                + (
                    ''
                    if spec.owner == 'student'
                    else f", or change how the teacher is run (teachers.{spec.owner}.forward='tensor' or 'loss')"
                )
            )
        if spec.call == 'all':
            return list(calls)
        if spec.call is None and len(calls) > 1:
            raise ConfigError(
                f"{where}: the module ran {len(calls)} times; say which with call='last', 'all' or an index"
            )
        index = -1 if spec.call in (None, 'last') else int(spec.call)
        if not -len(calls) <= index < len(calls):
            raise ConfigError(f'{where}: call={index}, but the module ran {len(calls)} times')
        return calls[index]


def _no_such_module(name: str, spec: TapSpec, known: list[str]) -> str:
    close = difflib.get_close_matches(spec.path, known, n=3)
    hint = f'did you mean {" or ".join(repr(c) for c in close)}?' if close else ''
    top = ', '.join(sorted({path.split('.')[0] for path in known if path}))
    return (
        f"tap '{name}': {spec.owner} has no module '{spec.path}'; {hint} Top-level names: {top}. "
        '`mono-distill taps CONFIG --depth 9` lists them all.'
    )


def describe(value: Any) -> str:
    """Return shapes and types of a nested value, for messages.

    Example:
        >>> import torch
        >>> describe([torch.zeros(2, 3), {'depth': torch.zeros(1)}])
        '[Tensor(2, 3), {depth: Tensor(1,)}]'
    """
    if hasattr(value, 'shape'):
        return f'{type(value).__name__}{tuple(value.shape)}'
    if isinstance(value, Mapping):
        return '{' + ', '.join(f'{key}: {describe(item)}' for key, item in value.items()) + '}'
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(describe(item) for item in value) + ']'
    return type(value).__name__
