"""Write scenes of the embedded world as a KITTI object data set."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from typing import Any

from mono_distill.datasets.kitti.labels import read_label
from mono_distill.datasets.kitti.layout import KittiFolder
from mono_distill.synthetic.kitti.frame import SUBSET, is_written, write_frame
from mono_distill.synthetic.kitti.options import KittiOptions
from mono_distill.synthetic.output import open_output, write_bytes
from mono_distill.utils.processes import check_workers, map_in_processes, stopping

MANIFEST = 'sequences.json'

Progress = Callable[[Iterable[int], int], Iterable[int]]


def write_kitti(
    options: KittiOptions, *, workers: int = 1, resume: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Write a data set: ``training/{image_2,velodyne,calib,label_2}``, ``ImageSets`` and ``sequences.json``.

    The files do not depend on the number of workers. Each appears whole or not at all, a frame's labels after its
    other files, and the lists in ``ImageSets`` when all frames are there; a run that was stopped is completed with
    ``resume``, with the same result.

    Args:
        options: Size, seed, folder.
        workers: Number of processes; 1 works in this one.
        resume: Whether to complete what is in the folder, which must have been begun with the same options.
        progress: Wraps the numbers of the frames as they are written, with how many there will be, to show progress
            as :class:`tqdm.tqdm` does.

    Returns:
        The report: root, frames of each split, frames written and kept, objects by class, seconds.

    Raises:
        ConfigError: If ``workers`` is below 1, or the folder is not empty (without ``resume``) or was begun with other
            options.
        DataError: If a file cannot be written (the disk is full, say) or a worker died.
    """
    check_workers(workers)
    open_output(options.out, MANIFEST, options.manifest(), resume=resume)
    began = time.perf_counter()
    missing = [number for number in range(options.frames) if not is_written(options, number)]
    jobs = _jobs(options, missing, workers)
    work = partial(_write_frames, options=options)
    # Closed at once after an interrupt, so that the workers have ended before anything else happens.
    with closing(map_in_processes(work, jobs, workers=workers, preload=[write_frame.__module__])) as stream:
        written = (number for numbers in stream for number in numbers)
        for _ in progress(written, len(missing)) if progress else written:
            pass
    splits = options.splits()
    for split, names in splits.items():
        write_bytes(options.out / 'ImageSets' / f'{split}.txt', ''.join(f'{name}\n' for name in names).encode())
    return {
        'root': str(options.out),
        'splits': {split: len(names) for split, names in splits.items()},
        'sequences': len(options.sequences()),
        'written': len(missing),
        'kept': options.frames - len(missing),
        'objects': _count_objects(options, splits['trainval']),
        'seconds': round(time.perf_counter() - began, 1),
    }


def _jobs(options: KittiOptions, missing: list[int], workers: int) -> list[list[int]]:
    """Cut the missing frames into pieces of one sequence, each built once a piece; with a piece for every worker."""
    wanted = set(missing)
    length = max(1, -(-len(missing) // workers))
    own = [[number for number in frames if number in wanted] for frames in options.sequences()]
    return [frames[first : first + length] for frames in own for first in range(0, len(frames), length)]


def _write_frames(numbers: list[int], options: KittiOptions) -> list[int]:
    """Write some frames and return which, fewer if the run was called off."""
    done = []
    for number in numbers:
        if stopping():
            break
        write_frame(options, number)
        done.append(number)
    return done


def _count_objects(options: KittiOptions, names: list[str]) -> dict[str, int]:
    """Count the objects of each class in the label files."""
    folder = KittiFolder(options.out)
    counts = Counter(str(name) for frame in names for name in read_label(folder.path(SUBSET, 'label_2', frame)).name)
    return dict(sorted(counts.items()))
