"""Reads a config that was written as text without running it."""

from __future__ import annotations

import ast
from typing import Any

from mono_distill.utils.errors import ConfigError


def parse_config_text(text: str) -> dict[str, Any]:
    """Read the text that ``Config.pretty_text`` writes: assignments of literals and ``dict(...)``.

    mmengine runs such a text as a Python program, and a checkpoint can carry any.

    Args:
        text: The text.

    Returns:
        Name to value.

    Raises:
        ConfigError: The text holds anything else; the message says where.

    Example:
        >>> parse_config_text("model = dict(type='A', scales=[1, -2.0])")
        {'model': {'type': 'A', 'scales': [1, -2.0]}}
        >>> parse_config_text('import os')
        Traceback (most recent call last):
        mono_distill.utils.errors.ConfigError: line 1 of the config text is no plain value: import os
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ConfigError(f'the config text cannot be parsed: {error}') from error
    values: dict[str, Any] = {}
    for statement in statements:
        if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1):
            raise _refused(statement)
        target = statement.targets[0]
        if not isinstance(target, ast.Name):
            raise _refused(statement)
        values[target.id] = _value(statement.value)
    return values


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        # Names that are no identifiers are written as dict({...}).
        if node.args and (len(node.args) > 1 or not isinstance(node.args[0], ast.Dict)):
            raise _refused(node)
        first = _value(node.args[0]) if node.args else {}
        return {**first, **{_name(keyword): _value(keyword.value) for keyword in node.keywords}}
    if isinstance(node, ast.Dict):
        return {_value(_given(key, node)): _value(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise _refused(node) from error


def _name(keyword: ast.keyword) -> str:
    if keyword.arg is None:
        raise _refused(keyword.value)
    return keyword.arg


def _given(key: ast.expr | None, node: ast.Dict) -> ast.expr:
    if key is None:
        raise _refused(node)
    return key


def _refused(node: ast.stmt | ast.expr) -> ConfigError:
    text = ast.unparse(node)
    shown = text if len(text) <= 60 else text[:60] + ' …'
    return ConfigError(f'line {node.lineno} of the config text is no plain value: {shown}')
