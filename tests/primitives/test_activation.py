"""`evaluate` and the module `Activation`: shapes, dtypes, parameters, training, copies."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from actsearch.primitives import Activation, evaluate, parse, read_formula, value_and_slopes
from actsearch.primitives.lowering.program import training_program

MIXED = "alpha[0.25, channel]*relu(x) + tanh(beta[1]*x) + beta*alpha"


def reference(module, x, dim):
    shape = [1] * x.ndim
    shape[dim] = -1
    alpha = module.alpha.reshape(shape)
    return alpha * torch.relu(x) + torch.tanh(module.beta * x) + module.beta * alpha


def test_each_parameter_is_registered_once_under_its_name():
    module = Activation(parse(MIXED), channels=4)
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == {
        "alpha": (4,),
        "beta": (),
    }
    assert module.alpha.tolist() == [0.25] * 4 and module.beta.item() == 1.0
    assert not list(module.buffers())
    assert str(module) == f"Activation({parse(MIXED).text})"


@pytest.mark.parametrize(
    ("shape", "dim"),
    [((5, 3), 1), ((5, 3, 7), 1), ((2, 3, 4, 6), 1), ((2, 4, 3), -1), ((3,), 0), ((4, 3), -1)],
)
def test_channel_parameters_follow_the_channel_axis(shape, dim):
    module = Activation(parse(MIXED), channels=3, dim=dim).double()
    with torch.no_grad():
        module.alpha.copy_(torch.tensor([0.5, -1.0, 2.0]))
    x = torch.randn(shape, dtype=torch.float64)
    x[x.abs() < 1e-3] = 1.0
    leaf = x.clone().requires_grad_()
    results = []
    for function in (module, lambda t: reference(module, t, dim)):
        value = function(leaf)
        weights = torch.arange(1.0, value.numel() + 1).reshape(shape)
        leaves = [leaf, module.alpha, module.beta]
        results.append([value, *torch.autograd.grad((value * weights).sum(), leaves)])
    for got, expected in zip(*results, strict=True):
        assert got.shape == expected.shape
        torch.testing.assert_close(got, expected)


def test_parameters_train():
    torch.manual_seed(0)
    module = Activation(parse(MIXED), channels=3)
    x = torch.randn(64, 3)
    target = 2 * torch.tanh(0.3 * x) + torch.tensor([0.1, 0.7, -0.4])
    optimiser = torch.optim.Adam(module.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = (module(x) - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    assert module.beta.item() != 1.0 and len(set(module.alpha.tolist())) == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_computed_in_float32_and_rounded_once(dtype):
    expr = parse(MIXED)
    module = Activation(expr, channels=3)
    x = (4 * torch.randn(64, 3)).to(dtype).requires_grad_()
    wide = x.detach().float().requires_grad_()
    value, expected = module(x), module(wide)
    assert value.dtype == dtype
    assert torch.equal(value, expected.to(dtype))
    grad = torch.randn(64, 3).to(dtype)
    found = torch.autograd.grad(value, [x, *module.parameters()], grad)
    wanted = torch.autograd.grad(expected, [wide, *module.parameters()], grad.float())
    assert torch.equal(found[0], wanted[0].to(dtype))
    assert all(torch.equal(a, b) for a, b in zip(found[1:], wanted[1:], strict=True))


def test_a_half_precision_module_stays_half_precision():
    module = Activation(parse(MIXED), channels=3).to(torch.bfloat16)
    x = torch.randn(5, 3, dtype=torch.bfloat16, requires_grad=True)
    module(x).sum().backward()
    assert module.alpha.grad.dtype == x.grad.dtype == torch.bfloat16


def test_double_input_with_float_parameters_is_computed_in_float64():
    module = Activation(parse("sin(beta[0.5]*x) + exp(2)"))
    x = torch.randn(50, dtype=torch.float64)
    torch.testing.assert_close(module(x), torch.sin(0.5 * x) + torch.tensor(2.0).double().exp())


@pytest.mark.parametrize("text", ["x", "3", "exp(0.5)", "b[2]", "b[2, channel]", MIXED])
def test_shape_and_dtype_are_those_of_the_input(text):
    module = Activation(parse(text), channels=3)
    for shape in [(4, 3), (0, 3), (4, 3, 0), (2, 3, 5, 1)]:
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            x = torch.randn(shape).to(dtype).requires_grad_()
            value = module(x)
            assert value.shape == x.shape and value.dtype == dtype
            if value.requires_grad:
                value.sum().backward()
    assert module(torch.randn(1, 3)).shape == (1, 3)


def test_strided_views_are_read_in_place():
    module = Activation(parse(MIXED), channels=3)
    base = torch.randn(8, 6, 4)
    for view in (base.transpose(1, 2)[:, :3], base[:, ::2], base[1:2].expand(5, 6, 4)[:, :3]):
        leaf = view.detach().requires_grad_()
        whole = view.contiguous().detach().requires_grad_()
        module(leaf).sum().backward()
        module(whole).sum().backward()
        assert torch.equal(module(view), module(whole))
        torch.testing.assert_close(leaf.grad, whole.grad)


def test_the_backward_pass_goes_on_from_the_forward_pass_and_computes_nothing_twice():
    program, length = training_program(read_formula("mish"))
    called = [(step.operator.name, step.arguments) for step in program.instructions]
    assert len(set(called)) == len(called)
    assert [name for name, _ in called[:length]] == ["softplus", "tanh", "mul"]
    assert "tanh" not in [name for name, _ in called[length:]]


def test_identity_returns_a_new_tensor():
    x = torch.randn(3)
    assert Activation(parse("x"))(x).data_ptr() != x.data_ptr()


def test_copies_pickles_and_state_dicts_keep_the_parameters():
    module = Activation(parse(MIXED), channels=3)
    with torch.no_grad():
        module.alpha.normal_()
    x = torch.randn(5, 3)
    loaded = Activation(parse(MIXED), channels=3)
    loaded.load_state_dict(module.state_dict(), strict=True)
    unpickled = pickle.loads(pickle.dumps(module))  # noqa: S301
    for twin in (loaded, unpickled, copy.deepcopy(module)):
        assert torch.equal(twin(x), module(x))
        assert twin.expr == module.expr


def test_gates_take_their_inputs_in_alphabetical_order():
    u, v = torch.randn(2, 5, requires_grad=True)
    module = Activation(parse("v*sigmoid(u)"))
    torch.testing.assert_close(module(u, v), v * torch.sigmoid(u))
    with pytest.raises(ValueError, match=r"takes 2 tensors \(u, v\), got 1"):
        module(u)


def test_a_channel_parameter_needs_the_number_of_channels():
    with pytest.raises(ValueError, match="per-channel parameter alpha; give channels="):
        Activation(parse(MIXED))


def test_evaluate_broadcasts_and_defaults_to_initial_values():
    x, beta = torch.randn(4, 1), torch.randn(3)
    expr = parse("x*sigmoid(beta[2]*x)")
    torch.testing.assert_close(evaluate(expr, {"x": x, "beta": beta}), x * torch.sigmoid(beta * x))
    torch.testing.assert_close(evaluate(expr, {"x": x}), x * torch.sigmoid(2 * x))
    value, slopes = value_and_slopes(parse("2*u + v"), {"u": x, "v": beta})
    assert value.shape == (4, 3) and [s.shape for s in slopes] == [(4, 3), (4, 3)]
    with pytest.raises(ValueError, match="reads the input x, which was given no tensor"):
        evaluate(expr, {"beta": beta})
    with pytest.raises(ValueError, match="was given no tensor"):
        evaluate(expr, {})


def test_numbers_beyond_float32_become_infinite():
    value = evaluate(parse("min(x, 1e300) + 1e-300"), {"x": torch.tensor([2.0])})
    assert value.item() == 2.0
    assert evaluate(parse("x*1e300"), {"x": torch.tensor([2.0])}).item() == float("inf")


def test_gradients_sum_within_a_network():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv1d(1, 4, 3), Activation(parse(MIXED), channels=4), nn.Conv1d(4, 2, 3)
    )
    net(torch.randn(2, 1, 9)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
