"""Write scenes of the embedded world as a nuScenes data set that the unmodified devkit loads.

Images exist at key-frames only (two a second); the real data set also has those in between. LiDAR sweeps are complete
(20 a second), but each shows the world at one moment, so the points need no correction for motion within a turn.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np

from mono_distill.synthetic.nuscenes import layout
from mono_distill.synthetic.nuscenes.keyframe import make_keyframe
from mono_distill.synthetic.nuscenes.options import NuScenesOptions
from mono_distill.synthetic.nuscenes.records import finished_record
from mono_distill.synthetic.nuscenes.splits import SceneNames, scene_names
from mono_distill.synthetic.nuscenes.tables import build_tables
from mono_distill.synthetic.output import open_output, write_bytes
from mono_distill.utils.processes import check_workers, map_in_processes

Record = dict[str, Any]
Progress = Callable[[Iterable[Record], int], Iterable[Record]]


def write_nuscenes(
    options: NuScenesOptions, *, workers: int = 1, resume: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Write a data set.

    The files do not depend on the number of workers. Each appears whole or not at all, and the tables appear last; a
    run that was stopped is completed with ``resume``.

    Args:
        options: Size, seed, folder.
        workers: Number of processes; 1 works in this one.
        resume: Whether to complete what is in the folder, which must have been begun with the same options.
        progress: Wraps the key-frames' records with their number to show progress, as :class:`tqdm.tqdm` does.

    Returns:
        The report, as written to ``synthetic_report.json``: version, scenes of each split, numbers of files and boxes.
        Besides, ``root``, ``seconds`` and ``kept_keyframes``, the number of those that were there already.

    Raises:
        ConfigError: If the folder is not empty (without ``resume``) or was begun with other options, or if there are
            no such scenes.
        DataError: If a file cannot be written (the disk is full, say) or a worker died.
    """
    check_workers(workers)
    started = time.perf_counter()
    names = scene_names(options.scenes)
    open_output(options.out, layout.MANIFEST, options.manifest(), resume=resume)
    jobs = [layout.Job(i, name, k) for i, name in enumerate(names.all) for k in range(options.keyframes)]
    kept = {job: record for job in jobs if (record := finished_record(job, options)) is not None} if resume else {}
    missing = [job for job in jobs if job not in kept]
    work = partial(make_keyframe, options=options)
    # Closed at once after an interrupt, so that the workers have ended before anything else happens.
    with closing(map_in_processes(work, missing, workers=workers, preload=[make_keyframe.__module__])) as stream:
        done = kept | dict(zip(missing, progress(stream, len(missing)) if progress else stream, strict=True))
    records = [done[job] for job in jobs]
    scenes = [records[first : first + options.keyframes] for first in range(0, len(records), options.keyframes)]
    tables = build_tables(options, scenes)
    for name, rows in tables.items():
        write_bytes(options.out / names.version / f'{name}.json', json.dumps(rows, indent=0, allow_nan=False).encode())
    report = _report(names, scenes)
    write_bytes(options.out / layout.REPORT, (json.dumps(report, indent=2) + '\n').encode())
    seconds = time.perf_counter() - started
    return report | {'root': str(options.out), 'kept_keyframes': len(kept), 'seconds': seconds}


def _report(names: SceneNames, scenes: list[list[Record]]) -> dict[str, Any]:
    """Say what the data set holds."""
    records = [record for scene in scenes for record in scene]
    data = [entry for record in records for entry in record['data']]
    boxes = [row for record in records for row in record['annotations']]
    return {
        'version': names.version,
        'train_scenes': list(names.train),
        'val_scenes': list(names.val),
        'keyframes': len(records),
        'sweeps': sum(not entry['is_key_frame'] for entry in data),
        'boxes': len(boxes),
        'boxes_by_category': dict(sorted(Counter(row['category'] for row in boxes).items())),
        'lidar_points_in_boxes': int(np.sum([row['num_lidar_pts'] for row in boxes])),
    }
