"""Functions that a formula may call by name, and the parameters that a call may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from .expr import Constant, Expr, Input, Parameter, inputs, parameters, substitute


@dataclass(frozen=True)
class NamedFunction:
    """A function of x, or of u and v.

    Args:
        body: the function; a fixed parameter stands in it as an `Input` of its name, a trainable
            one as a `Parameter`.
        fixed: the values of the fixed parameters where a call gives none.
        shorter: the function at these values, where it has a better spelling than the body.
    """

    body: Expr
    fixed: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    shorter: Expr | None = None

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of its inputs."""
        return tuple(name for name in inputs(self.body) if name not in self.fixed)

    @cached_property
    def trainable(self) -> tuple[Parameter, ...]:
        """Its trainable parameters."""
        return parameters(self.body)

    @cached_property
    def settable(self) -> tuple[str, ...]:
        """Names of all parameters that a call may give a value."""
        return (*self.fixed, *(p.name for p in self.trainable))

    @cached_property
    def default(self) -> Expr:
        """The function where no parameter is changed."""
        if self.shorter is not None:
            return self.shorter
        return substitute(self.body, {Input(n): Constant(v) for n, v in self.fixed.items()})

    def applied(self, arguments: Mapping[str, Expr], values: Mapping[str, Expr]) -> Expr:
        """The function of these arguments, with other values of its parameters.

        Args:
            arguments: for each input, by name.
            values: a number becomes the value of a fixed parameter and the initial value of a
                trainable one; a trainable parameter takes the place of either.
        """
        function = self._with(values)
        return substitute(function, {Input(name): made for name, made in arguments.items()})

    def _with(self, values: Mapping[str, Expr]) -> Expr:
        usual: dict[str, Expr] = {name: Constant(value) for name, value in self.fixed.items()}
        usual |= {p.name: Constant(p.initial) for p in self.trainable}
        if all(usual[name] == value for name, value in values.items()):
            return self.default
        replaced: dict[Expr, Expr] = {}
        for name in self.fixed:
            replaced[Input(name)] = values.get(name, usual[name])
        for parameter in self.trainable:
            match values.get(parameter.name):
                case None:
                    pass
                case Constant(number):
                    replaced[parameter] = Parameter(parameter.name, number, parameter.scope)
                case other:
                    replaced[parameter] = other
        return substitute(self.body, replaced)
