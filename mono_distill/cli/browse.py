"""``mono-distill browse``: draw the samples a config trains on, as the network gets them."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mono_distill.cli.options import add_cfg_options
from mono_distill.utils.errors import ConfigError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file, or package::path; a distillation config shows its own data')
    parser.add_argument('--out', type=Path, help='folder for the pictures (default: <work_dir>/browse_<split>)')
    parser.add_argument('--num', type=int, default=8, help='draw samples 0 to NUM - 1 (default: %(default)s)')
    parser.add_argument('--split', choices=['train', 'val'], default='train', help='whose dataloader to read')
    parser.add_argument('--seed', type=int, default=0, help='seed of the augmentations (default: %(default)s)')
    add_cfg_options(parser)
    parser.add_argument('--epoch', type=int, default=0, help='epoch whose augmentations to draw (default: %(default)s)')
    parser.add_argument(
        '--detector',
        action='append',
        nargs=3,
        default=[],
        metavar=('NAME', 'CONFIG', 'CHECKPOINT'),
        help='multi-view only: draw what this detector finds and its map seen from above; repeat it to compare a '
        'teacher and a student (the pipeline must load what both need)',
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.2, help='leave out lower scores of detectors (default: %(default)s)'
    )


def run(args: argparse.Namespace) -> int:
    """Write one picture per sample, named after its index and frame."""
    from mono_distill.apis.launch import load_config
    from mono_distill.visualization.picture import write_picture

    if args.num < 1:
        raise ConfigError(f'--num must be at least 1, got {args.num}')
    config = load_config(args.config, args.cfg_options)
    out = args.out or Path(config.work_dir) / f'browse_{args.split}'
    dataset = build_dataset(config, args.split, seed=args.seed, epoch=args.epoch)
    detectors = load_detectors(args.detector)
    count = min(args.num, len(dataset))
    for index in range(count):
        sample = dataset[index]
        metainfo = sample['data_samples'].metainfo if 'data_samples' in sample else {}
        frame = metainfo.get('sample_id', metainfo.get('token', ''))
        picture = draw(sample, dataset.metainfo.get('classes'), detectors, score_thr=args.score_thr)
        write_picture(out / f'{index:06d}_{frame}.png', picture)
    print(f'{count} pictures of {args.split} samples (of {len(dataset)}) in {out}')
    return 0


def build_dataset(config: Any, split: str, *, seed: int, epoch: int) -> Any:
    """Build the data set of a split; the config is not changed.

    Pipelines that load no annotations (those for testing) get them added, so that boxes can be drawn; the samples stay
    what they are otherwise.

    Raises:
        ConfigError: The config has no data loader for the split.
    """
    from mmengine.registry import init_default_scope

    from mono_distill.hooks.loops import reproducible_parts
    from mono_distill.registry import DATASETS

    loader = config.get(f'{split}_dataloader')
    if loader is None:
        raise ConfigError(f'the config has no {split}_dataloader')
    init_default_scope(config.get('default_scope', 'mmdet3d'))
    options = copy.deepcopy(loader['dataset'])
    _add_annotations(options)
    dataset = DATASETS.build(options)
    for part in reproducible_parts(dataset):
        part.set_seed(seed)
        part.set_epoch(epoch)
    return dataset


def load_detectors(wanted: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Build detectors with their weights.

    Args:
        wanted: Name, config and checkpoint of each.

    Raises:
        ConfigError: Two have the same name, or a config names something unknown.
        CheckpointError: A checkpoint does not fit.
    """
    from mono_distill.apis.inferencer import detector_config, load_detector

    names = [name for name, _, _ in wanted]
    if len(set(names)) != len(names):
        raise ConfigError(f'detectors need different names, got {names}')
    return {name: load_detector(detector_config(config), checkpoint) for name, config, checkpoint in wanted}


def draw(
    sample: dict[str, Any], classes: Any, detectors: Mapping[str, Any] | None = None, *, score_thr: float = 0.2
) -> Any:
    """Draw one packed sample.

    Args:
        sample: ``inputs`` and ``data_samples``.
        classes: Names of the labels.
        detectors: Name and model of what is to be drawn into multi-view samples.
        score_thr: Boxes of detectors below this score are left out.

    Raises:
        ConfigError: The pipeline packs neither single-camera nor multi-view samples, or there are detectors for
            single-camera samples.
    """
    from mono_distill.datasets.kitti.velodyne import read_velodyne
    from mono_distill.visualization.sample import draw_sample, points_in_camera

    inputs = sample.get('inputs', {})
    if getattr(inputs.get('imgs'), 'ndim', 0) == 5:
        return _draw_multi_view(sample, classes, detectors or {}, score_thr)
    if detectors:
        raise ConfigError('--detector draws into multi-view samples only; `mono-distill test --show-dir` draws others')
    if getattr(inputs.get('img'), 'ndim', 0) != 3 or 'cam2img' not in sample['data_samples'].metainfo:
        raise ConfigError(
            'browse draws single-camera samples packed by mono_distill.PackMono3DInputs and multi-view samples of '
            f'mono_distill.PackBEVInputs; this pipeline gives inputs {sorted(inputs)}'
        )
    metainfo = sample['data_samples'].metainfo
    lidar_path = metainfo.get('lidar_path')
    points = None
    if lidar_path and Path(lidar_path).is_file():
        points = points_in_camera(read_velodyne(lidar_path), metainfo)
    return draw_sample(
        inputs['img'], sample['data_samples'], depth_map=inputs.get('depth_map'), points=points, classes=classes
    )


def _draw_multi_view(sample: dict[str, Any], classes: Any, detectors: Mapping[str, Any], score_thr: float) -> Any:
    from mono_distill.visualization.detect import detect
    from mono_distill.visualization.multi_view_sample import draw_multi_view_sample

    inputs = sample['inputs']
    found = {name: detect(model, sample, score_thr) for name, model in detectors.items()}
    return draw_multi_view_sample(
        inputs['imgs'],
        sample['data_samples'],
        points=inputs.get('points'),
        detections={name: boxes for name, (boxes, _) in found.items()} or None,
        features={name: bev for name, (_, bev) in found.items() if bev is not None} or None,
        gt_depth=None if found else inputs.get('gt_depth'),
        classes=classes,
    )


# Data set, the loader that every pipeline of it starts with, and the loader of annotations that may be missing.
_LOADERS = (
    ('KittiMonoDataset', 'LoadMonoImage', dict(type='mono_distill.LoadMonoKittiAnnotations')),
    (
        'NuScenesBEVDataset',
        'LoadMultiViewImages',
        dict(type='LoadAnnotations3D', with_bbox_3d=True, with_label_3d=True),
    ),
)


def _add_annotations(options: Any) -> None:
    """Insert the annotation loader after the image loader where a pipeline lacks it; changes ``options``."""
    for inner in [options.get('dataset'), *options.get('datasets', [])]:
        if inner is not None:
            _add_annotations(inner)
    for dataset, images, loader in _LOADERS:
        if not str(options.get('type', '')).endswith(dataset):
            continue
        names = [_name(step) for step in options.get('pipeline', [])]
        if images in names and _name(loader) not in names:
            options['pipeline'].insert(names.index(images) + 1, dict(loader))


def _name(step: Any) -> str:
    return str(step['type']).rpartition('.')[2]
