# MonoSTL on mmdet3d's PGD, which predicts the uncertainty of its depth: objects count as in the paper. First:
#   mono-distill train projects/distill_your_own/pgd_depth_kitti.py
#   mono-distill train mmdet3d::pgd/pgd_r101-caffe_fpn_head-gn_4xb3-4x_kitti-mono3d.py
_base_ = 'mmdet3d::pgd/pgd_r101-caffe_fpn_head-gn_4xb3-4x_kitti-mono3d.py'
custom_imports = dict(imports=['mono_distill'], allow_failed_imports=False)
randomness = dict(seed=444)
log_scale = dict(
    type='mono_distill.ObjectLogScale',
    strides=_base_.model.bbox_head.strides,
    regress_ranges=_base_.model.bbox_head.regress_ranges,
)
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=_base_.model,
    teachers=dict(depth=dict(config='{{fileDirname}}/pgd_depth_kitti.py', checkpoint='work_dirs/pgd_depth_kitti')),
    taps=dict(
        # Strides 8 to 32 of the pyramid; the head's fifth output is the location-aware weight, a log-scale of depth.
        s='student:neck[1:]',
        t='depth:neck[1:]',
        s_weight='student:bbox_head[4]',
        t_weight='depth:bbox_head[4]',
    ),
    targets=dict(
        objects=dict(type='mono_distill.GTBoxes', inputs='data_samples'),
        s_sigma=dict(log_scale, inputs=dict(maps='s_weight', targets='objects')),
        t_sigma=dict(log_scale, inputs=dict(maps='t_weight', targets='objects')),
    ),
    adapters=dict(s_adapted=dict(type='mono_distill.ConvAdapter', channels=(256, 256, 256), inputs='s')),
    losses=dict(
        dasfd=dict(
            type='mono_distill.SelectiveFeatureLoss',
            weight=10,
            inputs=dict(student='s_adapted', teacher='t', log_scale='s_sigma', targets='objects'),
        ),
        dasrd=dict(
            type='mono_distill.SelectiveRelationLoss',
            ref_objects=80,  # as many as the 12 images of the released training hold, whatever the batch
            inputs=dict(student='s_adapted', teacher='t', log_scale='t_sigma', targets='objects'),
        ),
    ),
)
train_dataloader = dict(
    dataset=dict(pipeline=[dict(type='mono_distill.WithDepthMap', transforms=_base_.train_pipeline)])
)
val_dataloader = dict(dataset=dict(pipeline=[dict(type='mono_distill.WithDepthMap', transforms=_base_.test_pipeline)]))
val_evaluator = dict(_delete_=True, type='mono_distill.KittiMonoMetric', ann_file='data/kitti/kitti_infos_val.pkl')
test_evaluator = val_evaluator
custom_hooks = [dict(type='mono_distill.TeacherCheckHook', metric='KITTI/Car_3D_AP40_moderate_loose')]
load_from = 'work_dirs/pgd_r101-caffe_fpn_head-gn_4xb3-4x_kitti-mono3d'
