"""Prepare a KITTI folder: info files, LiDAR depth maps and a report of what was refused."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from mono_distill.datasets.kitti.frame import FrameOptions, FrameResult, prepare_frame
from mono_distill.datasets.kitti.infos import info_file
from mono_distill.datasets.kitti.layout import SPLITS, SUBSETS, KittiFolder, remove_stale_temporaries
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import ConfigError, DataError

REPORT_NAME = 'prepare_report.json'
# A temporary depth map older than this many seconds has lost its writer; writing one takes milliseconds.
STALE_AFTER = 60.0
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
    if workers < 1:
        raise ConfigError(f'workers must be at least 1, got {workers}')
    frames = [(subset, sample_id) for subset in SUBSETS for sample_id in options.source.sample_ids(subset)]
    if not frames:
        raise ConfigError(f'{options.source.root} holds no frames')
    splits = {split: options.source.split_ids(split) for split in SPLITS}
    remove_stale_temporaries(options.output, older_than=time.time() - STALE_AFTER)
    # Closed at once after an interrupt, so that the workers have ended before anything else happens.
    with closing(_process(frames, options, workers)) as stream:
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


def _process(frames: list[tuple[str, str]], options: FrameOptions, workers: int) -> Generator[FrameResult, None, None]:
    """Yield the results in the order of the frames."""
    work = partial(_prepare_one, options=options)
    if workers == 1:
        yield from map(work, frames)
        return
    executor = ProcessPoolExecutor(min(workers, len(frames)), mp_context=_process_context(), initializer=_start_worker)
    try:
        # One frame at a time: larger chunks save little and would all be finished after an interrupt.
        yield from executor.map(work, frames)
    except BrokenProcessPool as error:
        raise DataError(
            'a worker process died, most likely for lack of memory; run again with fewer --workers, '
            'what is done already is kept'
        ) from error
    finally:
        # After an interrupt the frames in hand are finished, no further ones are begun.
        executor.shutdown(wait=True, cancel_futures=True)


def _prepare_one(frame: tuple[str, str], options: FrameOptions) -> FrameResult:
    return prepare_frame(*frame, options)


def _process_context() -> multiprocessing.context.BaseContext:
    """Return a start method that never forks this process, whose threads and locks could be in any state."""
    if 'forkserver' not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    # Imported once in the server instead of once in every worker.
    context.set_forkserver_preload(['mono_distill.datasets.kitti.frame', 'mmdet3d.datasets.convert_utils'])
    return context


def _start_worker() -> None:
    """Set up a worker process."""
    # Ctrl-C reaches the whole process group; the parent answers it and lets the workers finish their frames.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """End this worker when its parent is gone; a killed parent cannot tell its workers to stop."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


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
