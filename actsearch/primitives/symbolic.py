"""Between expressions and sympy, which gives LaTeX and simplification.

Sympy takes 5 to 1,000 ms an expression and is imported only when one of these functions is
called; nothing on the way to a score calls them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from functools import cache, reduce
from typing import Any

import torch

from .expr import Apply, Constant, Expr, Input, Parameter, inputs, parameters, postorder
from .layer_words import layer_words
from .lowering.eager import evaluate
from .operators import OPERATORS

_INPUTS = ("x", "u", "v")
_MOST_BITS = 2_000
_LARGEST_INTEGER = 1_000


def to_sympy(expr: Expr) -> Any:
    """The expression in sympy, over real symbols with the names of inputs and parameters.

    Subexpressions of constants alone become one number first, in float64.

    Raises:
        ValueError: a constant subexpression is not a finite real number, or sympy refuses a
            step; the message names it.
    """
    import sympy as sp

    built: dict[Expr, Any] = {}
    for node in postorder(expr):
        match node:
            case Input(name) | Parameter(name):
                built[node] = sp.Symbol(name, real=True)
            case Constant(value):
                built[node] = _sympy_number(value)
            case Apply(operator, arguments):
                # Left to sympy, 9^(9^(9^9)) would be computed digit by digit.
                if not inputs(node) and not parameters(node) and not layer_words(node):
                    built[node] = _sympy_number(_folded(node))
                    continue
                try:
                    made = operator.sympy(sp, *(built[a] for a in arguments))
                except (ArithmeticError, TypeError, ValueError, RecursionError) as error:
                    raise ValueError(f"sympy cannot build '{node}': {error}") from error
                # cube(cube(... cube(2*x))) would triple the digits of a factor at every step.
                factor = made.as_coeff_Mul()[0]
                if (factor.is_Float and abs(factor) > sys.float_info.max) or (
                    factor.is_Rational and max(abs(factor.p), factor.q).bit_length() > _MOST_BITS
                ):
                    raise ValueError(f"sympy cannot build '{node}': its factor is too large")
                built[node] = made
    return built[expr]


def latex(expr: Expr) -> str:
    """LaTeX of the expression; a parameter named as a Greek letter is printed as one.

    Raises:
        ValueError: as of `to_sympy`.
    """
    import sympy as sp

    return str(sp.latex(to_sympy(expr)))


def from_sympy(node: Any, parameters: Iterable[Parameter] = ()) -> Expr:
    """The expression of a sympy tree, in granular operators where it has their form.

    1/(1 + exp(-a)) and exp(a)/(1 + exp(a)) become sigmoid(a), log(1 + exp(a)) softplus(a),
    exp(a) - 1 expm1(a), and so on, so that what sympy spells unstably is computed stably.

    Args:
        node: of symbols, real numbers and functions that an operator is, such as `sympy.tanh`.
        parameters: what symbols other than x, u and v stand for.

    Raises:
        ValueError: a part has no counterpart, such as a Piecewise; the message names it.
    """
    return _Reader({p.name: p for p in parameters}).read(node)


def _sympy_number(value: float) -> Any:
    import sympy as sp

    if value == math.pi:
        return sp.pi
    exact = value.is_integer() and abs(value) <= _LARGEST_INTEGER
    return sp.Integer(int(value)) if exact else sp.Float(value)


def _folded(expr: Expr) -> float:
    value = evaluate(expr, {"x": torch.zeros((), dtype=torch.float64)}).item()
    if not math.isfinite(value):
        raise ValueError(f"'{expr}' is not a finite real number")
    return value


@cache
def _operator_of_head() -> dict[Any, str]:
    """Operators whose meaning is one sympy function of just their arguments, by that function.

    A function of an argument and numbers, such as Heaviside(x, 1/2), is keyed with the numbers.
    """
    import sympy as sp

    table: dict[Any, str] = {}
    for name, record in OPERATORS.items():
        symbols = sp.symbols("a b", real=True)[: record.arity]
        meaning = record.sympy(sp, *symbols)
        if isinstance(meaning, sp.Add | sp.Mul | sp.Pow) or not meaning.args:
            continue
        extra = tuple(a for a in meaning.args if a not in symbols)
        if set(meaning.args) - set(extra) != set(symbols) or any(not a.is_number for a in extra):
            continue
        if meaning.func in (sp.Max, sp.Min) and extra:
            continue  # relu is Max(x, 0); found in _Reader.extreme
        key = (meaning.func, *extra)
        if key in table:
            raise AssertionError(f"operators {table[key]} and {name} are both {meaning.func}")
        table[key] = name
    return table


class _Reader:
    def __init__(self, parameters: dict[str, Parameter]):
        import sympy

        self.sp = sympy
        self.parameters = parameters
        self.done: dict[Any, Expr] = {}

    def read(self, node: Any) -> Expr:
        if node not in self.done:
            self.done[node] = self.convert(node)
        return self.done[node]

    def convert(self, node: Any) -> Expr:
        sp = self.sp
        if isinstance(node, sp.Symbol):
            return self.symbol(node)
        if node.is_number and not node.free_symbols:
            return self.number(node)
        if isinstance(node, sp.Add):
            return self.sum(node)
        if isinstance(node, sp.Mul):
            return self.product(node)
        if isinstance(node, sp.exp):
            return self.exponential(node.args[0])
        if isinstance(node, sp.Pow):
            return self.power(node.base, node.exp)
        if isinstance(node, sp.log):
            return self.logarithm(node.args[0])
        if isinstance(node, sp.Max | sp.Min):
            return self.extreme(node)
        numbers = tuple(a for a in node.args if a.is_number)
        name = _operator_of_head().get((node.func, *numbers)) or _operator_of_head().get(
            (node.func,)
        )
        if name is None or len(node.args) - len(numbers) != OPERATORS[name].arity:
            raise ValueError(f"no operator is {node.func.__name__}, as in '{node}'")
        return _apply(name, *(self.read(a) for a in node.args if not a.is_number))

    def symbol(self, node: Any) -> Expr:
        if node.name in self.parameters:
            return self.parameters[node.name]
        if node.name in _INPUTS:
            return Input(node.name)
        raise ValueError(f"symbol '{node.name}' is neither x, u, v nor a trainable parameter")

    def number(self, node: Any) -> Expr:
        value = float(node) if node.is_finite and node.is_real else math.nan
        if not math.isfinite(value):
            raise ValueError(f"the number {node} is not real and finite in float64")
        return Constant(value)

    def sum(self, node: Any) -> Expr:
        """Terms in sympy's order of printing; negated ones are subtracted; exp(a) - 1 is expm1."""
        constant, rest = node.as_coeff_Add()
        terms = sorted(self.sp.Add.make_args(rest), key=self.sp.default_sort_key)
        shown: list[tuple[bool, Expr]] = [(False, made) for made in self.rounded(terms)]
        for term in terms:
            absorbed = self.absorbed(constant, *term.as_coeff_Mul())
            if absorbed is not None:
                constant = self.sp.Integer(0)
                shown.append(absorbed)
            else:
                negative = bool(term.as_coeff_Mul()[0] < 0)
                shown.append((negative, self.read(-term if negative else term)))
        if constant != 0:
            shown.append((bool(constant < 0), self.number(abs(constant))))
        shown.sort(key=lambda item: item[0])
        total: Expr | None = None
        for negative, value in shown:
            if total is None:
                total = _apply("neg", value) if negative else value
            else:
                total = _apply("sub" if negative else "add", total, value)
        assert total is not None
        return total

    def rounded(self, terms: list[Any]) -> list[Expr]:
        """Take c floor(a/2 + 1/4) + c ceiling(a/2 - 1/4) out of the terms, as c round(a)."""
        sp, found = self.sp, []
        for term in list(terms):
            factor, lower = term.as_coeff_Mul()
            if not isinstance(lower, sp.floor):
                continue
            doubled = 2 * lower.args[0] - sp.Rational(1, 2)
            upper = factor * sp.ceiling(doubled / 2 - sp.Rational(1, 4))
            if upper in terms:
                terms.remove(term)
                terms.remove(upper)
                found.append(self.scaled(factor, _apply("round", self.read(doubled))))
        return found

    def absorbed(self, constant: Any, coefficient: Any, term: Any) -> tuple[bool, Expr] | None:
        """constant + coefficient * term as one operator that does not cancel in its tail.

        Returns:
            Whether it is negative, and its absolute value; None if there is no such operator.
        """
        sp = self.sp
        if constant == 0 or not isinstance(term, sp.exp | sp.tanh | sp.erf | sp.erfc):
            return None
        # As floats: to sympy 1.0 and 1 are not equal.
        ratio, inner = float(coefficient / constant), term.args[0]
        if isinstance(term, sp.exp) and ratio == -1:
            factor, value = coefficient, _apply("expm1", self.read(inner))
        elif isinstance(term, sp.tanh) and abs(ratio) == 1:
            factor, value = 2 * constant, _apply("sigmoid", self.read(int(2 * ratio) * inner))
        elif isinstance(term, sp.erf) and abs(ratio) == 1:
            factor = 2 * constant
            value = _apply("normal_cdf", self.read(int(ratio) * sp.sqrt(2) * inner))
        elif isinstance(term, sp.erfc) and ratio == -0.5:
            factor, value = constant, _apply("normal_cdf", self.read(sp.sqrt(2) * inner))
        else:
            return None
        return bool(factor < 0), self.scaled(abs(factor), value)

    def scaled(self, factor: Any, value: Expr) -> Expr:
        return value if factor == 1 else _apply("mul", self.number(factor), value)

    def product(self, node: Any) -> Expr:
        coefficient, rest = node.as_coeff_Mul()
        if coefficient == -1:
            return _apply("neg", self.read(rest))
        factors = list(self.sp.Mul.make_args(rest))
        above: list[Expr] = self.merged(factors)
        below: list[Expr] = []
        for factor in factors:
            base, exponent = factor.as_base_exp()
            if isinstance(factor, self.sp.Pow) and exponent.is_number and exponent < 0:
                granular = self.reciprocal_form(base, -exponent)
                if granular is not None:
                    above.append(granular)
                else:
                    below.append(self.power(base, -exponent))
            else:
                above.append(self.read(factor))
        if coefficient != 1:
            above.insert(0, self.number(coefficient))
        numerator = _product(above) if above else Constant(1.0)
        return _apply("div", numerator, _product(below)) if below else numerator

    def merged(self, factors: list[Any]) -> list[Expr]:
        """Take exp(a)/(1 + exp(a)) and exp(-|a|) I(a) out of the factors, as one operator each."""
        sp, found = self.sp, []
        for factor in list(factors):
            base, exponent = factor.as_base_exp()
            one_plus = _exponent_of_one_plus_exp(sp, base)
            if one_plus is not None and exponent == -1 and sp.exp(one_plus) in factors:
                factors.remove(factor)
                factors.remove(sp.exp(one_plus))
                found.append(_apply("sigmoid", self.read(one_plus)))
            elif isinstance(factor, sp.besseli) and factor.args[0] in (0, 1):
                order, argument = factor.args
                if sp.exp(-sp.Abs(argument)) in factors:
                    factors.remove(factor)
                    factors.remove(sp.exp(-sp.Abs(argument)))
                    found.append(_apply(f"bessel_i{order}e", self.read(argument)))
        return found

    def reciprocal_form(self, base: Any, exponent: Any) -> Expr | None:
        """base^-exponent where an operator computes it without overflow; None otherwise."""
        sp = self.sp
        inner = _exponent_of_one_plus_exp(sp, base)
        if inner is not None:
            return self.raised(_apply("sigmoid", self.read(-inner)), exponent)
        if isinstance(base, sp.cosh) and exponent == 2:
            return _apply("sech_squared", self.read(base.args[0]))
        return None

    def power(self, base: Any, exponent: Any) -> Expr:
        if base == self.sp.E:
            return self.exponential(exponent)
        if exponent.is_number and exponent < 0:
            granular = self.reciprocal_form(base, -exponent)
            if granular is not None:
                return granular
            return _apply("reciprocal", self.raised(self.read(base), -exponent))
        if exponent.is_number:
            return self.raised(self.read(base), exponent)
        return _apply("pow", self.read(base), self.read(exponent))

    def raised(self, base: Expr, exponent: Any) -> Expr:
        """base^exponent for a positive number."""
        value = float(exponent)
        named = {0.5: "sqrt", 2.0: "square", 3.0: "cube"}
        if value == 1:
            return base
        if value in named:
            return _apply(named[value], base)
        return _apply("pow", base, Constant(value))

    def exponential(self, argument: Any) -> Expr:
        sp = self.sp
        coefficient, rest = argument.as_coeff_Mul()
        if coefficient < 0 and isinstance(rest, sp.Pow) and rest.exp == 2:
            inner = rest.base if coefficient == -1 else sp.sqrt(-coefficient) * rest.base
            return _apply("gaussian", self.read(inner))
        return _apply("exp", self.read(argument))

    def logarithm(self, argument: Any) -> Expr:
        sp = self.sp
        inner = _exponent_of_one_plus_exp(sp, argument)
        if inner is not None:
            return _apply("softplus", self.read(inner))
        if isinstance(argument, sp.cosh):
            return _apply("log_cosh", self.read(argument.args[0]))
        if isinstance(argument, sp.Add):
            if len(argument.args) == 2 and all(isinstance(a, sp.exp) for a in argument.args):
                one, other = sorted(argument.args, key=sp.default_sort_key)
                return _apply("logaddexp", self.read(one.args[0]), self.read(other.args[0]))
            if 1 in argument.args:
                return _apply("log1p", self.read(argument - 1))
        return _apply("log", self.read(argument))

    def extreme(self, node: Any) -> Expr:
        ordered = sorted(node.args, key=self.sp.default_sort_key)
        if isinstance(node, self.sp.Max) and 0 in ordered and len(ordered) > 1:
            ordered.remove(0)
            rest = self.sp.Max(*ordered, evaluate=False) if len(ordered) > 1 else ordered[0]
            return _apply("relu", self.read(rest))
        name = _operator_of_head()[(node.func,)]
        return reduce(
            lambda left, right: _apply(name, left, right), [self.read(a) for a in ordered]
        )


def _exponent_of_one_plus_exp(sp: Any, node: Any) -> Any:
    """`a` of 1 + exp(a), or None."""
    if isinstance(node, sp.Add) and len(node.args) == 2 and 1 in node.args:
        rest = node - 1
        if isinstance(rest, sp.exp):
            return rest.args[0]
    return None


def _product(factors: list[Expr]) -> Expr:
    return reduce(lambda left, right: _apply("mul", left, right), factors)


def _apply(name: str, *arguments: Expr) -> Expr:
    return Apply(OPERATORS[name], arguments)
