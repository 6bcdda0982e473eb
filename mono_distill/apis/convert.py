"""Official checkpoint in, checkpoint of this package out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import Tensor

from mono_distill.apis.launch import load_config
from mono_distill.apis.plain_config import build_detector, check_config_file, config_meta, plain_config, write_config
from mono_distill.apis.weights_file import check_output, sha256, write_weights
from mono_distill.compat.checkpoints import load_checkpoint_file
from mono_distill.models.converters.conversion_report import ConversionReport
from mono_distill.models.converters.convert_state import convert_state
from mono_distill.models.converters.official import official_source
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import CheckpointError, ConfigError, did_you_mean
from mono_distill.version import __version__

# The official trainers save epoch, model_state, optimizer_state and the best result; bare state dicts are taken too.
_WEIGHTS = ('model_state', 'state_dict', 'model')
REPORT_SUFFIXES = {'text': '.report.txt', 'json': '.report.json'}


@dataclass(frozen=True)
class Converted:
    """What a conversion wrote.

    Attributes:
        out: The checkpoint.
        config_file: The config that goes with it.
        report: What became of every key.
        report_file: Where the report is, if one was asked for.
    """

    out: Path
    config_file: Path
    report: ConversionReport
    report_file: Path | None = None


def convert_checkpoint(
    file: str | Path,
    *,
    source: str,
    part: str,
    out: str | Path | None = None,
    config: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    report: str | None = None,
) -> Converted:
    """Convert a checkpoint of an official repository, or write nothing and say what does not fit.

    Args:
        file: The official file.
        source: The repository, a key of :data:`mono_distill.models.converters.official.OFFICIAL_SOURCES`.
        part: ``'student'`` or ``'teacher'``.
        out: Where to; by default ``<file>_<part>.pth`` beside the input. ``.safetensors`` chooses that format.
        config: Config of our detector; by default the published setting of that repository and part. What released
            weights need is added (``OfficialSource.options``), such as the scale of a teacher's depth.
        cfg_options: Overrides of the config.
        report: ``'text'`` or ``'json'``: write what became of every key beside ``out``, also if the file is refused.

    Raises:
        CheckpointError: The file cannot be read, is of another model or number of classes, or lacks or has keys.
        ConfigError: An option is unknown, or the config does not exist.
    """
    file = Path(file).expanduser()
    out = Path(out or file.with_name(f'{file.stem}_{part}.pth'))
    if report is not None and report not in REPORT_SUFFIXES:
        raise ConfigError(f'no form of report {report!r}; {did_you_mean(report, REPORT_SUFFIXES)}')
    repository = official_source(source, part)
    check_output(out, (file,))
    check_config_file(out, config or '')
    content = load_checkpoint_file(file)
    state = official_weights(content, file)
    path = config or repository.configs[part]
    detector = plain_config(load_config(path, cfg_options))
    needed = repository.options.get(part, {})
    added = {name: value for name, value in needed.items() if name not in (cfg_options or {})}
    detector.merge_from_dict(added)
    try:
        converted, fates = convert_state(state, repository, part, build_detector(detector).state_dict())
    except CheckpointError as error:
        raise CheckpointError(f'{file}: {error}') from error
    header = {'file': file.name, 'sha256': sha256(file), 'from': source, 'part': part, 'config': path}
    header['options'] = ' '.join(f'{name}={value}' for name, value in added.items())
    fates = dataclasses.replace(fates, header=header)
    report_file = write_report(fates, out, report) if report else None
    fates.require_complete(str(file))
    check_class_names(detector)
    write_weights(out, converted, _meta(header, content, detector))
    return Converted(out, write_config(detector, out), fates, report_file)


def check_class_names(config: Config) -> None:
    """Refuse a config that names more or fewer classes than its head tells apart: results would carry wrong names.

    Raises:
        ConfigError: The numbers differ.
    """
    number = (config.model.get('bbox_head') or {}).get('num_classes')
    dataset = (config.get('test_dataloader') or {}).get('dataset') or {}
    names = (dataset.get('metainfo') or {}).get('classes')
    if number is not None and names is not None and number != len(names):
        raise ConfigError(
            f'the head tells {number} classes apart, the config names {len(names)}: {", ".join(names)}; name those of '
            'the checkpoint, in its order, such as --cfg-options test_dataloader.dataset.metainfo.classes=[Car]'
        )


def official_weights(content: Mapping[str, Any], file: Path) -> dict[str, Tensor]:
    """Return the state dict in an official checkpoint.

    Raises:
        CheckpointError: It holds none, or something between the tensors.
    """
    name = next((name for name in _WEIGHTS if isinstance(content.get(name), Mapping)), None)
    state = content[name] if name else content
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        holds = ', '.join(map(str, list(content)[:5])) or 'nothing'
        raise CheckpointError(
            f'{file} holds no weights: expected tensors under one of {", ".join(_WEIGHTS)}, found {holds}'
        )
    others = [str(key) for key in state if key not in tensors]
    if others:
        raise CheckpointError(
            f'{file}: {len(others)} of {len(state)} entries are no tensors ({", ".join(others[:5])}); give the file as '
            'the official repository released it'
        )
    return tensors


def write_report(report: ConversionReport, out: Path, form: str) -> Path:
    """Write a report beside a checkpoint, as ``<name>.report.txt`` or ``<name>.report.json``."""
    path = out.with_name(out.name + REPORT_SUFFIXES[form])
    with atomic_path(path) as temporary:
        temporary.write_text(report.to_text() if form == 'text' else report.to_json())
    return path


def _meta(header: Mapping[str, Any], content: Mapping[str, Any], detector: Config) -> dict[str, Any]:
    origin = {name: header[name] for name in ('file', 'sha256', 'from', 'part')}
    epoch = content.get('epoch')
    if isinstance(epoch, int):
        origin['epoch'] = epoch
    return {
        'mono_distill_version': __version__,
        'config': header['config'],
        'converted_from': origin,
        **config_meta(detector),
    }
