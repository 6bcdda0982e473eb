# MonoDistill on DID-M3D, as MonoSKD's code runs it for comparison: the places and weights of MonoDLE, with four images
# a GPU, a number with which two of the terms shrink, and the responses of DID-M3D's heads.
_base_ = './monodistill.py'
teacher_forward = 'tensor'
distill = dict(
    losses=dict(
        feature=dict(ref_batch=4),
        affinity=dict(ref_batch=4),
        response=dict(
            _delete_=True,
            type='mono_distill.DIDResponseLoss',
            inputs=dict(student='s_head', teacher='t_head', targets='targets'),
        ),
    ),
)
