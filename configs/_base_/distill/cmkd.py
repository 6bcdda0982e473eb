# CMKD (ECCV 2022): the student's map follows the teacher's directly, without assistant; weight 32 as released.
_base_ = './monotakd.py'
distill = dict(
    taps=dict(
        _delete_=True,
        s_visual='student:visual',
        s_head='student:bbox_head',
        t_bev='lidar:bev',
        t_head='lidar:bbox_head',
    ),
    targets=dict(_delete_=True),
    losses=dict(
        _delete_=True,
        feature=dict(type='mono_distill.FeatureMSELoss', weight=32.0, inputs=dict(student='s_visual', teacher='t_bev')),
        response=dict(type='mono_distill.AnchorResponseLoss', inputs=dict(student='s_head', teacher='t_head')),
    ),
)
