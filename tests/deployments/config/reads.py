"""Where code reads the keys of configuration schemas, found by following annotations as a type checker does.

An attribute counts as read when the value before the dot can be that schema: a parameter, a field, an attribute of ``self``, the
result of a call or an element of a container whose type is known. What cannot be followed counts as not read.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import types
import typing
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

PASSES = 3  # attributes of `self` become known in one pass and are followed in the next
SAME = ("list", "sorted", "reversed", "iter", "tuple", "set", "frozenset")  # an iterable of what they are given


@dataclass(frozen=True)
class Known:
    """A value that is the same for every run: a module, a class, a function; ``owner`` where it is a method."""

    it: Any
    owner: Any = None


@dataclass(frozen=True)
class Of:
    """A value of a type, given as an annotation is."""

    type: Any


Value = Known | Of
Scope = dict[str, list[Value]]


class Reads:
    """The keys that modules read: ``found[schema, key]`` is where."""

    def __init__(self, modules: Iterable[types.ModuleType]) -> None:
        self.found: dict[tuple[type, str], set[str]] = defaultdict(set)
        self._attributes: dict[tuple[Any, str], list[Value]] = defaultdict(list)
        self._file = ""
        parsed = [(module, ast.parse(inspect.getsource(module))) for module in modules]
        for _ in range(PASSES):
            for module, tree in parsed:
                self._module = module
                self._owner: Any = None
                self._block(tree.body, {})

    # Statements

    def _block(self, body: list[ast.stmt], scope: Scope) -> None:
        for statement in body:
            self._statement(statement, scope)

    def _statement(self, node: ast.AST, scope: Scope) -> None:
        match node:
            case ast.ClassDef():
                outer, self._owner = self._owner, _plain(getattr(self._module, node.name, None))
                self._block(node.body, dict(scope))
                self._owner = outer
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(node, scope)
            case ast.Assign():
                values = self._value(node.value, scope)
                for target in node.targets:
                    self._bind(target, values, scope)
            case ast.AnnAssign():
                values = self._value(node.value, scope) if node.value else []
                hint = self._annotation(node.annotation)
                self._bind(node.target, values if hint is None else [Of(hint)], scope)
            case ast.For() | ast.AsyncFor():
                self._bind(node.target, _elements(self._value(node.iter, scope)), scope)
                self._block([*node.body, *node.orelse], scope)
            case ast.withitem():
                values = self._value(node.context_expr, scope)
                if node.optional_vars is not None:
                    self._bind(node.optional_vars, values, scope)
            case ast.expr():
                self._value(node, scope)
            case _:
                for child in ast.iter_child_nodes(node):
                    self._statement(child, scope)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
        inner = dict(scope)
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for argument in arguments:
            hint = self._annotation(argument.annotation) if argument.annotation else None
            inner[argument.arg] = [] if hint is None else [Of(hint)]
        if self._owner is not None and arguments and arguments[0].annotation is None:
            inner[arguments[0].arg] = [Known(self._owner) if arguments[0].arg == "cls" else Of(self._owner)]
        owner, self._owner = self._owner, None
        self._block(node.body, inner)
        self._owner = owner

    def _bind(self, target: ast.expr, values: list[Value], scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope[target.id] = values
        elif isinstance(target, ast.Attribute):
            for holder in self._value(target.value, scope):
                known = self._attributes[_type(holder), target.attr]
                known[:] = _distinct([*known, *values])
        elif isinstance(target, ast.Tuple | ast.List):
            for i, part in enumerate(target.elts):
                self._bind(part, [Of(inner) for value in values if (inner := _part(value, i)) is not None], scope)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, [], scope)

    def _annotation(self, node: ast.expr) -> Any:
        try:
            return eval(ast.unparse(node), vars(self._module))
        except Exception:  # names that only type checkers import
            return None

    # Expressions

    def _value(self, node: ast.expr, scope: Scope) -> list[Value]:
        match node:
            case ast.Name():
                return scope[node.id] if node.id in scope else self._global(node.id)
            case ast.Attribute():
                values = [found for value in self._value(node.value, scope) for found in self._attribute(value, node)]
                return _distinct(values)
            case ast.Call():
                return self._call(node, scope)
            case ast.Await() | ast.Starred():
                return self._value(node.value, scope)
            case ast.Subscript():
                self._value(node.slice, scope)
                index = node.slice.value if isinstance(node.slice, ast.Constant) else 0
                values = self._value(node.value, scope)
                return [Of(inner) for value in values if (inner := _part(value, index, item=True)) is not None]
            case ast.NamedExpr():
                values = self._value(node.value, scope)
                self._bind(node.target, values, scope)
                return values
            case ast.BoolOp():
                return [value for part in node.values for value in self._value(part, scope)]
            case ast.IfExp():
                self._value(node.test, scope)
                return [*self._value(node.body, scope), *self._value(node.orelse, scope)]
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                return self._comprehension(node, scope)
            case ast.Tuple():
                parts = [self._value(part, scope) for part in node.elts]
                return [Of(tuple[tuple(_type(part[0]) if part else Any for part in parts)])] if parts else []  # type: ignore[misc]
            case ast.Lambda():
                return self._value(node.body, {**scope, **{argument.arg: [] for argument in node.args.args}}) and []
        for child in _expressions(node):
            self._value(child, scope)
        return []

    def _comprehension(self, node: Any, scope: Scope) -> list[Value]:
        inner = dict(scope)
        for part in node.generators:
            self._bind(part.target, _elements(self._value(part.iter, inner)), inner)
            for condition in part.ifs:
                self._value(condition, inner)
        if isinstance(node, ast.DictComp):
            keys, values = self._value(node.key, inner), self._value(node.value, inner)
            return [Of(dict[_type(keys[0]) if keys else Any, _type(value)]) for value in values]  # type: ignore[misc]
        return [Of(list[_type(value)]) for value in self._value(node.elt, inner)]  # type: ignore[misc]

    def _global(self, name: str) -> list[Value]:
        if name not in vars(self._module) and not hasattr(builtins, name):
            return []
        return [_constant(vars(self._module).get(name, getattr(builtins, name, None)))]

    def _attribute(self, value: Value, node: ast.Attribute) -> list[Value]:
        if isinstance(value, Known) and inspect.ismodule(value.it):
            return [_constant(getattr(value.it, node.attr, None))]
        if isinstance(value, Known) and inspect.isclass(value.it):
            return [_constant(getattr(value.it, node.attr, None), value.it)]
        return [found for kind in _alternatives(_type(value)) for found in self._member(kind, node)]

    def _member(self, kind: Any, node: ast.Attribute) -> list[Value]:
        if not inspect.isclass(kind) or isinstance(kind, types.GenericAlias):
            return [Known(node.attr, kind)]  # a method of a container
        if issubclass(kind, BaseModel) and node.attr in kind.model_fields:
            if isinstance(node.ctx, ast.Load):
                self.found[kind, node.attr].add(f"{self._module.__name__}:{node.lineno}")
            return [Of(kind.model_fields[node.attr].annotation)]
        if getattr(kind, "_is_protocol", False) and isinstance(node.ctx, ast.Load):
            self.found[kind, node.attr].add(f"{self._module.__name__}:{node.lineno}")
        for base in kind.__mro__:
            if self._attributes.get((base, node.attr)):
                return self._attributes[base, node.attr]
            hints = vars(base).get("__annotations__")
            if isinstance(hints, dict) and node.attr in hints:
                hint = _hint(hints[node.attr], base.__module__)
                return [] if hint is None else [Of(hint)]
        it = inspect.getattr_static(kind, node.attr, None)
        if isinstance(it, property) and it.fget is not None:
            return [Of(hint)] if (hint := _returns(it.fget)) is not None else []
        return [_constant(getattr(kind, node.attr, None), kind)]

    def _call(self, node: ast.Call, scope: Scope) -> list[Value]:
        arguments = [self._value(argument, scope) for argument in node.args]
        named = {keyword.arg: self._value(keyword.value, scope) for keyword in node.keywords}
        results: list[Value] = []
        for callee in self._value(node.func, scope):
            if isinstance(callee, Known):
                results += _result(callee, arguments, named)
        return _distinct(results)


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions directly below one, also those inside keywords and the like."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        else:
            yield from _expressions(child)


def _result(callee: Known, arguments: list[list[Value]], named: dict[str | None, list[Value]]) -> list[Value]:
    """What a call gives, of which the arguments are known as far as possible."""
    it = callee.it
    first = arguments[0] if arguments else []
    if isinstance(it, str):
        return _container(callee.owner, it)
    name = getattr(it, "__name__", "")
    if name == "model_copy":
        return [Of(callee.owner)]
    if name == "model_validate":
        return [Of(callee.owner)]
    if getattr(builtins, name, None) is it and name in SAME:
        return [Of(list[_type(value)]) for value in _elements(first)]  # type: ignore[misc]
    if it is next:
        return _elements(first)
    if it is enumerate:
        return [Of(list[tuple[int, _type(value)]]) for value in _elements(first)]  # type: ignore[misc]
    if it is zip:
        parts = [_elements(argument) for argument in arguments]
        return [Of(list[tuple[tuple(_type(part[0]) if part else Any for part in parts)]])]  # type: ignore[misc]
    if inspect.isclass(it):
        return [Of(it)]
    hint = _returns(it)
    if isinstance(hint, typing.TypeVar):
        return [Of(value.it) for value in first if isinstance(value, Known)] or first
    if hint is typing.Self:
        return [Of(callee.owner)]
    return [] if hint is None else [Of(hint)]


def _container(kind: Any, method: str) -> list[Value]:
    inner = typing.get_args(kind)
    if len(inner) == 2 and typing.get_origin(kind) is not tuple:
        if method in ("get", "pop", "setdefault"):
            return [Of(inner[1])]
        if method == "values":
            return [Of(list[inner[1]])]  # type: ignore[valid-type]
        if method == "items":
            return [Of(list[tuple[inner[0], inner[1]]])]  # type: ignore[valid-type]
        if method == "keys":
            return [Of(list[inner[0]])]  # type: ignore[valid-type]
    return [Of(kind)] if method == "copy" else []


def _elements(values: list[Value]) -> list[Value]:
    """What iterating gives."""
    found: list[Value] = []
    for kind in (kind for value in values for kind in _alternatives(_type(value))):
        inner = typing.get_args(kind)
        if typing.get_origin(kind) is tuple:
            found += [Of(part) for part in inner if part is not Ellipsis]
        elif inner:
            found.append(Of(inner[0]))
    return found


def _part(value: Value, index: Any, *, item: bool = False) -> Any:
    """The type at an index of a tuple; with ``item`` also that of a list or of a mapping's values."""
    for kind in _alternatives(_type(value)):
        inner = typing.get_args(kind)
        if typing.get_origin(kind) is tuple and inner and inner[-1] is not Ellipsis:
            return inner[index] if isinstance(index, int) and -len(inner) <= index < len(inner) else None
        if inner and (item or typing.get_origin(kind) is tuple):
            return inner[1] if len(inner) == 2 and inner[1] is not Ellipsis else inner[0]
    return None


