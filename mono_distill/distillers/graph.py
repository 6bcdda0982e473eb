"""The distillation graph: named values flow from taps through adapters and targets into losses.

Every node is one entry of a config (``adapters``, ``targets`` or ``losses``) with ``inputs`` that name taps or other
nodes, or a part of what they hold: ``'objects[boxes]'``. Names are resolved and ordered once, when the graph is built.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mono_distill.distillers.build import build_part
from mono_distill.distillers.guard import NonFiniteGuard
from mono_distill.distillers.schedules import Schedule
from mono_distill.distillers.taps import describe
from mono_distill.distillers.value_refs import ValueRef, parse_ref
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError, did_you_mean

# Values every graph has besides its taps: the student's ground truth and meta information.
CONTEXT = ('data_samples',)


@dataclass(frozen=True)
class Node:
    """One adapter, target or loss: its name, kind, and where its arguments come from.

    Attributes:
        name: The key in the config.
        kind: ``'adapters'``, ``'targets'`` or ``'losses'``.
        inputs: Argument name (or position) to value.
    """

    name: str
    kind: str
    inputs: dict[str | int, ValueRef]

    @property
    def needs(self) -> set[str]:
        """Names of the values it reads."""
        return {ref.name for ref in self.inputs.values()}


class DistillGraph(nn.Module):
    """Adapters, targets and losses over tapped values.

    Args:
        taps: Names of the taps.
        losses: Loss name to config: ``type`` and its options, ``inputs``, ``weight`` (default 1), ``schedule``.
            They are given float32 whatever autocast says, unless their class says ``takes_half_precision = True``.
        adapters: Adapter name to config: ``type`` and its options, ``inputs``.
        targets: Target name to config, likewise; targets are evaluated without gradient.

    Raises:
        ConfigError: An unknown name, type or option, a cycle, an input that a node does not take, an adapter that
            feeds nothing.
    """

    def __init__(
        self,
        taps: Iterable[str],
        losses: Mapping[str, Mapping[str, Any]],
        adapters: Mapping[str, Mapping[str, Any]] | None = None,
        targets: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        if not losses:
            raise ConfigError('model.losses is empty: a distiller without losses teaches nothing')
        self.weights: dict[str, float] = {}
        self.schedules: dict[str, Schedule] = {}
        self.guard = NonFiniteGuard()
        self.finished = False
        sources = [*taps, *CONTEXT]
        nodes: dict[str, Node] = {}
        groups = {'adapters': adapters or {}, 'targets': targets or {}, 'losses': losses}
        for kind, entries in groups.items():
            built = nn.ModuleDict()
            for name, options in entries.items():
                if name in sources or name in nodes:
                    raise ConfigError(f"model.{kind}.{name}: the name '{name}' is taken by a tap or another node")
                built[name], nodes[name] = self._build(kind, name, dict(options))
            self.add_module(kind, built)
        self.order = _sort(nodes, sources)
        _check_used(nodes, list(taps))
        self.finished = not self.schedules and not any(self.weights.values())
        for name in self.weights:
            # Buffers, not floats: a schedule changes them without recompiling the step or waiting for the GPU. They
            # follow from the progress of the training, so they are not saved.
            self.register_buffer(f'weight_{name}', torch.tensor(self.weights[name]), persistent=False)

    def _build(self, kind: str, name: str, options: dict[str, Any]) -> tuple[nn.Module, Node]:
        where = f'model.{kind}.{name}'
        inputs = options.pop('inputs', None)
        if kind == 'losses':
            self.weights[name] = float(options.pop('weight', 1.0))
            schedule = options.pop('schedule', None)
            if schedule is not None:
                self.schedules[name] = _read_schedule(schedule, where)
        if not inputs:
            raise ConfigError(f"{where}: no 'inputs'; name the taps or nodes it reads, e.g. inputs=dict(student='s')")
        if not name.isidentifier() or hasattr(nn.ModuleDict(), name):
            raise ConfigError(f"{where}: '{name}' cannot name a node; use letters, digits and _, and no method's name")
        module = build_part(MODELS, options, where)
        if kind == 'targets' and any(parameter.requires_grad for parameter in module.parameters()):
            raise ConfigError(f'{where}: a target has no trainable parameters; a trainable part belongs to adapters')
        if isinstance(inputs, str):
            inputs = [inputs]
        entries = inputs.items() if isinstance(inputs, Mapping) else enumerate(inputs)
        named: dict[str | int, ValueRef] = {key: parse_ref(text, where) for key, text in entries}
        _check_signature(module, named, where)
        return module, Node(name, kind, named)

    @property
    def has_schedules(self) -> bool:
        """Whether any loss weight changes over time."""
        return bool(self.schedules)

    def set_progress(self, epoch: float, iteration: int) -> None:
        """Set every scheduled weight for this point of the training.

        Args:
            epoch: Epochs done, fractional.
            iteration: Iterations done.
        """
        for name, schedule in self.schedules.items():
            getattr(self, f'weight_{name}').fill_(self.weights[name] * schedule.factor(epoch, iteration))
        off = [
            weight == 0 or (name in self.schedules and self.schedules[name].is_over(epoch, iteration))
            for name, weight in self.weights.items()
        ]
        if all(off) and not self.finished:
            MMLogger.get_current_instance().info('all distillation weights are zero for good: teachers no longer run')
        self.finished = all(off)

    def forward(self, values: Mapping[str, Any]) -> dict[str, Tensor]:
        """Evaluate the graph.

        Args:
            values: Tapped values by name, and the entries of :data:`CONTEXT`.

        Returns:
            ``loss_kd_<name>`` (weighted, to be summed into the training loss) and ``kd_<name>`` (unweighted and
            detached, for the log) of every loss; ``kd_<name>_<key>`` of what a loss puts into its ``log_vars``.

        Raises:
            ShapeError: A loss was given tensors that do not fit; the message names the taps.
            NonFiniteError: A loss is NaN or infinite.
        """
        known = dict(values)
        raw: dict[str, Tensor] = {}
        for node in self.order:
            module = getattr(self, node.kind)[node.name]
            if node.kind == 'losses':
                raw[node.name] = self._loss(module, node, known)
            elif node.kind == 'targets':
                with torch.no_grad():
                    known[node.name] = _call(module, node, known)
            else:
                known[node.name] = _call(module, node, known)
        self.guard.check(raw, lambda: self._describe(known))
        losses = {f'loss_kd_{name}': value * getattr(self, f'weight_{name}') for name, value in raw.items()}
        logged = {f'kd_{name}': value.detach() for name, value in raw.items()}
        for name in raw:
            extra: Mapping[str, Tensor] = getattr(self.get_submodule(f'losses.{name}'), 'log_vars', {})
            logged.update({f'kd_{name}_{key}': value.detach() for key, value in extra.items()})
        return {**losses, **logged}

    def idle(self) -> Tensor:
        """Return a zero that touches every adapter parameter, so that DDP sees the gradients it waits for."""
        zero: Tensor = self.weight_total()
        for parameter in self.parameters():
            zero = zero + parameter.sum() * 0
        return zero

    def weight_total(self) -> Tensor:
        """Return a 0-dim zero on the graph's device."""
        total: Tensor = getattr(self, f'weight_{next(iter(self.weights))}')
        return total * 0

    def _loss(self, module: nn.Module, node: Node, known: Mapping[str, Any]) -> Tensor:
        device = getattr(self, f'weight_{node.name}').device.type
        try:
            # Sums over millions of half-precision products lose the small differences these losses are made of. Some
            # losses read few entries of many maps, and bring those to single precision themselves.
            with torch.autocast(device, enabled=False):
                value: Tensor = _call(module, node, known, to_float=not getattr(module, 'takes_half_precision', False))
        except ShapeError as error:
            given = '; '.join(f"{key}='{ref}' is {describe(ref.of(known))}" for key, ref in node.inputs.items())
            raise ShapeError(
                f'model.losses.{node.name}: {error} Here {given}. Put an adapter (model.adapters) between them.'
            ) from error
        return value

    def _describe(self, known: Mapping[str, Any]) -> str:
        shapes = ', '.join(f'{name}: {describe(value)}' for name, value in known.items() if name not in CONTEXT)
        samples = known.get('data_samples') or []
        ids = [str(getattr(sample, 'sample_id', getattr(sample, 'img_path', '?'))) for sample in samples]
        return f'Samples: {", ".join(ids)}. Values: {shapes}.'


