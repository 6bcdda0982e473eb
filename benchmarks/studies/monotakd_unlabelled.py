# Frames without labels: 120 of 600 frames are labelled, teacher, assistant and student are trained on those, and the
# student is distilled on the same 120 or on all 600 frames. Distillation reads no label in either case.
#
#   mono-distill bench study benchmarks/studies/monotakd_unlabelled.py --work FOLDER --out FOLDER/table
_base_ = './monotakd.py'
title = 'MonoTAKD with 120 labelled and 480 unlabelled frames of the embedded KITTI world'
_base_epochs = 6
_labelled = {
    'train_dataloader.dataset.times': 5,
    'train_dataloader.dataset.dataset.indices': 120,
}
_unlabelled = {
    'train_dataloader.dataset.times': 1,
    'train_dataloader.dataset.dataset.labelled': False,
}
_distillation = dict(
    config='mono_distill::monotakd_tiny_kitti.py',
    start='base',
    teachers=dict(lidar='teacher', assistant='assistant'),
)
trainings = dict(
    _delete_=True,
    teacher=dict(
        title='teacher: PointPillars',
        config='mono_distill::teachers/pointpillars_tiny_bev_kitti.py',
        shared=True,
        options=_labelled,
    ),
    base=dict(
        title='student before they part',
        config='mono_distill::students/caddn_tiny_kitti.py',
        options={**_labelled, 'train_cfg.max_epochs': _base_epochs, 'param_scheduler.1.end': _base_epochs},
    ),
    assistant=dict(
        title='assistant: that student, told the depth',
        config='mono_distill::assistants/caddn_tiny_lidar_kitti.py',
        start='base',
        options=_labelled,
    ),
    control=dict(
        title='control: student trained on with its labels',
        config='mono_distill::students/caddn_tiny_kitti.py',
        start='base',
        options=_labelled,
    ),
    labelled=dict(_distillation, title='MonoTAKD on the labelled frames alone', options=_labelled, against=['control']),
    unlabelled=dict(
        _distillation, title='MonoTAKD on all frames', options=_unlabelled, against=['control', 'labelled']
    ),
)
