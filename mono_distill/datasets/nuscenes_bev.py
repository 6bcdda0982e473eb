"""nuScenes key-frames with six cameras, LiDAR sweeps and the key-frames before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdet3d.structures import Box3DMode, LiDARInstance3DBoxes
from mmengine.dataset import BaseDataset, force_full_init

from mono_distill.datasets.nuscenes.annotations import is_valid, parse_instances
from mono_distill.datasets.nuscenes.classes import CAMERAS, LIDAR, NUSCENES_CLASSES
from mono_distill.datasets.nuscenes.reader import PREPARE, InfoStore, normalized, past_positions, read_info_file
from mono_distill.datasets.reproducible import ReproducibleSamples
from mono_distill.registry import DATASETS
from mono_distill.utils.errors import ConfigError, DataError

DATA_PREFIX = {
    'pts': f'samples/{LIDAR}',
    'sweeps': f'sweeps/{LIDAR}',
    **{camera: f'samples/{camera}' for camera in CAMERAS},
}


@DATASETS.register_module()
class NuScenesBEVDataset(ReproducibleSamples, BaseDataset):
    """nuScenes from the infos that ``mono-distill prepare nuscenes`` writes, for detectors in the LiDAR frame.

    Every sample is in the frame of its own key-frame's LiDAR: x right, y forward, z up, metres. Earlier key-frames of
    the same scene come along in ``past``; they are found in the whole file, whatever ``indices``, a filter or a
    balancing wrapper left out. Samples are reproducible, see
    :class:`mono_distill.datasets.reproducible.ReproducibleSamples`. Infos written by mmdet3d 1.x load as well; they
    have no links to earlier key-frames.

    Keys handed to the pipeline: ``sample_idx`` (position in the info file), ``token, scene_token, scene_name,
    frame_idx, timestamp`` (seconds), ``ego2global, lidar2ego`` (4x4 float64), ``lidar_points, lidar_path,
    num_pts_feats, lidar_sweeps, images`` (by camera: ``img_path, cam2img, lidar2cam``), ``img_path, past`` (a list of
    the same keys of earlier key-frames, None before the scene's start), ``box_type_3d, box_mode_3d, classes`` and
    ``ann_info`` with ``gt_bboxes_3d`` (``LiDARInstance3DBoxes`` with velocity) and ``gt_labels_3d``.

    Args:
        ann_file: Info file, relative to ``data_root``.
        data_root: nuScenes root.
        pipeline: Transforms.
        data_prefix: Folders of the key-frames' scans (``pts``), sweeps (``sweeps``) and images (by camera), relative
            to ``data_root``.
        num_past: Earlier key-frames in ``past``. None: as many as the transforms of the pipeline ask for
            (``LoadMultiViewImages(num_frames=...)``, ``LoadLidarSweeps(num_past=...)``).
        use_valid_flag: Keep boxes that the LiDAR or the radar measured; else those that the LiDAR measured.
        filter_empty_gt: Leave out key-frames without a box (not in ``test_mode``).
        labelled: Whether the annotations may be seen. ``False`` hides them: frames for distillation without labels.
        metainfo: As for mmengine's ``BaseDataset``; ``classes`` selects and orders the classes.
        kwargs: Further arguments of ``BaseDataset`` (``test_mode``, ``indices``, ``lazy_init`` ...).

    Raises:
        ConfigError: A class name is unknown, ``num_past`` is negative, or annotations are loaded and hidden at once.
        DataError: The info file is missing, unreadable, has another format, or lacks the links that ``num_past`` needs.
    """

    METAINFO = {
        'classes': NUSCENES_CLASSES,
        'box_type_3d': 'LiDAR',
        # The colours of the devkit, in the order of the classes.
        'palette': [
            (255, 158, 0),
            (255, 99, 71),
            (233, 150, 70),
            (255, 69, 0),
            (255, 140, 0),
            (112, 128, 144),
            (255, 61, 99),
            (220, 20, 60),
            (0, 0, 230),
            (47, 79, 79),
        ],
    }

    def __init__(
        self,
        ann_file: str = '',
        data_root: str = '',
        *,
        pipeline: Sequence[Any] = (),
        data_prefix: Mapping[str, str] | None = None,
        num_past: int | None = None,
        use_valid_flag: bool = True,
        filter_empty_gt: bool = False,
        labelled: bool = True,
        metainfo: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if num_past is not None and num_past < 0:
            raise ConfigError(f'NuScenesBEVDataset: num_past must not be negative, got {num_past}')
        self.use_valid_flag = use_valid_flag
        self.filter_empty_gt = filter_empty_gt
        self.labelled = labelled
        self._num_past = num_past
        self._infos = InfoStore([])
        lazy = kwargs.pop('lazy_init', False)
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            pipeline=list(pipeline),
            data_prefix={**DATA_PREFIX, **(data_prefix or {})},
            metainfo=metainfo,
            lazy_init=True,
            **kwargs,
        )
        # The pipeline says how many earlier key-frames are needed, and it is built last.
        if not lazy:
            self.full_init()

    @property
    def num_past(self) -> int:
        """Earlier key-frames that come with a sample."""
        if self._num_past is not None:
            return self._num_past
        return max((getattr(step, 'past_keyframes', 0) for step in self.pipeline.transforms), default=0)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the info file; return the position and the classes of every key-frame.

        Raises:
            DataError: The file is missing, cannot be read, has another format, or has no links and needs them.
        """
        metainfo, infos = read_info_file(self.ann_file, self.data_root)
        for key, value in metainfo.items():
            self._metainfo.setdefault(key, value)
        labels = self._label_of_category()
        try:
            entries = [{'position': i, 'labels': self._labels(info, labels)} for i, info in enumerate(infos)]
            normalized(infos[0], self.data_prefix)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._malformed(error) from error
        self._infos = InfoStore(infos)
        past_positions(self._infos, 0, self.num_past, self.ann_file)
        return entries

    def _labels(self, info: Mapping[str, Any], label_of_category: Mapping[int, int]) -> tuple[int, ...]:
        """Return the labels that a key-frame has boxes of."""
        found = {
            label_of_category[item['bbox_label_3d']]
            for item in info.get('instances', ())
            if item['bbox_label_3d'] in label_of_category and is_valid(item, use_valid_flag=self.use_valid_flag)
        }
        return tuple(sorted(found))

    def _label_of_category(self) -> dict[int, int]:
        """Map numbers of the info file to positions in ``metainfo['classes']``."""
        categories, classes = self._metainfo['categories'], self._metainfo['classes']
        unknown = [name for name in classes if categories.get(name, -1) < 0]
        if unknown:
            raise ConfigError(f'{self.ann_file} knows no class {", ".join(unknown)}; it has {", ".join(categories)}')
        return {categories[name]: label for label, name in enumerate(classes)}

    def _malformed(self, error: Exception, token: str = '') -> DataError:
        entry = f'the entry of key-frame {token}' if token else 'an entry'
        return DataError(
            f'{self.ann_file}: {entry} is not a nuScenes info of mmdet3d 1.x ({error!r}); run '
            f'{PREPARE.format(root=self.data_root or "DIR")} again'
        )

    def filter_data(self) -> list[dict[str, Any]]:
        """Leave out key-frames without boxes if that is asked for."""
        if self.test_mode or not self.filter_empty_gt:
            return self.data_list
        return [entry for entry in self.data_list if entry['labels']]

    @force_full_init
    def get_cat_ids(self, idx: int) -> set[int]:
        """Return the labels that key-frame ``idx`` has boxes of; wrappers balance the classes by them."""
        return set(super().get_data_info(idx)['labels'])

    @force_full_init
    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return the input of the pipeline for key-frame ``idx``.

        Raises:
            DataError: The entry lacks a field, or the links of the file lead astray.
        """
        position = super().get_data_info(idx)['position']
        info = self._infos[position]
        before = past_positions(self._infos, position, self.num_past, self.ann_file)
        try:
            sample = normalized(info, self.data_prefix)
            sample['past'] = [
                None if other is None else normalized(self._infos[other], self.data_prefix) for other in before
            ]
            if 'instances' in info and self.labelled:
                sample['ann_info'] = parse_instances(
                    info['instances'], self._label_of_category(), use_valid_flag=self.use_valid_flag
                )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._malformed(error, str(info.get('token', position))) from error
        sample |= {'sample_idx': position, 'classes': tuple(self._metainfo['classes'])}
        return sample | {'box_type_3d': LiDARInstance3DBoxes, 'box_mode_3d': Box3DMode.LIDAR}

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline on key-frame ``idx``.

        Raises:
            ConfigError: The pipeline loads annotations, and there are none or they are hidden.
            DataError: The pipeline returned nothing; mmengine would silently take another key-frame instead.
        """
        info = self.get_data_info(idx)
        if 'ann_info' not in info:
            self._refuse_annotations(info['token'])
        sample = self.pipeline(info)
        if sample is None:
            raise DataError(
                f'the pipeline returned nothing for key-frame {info["token"]} (index {idx}) of {self.ann_file}'
            )
        return sample

    def _refuse_annotations(self, token: str) -> None:
        loaders = [type(step).__name__ for step in self.pipeline.transforms if 'Annotations' in type(step).__name__]
        if loaders:
            reason = 'has none (a test split)' if self.labelled else 'hides them (labelled=False)'
            raise ConfigError(
                f'{loaders[0]} loads annotations of key-frame {token}, and {self.ann_file} {reason}; '
                f'drop {loaders[0]} and the filters of objects from the pipeline'
            )
