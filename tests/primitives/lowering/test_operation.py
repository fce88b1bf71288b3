"""The operation as a citizen of torch: compilation, export, transforms, stacks, processes."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
import textwrap

import pytest
import torch
import torch._dynamo.testing
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import SMOOTH, exprs
from torch import nn
from torch.func import functional_call, grad, jacrev, stack_module_state
from torch.library import opcheck

import actsearch
from actsearch.primitives import Activation, ActivationSlot, inputs, parse, read_formula
from actsearch.primitives.lowering.application import apply
from actsearch.primitives.lowering.binding import decode, encode
from actsearch.primitives.lowering.operation import (
    activation,
    activation_backward,
    activation_second_backward,
)
from actsearch.primitives.spaces import UnaryBinary

MIXED = "x*sigmoid(beta[1.2, channel]*x) + a[0.5]*sin(x)"
CANDIDATES = ("relu(x)", "x*sigmoid(beta[1, channel]*x)", "x*tanh(softplus(x))", "sin(x) + g[2]*x")


def arguments(dtype=torch.float32, stack=0):
    """Tensors of the three operations, for MIXED on (4, 3, 5), or a stack of programs."""
    program = encode(parse(MIXED))
    lead = (stack,) if stack else ()
    if stack:
        program = program.expand(stack, -1)
    x = torch.randn(*lead, 4, 3, 5, dtype=dtype, requires_grad=True)
    beta = torch.randn(*lead, 3, dtype=dtype, requires_grad=True)
    a = torch.randn(lead, dtype=dtype, requires_grad=True)
    grad_of_value = torch.randn(*lead, 4, 3, 5, dtype=dtype, requires_grad=True)
    return program, grad_of_value, x, beta, a


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("stack", [0, 2])
def test_opcheck_passes(dtype, stack):
    program, g, x, beta, a = arguments(dtype, stack)
    # The engine's own bfloat16 rounding is compared elsewhere; here eager and traced must agree.
    opcheck(activation, (program, [x], [beta, a], -2))
    opcheck(activation_backward, (program, g, [x], [beta, a], -2))
    seconds = [torch.randn_like(t) for t in (x, beta, a)]
    rest = [t.detach() for t in (g, x, beta, a)]
    opcheck(activation_second_backward, (program, seconds, rest[0], [rest[1]], rest[2:], -2))


@pytest.mark.parametrize("function", [activation, apply], ids=["operation", "apply"])
def test_two_derivatives_agree_with_finite_differences(function):
    program, _, x, beta, a = arguments(torch.float64)

    def call(x, beta, a):
        return function(program, [x], [beta, a], -2)

    assert torch.autograd.gradcheck(call, (x, beta, a))
    assert torch.autograd.gradgradcheck(call, (x, beta, a))


def test_a_gated_unit_has_two_derivatives_by_both_inputs():
    program = encode(parse("u*sigmoid(b[1.5]*u)*v"))
    u, v = torch.randn(2, 3, 4, dtype=torch.float64).unbind()
    b = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    tensors = (u.requires_grad_(), v.requires_grad_(), b)

    def call(u, v, b):
        return activation(program, [u, v], [b], -1)

    assert torch.autograd.gradcheck(call, tensors)
    assert torch.autograd.gradgradcheck(call, tensors)


def test_third_derivatives_of_plain_tensors():
    x = torch.linspace(-2, 2, 9, requires_grad=True)
    module = Activation(parse("x*tanh(x)"))
    ours = theirs = None
    for name, function in (("ours", module), ("theirs", lambda t: t * torch.tanh(t))):
        value = function(x)
        for _ in range(3):
            (value,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        ours, theirs = (value, theirs) if name == "ours" else (ours, value)
    torch.testing.assert_close(ours, theirs)


@given(exprs(operators=SMOOTH))
def test_a_program_decodes_to_its_expression(expr):
    assume(len(expr.text) < 9_000)
    binding = decode(encode(expr))
    assert binding.expr == expr
    assert len(encode(expr)) % 512 == 0


def test_names_say_which_tensor_is_what():
    expr = parse("v*sigmoid(b[1]*u)")
    program = encode(expr, ("v", "u"), (None, "b"))
    u, v, b = torch.randn(5), torch.randn(5), torch.tensor(0.7)
    value = activation(program, [v, u], [torch.tensor(9.0), b], -1)
    torch.testing.assert_close(value, v * torch.sigmoid(b * u))
    found = activation_backward(program, torch.ones(5), [v, u], [torch.tensor(9.0), b], -1)
    torch.testing.assert_close(found[0], torch.sigmoid(b * u))
    assert found[2].item() == 0.0


def test_fullgraph_compilation_has_one_graph_and_equal_results():
    module = Activation(parse(MIXED), channels=3)
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(module, fullgraph=True, backend=counter)
    for x in (torch.randn(4, 3, 5), torch.randn(4, 3, 5).to(memory_format=torch.contiguous_format)):
        x.requires_grad_()
        found = torch.autograd.grad(compiled(x).square().sum(), [x, *module.parameters()])
        wanted = torch.autograd.grad(module(x).square().sum(), [x, *module.parameters()])
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other)
    assert counter.frame_count == 1


@pytest.mark.slow
def test_inductor_compiles_it_within_a_network():
    net = nn.Sequential(nn.Linear(6, 8), Activation(parse(MIXED), channels=8), nn.Linear(8, 2))
    compiled = torch.compile(net, fullgraph=True)
    x = torch.randn(16, 6)
    torch.testing.assert_close(compiled(x), net(x))
    compiled(x).square().sum().backward()
    found = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    net(x).square().sum().backward()
    for one, other in zip(found, net.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad)


class Network(nn.Module):
    def __init__(self, expr):
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.slot = ActivationSlot(expr, 8)
        self.last = nn.Linear(8, 2)

    def forward(self, x):
        return self.last(self.slot(self.first(x)))


def test_fifty_candidates_in_a_compiled_network_compile_once():
    import numpy as np

    space = UnaryBinary(units=2)
    candidates = [space.sample(np.random.default_rng(i)).expr for i in range(50)]
    assert len({c.text for c in candidates}) == 50
    net = Network(candidates[0])
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(net, fullgraph=True, backend=counter)
    x = torch.randn(16, 6)
    for candidate in candidates:
        net.slot.hold(candidate)
        value = compiled(x)
        value.sum().backward()
        torch.testing.assert_close(value, net(x), equal_nan=True)
    assert counter.frame_count == 1


def test_a_stack_of_networks_runs_each_with_its_own_expression():
    x = torch.randn(5, 6)
    nets = [Network(parse(text)) for text in CANDIDATES]
    weights, buffers = stack_module_state(nets)
    base = copy.deepcopy(nets[0]).to("meta")

    def call(weights, buffers, x):
        return functional_call(base, (weights, buffers), (x,))

    values = torch.vmap(call, in_dims=(0, 0, None))(weights, buffers, x)
    values.square().sum().backward()
    for index, net in enumerate(nets):
        value = net(x)
        torch.testing.assert_close(values[index], value)
        value.square().sum().backward()
        for name, parameter in net.named_parameters():
            wanted = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(weights[name].grad[index], wanted)


def test_transforms_agree_with_loops():
    program, _, x, beta, a = (t.detach() for t in arguments(torch.float64))

    def loss(x, beta, a):
        return apply(program, [x], [beta, a], -2).square().sum()

    xs = torch.randn(6, 4, 3, 5, dtype=torch.float64)
    each = torch.vmap(grad(loss, argnums=(0, 1, 2)), in_dims=(0, None, None))(xs, beta, a)
    looped = [grad(loss, argnums=(0, 1, 2))(one, beta, a) for one in xs]
    for found, wanted in zip(each, zip(*looped, strict=True), strict=True):
        torch.testing.assert_close(found, torch.stack(wanted))
    second = jacrev(grad(loss))(x[:1, :, :1], beta, a)
    wanted = torch.autograd.functional.hessian(lambda t: loss(t, beta, a), x[:1, :, :1])
    torch.testing.assert_close(second, wanted)


def test_vmap_moves_any_axis_and_broadcasts_parameters():
    program, _, x, _, a = (t.detach() for t in arguments(torch.float64))
    betas = torch.randn(3, 4, dtype=torch.float64)

    def call(x, beta):
        return apply(program, [x], [beta, a], -1)

    values = torch.vmap(call, in_dims=(0, 1), out_dims=1)(x.movedim(1, 2), betas)
    wanted = torch.stack([call(x.movedim(1, 2)[i], betas[:, i]) for i in range(4)], dim=1)
    torch.testing.assert_close(values, wanted)


def test_the_second_derivative_of_a_stack_of_different_programs():
    programs = torch.stack([encode(parse(t)) for t in ("x*tanh(x)", "sin(x)", "square(x)*x")])
    xs = torch.randn(3, 4, dtype=torch.float64)

    def bend(program, x):
        def slope(t):
            return grad(lambda s: apply(program, [s], [], -1).sum())(t).sum()

        return grad(slope)(x)

    found = torch.vmap(bend)(programs, xs)
    wanted = torch.stack([bend(p, x) for p, x in zip(programs, xs, strict=True)])
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(found[2], 6 * xs[2])


def test_an_exported_network_runs_in_another_process(tmp_path):
    net = Network(parse(CANDIDATES[1]))
    x = torch.randn(5, 6)
    torch.export.save(torch.export.export(net, (x,)), tmp_path / "net.pt2")
    torch.save((x, net(x).detach()), tmp_path / "io.pt")
    script = textwrap.dedent(
        """
        import sys, torch, actsearch.primitives
        x, wanted = torch.load(sys.argv[1] + "/io.pt", weights_only=True)
        found = torch.export.load(sys.argv[1] + "/net.pt2").module()(x)
        torch.testing.assert_close(found, wanted)
        """
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)


@pytest.mark.parametrize("text", [MIXED, "relu(x)", "x", "3"])
def test_strides_and_shapes_are_kept(text):
    module = Activation(parse(text), channels=3)
    base = torch.randn(4, 3, 6, 2)
    views = {
        "contiguous": base,
        "channels last": base.to(memory_format=torch.channels_last),
        "transposed": base.transpose(2, 3),
        "every other": base[:, :, ::2],
        "expanded": base[:1].expand(4, 3, 6, 2),
        "empty": base[:0],
        "no positions": base[:, :, :0],
    }
    for name, view in views.items():
        leaf = view.detach().requires_grad_()
        value = module(leaf)
        wanted = module(view.clone(memory_format=torch.contiguous_format))
        torch.testing.assert_close(value, wanted, msg=name)
        trained = [p.detach() for p in module.parameters()]
        again = activation(encode(parse(text)), [view], trained, -3)
        torch.testing.assert_close(again, wanted, msg=name)
        assert again.stride() == torch.empty_like(view).stride(), name
        if value.requires_grad:
            value.square().sum().backward()
            assert leaf.grad is None or leaf.grad.shape == view.shape


def test_gradients_have_the_strides_that_tracing_expects():
    program = encode(parse("u*sigmoid(v)"))
    u, v = torch.randn(4, 3), torch.randn(3, 4).t()
    found = activation_backward(program, torch.randn(4, 3), [u, v], [], -1)
    assert [g.stride() for g in found] == [u.stride(), v.stride()]
    opcheck(activation_backward, (program, torch.randn(4, 3), [u, v], [], -1))


def test_a_scalar_and_a_vector_are_tensors_too():
    module = Activation(parse("x*sigmoid(x)"))
    assert module(torch.tensor(2.0)).shape == ()
    assert (
        Activation(parse("x*b[2, channel]"), channels=3, dim=0)(torch.ones(3)).tolist() == [2.0] * 3
    )


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16], ids=str)
def test_under_autocast_it_keeps_the_dtype_it_gets(low):
    module = Activation(parse(MIXED), channels=8)
    linear = nn.Linear(6, 8)
    with torch.autocast("cpu", dtype=low):
        hidden = linear(torch.randn(4, 6))
        assert module(hidden).dtype == hidden.dtype == low
        assert module(torch.randn(4, 8)).dtype == torch.float32
        module(hidden).sum().backward()
    assert module.beta.grad.dtype == torch.float32
    with torch.autocast("cpu", dtype=low):
        compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(hidden), module(hidden))


def test_inputs_of_a_gate_meet_in_the_wider_dtype():
    gate = Activation(parse("u*sigmoid(v)"))
    u, v = torch.randn(5), torch.randn(5).bfloat16()
    value = gate(u, v)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, u * torch.sigmoid(v.float()))
    with pytest.raises(ValueError, match=r"must have one shape, got \(5,\) and \(4,\)"):
        gate(u, v[:4])


def test_the_one_line_interface():
    module = actsearch.activation("x*sigmoid(1.702*x)")
    x = torch.randn(7)
    torch.testing.assert_close(module(x), x * torch.sigmoid(1.702 * x))
    assert isinstance(module, nn.Module)
    assert actsearch.activation("prelu", channels=4).a.shape == (4,)
    with pytest.raises(actsearch.ActsearchError, match="sofplus"):
        actsearch.activation("sofplus(x)")


def test_a_slot_refuses_what_does_not_fit():
    slot = ActivationSlot(parse("relu(x)"), 4, tensor_parameters=1, channel_parameters=1)
    with pytest.raises(ValueError, match=r"2 parameters per channel.*channel_parameters=2"):
        slot.hold(parse("b[1, channel]*x + c[2, channel]"))
    with pytest.raises(ValueError, match="a slot has one input"):
        slot.hold(parse("u*v"))
    slot.hold(parse("b[0.5, channel]*x + c[2]"))
    assert slot.per_channel[0].tolist() == [0.5] * 4 and slot.per_tensor.tolist() == [2.0]
    assert not slot.state_dict().keys() - {"per_tensor", "per_channel", "program"}


def test_a_slot_trains_as_the_module_does():
    expr = parse("b[1, channel]*x*sigmoid(c[0.7]*x)")
    module, slot = Activation(expr, channels=3), ActivationSlot(expr, 3)
    x = torch.randn(20, 3)
    for trained in (module, slot):
        optimiser = torch.optim.Adam(trained.parameters(), lr=0.1)
        for _ in range(5):
            optimiser.zero_grad()
            (trained(x) - 2 * x).square().mean().backward()
            optimiser.step()
    torch.testing.assert_close(slot.per_channel[0], module.b)
    torch.testing.assert_close(slot.per_tensor[0], module.c)
    assert not slot.per_channel[1:].any() and not slot.per_tensor[1:].any()


_DISTRIBUTED = textwrap.dedent(
    """
    import sys, torch, torch.distributed as dist
    from torch import nn
    from torch.nn.parallel import DistributedDataParallel
    from actsearch.primitives import Activation, parse

    rank, folder = int(sys.argv[1]), sys.argv[2]
    dist.init_process_group("gloo", rank=rank, world_size=2)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), Activation(parse(sys.argv[3]), channels=8))
    data = torch.randn(16, 6)
    parallel = DistributedDataParallel(net)
    parallel(data[rank * 8 : rank * 8 + 8]).square().mean().backward()
    alone = nn.Sequential(nn.Linear(6, 8), Activation(parse(sys.argv[3]), channels=8))
    alone.load_state_dict(net.state_dict())
    alone(data).square().mean().backward()
    for one, other in zip(net.parameters(), alone.parameters()):
        torch.testing.assert_close(one.grad, other.grad)
    dist.destroy_process_group()
    """
)


def test_two_processes_train_one_network(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
    }
    script = [sys.executable, "-c", _DISTRIBUTED]
    ranks = [
        subprocess.Popen([*script, str(rank), str(tmp_path), MIXED], env=environment)
        for rank in range(2)
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]


def test_every_known_function_passes_through_the_operation():
    x = torch.linspace(-4, 4, 33, dtype=torch.float64)
    for name in ("gelu", "mish", "golu", "crrelu", "snake"):
        expr = read_formula(name)
        assert inputs(expr) == ("x",)
        module = Activation(expr).double()
        trained = list(module.parameters())
        torch.testing.assert_close(activation(encode(expr), [x], trained, -1), module(x))


@given(st.sampled_from(CANDIDATES), st.integers(1, 4))
def test_a_stack_equals_its_slices(text, count):
    expr = parse(text)
    modules = [Activation(expr, channels=3) for _ in range(count)]
    trained = [
        torch.stack([list(m.parameters())[i].detach() + k for k, m in enumerate(modules)])
        for i in range(len(list(modules[0].parameters())))
    ]
    x, g = torch.randn(count, 4, 3), torch.randn(count, 4, 3)
    program = encode(expr)
    stacked = program.expand(count, -1)
    values = activation(stacked, [x], trained, -1)
    found = activation_backward(stacked, g, [x], trained, -1)
    for k in range(count):
        own = [t[k] for t in trained]
        torch.testing.assert_close(values[k], activation(program, [x[k]], own, -1))
        for one, other in zip(
            found, activation_backward(program, g[k], [x[k]], own, -1), strict=True
        ):
            torch.testing.assert_close(one[k], other)