def _distinct(values: list[Value]) -> list[Value]:
    return list({repr(value): value for value in values}.values())


def _alternatives(kind: Any) -> list[Any]:
    """The members of a union without None; Annotated unpacked."""
    if typing.get_origin(kind) is typing.Annotated:
        return _alternatives(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [one for part in typing.get_args(kind) for one in _alternatives(part)]
    return [] if kind in (None, type(None), Any) else [kind]


def _type(value: Value) -> Any:
    return value.type if isinstance(value, Of) else type[value.it] if inspect.isclass(value.it) else value.it


def _returns(it: Any) -> Any:
    it = inspect.unwrap(getattr(it, "__func__", it)) if callable(it) else it
    hint = getattr(it, "__annotations__", {}).get("return") if inspect.isroutine(it) else None
    return _hint(hint, getattr(it, "__module__", None))


def _hint(hint: Any, module: str | None) -> Any:
    if not isinstance(hint, str):
        return hint
    try:
        return eval(hint, vars(sys.modules[module or "builtins"]))
    except Exception:  # names that only type checkers import
        return None


def _constant(it: Any, owner: Any = None) -> Value:
    it = _plain(it)
    known = inspect.ismodule(it) or inspect.isclass(it) or inspect.isroutine(it)
    return Known(it, owner) if known else Of(type(it))


def _plain(it: Any) -> Any:
    """A class, also where Serve wrapped it into a deployment."""
    return getattr(it, "func_or_class", it)
