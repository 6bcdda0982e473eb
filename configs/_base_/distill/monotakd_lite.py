# MonoTAKD-Lite: a student without spatial branch; what remains is IMD and the head's imitation, with the weights of
# monotakd_tuned.py.
_base_ = './monotakd.py'
distill = dict(
    taps=dict(
        _delete_=True,
        s_visual='student:visual',
        s_head='student:bbox_head',
        a_visual='assistant:visual',
        t_head='lidar:bbox_head',
    ),
    targets=dict(_delete_=True),
    losses=dict(
        _delete_=True,
        imd=dict(type='mono_distill.FeatureMSELoss', weight=32.0, inputs=dict(student='s_visual', teacher='a_visual')),
        response=dict(type='mono_distill.AnchorResponseLoss', inputs=dict(student='s_head', teacher='t_head')),
    ),
)
