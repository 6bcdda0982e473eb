# MonoSTL on DID-M3D. Not published: here MonoSTL's terms and weights for MonoDLE in the setting of DID-M3D (150 epochs,
# batches of 16, HTL; MonoSTL on MonoDLE has 200 epochs and batches of 12). Train these two first (or name other
# checkpoints with --cfg-options load_from=FILE model.teachers.depth.checkpoint=FILE):
#   mim train mono_distill configs/teachers/didm3d_depth_kitti.py
#   mim train mono_distill configs/students/didm3d_kitti.py
_base_ = ['./students/didm3d_kitti.py', './_base_/distill/monostl_did.py']
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=dict(_base_.model, bbox_head=dict(_base_.model.bbox_head, sparse_2d=False)),
    teachers=dict(
        depth=dict(
            config='mono_distill::teachers/didm3d_depth_kitti.py',
            checkpoint='work_dirs/didm3d_depth_kitti',
            forward=_base_.teacher_forward,
        )
    ),
    **_base_.distill,
)
# As many objects as the twelve images of MonoSTL's released training hold: the term keeps its size in batches of 16.
model['losses']['relation'].update(ref_objects=80)
# HTL starts anew: the losses it holds back weigh nothing for the first epochs, though the student has been trained.
custom_hooks = [*_base_.custom_hooks, *_base_.distill_hooks]
# The check of the teacher before training evaluates it on the validation frames, with their depth maps.
val_dataloader = dict(dataset=dict(pipeline=_base_.depth_test_pipeline))
load_from = 'work_dirs/didm3d_kitti'
