# STXD on the embedded nuScenes world: CenterPoint teacher, BEVDepth student, each of the method's terms alone and all
# together, and the three neighbours that have configs here. Tested on the devkit's validation scenes.
#
#   mono-distill bench study benchmarks/studies/stxd.py --work FOLDER --out benchmarks/results/stxd_ladder
title = 'STXD on the embedded nuScenes world'
metrics = {'mAP': 'NuScenes/mAP', 'NDS': 'NuScenes/NDS', 'mATE': 'NuScenes/mATE', 'mAOE': 'NuScenes/mAOE'}
compared = ['mAP', 'NDS']
scalars = {'d_eff student': 'kd_cd_student_dim', 'd_eff teacher': 'kd_cd_teacher_dim'}
seeds = 3
data = [
    'synth nuscenes --out {work}/data --scenes 50 --keyframes 6 --image-scale 0.25 --seed 11 --resume',
    'prepare nuscenes --root {work}/data',
]
_base_epochs, _arm_epochs, _teacher_epochs = 16, 4, 8
options = {
    'train_dataloader.dataset.data_root': '{work}/data',
    'test_dataloader.dataset.data_root': '{work}/data',
    **{
        f'test_evaluator.{key}': value
        for key, value in {'data_root': '{work}/data', 'version': 'v1.0-trainval'}.items()
    },
    'train_cfg.max_epochs': _arm_epochs,
    'param_scheduler.1.end': _arm_epochs,
}
_distillation = dict(
    config='mono_distill::stxd_bevdepth_tiny_nus.py',
    start='base',
    teachers=dict(lidar='teacher'),
    against=['control'],
)
# Correlation does nothing in these two but log the effective dimensions.
_log_only = {'model.losses.cd.weight': 0.0}
trainings = dict(
    teacher=dict(
        title='teacher: CenterPoint',
        config='mono_distill::teachers/centerpoint_tiny_nus.py',
        shared=True,
        options={'train_cfg.max_epochs': _teacher_epochs, 'param_scheduler.1.end': _teacher_epochs},
    ),
    base=dict(
        title='student before they part',
        config='mono_distill::students/bevdepth_tiny_nus.py',
        options={'train_cfg.max_epochs': _base_epochs, 'param_scheduler.1.end': _base_epochs},
    ),
    control=dict(
        title='control: student trained on', config='mono_distill::students/bevdepth_tiny_nus.py', start='base'
    ),
    told=dict(
        title="student told the LiDAR's depth, also in the test",
        config='mono_distill::assistants/bevdepth_tiny_lidar_nus.py',
        start='base',
        against=['control'],
    ),
    stxd=dict(_distillation, title='STXD: CD, TD and RD'),
    stxd_5=dict(
        _distillation,
        title='STXD with five times the weights',
        options={'model.losses.cd.weight': 0.1, 'model.losses.td.weight': 2.5, 'model.losses.rd.weight': 1.25},
    ),
    cd=dict(_distillation, title='CD alone', losses=['cd']),
    td=dict(_distillation, title='TD alone', losses=['cd', 'td'], options=_log_only),
    rd=dict(_distillation, title='RD alone', losses=['cd', 'rd'], options=_log_only),
    bevdistill=dict(_distillation, title='BEVDistill', config='mono_distill::bevdistill_bevdepth_tiny_nus.py'),
    distillbev=dict(_distillation, title='DistillBEV', config='mono_distill::distillbev_bevdepth_tiny_nus.py'),
    unidistill=dict(_distillation, title='UniDistill', config='mono_distill::unidistill_bevdepth_tiny_nus.py'),
)
