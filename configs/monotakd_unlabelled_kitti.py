# MonoTAKD on labelled frames and as many without labels (images, scans and calibration in testing/ of a KITTI root; the
# paper takes KITTI raw). Annotations are not read of either; model.student.supervised=True adds those of the labelled.
# Prepare depth maps of testing/, and train first what monotakd_kitti.py names.
_base_ = ['./monotakd_kitti.py']
labelled = _base_.train_dataloader.dataset
labelled.pipeline[3].allow_unlabelled = True
unlabelled = dict(
    labelled,
    ann_file='kitti_infos_test.pkl',
    labelled=False,
    data_prefix=dict(img='testing/image_2', pts='testing/velodyne'),
)
train_dataloader = dict(
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[labelled, unlabelled]),
    # Of 4 images 2 carry labels. An epoch is as long as without the others.
    sampler=dict(_delete_=True, type='mono_distill.MixedSourcesSampler', pattern=(2, 2), length=3712),
)
