# MonoDistill (ICLR 2022): features on objects, affinity of the scene, and the heads' responses. The student's backbone is
# fused from coarse to fine (review fusion) before it is compared with the teacher's, on the levels of strides 8 to 32.
# `channels` follow the backbone.
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
        targets='student:bbox_head.target_encoder',
    ),
    adapters=dict(
        s_fused=dict(type='mono_distill.ReviewFusion', channels=(128, 256, 512), mid_channels=512, inputs='s'),
        s_adapted=dict(type='mono_distill.ConvAdapter', channels=(128, 256, 512), inputs='s_fused'),
    ),
    losses=dict(
        # The released training ran six images a GPU, and these two terms shrink with that number.
        feature=dict(
            type='mono_distill.ForegroundL2Loss',
            strides=(8, 16, 32),
            ref_batch=6,
            weight=10.0,
            inputs=dict(student='s_adapted', teacher='t', targets='targets'),
        ),
        affinity=dict(
            type='mono_distill.SceneAffinityLoss', ref_batch=6, inputs=dict(student='s_adapted', teacher='t')
        ),
        response=dict(
            type='mono_distill.MonoDLEResponseLoss', inputs=dict(student='s_head', teacher='t_head', targets='targets')
        ),
    ),
)
