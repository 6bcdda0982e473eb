"""Tests of mono_distill.losses.anchor_response."""

import math

import pytest
import torch

from mono_distill.losses.anchor_response import AnchorResponseLoss, anchor_response_loss, anchor_response_terms
from mono_distill.losses.quality_focal import quality_focal_loss
from mono_distill.utils.errors import ConfigError, ShapeError

BATCH, ANCHORS, CLASSES, HEIGHT, WIDTH = 2, 2, 3, 3, 4


def head(code_size=7, bins=2):
    channels = dict(cls=CLASSES, box=code_size, dir=bins)
    return {name: torch.randn(BATCH, ANCHORS * c, HEIGHT, WIDTH).double() for name, c in channels.items()}


def heads(**sizes):
    """Random outputs; the teacher finds something at about half of the anchors."""
    student, teacher = head(**sizes), head(**sizes)
    teacher['cls'] = 2 * teacher['cls'] - 3.5
    return student, teacher


def anchors_of(output, name, b, a, y, x):
    size = output[name].shape[1] // ANCHORS
    return output[name][b, a * size : (a + 1) * size, y, x].tolist()


def softmax(values):
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def box_distance(s, t):
    total = 0.0
    for j, (a, b) in enumerate(zip(s, t, strict=True)):
        d = abs(math.sin(a - b) if j == 6 else a - b)
        total += d * d * 9 / 2 if d < 1 / 9 else d - 1 / 18
    return total


def direction_distance(s, t, direction):
    p, q = softmax(s), softmax(t)
    if direction == 'cross_entropy':
        return -math.log(p[q.index(max(q))])
    return sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))


def by_loops(student, teacher, confidence, direction):
    """Box and direction terms without their weights, as the formula reads."""
    box = turn = 0.0
    for b in range(BATCH):
        box_sum = turn_sum = count = 0.0
        for a in range(ANCHORS):
            for y in range(HEIGHT):
                for x in range(WIDTH):
                    q = [1 / (1 + math.exp(-v)) for v in anchors_of(teacher, 'cls', b, a, y, x)]
                    trust = max(q) if confidence == 'max' else sum(q)
                    if trust <= 0.1:
                        continue
                    count += 1
                    where = (b, a, y, x)
                    s, t = ([anchors_of(o, name, *where) for name in ('box', 'dir')] for o in (student, teacher))
                    box_sum += trust * box_distance(s[0], t[0])
                    turn_sum += trust * direction_distance(s[1], t[1], direction)
        box += box_sum / max(1, count) / BATCH
        turn += turn_sum / max(1, count) / BATCH
    return box, turn


@pytest.mark.parametrize('confidence', ['max', 'sum'])
@pytest.mark.parametrize('direction', ['cross_entropy', 'kl'])
@pytest.mark.parametrize('sizes', [{}, dict(code_size=9, bins=4)], ids=['kitti', 'velocities'])
def test_box_and_direction_are_what_the_formula_says(confidence, direction, sizes):
    student, teacher = heads(**sizes)
    box, turn = by_loops(student, teacher, confidence, direction)
    terms = anchor_response_terms(student, teacher, confidence=confidence, direction=direction)
    assert terms['box'].item() == pytest.approx(2.0 * box, rel=1e-9)
    assert terms['dir'].item() == pytest.approx(0.4 * turn, rel=1e-9)


@pytest.mark.parametrize('images', ['mean', 'sum'])
def test_classes_are_compared_by_the_quality_focal_loss(images):
    student, teacher = heads()
    terms = anchor_response_terms(student, teacher, cls_images=images)
    expected = 2.0 * quality_focal_loss(student['cls'], teacher['cls'], num_classes=CLASSES, images=images)
    torch.testing.assert_close(terms['cls'], expected)


def test_loss_is_the_sum_of_its_terms_and_weights_scale_them():
    student, teacher = heads()
    terms = anchor_response_terms(student, teacher, weights=(1.0, 1.0, 1.0))
    loss = anchor_response_loss(student, teacher, weights=(3.0, 5.0, 7.0))
    torch.testing.assert_close(loss, 3 * terms['cls'] + 5 * terms['box'] + 7 * terms['dir'])


def one_anchor(probabilities):
    """Heads of one anchor in one place; the student is off by one in every entry of the box."""
    logits = torch.tensor(probabilities, dtype=torch.float64).logit().view(1, CLASSES, 1, 1)
    teacher = dict(cls=logits, box=torch.zeros(1, 7, 1, 1).double(), dir=torch.zeros(1, 2, 1, 1).double())
    return {**teacher, 'box': torch.ones(1, 7, 1, 1).double()}, teacher


def test_three_weak_classes_make_a_positive_anchor_only_as_released():
    student, teacher = one_anchor([0.04, 0.04, 0.04])
    assert anchor_response_terms(student, teacher)['box'] == 0
    distance = 6 * (1 - 1 / 18) + math.sin(1) - 1 / 18
    released = anchor_response_terms(student, teacher, confidence='sum')['box']
    assert released.item() == pytest.approx(2.0 * 0.12 * distance, rel=1e-9)


