import pytest
import torch

from mono_distill.ops.weighted_bags import bag_plan, weighted_bag_sum
from mono_distill.utils.errors import ShapeError

NUM_ROWS, NUM_BAGS = 7, 5


def entries(count=30, seed=0):
    """Rows and bags; bag 3 and row 6 are left out."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(NUM_ROWS - 1, (count,), generator=generator)
    bags = torch.randint(NUM_BAGS - 1, (count,), generator=generator).sort().values
    return rows, bags + (bags == 3)


def summed(table, weights, rows, bags):
    """One entry after another."""
    result = [torch.zeros(table.shape[1], dtype=table.dtype) for _ in range(NUM_BAGS)]
    for weight, row, bag in zip(weights, rows.tolist(), bags.tolist(), strict=True):
        result[bag] = result[bag] + weight * table[row]
    return torch.stack(result)


def inputs(dtype=torch.float64, count=30):
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(NUM_ROWS, 4, dtype=dtype, generator=generator).requires_grad_()
    return table, torch.randn(count, dtype=dtype, generator=generator).requires_grad_()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_equals_a_loop_with_both_gradients(dtype):
    rows, bags = entries()
    table, weights = inputs(dtype)
    plan = bag_plan(rows, bags, num_rows=NUM_ROWS, num_bags=NUM_BAGS)
    actual, expected = weighted_bag_sum(table, weights, plan), summed(table, weights, rows, bags)
    torch.testing.assert_close(actual, expected)
    cotangent = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(actual, [table, weights], cotangent),
        torch.autograd.grad(expected, [table, weights], cotangent),
    )


def test_gradient_equals_finite_differences():
    plan = bag_plan(*entries(), num_rows=NUM_ROWS, num_bags=NUM_BAGS)
    assert torch.autograd.gradcheck(lambda t, w: weighted_bag_sum(t, w, plan), inputs())


@pytest.mark.parametrize('side', [0, 1])
def test_only_the_wanted_gradient_is_computed(side):
    plan = bag_plan(*entries(), num_rows=NUM_ROWS, num_bags=NUM_BAGS)
    leaves = [x.detach() for x in inputs()]
    leaves[side].requires_grad_()
    weighted_bag_sum(*leaves, plan).sum().backward()
    assert leaves[side].grad.any()
    assert leaves[1 - side].grad is None


def test_two_runs_are_equal_to_the_bit():
    plan = bag_plan(*entries(3000), num_rows=NUM_ROWS, num_bags=NUM_BAGS)
    table, weights = inputs(torch.float32, 3000)
    results = []
    for _ in range(2):
        output = weighted_bag_sum(table, weights, plan)
        results.append([output, *torch.autograd.grad(output.square().sum(), [table, weights])])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_known_row_order_saves_the_sort():
    rows, bags = entries()
    table, weights = inputs()
    given = bag_plan(rows, bags, num_rows=NUM_ROWS, num_bags=NUM_BAGS, row_order=rows.argsort(stable=True))
    sorted_here = bag_plan(rows, bags, num_rows=NUM_ROWS, num_bags=NUM_BAGS)
    assert all(torch.equal(a, b) for a, b in zip(given, sorted_here, strict=True))
    assert torch.equal(weighted_bag_sum(table, weights, given), weighted_bag_sum(table, weights, sorted_here))


def test_without_entries_all_bags_are_zero_and_connected():
    empty = torch.zeros(0, dtype=torch.int64)
    plan = bag_plan(empty, empty, num_rows=NUM_ROWS, num_bags=NUM_BAGS)
    table, _ = inputs()
    output = weighted_bag_sum(table, torch.zeros(0, dtype=torch.float64), plan)
    assert output.shape == (NUM_BAGS, 4)
    assert not output.any()
    output.sum().backward()
    assert not table.grad.any()


def test_graph_is_captured_whole():
    plan = bag_plan(*entries(), num_rows=NUM_ROWS, num_bags=NUM_BAGS)
    table, weights = inputs()
    compiled = torch.compile(weighted_bag_sum, fullgraph=True, backend='aot_eager')
    actual, expected = compiled(table, weights, plan), weighted_bag_sum(table, weights, plan)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(
        torch.autograd.grad(actual.sum(), [table, weights]), torch.autograd.grad(expected.sum(), [table, weights])
    )


def test_layout_does_not_matter():
    plan = bag_plan(*entries(), num_rows=NUM_ROWS, num_bags=NUM_BAGS)
    table, weights = inputs()
    strided = weighted_bag_sum(table.t().contiguous().t(), torch.stack([weights, weights], 1)[:, 0], plan)
    assert torch.equal(strided, weighted_bag_sum(table, weights, plan))


def test_refuses_what_does_not_fit():
    plan = bag_plan(*entries(), num_rows=NUM_ROWS, num_bags=NUM_BAGS)
    table, weights = inputs()
    with pytest.raises(ShapeError, match=r'the plan is for \(7, C\) and \(30,\)'):
        weighted_bag_sum(table[:-1], weights, plan)
    with pytest.raises(ShapeError, match='the plan is for'):
        weighted_bag_sum(table, weights[:-1], plan)
    with pytest.raises(ShapeError, match='two lists'):
        bag_plan(torch.zeros(3), torch.zeros(4), num_rows=1, num_bags=1)
