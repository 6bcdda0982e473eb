import torch
from bev_students import image_matrix, planar, rig_cameras

from mono_distill.models.view_transformers.camera_vector import CAMERA_VECTOR_SIZE, camera_vector


def test_the_numbers_in_their_order():
    cameras = rig_cameras(image_matrix((256, 704), angle=3.0), planar(10.0))
    vector = camera_vector(cameras)
    assert vector.shape == (1, 6, CAMERA_VECTOR_SIZE)
    for n in range(6):
        k, a, pose = cameras.cam2img[0, n], cameras.img_aug_matrix[0, n], cameras.cam2lidar[0, n]
        g = cameras.lidar_aug_matrix[0]
        expected = [
            *(k[0, 0], k[1, 1], k[0, 2], k[1, 2]),
            *(a[0, 0], a[0, 1], a[0, 3], a[1, 0], a[1, 1], a[1, 3]),
            *(g[0, 0], g[0, 1], g[1, 0], g[1, 1], g[2, 2]),
            *pose[:3].flatten(),
        ]
        assert vector[0, n].tolist() == [float(value) for value in expected]


def test_the_unit_of_pixels_scales_what_is_measured_in_pixels():
    cameras = rig_cameras(image_matrix((256, 704)))
    ratio = camera_vector(cameras, 1000.0) / camera_vector(cameras)
    thousandths = [0, 1, 2, 3, 9]
    assert torch.allclose(ratio[0, :, thousandths], torch.tensor(1e-3, dtype=torch.float64))
    rest = torch.ones(CAMERA_VECTOR_SIZE, dtype=torch.bool)
    rest[[*thousandths, 6]] = False
    ratio = ratio[0, :, rest]
    assert torch.equal(ratio[ratio.isfinite()], torch.ones_like(ratio[ratio.isfinite()]))
