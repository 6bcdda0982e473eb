"""3D boxes for pictures that belong to no data set: no info file, no annotations, only the camera's intrinsics."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from numpy.typing import NDArray
from torch import nn

from mono_distill.apis.inference.detections import Detections, detections_of
from mono_distill.apis.inference.images import ImageSource, Picture, collect_images
from mono_distill.apis.inference.intrinsics import intrinsics_of
from mono_distill.apis.inference.pipeline import InferencePipeline
from mono_distill.apis.inference.view import check_principal_point, check_view
from mono_distill.apis.inference.weights import load_detector_weights
from mono_distill.apis.launch import drop_pretrained, load_config, plain_student
from mono_distill.apis.plain_config import build_detector
from mono_distill.utils.errors import ConfigError

Camera = NDArray[np.float64]


class MonoDistillInferencer:
    """A camera detector with its weights, ready for pictures.

    The picture passes the test pipeline of the config (for this package's models: the isotropic resize to the input
    size) and the detector as in ``mono-distill test``; on frames of a data set both give the same boxes. Detectors that
    need LiDAR depth, points or annotations at test time, such as depth teachers, are refused.

    Depth is learnt for one camera: the network reads it from how large things look, and ``cam2img`` only turns pixels
    into rays. For a camera whose focal length *in input pixels* (fx times input width / picture width) is k times that
    of the training pictures, distances come out at about 1/k of the truth. No warning can tell: configs do not say
    which camera they were trained for.

    Args:
        config: Config file, ``package::path``, or a loaded config; of a detector or of a distillation, of which the
            student is taken.
        checkpoint: ``.pth`` or ``.safetensors`` file, work directory (its last checkpoint) or URL; of the student or of
            the distillation.
        device: ``'cpu'``, ``'cuda:0'``, ...; by default the GPU if there is one.
        batch_size: Pictures per forward pass.
        cfg_options: Overrides of config settings, such as ``{'model.test_cfg.score_thr': 0.1}``.

    Raises:
        ConfigError: The config does not exist, is no camera detector's, or the device is not there.
        CheckpointError: The checkpoint cannot be read or does not fit; the message names the parameters.

    Example:
        ::

            inferencer = MonoDistillInferencer('configs/students/monodle_kitti.py', 'epoch_140.pth')
            for found in inferencer('pictures/*.png', cam2img=(721.5, 721.5, 609.6, 172.9)):
                print(found.name, found.class_names, found.scores, found.bboxes_3d)
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | Config,
        checkpoint: str | os.PathLike[str],
        device: str | torch.device | None = None,
        *,
        batch_size: int = 1,
        cfg_options: dict[str, Any] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f'batch_size must be at least 1, got {batch_size}')
        self.batch_size = batch_size
        self.device = _checked_device(device)
        self.config = detector_config(config, cfg_options)
        self.pipeline = InferencePipeline(self.config)
        self.classes = self.pipeline.classes
        self.model: Any = load_detector(self.config, checkpoint).to(self.device)
        self._warned: set[tuple[int, int]] = set()

    def __call__(self, images: Any, cam2img: Any, *, score_thr: float = 0.0) -> list[Detections]:
        """Detect objects.

        Args:
            images: An image file; a folder; a pattern (``'a/*.png'``); a (H, W, 3) uint8 array, blue-green-red as
                OpenCV reads it; or a sequence of these.
            cam2img: Intrinsics of the *whole, not resized* pictures: 3x3, 3x4 or 4x4 matrix, ``(fx, fy, cx, cy)``,
                ``'fx,fy,cx,cy'``, a JSON or KITTI calibration file, each for all images; a sequence of these, one an
                image; or a folder with a file for each image.
            score_thr: Leave out objects with a lower score (the detector has its own threshold, ``test_cfg``).

        Returns:
            One :class:`~mono_distill.apis.inference.detections.Detections` an image, in the order of the images.

        Raises:
            DataError: An image or intrinsics are missing, damaged or impossible, or the picture's shape has little in
                common with the network's input.
            ShapeError: An array or matrix has the wrong shape.
            NonFiniteError: The network gives NaN or infinity.
        """
        return [found for found, _ in self.stream(images, cam2img, score_thr=score_thr)]

    def stream(self, images: Any, cam2img: Any, *, score_thr: float = 0.0) -> Iterator[tuple[Detections, Picture]]:
        """Yield the detections of one image after another, with the image; see :meth:`__call__`.

        Everything is checked that can be without reading images before the first one is read.
        """
        sources = collect_images(images)
        cameras = intrinsics_of(cam2img, [source.name for source in sources])
        return self._run(sources, cameras, score_thr)

    def _run(
        self, sources: Sequence[ImageSource], cameras: Sequence[Camera], score_thr: float
    ) -> Iterator[tuple[Detections, Picture]]:
        pairs = iter(zip(sources, cameras, strict=True))
        while batch := list(islice(pairs, self.batch_size)):
            pictures = [source.read() for source, _ in batch]
            samples = [
                self._sample(picture, cam2img, source)
                for picture, (source, cam2img) in zip(pictures, batch, strict=True)
            ]
            with torch.no_grad():
                outputs = self.model.test_step(pseudo_collate(samples))
            for output, picture, (source, cam2img) in zip(outputs, pictures, batch, strict=True):
                found = detections_of(
                    output.pred_instances_3d,
                    self.classes,
                    name=source.name,
                    path=source.path,
                    image_size=(picture.shape[1], picture.shape[0]),
                    cam2img=cam2img,
                )
                yield (found.above(score_thr) if score_thr > 0 else found), picture

    def _sample(self, picture: Picture, cam2img: Camera, source: ImageSource) -> dict[str, Any]:
        sample = self.pipeline(picture, cam2img, source)
        size = (picture.shape[1], picture.shape[0])
        warnings = [
            check_view(sample['data_samples'].metainfo, source.shown),
            check_principal_point(cam2img, size, source.shown),
        ]
        # Once for every size: the other pictures of a camera would only repeat it.
        if any(warnings) and size not in self._warned:
            self._warned.add(size)
            for warning in filter(None, warnings):
                logging.getLogger('mono_distill').warning('%s (said once for pictures of this size)', warning)
        return sample


def detector_config(config: str | os.PathLike[str] | Config, options: dict[str, Any] | None = None) -> Config:
    """Load and check the config of a detector; a distillation becomes its plain student.

    Raises:
        ConfigError: It does not exist or names something unknown.
    """
    if isinstance(config, Config):
        loaded = Config(config.to_dict())
        loaded.merge_from_dict(dict(options or {}))
    else:
        loaded = load_config(os.fspath(config), options)
    loaded = plain_student(loaded)
    # A checkpoint replaces ImageNet weights, which may be out of reach on the machine that infers.
    drop_pretrained(loaded.model)
    return loaded


def load_detector(config: Config, checkpoint: str | os.PathLike[str]) -> nn.Module:
    """Build the detector of a config with the weights of a checkpoint, in evaluation mode.

    Raises:
        CheckpointError: The checkpoint cannot be read or does not fit.
    """
    model = build_detector(config)
    load_detector_weights(model, os.fspath(checkpoint))
    return model.eval()


def _checked_device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        checked = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"there is no device '{device}'; use cpu, cuda or cuda:0") from error
    if checked.type == 'cuda' and (not torch.cuda.is_available() or (checked.index or 0) >= torch.cuda.device_count()):
        raise ConfigError(f"device '{device}' is not available: torch sees {torch.cuda.device_count()} GPUs; use cpu")
    return checked
