# MonoSTL on FCOS3D: the teacher and the student to start from are those of fcos3d_monoskd_kitti.py.
_base_ = './fcos3d_monoskd_kitti.py'
model = dict(
    taps=dict(_delete_=True, s='student:neck[:3]', t='depth:neck[:3]'),
    # FCOS3D predicts no uncertainty of its depth: all objects count alike.
    targets=dict(log_scale=dict(type='mono_distill.ConstantLogScale', inputs='objects')),
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
