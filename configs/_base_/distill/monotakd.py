# MonoTAKD (CVPR 2025) as in the paper: the student's visual map follows the frozen assistant's (IMD), its spatial map
# what the teacher has beyond the assistant (CMRD), its head the teacher's. All weights are 1, annotations are not used.
# The residual is signed and keeps its values, so that visual plus spatial map approach the teacher's; the paper
# binarises it with a threshold that it does not state (binarize=True).
distill_hooks = [
    dict(type='mono_distill.DistillScheduleHook'),
    dict(type='mono_distill.BEVGridCheckHook'),
    dict(type='mono_distill.TeacherCheckHook', metric='KITTI/Car_3D_AP40_moderate_loose'),
]
distill = dict(
    taps=dict(
        s_visual='student:visual',
        s_spatial='student:spatial',
        s_head='student:bbox_head',
        a_visual='assistant:visual',
        t_bev='lidar:bev',
        t_head='lidar:bbox_head',
    ),
    targets=dict(
        residual=dict(type='mono_distill.ResidualTarget', inputs=dict(teacher='t_bev', assistant='a_visual')),
    ),
    losses=dict(
        imd=dict(type='mono_distill.FeatureMSELoss', weight=1.0, inputs=dict(student='s_visual', teacher='a_visual')),
        cmrd=dict(type='mono_distill.FeatureMSELoss', weight=1.0, inputs=dict(student='s_spatial', teacher='residual')),
        response=dict(type='mono_distill.AnchorResponseLoss', inputs=dict(student='s_head', teacher='t_head')),
    ),
)
