"""From the weights of an official repository to the weights of one of our detectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from mono_distill.models.converters.conversion_report import ConversionReport, KeyFate
from mono_distill.models.converters.key_report import OPTIONAL_SUFFIX
from mono_distill.models.converters.official import PAIR_PREFIXES, KeyConverter, OfficialModel, OfficialSource
from mono_distill.models.converters.recognise import recognise
from mono_distill.utils.errors import CheckpointError

_DATA_PARALLEL = 'module.'


def convert_state(
    state: Mapping[str, Tensor], source: OfficialSource, part: str, expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], ConversionReport]:
    """Take a network out of an official state dict and give its tensors our names.

    Args:
        state: The official state dict.
        source: The repository it comes from.
        part: ``'student'`` or ``'teacher'``. A file that holds one network is taken to be that part.
        expected: ``state_dict()`` of our detector; the result has exactly its keys, in its order, if the report is
            complete.

    Returns:
        The new state dict (contiguous copies on the CPU), and what became of every key. Faults are in the report; see
        :meth:`ConversionReport.require_complete`.

    Raises:
        CheckpointError: The file is of another model, or of a model for another number of classes.
    """
    names = {key: key.removeprefix(_DATA_PARALLEL) for key in state}
    found = recognise(list(names.values()))
    if found.kind not in source.kinds:
        raise CheckpointError(
            f'this looks like {found.title}, not like a checkpoint of {_title(source)}; {found.advice}'
        )
    prefix = PAIR_PREFIXES[part] if found.kind.endswith(' pair') else ''
    inside = {name[len(prefix) :]: key for key, name in names.items() if name.startswith(prefix)}
    if not inside:
        raise CheckpointError(f'the file has no {part}: no key starts with {prefix!r}')
    ours, dropped, foreign = _rename(inside, source.model.load_converter())
    _check_classes(state, ours, expected, inside.get(source.model.class_key))
    fates = [
        *_fates_of_file(state, names, ours, expected, prefix=prefix),
        *(KeyFate('dropped', key, note=_reason(key, source.model)) for key in dropped),
        *(KeyFate('unexpected', key, note=_shape(state[key])) for key in foreign),
    ]
    order = {key: index for index, key in enumerate(state)}
    fates.sort(key=lambda fate: order[fate.official])
    fates += _fates_of_model(ours, expected)
    return _tensors(fates, state, expected), ConversionReport(tuple(fates))


def _title(source: OfficialSource) -> str:
    return f'--from {source.name} ({source.model.title}{" student and teacher" if source.pair else ""})'


def _rename(inside: Mapping[str, str], convert: KeyConverter) -> tuple[dict[str, str], list[str], list[str]]:
    """Return ours -> key in the file, the keys left out on purpose, and those the converter does not know."""
    try:
        ours, dropped = convert(inside)
        foreign: list[str] = []
    except CheckpointError:
        # It stops at the first key it does not know; all of them are wanted.
        foreign = [name for name in inside if not _knows(convert, name)]
        if not foreign:
            raise
        ours, dropped = convert({name: key for name, key in inside.items() if name not in foreign})
    if len(ours) + len(dropped) + len(foreign) != len(inside):
        raise CheckpointError('two keys of the file would become one; it is no checkpoint of a single network')
    return ours, [inside[name] for name in dropped], [inside[name] for name in foreign]


def _knows(convert: KeyConverter, name: str) -> bool:
    try:
        convert({name: name})
    except CheckpointError:
        return False
    return True


def _check_classes(
    state: Mapping[str, Tensor],
    ours: Mapping[str, str],
    expected: Mapping[str, Tensor],
    class_key: str | None,
) -> None:
    name = next((name for name, key in ours.items() if key == class_key and name in expected), None)
    if class_key is None or name is None:
        return
    there, here = len(state[class_key]), len(expected[name])
    if there != here:
        raise CheckpointError(
            f'the checkpoint was trained for {there} {_classes(there)} ({class_key} {_shape(state[class_key])}), the '
            f'config for {here}; give the config of a detector for {there} with --config, or --cfg-options '
            f'model.bbox_head.num_classes={there}'
        )


def _classes(number: int) -> str:
    return 'class' if number == 1 else 'classes'


def _fates_of_file(
    state: Mapping[str, Tensor],
    names: Mapping[str, str],
    ours: Mapping[str, str],
    expected: Mapping[str, Tensor],
    *,
    prefix: str,
) -> Iterator[KeyFate]:
    for key, name in names.items():
        if not name.startswith(prefix):
            other = next((part for part, other in PAIR_PREFIXES.items() if name.startswith(other)), None)
            why = f'the {other}' if other else 'adapter between student and teacher, part of neither'
            yield KeyFate('dropped', key, note=why)
    for name, key in ours.items():
        shape = _shape(state[key])
        if name not in expected:
            yield KeyFate('unexpected', key, name, shape)
        elif state[key].shape != expected[name].shape:
            yield KeyFate('mismatched', key, name, f'{shape}, here {_shape(expected[name])}')
        else:
            yield KeyFate('mapped', key, name, shape)


def _fates_of_model(ours: Mapping[str, str], expected: Mapping[str, Tensor]) -> Iterator[KeyFate]:
    for name, value in expected.items():
        if name in ours:
            continue
        if name.endswith(OPTIONAL_SUFFIX):
            yield KeyFate('filled', ours=name, note=f'{_shape(value)} initial value')
        else:
            yield KeyFate('missing', ours=name, note=_shape(value))


def _tensors(fates: list[KeyFate], state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    official = {fate.ours: fate.official for fate in fates if fate.outcome == 'mapped'}
    filled = {fate.ours for fate in fates if fate.outcome == 'filled'}
    values = {
        name: state[official[name]] if name in official else value
        for name, value in expected.items()
        if name in official or name in filled
    }
    return {
        name: value.detach().to('cpu', expected[name].dtype, copy=True).contiguous() for name, value in values.items()
    }


def _reason(key: str, model: OfficialModel) -> str:
    return next((why for part, why in model.drop_reasons if part in key), 'has no counterpart here')


def _shape(value: torch.Tensor) -> str:
    return str(tuple(value.shape))
