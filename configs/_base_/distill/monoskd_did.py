# MonoSKD (ECAI 2023) as released: as for MonoDLE, with the responses of DID-M3D's heads. Both look at the annotated
# objects, each in the boxes it predicts there itself.
_base_ = './monoskd.py'
teacher_forward = 'tensor'
distill = dict(
    losses=dict(
        response=dict(
            _delete_=True,
            type='mono_distill.DIDResponseLoss',
            inputs=dict(student='s_head', teacher='t_head', targets='targets'),
        ),
    ),
)
