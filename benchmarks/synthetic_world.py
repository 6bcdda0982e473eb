"""How fast the embedded world is written, and how much memory a worker needs.

Every row is a process of its own that runs one thread: a first frame warms it up (compiled kernels, the scene), then
its time is taken with everything that belongs to a frame, building its scene and writing its files included. Seconds
are those the process computed, so that other work on the machine does not count.

    python benchmarks/synthetic_world.py --out benchmarks/results/synthetic_world
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.processes import ONE_THREAD

# Data set, image scale, frames (nuScenes: key-frames) and how many a second one core must write.
ROWS = (('kitti', 1.0, 20, 1.5), ('kitti', 0.25, 40, 6.0), ('nuscenes', 0.5, 8, 0.5))
MEMORY_LIMIT_MB = 1000


def write_kitti_frames(out: Path, scale: float, frames: int) -> None:
    """Write KITTI frames in sequences of ten."""
    from mono_distill.synthetic.kitti.options import KittiOptions
    from mono_distill.synthetic.kitti.writer import write_kitti

    write_kitti(KittiOptions(out, frames, seed=1, image_scale=scale), workers=1)


def write_nuscenes_keyframes(out: Path, scale: float, keyframes: int) -> None:
    """Write nuScenes key-frames in two scenes."""
    from mono_distill.synthetic.nuscenes.options import NuScenesOptions
    from mono_distill.synthetic.nuscenes.writer import write_nuscenes

    write_nuscenes(NuScenesOptions(out, 2, keyframes // 2, 1, image_scale=scale), workers=1)


WRITERS = {'kitti': (write_kitti_frames, 1), 'nuscenes': (write_nuscenes_keyframes, 4)}


def measure(data_set: str, scale: float, frames: int) -> dict:
    """Write frames in this process and return the numbers."""
    write, warm_up = WRITERS[data_set]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / 'warm_up', scale, warm_up)
        began, computed = time.perf_counter(), time.process_time()
        write(Path(folder) / 'out', scale, frames)
        seconds, computed = time.perf_counter() - began, time.process_time() - computed
        files = [path for path in (Path(folder) / 'out').rglob('*') if path.is_file()]
        size = sum(path.stat().st_size for path in files)
    return {
        'data_set': data_set,
        'image_scale': scale,
        'frames': frames,
        'frames_per_core_second': frames / computed,
        'frames_per_second': frames / seconds,
        'peak_memory_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        'mb_per_frame': size / frames / 1e6,
    }


def measure_apart(data_set: str, scale: float, frames: int) -> dict:
    """Run :func:`measure` in a fresh process with one thread."""
    call = [sys.executable, __file__, '--row', data_set, str(scale), str(frames)]
    environment = {**os.environ, **dict.fromkeys(ONE_THREAD, '1')}
    output = subprocess.run(call, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(output.splitlines()[-1])


def table(rows: list[dict], machine: str) -> str:
    """Return the numbers as a Markdown table."""
    lines = [
        'The embedded world on one core, scenes and files included. Written by `python benchmarks/synthetic_world.py`.',
        f'{machine}.',
        '',
        '| data set | image scale | frames/s per core | must reach | peak memory | files per frame |',
        '|---|---|---|---|---|---|',
    ]
    lines += [
        f'| {row["data_set"]} | {row["image_scale"]} | {row["frames_per_core_second"]:.2f} | {row["goal"]} | '
        f'{row["peak_memory_mb"]:.0f} MB (limit {MEMORY_LIMIT_MB}) | {row["mb_per_frame"]:.2f} MB |'
        for row in rows
    ]
    notes = (
        (
            'A nuScenes frame is a key-frame: six images, its sweep and the nine that lead to it; what must be reached '
            'is for six images and one sweep.'
        ),
        'Seconds are those the process computed; nothing else runs in it.',
    )
    return '\n'.join([*lines, '', *notes]) + '\n'


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, help='write OUT.json and OUT.md')
    parser.add_argument('--row', nargs=3, metavar=('DATA_SET', 'SCALE', 'FRAMES'), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        data_set, scale, frames = args.row
        print(json.dumps(measure(data_set, float(scale), int(frames))))
        return
    rows = []
    for data_set, scale, frames, goal in ROWS:
        rows.append(measure_apart(data_set, scale, frames) | {'goal': goal})
        print(json.dumps(rows[-1]))
    machine = f'{processor()}, {platform.machine()}, one thread'
    text = table(rows, machine)
    print(text)
    if args.out:
        for suffix, content in (
            ('.json', json.dumps({'machine': machine, 'rows': rows}, indent=2) + '\n'),
            ('.md', text),
        ):
            with atomic_path(args.out.with_suffix(suffix)) as temporary:
                temporary.write_text(content)


if __name__ == '__main__':
    main()
