# MonoSTL on MonoDETR. There is no published code for it. From MonoSTL on MonoDLE: both terms, their weights, review
# fusion and adapter. Chosen here: the maps of the neck at strides 8 to 32 (256 channels), and the uncertainty of the
# query that the head matched to each object. Responses are not imitated: nothing is published for those of queries.
distill_hooks = [
    dict(type='mono_distill.DistillScheduleHook'),
    dict(type='mono_distill.TeacherCheckHook', metric='KITTI/Car_3D_AP40_moderate_loose'),
]
# In this mode the teacher matches its queries with the objects, once; it runs the group of queries that inference runs.
teacher_forward = 'loss'
log_scale = dict(type='mono_distill.MatchedLogScale', groups='first')
distill = dict(
    taps=dict(
        s='student:neck[:3]',
        t='depth:neck[:3]',
        s_depth='student:bbox_head[depth]',
        t_depth='depth:bbox_head[depth]',
        s_matched='student:bbox_head.assigner',
        t_matched='depth:bbox_head.assigner',
    ),
    targets=dict(
        objects=dict(type='mono_distill.GTBoxes', inputs='data_samples'),
        s_log_scale=dict(log_scale, inputs=dict(depth='s_depth', assignment='s_matched', targets='objects')),
        t_log_scale=dict(log_scale, inputs=dict(depth='t_depth', assignment='t_matched', targets='objects')),
    ),
    adapters=dict(
        s_fused=dict(type='mono_distill.ReviewFusion', channels=(256, 256, 256), mid_channels=256, inputs='s'),
        s_adapted=dict(type='mono_distill.ConvAdapter', channels=(256, 256, 256), inputs='s_fused'),
    ),
    losses=dict(
        # Its divisor is 10 whatever the batch, and MonoSTL's trainer multiplies by 10.
        feature=dict(
            type='mono_distill.SelectiveFeatureLoss',
            strides=(8, 16, 32),
            weight=10.0,
            inputs=dict(student='s_adapted', teacher='t', log_scale='s_log_scale', targets='objects'),
        ),
        # Its size is that of MonoSTL's released training, whose twelve images hold about so many objects, whatever the
        # batch: the inner products of these maps, which are group normalised, are large for few objects.
        relation=dict(
            type='mono_distill.SelectiveRelationLoss',
            strides=(8, 16, 32),
            ref_objects=80,
            inputs=dict(student='s_adapted', teacher='t', log_scale='t_log_scale', targets='objects'),
        ),
    ),
)
