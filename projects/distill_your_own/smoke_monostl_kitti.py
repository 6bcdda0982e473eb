# MonoSTL on mmdet3d's SMOKE: the teacher and the student to start from are those of smoke_monoskd_kitti.py.
_base_ = './smoke_monoskd_kitti.py'
model = dict(
    taps=dict(_delete_=True, s='student:backbone[3:]', t='depth:backbone[3:]'),
    # SMOKE predicts no uncertainty of its depth: all objects count alike.
    targets=dict(log_scale=dict(type='mono_distill.ConstantLogScale', inputs='objects')),
    adapters=dict(
        _delete_=True,
        s_fused=dict(type='mono_distill.ReviewFusion', channels=(128, 256, 512), inputs='s'),
        s_adapted=dict(type='mono_distill.ConvAdapter', channels=(128, 256, 512), inputs='s_fused'),
    ),
    losses=dict(
        _delete_=True,
        dasfd=dict(
            type='mono_distill.SelectiveFeatureLoss',
            weight=10,
            inputs=dict(student='s_adapted', teacher='t', log_scale='log_scale', targets='objects'),
        ),
        dasrd=dict(
            type='mono_distill.SelectiveRelationLoss',
            ref_objects=80,  # as many as the 12 images of the released training hold, whatever the batch
            inputs=dict(student='s_adapted', teacher='t', log_scale='log_scale', targets='objects'),
        ),
    ),
)
