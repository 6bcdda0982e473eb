# MonoSTL (TCSVT 2024): MonoDistill's locations, with features on objects weighed by the student's uncertainty (DASFD) and
# relations between objects by the teacher's (DASRD) instead of the scene's affinity. `channels` follow the backbone.
# `s_log_scale` and `t_log_scale` are what the heads say of the uncertainty of their depths: a map with the log-scale in
# its last channel, or a number per object. Heads that predict a log-variance want param='variance' in both losses.
distill_hooks = [
    dict(type='mono_distill.DistillScheduleHook'),
    dict(type='mono_distill.TeacherCheckHook', metric='KITTI/Car_3D_AP40_moderate_loose'),
]
distill = dict(
    taps=dict(
        s='student:backbone[1:]',
        t='depth:backbone[1:]',
        s_head='student:bbox_head',
        t_head='depth:bbox_head',
        s_log_scale='student:bbox_head[depth]',
        t_log_scale='depth:bbox_head[depth]',
        targets='student:bbox_head.target_encoder',
    ),
    adapters=dict(
        s_fused=dict(type='mono_distill.ReviewFusion', channels=(128, 256, 512), mid_channels=512, inputs='s'),
        s_adapted=dict(type='mono_distill.ConvAdapter', channels=(128, 256, 512), inputs='s_fused'),
    ),
    losses=dict(
        # Its divisor is 10 whatever the batch, and the trainer multiplies by 10.
        feature=dict(
            type='mono_distill.SelectiveFeatureLoss',
            strides=(8, 16, 32),
            weight=10.0,
            inputs=dict(student='s_adapted', teacher='t', log_scale='s_log_scale', targets='targets'),
        ),
        # Shrinks with the square of the objects in the batch of a process; the released training ran twelve images on
        # one GPU. ref_objects keeps its size for other batches.
        relation=dict(
            type='mono_distill.SelectiveRelationLoss',
            strides=(8, 16, 32),
            inputs=dict(student='s_adapted', teacher='t', log_scale='t_log_scale', targets='targets'),
        ),
        response=dict(
            type='mono_distill.MonoDLEResponseLoss', inputs=dict(student='s_head', teacher='t_head', targets='targets')
        ),
    ),
)
