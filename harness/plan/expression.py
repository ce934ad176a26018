"""Parameters that depend on the data: `"4*sqrt(n)"` over n, dim and k, parsed and never `eval`ed."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from harness.core.errors import ConfigError

_OPERATORS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "sqrt": math.sqrt,
    "log": math.log,
    "log2": math.log2,
    "min": min,
    "max": max,
    "round": round,
    "ceil": math.ceil,
    "floor": math.floor,
}
_POWER_LIMIT = 64.0
_LENGTH_LIMIT = 200
VARIABLES = ("n", "dim", "k")


def resolve(value: Any, variables: Mapping[str, int]) -> Any:
    """Return `value`, or the rounded integer that it stands for where it is an expression over n, dim and k.

    A string is an expression when it is made of the variables, numbers, + - * / // % ** and sqrt, log, log2, min, max,
    round, ceil, floor; a plain word such as `"sq8"` or `"auto"` stays as it is, and one in quotes of its own, such as
    `"'sw-graph'"` or `"'n'"`, is the word between them. Raises ConfigError, naming the string, where it has operators
    or calls but is not such an expression, or can't be computed.
    """
    if not isinstance(value, str):
        return value
    try:
        tree = ast.parse(value.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return value  # not even the form of an expression: a path, a factory string, a phrase
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        return tree.value
    if isinstance(tree, ast.Name) and tree.id not in VARIABLES:
        return value
    if not isinstance(tree, ast.BinOp | ast.UnaryOp | ast.Call | ast.Name):
        return value
    if len(value) > _LENGTH_LIMIT:
        raise ConfigError(f"expression of {len(value)} characters; at most {_LENGTH_LIMIT} are read")
    try:
        number = _compute(tree, variables, value)
        return round(number)
    except (ArithmeticError, ValueError, TypeError, RecursionError) as problem:
        raise ConfigError(f"expression {value!r} can't be computed for {dict(variables)}: {problem}") from None


def _compute(node: ast.AST, variables: Mapping[str, int], text: str) -> float:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value) if isinstance(node.value, float) else int(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.Name) and node.id in variables:
        return variables[node.id]
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_compute(node.operand, variables, text))
    if isinstance(node, ast.BinOp):
        left, right = (_compute(side, variables, text) for side in (node.left, node.right))
        if isinstance(node.op, ast.Pow):
            if abs(right) > _POWER_LIMIT:
                raise ConfigError(f"expression {text!r}: the power {right} is over {_POWER_LIMIT:.0f}")
            return float(float(left) ** right)
        if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](left, right)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in _FUNCTIONS
        and not node.keywords
    ):
        return _FUNCTIONS[node.func.id](*(_compute(argument, variables, text) for argument in node.args))
    known = f"variables {', '.join(VARIABLES)}; functions {', '.join(_FUNCTIONS)}"
    raise ConfigError(f"expression {text!r}: {ast.unparse(node)!r} is not allowed; {known}")
