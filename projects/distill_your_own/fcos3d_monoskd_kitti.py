# MonoSKD on FCOS3D. Train these two first:
#   mono-distill train projects/distill_your_own/fcos3d_depth_kitti.py
#   mono-distill train projects/distill_your_own/fcos3d_kitti.py
_base_ = './fcos3d_kitti.py'
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=_base_.model,
    teachers=dict(
        depth=dict(config='{{fileDirname}}/fcos3d_depth_kitti.py', checkpoint='work_dirs/fcos3d_depth_kitti'),
    ),
    taps=dict(
        # The three finest levels of the feature pyramid, strides 8 to 32.
        s='student:neck[:3]',
        t='depth:neck[:3]',
        # The head's depth branch runs once a level; what FCOS3D makes of it differs between training and evaluation.
        s_depth=dict(path='student:bbox_head.conv_regs.1', call='all'),
        t_depth=dict(path='depth:bbox_head.conv_regs.1', call='all'),
    ),
    targets=dict(objects=dict(type='mono_distill.GTBoxes', stride=8, inputs='data_samples')),
    adapters=dict(s_adapted=dict(type='mono_distill.ConvAdapter', channels=(256, 256, 256), inputs='s')),
    losses=dict(
        spearman=dict(type='mono_distill.SpearmanLoss', form='released', inputs=dict(student='s_adapted', teacher='t')),
        affinity=dict(
            type='mono_distill.SceneAffinityLoss', ref_batch=4, inputs=dict(student='s_adapted', teacher='t')
        ),
        # The head's part: what both say inside the annotated boxes.
        response=dict(
            type='mono_distill.ForegroundL2Loss',
            strides=(8, 16, 32, 64, 128),
            inputs=dict(student='s_depth', teacher='t_depth', targets='objects'),
        ),
    ),
)
train_dataloader = dict(
    dataset=dict(pipeline=[dict(type='mono_distill.WithDepthMap', transforms=_base_.train_pipeline)])
)
# The check of the teacher evaluates it on the validation frames, so these have depth maps too.
val_dataloader = dict(dataset=dict(pipeline=[dict(type='mono_distill.WithDepthMap', transforms=_base_.test_pipeline)]))
custom_hooks = [dict(type='mono_distill.TeacherCheckHook', metric='KITTI/Car_3D_AP40_moderate_loose')]
load_from = 'work_dirs/fcos3d_kitti'
