# MonoSTL on DID-M3D. There is no published code for it: places, terms and weights are those of MonoDLE, the responses
# those of MonoSKD on DID-M3D. The head predicts a log variance in every bin of every object's box, in place of a map.
_base_ = './monostl.py'
# The teacher, too, looks into the boxes it predicts at the annotated objects.
teacher_forward = 'tensor'
log_scale = dict(type='mono_distill.BinLogScale')
distill = dict(
    taps=dict(
        _delete_=True,
        s='student:backbone[1:]',
        t='depth:backbone[1:]',
        s_head='student:bbox_head',
        t_head='depth:bbox_head',
        s_bins='student:bbox_head[ins_depth_uncer]',
        t_bins='depth:bbox_head[ins_depth_uncer]',
        targets='student:bbox_head.target_encoder',
    ),
    targets=dict(
        s_log_scale=dict(log_scale, inputs=dict(bins='s_bins', targets='targets')),
        t_log_scale=dict(log_scale, inputs=dict(bins='t_bins', targets='targets')),
    ),
    losses=dict(
        response=dict(
            _delete_=True,
            type='mono_distill.DIDResponseLoss',
            inputs=dict(student='s_head', teacher='t_head', targets='targets'),
        ),
    ),
)
