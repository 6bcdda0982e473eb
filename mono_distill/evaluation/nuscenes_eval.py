"""The unmodified nuscenes-devkit, asked for the scores of a result file."""

from __future__ import annotations

import collections
import functools
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mono_distill.utils.errors import ConfigError, DataError, did_you_mean

EVAL_SETS = {'v1.0-mini': 'mini_val', 'v1.0-trainval': 'val', 'v1.0-test': 'test'}
# Names of the devkit, and those of the benchmark's tables.
TP_ERRORS = {'trans_err': 'ATE', 'scale_err': 'ASE', 'orient_err': 'AOE', 'vel_err': 'AVE', 'attr_err': 'AAE'}
# How many names a message lists.
SHOWN = 5

Results = Mapping[str, Sequence[Mapping[str, Any]]]


def default_eval_set(version: str) -> str:
    """Return the split on which a version of the data set is evaluated.

    Raises:
        ConfigError: The version has no such split.

    Example:
        >>> default_eval_set('v1.0-mini')
        'mini_val'
    """
    if version not in EVAL_SETS:
        raise ConfigError(
            f'nuScenes has no version {version!r}; {did_you_mean(version, EVAL_SETS)} Name the split of another one '
            'with eval_set.'
        )
    return EVAL_SETS[version]


def load_nuscenes(version: str, data_root: str | os.PathLike[str]) -> Any:
    """Return the devkit's data base, read once for all evaluations of a process.

    Args:
        version: ``v1.0-mini``, ``v1.0-trainval`` or ``v1.0-test``.
        data_root: Folder with the tables in a folder of that name.

    Raises:
        DataError: There are no tables.
    """
    root = Path(data_root).resolve()
    if not (root / version / 'sample.json').is_file():
        raise DataError(
            f"{root / version} holds no tables of nuScenes: set the metric's data_root to the folder that holds "
            f'{version}/sample.json, samples/ and sweeps/.'
        )
    return _load(version, str(root))


@functools.lru_cache(maxsize=1)
def _load(version: str, root: str) -> Any:
    from nuscenes.nuscenes import NuScenes

    return NuScenes(version=version, dataroot=root, verbose=False)


def split_tokens(nusc: Any, eval_set: str) -> list[str]:
    """Return the tokens of the samples of a split, as the devkit finds them: by the names of the scenes.

    Raises:
        ConfigError: There is no such split.
        DataError: The split is empty.
    """
    from nuscenes.utils.splits import create_splits_scenes

    splits = create_splits_scenes()
    if eval_set not in splits:
        raise ConfigError(f'nuScenes has no split {eval_set!r}; {did_you_mean(eval_set, splits)}')
    scenes = {scene['token'] for scene in nusc.scene if scene['name'] in splits[eval_set]}
    tokens = [sample['token'] for sample in nusc.sample if sample['scene_token'] in scenes]
    if not tokens:
        names = _some(sorted(scene['name'] for scene in nusc.scene))
        raise DataError(f'no scene of {nusc.dataroot}/{nusc.version} belongs to the split {eval_set}: it has {names}.')
    return tokens


def check_tokens(tokens: Iterable[str], nusc: Any, eval_set: str) -> None:
    """Check that there is a prediction for every sample of the split and for no other: the devkit demands it.

    Raises:
        DataError: The sets differ; the message names scenes.
    """
    predicted, expected = set(tokens), set(split_tokens(nusc, eval_set))
    if predicted == expected:
        return
    scenes = {scene['token']: scene['name'] for scene in nusc.scene}
    scene_of = {sample['token']: scenes[sample['scene_token']] for sample in nusc.sample}

    def listed(samples: set[str]) -> str:
        counts = collections.Counter(scene_of.get(token, 'no scene of this data set') for token in samples)
        return f'{len(samples)} (' + _some([f'{count} of {name}' for name, count in sorted(counts.items())]) + ')'

    raise DataError(
        f'{len(predicted)} samples were predicted, but the split {eval_set} of {nusc.dataroot}/{nusc.version} has '
        f'{len(expected)}. Missing: {listed(expected - predicted)}; not of the split: {listed(predicted - expected)}. '
        'The info file of the evaluated data set must hold exactly the samples of that split: prepare the infos of '
        "this version again, take out filters and 'indices', or set the metric's eval_set."
    )


