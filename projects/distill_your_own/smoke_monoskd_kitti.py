# MonoSKD on mmdet3d's SMOKE. Train these two first:
#   mono-distill train projects/distill_your_own/smoke_depth_kitti.py
#   mono-distill train mmdet3d::smoke/smoke_dla34_dlaneck_gn-all_4xb8-6x_kitti-mono3d.py
_base_ = 'mmdet3d::smoke/smoke_dla34_dlaneck_gn-all_4xb8-6x_kitti-mono3d.py'
custom_imports = dict(imports=['mono_distill'], allow_failed_imports=False)
randomness = dict(seed=444)
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=_base_.model,
    teachers=dict(
        depth=dict(config='{{fileDirname}}/smoke_depth_kitti.py', checkpoint='work_dirs/smoke_depth_kitti'),
    ),
    taps=dict(
        # The four levels of the neck's upsampling path (strides 4 to 32), and the regression of the head.
        s='student:neck.dla_up',
        t='depth:neck.dla_up',
        s_boxes='student:bbox_head[1]',
        t_boxes='depth:bbox_head[1]',
    ),
    targets=dict(objects=dict(type='mono_distill.GTBoxes', inputs='data_samples')),
    adapters=dict(s_adapted=dict(type='mono_distill.ConvAdapter', channels=(64, 128, 256, 512), inputs='s')),
    losses=dict(
        spearman=dict(type='mono_distill.SpearmanLoss', form='released', inputs=dict(student='s_adapted', teacher='t')),
        affinity=dict(
            type='mono_distill.SceneAffinityLoss', ref_batch=4, inputs=dict(student='s_adapted', teacher='t')
        ),
        # The head's part: what both say inside the annotated boxes.
        response=dict(
            type='mono_distill.ForegroundL2Loss',
            strides=(4,),
            inputs=dict(student='s_boxes', teacher='t_boxes', targets='objects'),
        ),
    ),
)
train_dataloader = dict(
    dataset=dict(pipeline=[dict(type='mono_distill.WithDepthMap', transforms=_base_.train_pipeline)])
)
# The check of the teacher evaluates it on the validation frames, so these have depth maps too.
val_dataloader = dict(dataset=dict(pipeline=[dict(type='mono_distill.WithDepthMap', transforms=_base_.test_pipeline)]))
val_evaluator = dict(_delete_=True, type='mono_distill.KittiMonoMetric', ann_file='data/kitti/kitti_infos_val.pkl')
test_evaluator = val_evaluator
custom_hooks = [dict(type='mono_distill.TeacherCheckHook', metric='KITTI/Car_3D_AP40_moderate_loose')]
load_from = 'work_dirs/smoke_dla34_dlaneck_gn-all_4xb8-6x_kitti-mono3d'
