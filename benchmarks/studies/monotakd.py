# MonoTAKD's ladder on the embedded KITTI world: teacher, assistant, student alone, and the student distilled with each
# of the method's terms. All that are distilled see no labels, as in the paper; `response` is what the teacher's head
# does alone, so the others against it show what their features add.
#
#   mono-distill bench study benchmarks/studies/monotakd.py --work FOLDER --out benchmarks/results/monotakd_ladder
title = 'MonoTAKD on the embedded KITTI world'
metrics = {
    '3D@0.5': 'KITTI/Car_3D_AP40_moderate_loose',
    'BEV@0.5': 'KITTI/Car_BEV_AP40_moderate_loose',
    'BEV@0.7': 'KITTI/Car_BEV_AP40_moderate_strict',
}
seeds = 3
data = [
    'synth kitti --out {work}/data/train --frames 600 --val-share 0.0 --image-scale 0.25 --seed 31 --resume',
    'synth kitti --out {work}/data/test --frames 300 --val-share 0.0 --image-scale 0.25 --seed 32 --resume',
    'prepare kitti --root {work}/data/train',
    'prepare kitti --root {work}/data/test',
]
_epochs, _base_epochs = 3, 12
options = {
    'train_dataloader.dataset.times': 1,
    'train_dataloader.dataset.dataset.data_root': '{work}/data/train',
    'train_dataloader.dataset.dataset.ann_file': 'kitti_infos_trainval.pkl',
    'train_dataloader.dataset.dataset.image_scale': 0.25,
    'test_dataloader.dataset.data_root': '{work}/data/test',
    'test_dataloader.dataset.ann_file': 'kitti_infos_trainval.pkl',
    'test_dataloader.dataset.image_scale': 0.25,
    'test_evaluator.ann_file': '{work}/data/test/kitti_infos_trainval.pkl',
    'test_evaluator.image_scale': 0.25,
    'test_evaluator.repeat': 1,
    'train_cfg.max_epochs': _epochs,
    'param_scheduler.1.end': _epochs,
}
_distillation = dict(
    config='mono_distill::monotakd_tiny_kitti.py',
    start='base',
    teachers=dict(lidar='teacher', assistant='assistant'),
    against=['control', 'response'],
)
trainings = dict(
    teacher=dict(
        title='teacher: PointPillars', config='mono_distill::teachers/pointpillars_tiny_bev_kitti.py', shared=True
    ),
    base=dict(
        title='student before they part',
        config='mono_distill::students/caddn_tiny_kitti.py',
        options={'train_cfg.max_epochs': _base_epochs, 'param_scheduler.1.end': _base_epochs},
    ),
    assistant=dict(
        title='assistant: that student, told the depth',
        config='mono_distill::assistants/caddn_tiny_lidar_kitti.py',
        start='base',
    ),
    control=dict(
        title='control: student trained on with labels',
        config='mono_distill::students/caddn_tiny_kitti.py',
        start='base',
    ),
    response=dict(
        _distillation,
        title="response: the teacher's head alone",
        losses=['response'],
        teachers=dict(lidar='teacher'),
        against=['control'],
    ),
    imd=dict(_distillation, title='response and IMD', losses=['imd', 'response']),
    cmrd=dict(_distillation, title='response and CMRD', losses=['cmrd', 'response']),
    monotakd=dict(_distillation, title='MonoTAKD: response, IMD and CMRD', against=['control', 'response', 'cmkd']),
    labels=dict(
        _distillation,
        title='MonoTAKD and the labels',
        options={'model.student.supervised': True},
        against=['control', 'monotakd'],
    ),
    cmkd=dict(
        _distillation,
        title='straight from the teacher: response and L2 to its map',
        losses=['feature', 'response'],
        teachers=dict(lidar='teacher'),
        options={
            'model.losses.feature': dict(
                type='mono_distill.FeatureMSELoss', weight=1.0, inputs=dict(student='s_visual', teacher='t_bev')
            ),
        },
    ),
)