def test_positives_weigh_by_their_confidence():
    distance = 6 * (1 - 1 / 18) + math.sin(1) - 1 / 18
    for best in (0.2, 0.9):
        box = anchor_response_terms(*one_anchor([0.01, best, 0.01]))['box']
        assert box.item() == pytest.approx(2.0 * best * distance, rel=1e-9)


def test_where_the_teacher_finds_nothing_boxes_are_free_but_connected():
    student, teacher = heads()
    teacher['cls'].fill_(-9.0)
    student = {name: value.requires_grad_() for name, value in student.items()}
    terms = anchor_response_terms(student, teacher)
    assert terms['box'] == 0
    assert terms['dir'] == 0
    torch.stack(list(terms.values())).sum().backward()
    assert student['cls'].grad.any()
    assert not student['box'].grad.any()
    assert not student['dir'].grad.any()


def test_boxes_that_the_teacher_did_not_find_may_hold_anything():
    student, teacher = heads()
    trust = teacher['cls'].sigmoid().unflatten(1, (ANCHORS, CLASSES)).amax(2, keepdim=True)
    expected = anchor_response_loss(student, teacher)
    for name in ('box', 'dir'):
        split = teacher[name].unflatten(1, (ANCHORS, -1))
        teacher[name] = torch.where(trust > 0.1, split, float('nan')).flatten(1, 2)
    student = {name: value.requires_grad_() for name, value in student.items()}
    loss = anchor_response_loss(student, teacher)
    assert loss == expected
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, list(student.values())))


def test_images_count_alike_however_many_boxes_they_have():
    student, teacher = heads()
    apart = [
        anchor_response_loss(*({name: x[i : i + 1] for name, x in side.items()} for side in (student, teacher)))
        for i in range(BATCH)
    ]
    torch.testing.assert_close(anchor_response_loss(student, teacher), sum(apart) / BATCH)


def test_cross_entropy_sees_only_which_bin_the_teacher_prefers():
    student, teacher = heads()
    louder = {**teacher, 'dir': 10 * teacher['dir']}
    for direction, same in (('cross_entropy', True), ('kl', False)):
        terms = [anchor_response_terms(student, t, direction=direction)['dir'] for t in (teacher, louder)]
        assert torch.equal(*terms) is same


def test_heads_without_direction_bins_need_none():
    student, teacher = heads()
    del student['dir'], teacher['dir']
    terms = anchor_response_terms(student, teacher, direction=None)
    assert set(terms) == {'cls', 'box'}


def test_a_missing_output_is_named():
    student, teacher = heads()
    del teacher['dir']
    with pytest.raises(ConfigError, match="anchor_response_loss: teacher: needs 'dir', got only: box, cls"):
        anchor_response_loss(student, teacher)


def test_outputs_of_other_sizes_are_refused():
    student, teacher = heads()
    with pytest.raises(ShapeError, match=r"student: 'box' has shape \(2, 14, 3, 3\), expected \(2, \*, 3, 4\)"):
        anchor_response_loss({**student, 'box': student['box'][..., :3]}, teacher)
    with pytest.raises(ShapeError, match=r"teacher: 'cls' has shape \(2, 6, 3, 3\), expected \(2, 6, 3, 4\)"):
        anchor_response_loss(student, {**teacher, 'cls': teacher['cls'][..., :3]})


@pytest.mark.parametrize(
    ('name', 'channels'), [('cls', 7), ('box', 13), ('box', 12), ('dir', 3)], ids=lambda value: str(value)
)
def test_channels_that_fit_no_number_of_anchors_are_refused(name, channels):
    outputs = [{**side, name: torch.zeros(BATCH, channels, HEIGHT, WIDTH)} for side in heads()]
    with pytest.raises(ShapeError, match='with num_classes=3 they must be 3, at least 7 and some bins per anchor'):
        anchor_response_loss(*outputs)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_classes=0), 'num_classes must be positive'),
        (dict(direction='l1'), "direction must be 'cross_entropy', 'kl' or None, got 'l1'"),
        (dict(confidence='mean'), "confidence must be 'max' or 'sum', got 'mean'"),
        (dict(score_thr=-0.1), 'score_thr must be a probability below 1, got -0.1'),
        (dict(cls_images='all'), "images must be 'mean' or 'sum', got 'all'"),
        (dict(weights=(1.0, 2.0)), r'weights are those of cls, box and dir, got \(1.0, 2.0\)'),
    ],
)
def test_options_that_do_not_exist_are_refused_when_built(options, message):
    with pytest.raises(ConfigError, match=f'anchor_response_loss.*{message}'):
        AnchorResponseLoss(**options)


def test_the_tuple_of_lists_of_an_anchor_head_is_understood():
    student, teacher = heads()
    listed = [tuple([output] for output in side.values()) for side in (student, teacher)]
    assert anchor_response_loss(*listed) == anchor_response_loss(student, teacher)


def test_an_output_of_several_levels_is_named():
    student, teacher = heads()
    with pytest.raises(ConfigError, match="'box' must be a tensor, got a list"):
        anchor_response_loss({**student, 'box': [student['box']] * 2}, teacher)
