"""Applying the rules from the leaves to the root."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache, lru_cache

import torch

from ..expr import Apply, Constant, Expr, Input, node_count, postorder
from ..operators import WORDS
from .matching import Bound, match, match_product, match_sum
from .rules import RULES, Rule
from .views import (
    DEEPEST,
    ONE,
    PRODUCTS,
    SUMS,
    InexactError,
    build_product,
    build_sum,
    linear,
    split,
)

# A product of sums.
_DEEPEST_HEAD = 2 * DEEPEST


@lru_cache(maxsize=4096)
def stable(expr: Expr) -> Expr:
    """An equal expression in the spelling that floating point computes best.

    Subexpressions of constants alone become one constant, computed in float64. The result reads
    the same inputs and trainable parameters, and applying `stable` to it changes nothing.
    """
    built: dict[Expr, Expr] = {}
    for node in postorder(expr):
        if isinstance(node, Apply):
            built[node] = _made(node.operator.name, tuple(built[a] for a in node.arguments))
        else:
            built[node] = node
    return built[expr]


# A slope is made of parts of the value, and of other slopes.
@lru_cache(maxsize=16384)
def _made(name: str, arguments: tuple[Expr, ...]) -> Expr:
    """The operator applied to arguments that are stable, rewritten at its root."""
    node = Apply(WORDS[name], arguments)
    if all(isinstance(a, Constant) for a in arguments):
        return folded(node)
    return _rewritten(node) or _tidy(node)


def folded(node: Apply) -> Expr:
    """An operator of constants alone as one constant, unless that is not finite."""
    values = [
        torch.tensor(a.value, dtype=torch.float64)
        for a in node.arguments
        if isinstance(a, Constant)
    ]
    value = node.operator.value(*values).item()
    return Constant(value) if math.isfinite(value) else node


def _rewritten(node: Apply) -> Expr | None:
    name = node.operator.name
    heads = _heads(node)
    for rule, needed in _rules_at(_kind(name)):
        if needed <= heads:
            try:
                for better in _applied(rule, node):
                    return better
            except InexactError:
                continue
    return None


def _applied(rule: Rule, node: Apply) -> Iterator[Expr]:
    kind = _kind(node.operator.name)
    if kind == "sum":
        for bound, ratio, terms in match_sum(rule.naive, node, {}):
            yield build_sum([*terms, (ratio, _instance(rule.better, bound))], _made)
    elif kind == "product":
        for bound, ratio, factors in match_product(rule.naive, node, {}):
            replaced = (_instance(rule.better, bound), 1)
            yield build_product(ratio, [*factors, replaced], _made)
    else:
        for bound in match(rule.naive, node, {}):
            yield _instance(rule.better, bound)


def _instance(template: Expr, bound: Bound) -> Expr:
    built: dict[Expr, Expr] = {}
    for node in postorder(template):
        match node:
            case Input(name):
                built[node] = bound[name]
            case Apply(operator, arguments):
                built[node] = _made(operator.name, tuple(built[a] for a in arguments))
            case _:
                built[node] = node
    return built[template]


def _tidy(node: Apply) -> Expr:
    """Its constants and signs merged, where that leaves fewer nodes and rounds nothing."""
    kind = _kind(node.operator.name)
    if not _has_something_to_merge(node, kind):
        return node
    try:
        if kind == "sum":
            terms = linear(node)
            numbers = [c for c, t in terms if t == ONE]
            merged = [term for term in terms if term[1] != ONE]
            if numbers:
                merged.append((sum(numbers, Fraction(0)), ONE))
            if node_count(build_sum(merged)) < node_count(node):
                return build_sum(merged, _made)
        elif kind == "product":
            coefficient, rest = split(node)
            if node_count(build_sum([(coefficient, rest)])) < node_count(node):
                return build_sum([(coefficient, rest)], _made)
    except InexactError:
        pass
    return node


def _has_something_to_merge(node: Apply, kind: str) -> bool:
    """Whether two constants or signs, or a neutral constant, meet; cheaper than reading it all."""
    count = 0
    stack: list[tuple[Expr, int]] = [(node, DEEPEST)]
    names = SUMS | {"neg"} if kind == "sum" else PRODUCTS
    while stack:
        inner, deepest = stack.pop()
        if isinstance(inner, Constant):
            count += 2 if inner.value in (0.0, 1.0) else 1
        elif isinstance(inner, Apply) and inner.operator.name in names and deepest:
            # A sum takes even a single sign over; a product does so only with a constant.
            count += (2 if kind == "sum" else 1) if inner.operator.name == "neg" else 0
            stack.extend((a, deepest - 1) for a in inner.arguments)
    return count > 1


def _kind(name: str) -> str:
    return "sum" if name in SUMS else "product" if name in PRODUCTS else name


@cache
def _rules_at(kind: str) -> list[tuple[Rule, frozenset[tuple[str, int]]]]:
    """The rules for such a root, larger patterns first, with the `_heads` that they need."""
    found = [
        (rule, _heads(rule.naive))
        for rule in RULES
        if isinstance(rule.naive, Apply) and _kind(rule.naive.operator.name) == kind
    ]
    return sorted(found, key=lambda item: -node_count(item[0].naive))


_CONSTANT, _INVERSE, _REPEATED = ("constant", 0), ("inverse", 0), ("repeated", 0)


def _heads(node: Apply) -> frozenset[tuple[str, int]]:
    """Operators of the terms and factors of the node, or of its arguments, each time numbered.

    With marks if a sum has a constant term, a product an inverse factor, and if one of them all
    is there twice. A rule whose own are not among them cannot match, which spares most nodes the
    matching.
    """
    found: set[tuple[str, int]] = set()
    counts: dict[str, int] = {}
    met: set[Expr] = set()
    stack = [(node, _DEEPEST_HEAD)]
    while stack:
        outer, deepest = stack.pop()
        name, last = outer.operator.name, outer.arguments[-1]
        if name == "reciprocal" or (name == "div" and not isinstance(last, Constant)):
            found.add(_INVERSE)
        for inner in outer.arguments:
            if isinstance(inner, Constant):
                if name in SUMS:
                    found.add(_CONSTANT)
                continue
            if isinstance(inner, Apply):
                head = inner.operator.name
                if deepest and (head in SUMS or head in PRODUCTS):
                    stack.append((inner, deepest - 1))
                    continue
                counts[head] = counts.get(head, 0) + 1
                found.add((head, counts[head]))
            if inner in met:
                found.add(_REPEATED)
            met.add(inner)
    return frozenset(found)