def nuscenes_eval(
    results: Results, nusc: Any, eval_set: str, *, config: str = 'detection_cvpr_2019'
) -> dict[str, float]:
    """Score detections by the devkit.

    Args:
        results: Sample token to entries, see :func:`mono_distill.evaluation.nuscenes_boxes.result_entries`.
        nusc: Of :func:`load_nuscenes`.
        eval_set: Split.
        config: Name of the devkit's configuration.

    Returns:
        ``mAP``, ``NDS``, ``mATE``, ``mASE``, ``mAOE``, ``mAVE``, ``mAAE``; per class ``<class>_AP``,
        ``<class>_AP_<metres>`` and the errors that the benchmark defines for it, ``<class>_ATE`` and so on. Without
        any prediction mAP and NDS are 0 and the errors 1.

    Raises:
        DataError: The samples are not those of the split, or the split has no annotated box.
    """
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.detection.evaluate import DetectionEval

    check_tokens(results, nusc, eval_set)
    if not nusc.sample_annotation:
        raise DataError(
            f'{nusc.dataroot}/{nusc.version} holds no annotations; write a submission with format_only=True.'
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'results.json'
        write_results(file, results if any(results.values()) else _far_away(results))
        evaluation = DetectionEval(nusc, config_factory(config), str(file), eval_set, folder, verbose=False)
        summary = evaluation.evaluate()[0].serialize()
    return _scores(summary)


def write_results(file: Path, results: Results, *, sensors: Iterable[str] = ()) -> None:
    """Write a result file in the benchmark's format.

    Args:
        file: To write; its folder is made.
        results: See :func:`nuscenes_eval`.
        sensors: Of ``camera``, ``lidar``, ``radar``, ``map``, ``external``: what was used.
    """
    used = set(sensors)
    meta = {f'use_{name}': name in used for name in ('camera', 'lidar', 'radar', 'map', 'external')}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({'meta': meta, 'results': results}))


def score_table(scores: Mapping[str, float], classes: Sequence[str]) -> str:
    """Return the scores as lines of text."""
    lines = [f'{"class":<22}' + ''.join(f'{name:>8}' for name in ('AP', *TP_ERRORS.values()))]
    for name in classes:
        row = [scores.get(f'{name}_{column}', math.nan) for column in ('AP', *TP_ERRORS.values())]
        lines.append(f'{name:<22}' + ''.join(f'{value:8.3f}' for value in row))
    means = [scores['mAP'], *(scores[f'm{column}'] for column in TP_ERRORS.values())]
    lines.append(f'{"mean":<22}' + ''.join(f'{value:8.3f}' for value in means))
    return '\n'.join([*lines, f'NDS {scores["NDS"]:.4f}'])


def _scores(summary: Mapping[str, Any]) -> dict[str, float]:
    scores = {'mAP': summary['mean_ap'], 'NDS': summary['nd_score']}
    scores |= {f'm{short}': summary['tp_errors'][name] for name, short in TP_ERRORS.items()}
    for name, mean in summary['mean_dist_aps'].items():
        scores[f'{name}_AP'] = mean
        scores |= {f'{name}_AP_{metres}': value for metres, value in summary['label_aps'][name].items()}
        errors = {f'{name}_{short}': summary['label_tp_errors'][name][key] for key, short in TP_ERRORS.items()}
        scores |= {key: value for key, value in errors.items() if not math.isnan(value)}
    return {key: float(value) for key, value in scores.items()}


def _far_away(results: Results) -> Results:
    """Add a box that is beyond every range: the devkit stops when there is none at all."""
    token = next(iter(results))
    box = {
        'sample_token': token,
        'translation': [1e7, 1e7, 0.0],
        'size': [1.0, 1.0, 1.0],
        'rotation': [1.0, 0.0, 0.0, 0.0],
        'velocity': [0.0, 0.0],
        'detection_name': 'car',
        'detection_score': 0.0,
        'attribute_name': 'vehicle.parked',
    }
    return {**results, token: [box]}


def _some(names: Sequence[str]) -> str:
    more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
    return (', '.join(names[:SHOWN]) or 'none') + more
