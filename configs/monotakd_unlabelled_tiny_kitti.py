# MonoTAKD on labelled frames and as many without labels, in small: the training split, and the validation split with its
# labels hidden. KITTI_UNLABELLED=NAME takes kitti_infos_NAME.pkl instead.
_base_ = ['./monotakd_tiny_kitti.py']
labelled = dict(_base_.train_dataloader.dataset.dataset, ann_file='kitti_infos_train.pkl')
unlabelled = dict(labelled, ann_file='kitti_infos_{{$KITTI_UNLABELLED:val}}.pkl', labelled=False)
train_dataloader = dict(
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[labelled, unlabelled]),
    sampler=dict(_delete_=True, type='mono_distill.MixedSourcesSampler', pattern=(2, 2), length=160),
)
