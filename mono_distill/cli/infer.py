"""``mono-distill infer``: 3D boxes for pictures, from a checkpoint and the camera's intrinsics alone."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mono_distill.cli.long_runs import INTERRUPTED, termination_as_interrupt
from mono_distill.cli.options import add_cfg_options
from mono_distill.utils.errors import ConfigError

if TYPE_CHECKING:
    from mono_distill.apis.inference.outputs import DetectionWriter

TEXT = """\
Detects objects in pictures that belong to no data set. Writes OUT/kitti/NAME.txt (KITTI's result format),
OUT/detections.json, OUT/overlay/NAME.png (boxes on the picture) and OUT/bev/NAME.png (from above). Needs no display.
The intrinsics are those of the whole pictures as they are on disk.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = TEXT
    parser.add_argument('config', help='config file, or package::path; of a camera detector or of a distillation')
    parser.add_argument('checkpoint', help='checkpoint (.pth, .safetensors) or work directory; of either')
    parser.add_argument('images', nargs='+', metavar='IMAGE', help="image file, folder, or pattern such as 'a/*.png'")
    parser.add_argument(
        '--cam2img',
        required=True,
        metavar='CAMERA',
        help='fx,fy,cx,cy in pixels; a JSON file with a 3x3 or 3x4 matrix; a KITTI calibration (P2); or a folder with '
        'NAME.txt or NAME.json for every image NAME.png',
    )
    parser.add_argument('--out', type=Path, help='folder (default: <work_dir>/infer)')
    parser.add_argument(
        '--score-thr', type=float, default=0.0, help="leave out lower scores (default: only the detector's threshold)"
    )
    parser.add_argument('--batch-size', type=int, default=1, help='pictures per forward pass (default: %(default)s)')
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ... (default: the GPU if there is one)')
    parser.add_argument('--no-pictures', action='store_true', help='write text and JSON only')
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> int:
    """Detect; return 0, or 130 if it was interrupted."""
    from tqdm import tqdm

    from mono_distill.apis.inference.images import check_names, collect_images
    from mono_distill.apis.inference.intrinsics import intrinsics_of
    from mono_distill.apis.inference.outputs import DetectionWriter
    from mono_distill.apis.inferencer import MonoDistillInferencer

    if args.score_thr < 0:
        raise ConfigError(f'--score-thr must be at least 0, got {args.score_thr}')
    # Before the model is built, which takes seconds.
    sources = collect_images(args.images)
    check_names(sources)
    cameras = intrinsics_of(args.cam2img, [source.name for source in sources])
    inferencer = MonoDistillInferencer(
        args.config, args.checkpoint, args.device, batch_size=args.batch_size, cfg_options=args.cfg_options
    )
    writer = DetectionWriter(args.out or Path(inferencer.config.work_dir) / 'infer', pictures=not args.no_pictures)
    start = time.monotonic()
    try:
        with termination_as_interrupt():
            found = inferencer.stream([source.path for source in sources], cameras, score_thr=args.score_thr)
            # disable=None: no bar where the output is not a terminal.
            for detections, picture in tqdm(found, total=len(sources), unit='image', desc='infer', disable=None):
                writer.write(detections, picture)
    except KeyboardInterrupt:
        print(f'interrupted; the files in {writer.out} are whole, {writer.out}/detections.json was not written anew')
        return INTERRUPTED
    writer.finish({'config': args.config, 'checkpoint': args.checkpoint, 'classes': list(inferencer.classes)})
    _report(writer, len(sources), time.monotonic() - start)
    return 0


def _report(writer: DetectionWriter, images: int, seconds: float) -> None:
    counts, out = writer.counts, writer.out
    per_class = ', '.join(f'{count} {name}' for name, count in counts.most_common()) or 'no object'
    print(f'{images} images, {sum(counts.values())} objects ({per_class}) in {out} ({seconds:.1f} s)')
    others = writer.strangers()
    if others:
        print(f'{out} also holds the results of {len(others)} other images from earlier, {others[0].name} first')
