"""Prepare a KITTI folder: info files, LiDAR depth maps and a report of what was refused."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from mono_distill.datasets.kitti.frame import FrameOptions, FrameResult, prepare_frame
from mono_distill.datasets.kitti.infos import info_file
from mono_distill.datasets.kitti.layout import SPLITS, SUBSETS, KittiFolder, remove_stale_temporaries
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import ConfigError, DataError
from mono_distill.utils.processes import check_workers, map_in_processes

REPORT_NAME = 'prepare_report.json'
# A temporary depth map older than this many seconds has lost its writer; writing one takes milliseconds.
STALE_AFTER = 60.0
# What every worker needs and takes seconds to import.
WORKER_MODULES = ('mono_distill.datasets.kitti.frame', 'mmdet3d.datasets.convert_utils')
# Ids named in the report for every reason that can concern thousands of frames.
NAMED_IDS = 20

Progress = Callable[[Iterable[FrameResult], int], Iterable[FrameResult]]


def prepare_kitti(options: FrameOptions, *, workers: int = 1, progress: Progress | None = None) -> dict[str, Any]:
    """Prepare every frame of a KITTI folder, then write the info files and the report.

    The output does not depend on the number of workers. A run that was stopped at any point is continued by the next
    one: files appear whole or not at all, and the infos appear last.

    Args:
        options: Folders and switches.
        workers: Number of processes; 1 works in this one.
        progress: Wraps the results with their number to show progress, as :class:`tqdm.tqdm` does.

    Returns:
        The report, as written to ``prepare_report.json`` in the output folder.

    Raises:
        ConfigError: If ``workers`` is below 1 or nothing was found to prepare.
        DataError: If every frame was refused (the report is written nevertheless), a split file is faulty, a file
            cannot be written, or a worker died.
    """
    check_workers(workers)
    frames = [(subset, sample_id) for subset in SUBSETS for sample_id in options.source.sample_ids(subset)]
    if not frames:
        raise ConfigError(f'{options.source.root} holds no frames')
    splits = {split: options.source.split_ids(split) for split in SPLITS}
    remove_stale_temporaries(options.output, older_than=time.time() - STALE_AFTER)
    work = partial(_prepare_one, options=options)
    # Closed at once after an interrupt, so that the workers have ended before anything else happens.
    with closing(map_in_processes(work, frames, workers=workers, preload=WORKER_MODULES)) as stream:
        results = list(progress(stream, len(frames)) if progress else stream)
    report = {'root': str(options.source.root), 'output': str(options.output.root), 'lidar': options.lidar}
    report |= {'subsets': {subset: _subset_report(results, subset) for subset in SUBSETS}}
    refused = sum(result.refused is not None for result in results)
    if refused < len(results):
        report |= {'splits': _write_infos(results, splits, options.output)}
    _write(options.output.root / REPORT_NAME, (json.dumps(report, indent=2) + '\n').encode())
    if refused == len(results):
        part, reason = next(result.refused for result in results if result.refused)
        raise DataError(
            f'all {refused} frames were refused; the first because of its {part}: {reason}. '
            f'See {options.output.root / REPORT_NAME}'
        )
    return report


def _prepare_one(frame: tuple[str, str], options: FrameOptions) -> FrameResult:
    return prepare_frame(*frame, options)


def _subset_report(results: list[FrameResult], subset: str) -> dict[str, Any]:
    """Count what became of a subset's frames and list every refusal with its reason."""
    own = [result for result in results if result.subset == subset]
    refused = [
        {'sample_id': result.sample_id, 'part': result.refused[0], 'reason': result.refused[1]}
        for result in own
        if result.refused
    ]
    return {
        'frames': len(own),
        'prepared': len(own) - len(refused),
        'depth_maps': {
            state: sum(result.depth == state for result in own if result.info is not None)
            for state in ('written', 'kept', 'none')
        },
        'refused': refused,
        'warnings': {result.sample_id: list(result.warnings) for result in own if result.warnings},
    }


def _write_infos(
    results: list[FrameResult], splits: dict[str, list[str] | None], output: KittiFolder
) -> dict[str, dict[str, Any]]:
    """Write the info file of every split that can be formed and say what each holds."""
    report = {}
    for split, listed in splits.items():
        own = {result.sample_id: result for result in results if result.subset == SPLITS[split]}
        # Without a list there is no way to tell train from val, but all of a subset is a split by itself.
        wanted = sorted(own) if listed is None and split in ('trainval', 'test') else sorted(listed or ())
        infos = [own[name].info for name in wanted if name in own]
        data_list = [info for info in infos if info is not None]
        absent = [name for name in wanted if name not in own]
        entry: dict[str, Any] = {
            'listed_in': None if listed is None else f'ImageSets/{split}.txt',
            'listed': len(wanted),
            'prepared': len(data_list),
            'refused': len(wanted) - len(absent) - len(data_list),
            'absent': len(absent),
            'first_absent': absent[:NAMED_IDS],
            'file': None,
        }
        if data_list:
            entry['file'] = f'kitti_infos_{split}.pkl'
            _write(output.root / entry['file'], pickle.dumps(info_file(data_list), protocol=4))
        report[split] = entry
    return report


def _write(path: Path, content: bytes) -> None:
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise DataError(f'cannot write {path}: {error}') from error