def _read_schedule(options: Mapping[str, Any], where: str) -> Schedule:
    known = list(inspect.signature(Schedule).parameters)
    for key in options:
        if key not in known:
            raise ConfigError(f"{where}.schedule: no option '{key}'; {did_you_mean(key, known)}")
    return Schedule(**options)


def _call(module: nn.Module, node: Node, known: Mapping[str, Any], to_float: bool = False) -> Any:
    arguments = {key: _as_float(ref.of(known)) if to_float else ref.of(known) for key, ref in node.inputs.items()}
    positional = [value for key, value in arguments.items() if isinstance(key, int)]
    return module(*positional, **{key: value for key, value in arguments.items() if isinstance(key, str)})


def _as_float(value: Any) -> Any:
    if isinstance(value, Tensor):
        # Half precision up to single; float64 (tests, gradcheck) stays.
        return value.float() if value.is_floating_point() and value.dtype != torch.float64 else value
    if isinstance(value, dict):
        return {key: _as_float(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_as_float(item) for item in value)
    return value


def _check_signature(module: nn.Module, inputs: Mapping[str | int, ValueRef], where: str) -> None:
    try:
        positional = [value for key, value in inputs.items() if isinstance(key, int)]
        named = {key: value for key, value in inputs.items() if isinstance(key, str)}
        inspect.signature(module.forward).bind(*positional, **named)
    except TypeError as error:
        takes = ', '.join(inspect.signature(module.forward).parameters)
        raise ConfigError(f'{where}.inputs: {type(module).__name__} takes ({takes}): {error}') from error


def _sort(nodes: Mapping[str, Node], sources: Iterable[str]) -> list[Node]:
    available = set(sources)
    every = available | set(nodes)
    for node in nodes.values():
        for name in sorted(node.needs):
            if name not in every:
                where = f'model.{node.kind}.{node.name}.inputs'
                raise ConfigError(f"{where}: no value '{name}'; {did_you_mean(name, every)}")
            if name in nodes and nodes[name].kind == 'losses':
                raise ConfigError(f"model.{node.kind}.{node.name}.inputs: '{name}' is a loss and cannot be an input")
    order: list[Node] = []
    waiting = dict(nodes)
    while waiting:
        ready = [node for node in waiting.values() if node.needs <= available]
        if not ready:
            raise ConfigError(f'model.adapters and model.targets need each other in a circle: {", ".join(waiting)}')
        for node in ready:
            order.append(waiting.pop(node.name))
            available.add(node.name)
    return order


def _check_used(nodes: Mapping[str, Node], taps: list[str]) -> None:
    used = {name for node in nodes.values() for name in node.needs}
    for name, node in nodes.items():
        if node.kind == 'adapters' and name not in used:
            raise ConfigError(f'model.adapters.{name} feeds nothing: its parameters would never be trained; remove it')
    for name in [*taps, *(name for name, node in nodes.items() if node.kind == 'targets')]:
        if name not in used:
            MMLogger.get_current_instance().warning(f"distillation: nothing reads '{name}'")
