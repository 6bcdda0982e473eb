# MonoSKD on mmdet3d's PGD: the teacher and the student to start from are those of pgd_monostl_kitti.py.
_base_ = './pgd_monostl_kitti.py'
model = dict(
    taps=dict(
        _delete_=True,
        s='student:neck[1:]',
        t='depth:neck[1:]',
        # The head's depth branch runs once a level.
        s_depth=dict(path='student:bbox_head.conv_regs.1', call='all'),
        t_depth=dict(path='depth:bbox_head.conv_regs.1', call='all'),
    ),
    targets=dict(_delete_=True, objects=dict(type='mono_distill.GTBoxes', inputs='data_samples')),
    losses=dict(
        _delete_=True,
        spearman=dict(type='mono_distill.SpearmanLoss', form='released', inputs=dict(student='s_adapted', teacher='t')),
        affinity=dict(
            type='mono_distill.SceneAffinityLoss', ref_batch=4, inputs=dict(student='s_adapted', teacher='t')
        ),
        response=dict(
            type='mono_distill.ForegroundL2Loss',
            strides=(4, 8, 16, 32),
            inputs=dict(student='s_depth', teacher='t_depth', targets='objects'),
        ),
    ),
)
