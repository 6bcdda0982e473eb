"""Where the gradients of MonoTAKD's terms arrive, on a toy of teacher, teaching assistant and student."""

import copy

import pytest
import torch
from torch import nn

from mono_distill.losses.anchor_response import anchor_response_loss
from mono_distill.losses.feature_mse import feature_mse_loss
from mono_distill.models.monotakd import BEVCollapse, FeatureFusionModule, SCNet, SpatialAlignmentModule
from mono_distill.targets.residual import residual_target

CHANNELS, HEIGHTS, BEV = 4, 2, 8


class Head(nn.Module):
    """An anchor head of one anchor and three classes."""

    def __init__(self):
        super().__init__()
        self.outputs = nn.ModuleDict({name: nn.Conv2d(BEV, c, 1) for name, c in dict(cls=3, box=7, dir=2).items()})

    def forward(self, bev):
        return {name: conv(bev) for name, conv in self.outputs.items()}


class Teacher(nn.Module):
    """A LiDAR detector: points already painted into a map of three channels."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, BEV, 3, padding=1), nn.BatchNorm2d(BEV), nn.ReLU())
        self.head = Head()

    def forward(self, points):
        bev = self.trunk(points)
        return bev, self.head(bev)


class Camera(nn.Module):
    """What student and assistant share: an image, already seen from above, becomes voxels and a visual BEV map."""

    def __init__(self, norm_groups=None):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, CHANNELS * HEIGHTS, 3, padding=1), nn.BatchNorm2d(CHANNELS * HEIGHTS))
        self.collapse = BEVCollapse(CHANNELS, HEIGHTS, BEV, norm_groups=norm_groups)

    def voxels(self, image):
        return self.trunk(image).relu().unflatten(1, (CHANNELS, HEIGHTS))

    def forward(self, image):
        return self.collapse(self.voxels(image))


class Student(Camera):
    """The paper's student: a second collapse, SCNet, SAM and FFM before the head."""

    def __init__(self, norm_groups=None):
        super().__init__(norm_groups)
        self.collapse_spatial = BEVCollapse(CHANNELS, HEIGHTS, BEV, norm_groups=norm_groups)
        self.scnet = SCNet(BEV, 1, norm_groups=norm_groups)
        self.sam = SpatialAlignmentModule(BEV, norm_groups=norm_groups)
        self.ffm = FeatureFusionModule(BEV, BEV, norm_groups=norm_groups)
        self.head = Head()

    def forward(self, image):
        voxels = self.voxels(image)
        visual = self.scnet(self.collapse(voxels))
        spatial = self.sam(self.collapse_spatial(voxels))
        return visual, spatial, self.head(self.ffm(visual, spatial))


@pytest.fixture
def networks():
    return Student(), Teacher().eval(), Camera().eval()


def terms(student, teacher, assistant, batch=2):
    """The three terms of MonoTAKD; neither teacher nor assistant is run under no_grad: the losses must cut them off."""
    image, points = torch.randn(batch, 3, 12, 12), torch.randn(batch, 3, 12, 12)
    visual, spatial, outputs = student(image)
    teacher_map, teacher_outputs = teacher(points)
    assistant_map = assistant(image)
    return {
        'imd': feature_mse_loss(visual, assistant_map),
        'cmrd': feature_mse_loss(spatial, residual_target(teacher_map, assistant_map)),
        'response': anchor_response_loss(outputs, teacher_outputs),
    }


def reached(network):
    """Children of a network whose weights have a gradient."""
    parts = {name: [p for p in child.parameters() if p.dim() > 1] for name, child in network.named_children()}
    touched = {name for name, weights in parts.items() if any(p.grad is not None and p.grad.any() for p in weights)}
    whole = {name for name, weights in parts.items() if all(p.grad is not None and p.grad.any() for p in weights)}
    assert touched == whole, 'some weights of a part are left out'
    return whole


@pytest.mark.parametrize(
    ('term', 'parts'),
    [
        ('imd', {'trunk', 'collapse', 'scnet'}),
        ('cmrd', {'trunk', 'collapse_spatial', 'sam'}),
        ('response', {'trunk', 'collapse', 'collapse_spatial', 'scnet', 'sam', 'ffm', 'head'}),
    ],
)
def test_every_term_teaches_its_part_of_the_student(networks, term, parts):
    terms(*networks)[term].backward()
    assert reached(networks[0]) == parts


def test_no_term_reaches_teacher_or_assistant(networks):
    student, teacher, assistant = networks
    sum(terms(*networks).values()).backward()
    assert all(p.grad is None for network in (teacher, assistant) for p in network.parameters())
    assert all(p.grad is not None for p in student.parameters())


@pytest.mark.parametrize(('batch', 'norm_groups'), [(1, 2), (2, None)])
def test_a_step_moves_the_student_and_no_number_of_teacher_or_assistant(batch, norm_groups):
    networks = student, teacher, assistant = Student(norm_groups), Teacher().eval(), Camera().eval()
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    # Given everything, the optimiser still has nothing to do for teacher and assistant.
    optimizer = torch.optim.SGD([p for network in networks for p in network.parameters()], lr=0.1)
    sum(terms(student.train(), teacher, assistant, batch).values()).backward()
    optimizer.step()
    assert any(not torch.equal(v, before[0][k]) for k, v in student.state_dict().items() if 'running' in k)
    assert all(not torch.equal(p, before[0][k]) for k, p in student.named_parameters() if p.dim() > 1)
    for network, state in zip((teacher, assistant), before[1:], strict=True):
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_training_on_one_batch_lowers_every_term(networks):
    optimizer = torch.optim.Adam(networks[0].parameters(), lr=1e-2)
    history = []
    for _ in range(60):
        torch.manual_seed(0)
        values = terms(*networks)
        history.append({name: value.item() for name, value in values.items()})
        optimizer.zero_grad()
        sum(values.values()).backward()
        optimizer.step()
    assert all(history[-1][name] < 0.8 * history[0][name] for name in history[0]), (history[0], history[-1])
