"""Divides a network of timm into stages, whatever it is: its forward pass is traced down to its blocks and cut between them.

Blocks stay as timm made them. Only what a network does between its blocks (adding positions, a class token, pooling) becomes
a graph of `torch.fx`. Where one tensor alone leads from one block to the next, a stage may end; blocks that timm's own
grouping of layers puts together are one stage. The network still owns every parameter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, fx, nn

from tlstudio.api import Backbone

_CONTAINERS = (nn.Sequential, nn.ModuleList)


class Unfit(Exception):
    """A network that cannot be divided into stages; the message says why, for people."""


def divide(module: Any) -> Backbone:
    """A network of timm's as stages and a head.

    Args:
        module: with a classifier, built with a ``drop_rate`` of 0.

    Raises:
        Unfit: its forward pass is no chain of stages.
    """
    graph = _traced(module)
    classifier = _classifier(module)
    pieces = _joined(_pieces(graph, module), _groups(module, classifier), {id(p) for p in classifier.parameters()})
    body, head = pieces
    stages = {_name(number, piece, graph): _view(module, piece) for number, piece in enumerate(body)}
    if len(stages) != len(body) or not stages:
        raise Unfit("it is a single block, with nothing to freeze before the head")
    parts = [_view(module, piece) for piece in head]
    backbone = Backbone(module=module, stages=stages, head=nn.Sequential(*parts), num_features=_features(module, classifier))
    _check(module, backbone)
    return backbone


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not isinstance(m, _CONTAINERS)


def _traced(module: Any) -> fx.Graph:
    try:
        graph = _Tracer().trace(module)
    except Exception as error:
        raise Unfit("its forward pass depends on the values or the size of the images") from error
    graph.eliminate_dead_code()
    for node in graph.nodes:
        if node.op == "get_attr" and not isinstance(_attribute(module, str(node.target)), nn.Parameter):
            raise Unfit("it keeps numbers outside its layers that are no parameters")
    return graph


def _attribute(module: nn.Module, target: str) -> Any:
    value: Any = module
    for name in target.split("."):
        value = getattr(value, name)
    return value


def _classifier(module: Any) -> nn.Module:
    try:
        classifier = module.get_classifier()
    except Exception as error:
        raise Unfit("it does not say which layer is its head") from error
    if not isinstance(classifier, nn.Module) or not any(True for _ in classifier.parameters()):
        raise Unfit("its head is more than one layer")
    return classifier


def _groups(module: Any, classifier: nn.Module) -> dict[int, int]:
    """Parameter -> number of its group, by timm's own grouping; empty where there is none that serves."""
    from timm.models import group_parameters

    try:
        names = group_parameters(module, module.group_matcher(coarse=True), reverse=True)
    except Exception:  # noqa: BLE001 - a network without a grouping is cut at its blocks
        return {}
    head = {id(parameter) for parameter in classifier.parameters()}
    return {id(p): names[name] for name, p in module.named_parameters() if name in names and id(p) not in head}


class _Piece:
    """A run of nodes from one tensor that alone carries the values to the next."""

    def __init__(self, nodes: list[fx.Node], start: fx.Node, parameters: list[nn.Parameter]) -> None:
        self.nodes = nodes
        self.start = start
        self.parameters = parameters

    def then(self, other: _Piece) -> _Piece:
        return _Piece(self.nodes + other.nodes, self.start, self.parameters + other.parameters)


def _pieces(graph: fx.Graph, module: nn.Module) -> list[_Piece]:
    """Cut wherever only one value, a tensor, is still to be used."""
    start = next(node for node in graph.nodes if node.op == "placeholder")
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    nodes = [node for node in graph.nodes if node.op not in ("placeholder", "output", "get_attr")]
    if len(inputs) > 1:
        start = inputs[0]
        if any(node.users for node in inputs[1:]):
            raise Unfit("it takes more than images")
    place = {node: number for number, node in enumerate(nodes)}
    place[start] = -1
    last = {node: max((place.get(user, len(nodes)) for user in node.users), default=-1) for node in place}
    pieces: list[_Piece] = []
    begun: list[fx.Node] = []
    for number, node in enumerate(nodes):
        begun += [used for used in node.all_input_nodes if used.op == "get_attr" and used not in begun]
        begun.append(node)
        alive = [other for other, until in last.items() if place[other] <= number < until]
        if alive == [node] and _gives_tensor(node, module):
            pieces.append(_Piece(begun, start, _parameters(begun, module)))
            start, begun = node, []
    return pieces


def _gives_tensor(node: fx.Node, module: nn.Module) -> bool:
    """Whether what a node gives can be a tensor: not where its parts are taken out next."""
    import operator

    takes = [user for user in node.users if user.target is operator.getitem and isinstance(user.args[1], int)]
    shape = node.target in ("size", getattr)
    return not takes and not shape


def _parameters(nodes: list[fx.Node], module: nn.Module) -> list[nn.Parameter]:
    found: list[nn.Parameter] = []
    for node in nodes:
        if node.op == "call_module":
            found += list(_attribute(module, str(node.target)).parameters())
        elif node.op == "get_attr":
            found.append(_attribute(module, str(node.target)))
    return found


def _joined(pieces: list[_Piece], groups: dict[int, int], head: set[int]) -> tuple[list[_Piece], list[_Piece]]:
    """Stages, and the pieces of the head: what follows the last parameters that are not the classifier's."""
    own = [any(id(p) not in head for p in piece.parameters) for piece in pieces]
    if not any(own):
        raise Unfit("it is a single block, with nothing to freeze before the head")
    last = max(number for number, flag in enumerate(own) if flag)
    if any(id(p) in head for piece in pieces[: last + 1] for p in piece.parameters):
        raise Unfit("its head cannot be told from the rest")
    body: list[_Piece] = []
    seen: set[int] = set()
    for piece in pieces[: last + 1]:
        ids = {id(p) for p in piece.parameters}
        again = ids & seen
        seen |= ids
        first = not any(p.parameters for p in body)
        together = not ids or _group(piece, groups) == _group(body[-1], groups) is not None if body else False
        if again:
            raise Unfit("two of its parts share parameters")
        if body and (together or first):
            body[-1] = body[-1].then(piece)
        else:
            body.append(piece)
    return body, pieces[last + 1 :]


def _group(piece: _Piece, groups: dict[int, int]) -> int | None:
    return max((groups[id(p)] for p in piece.parameters if id(p) in groups), default=None)


def _name(number: int, piece: _Piece, graph: fx.Graph) -> str:
    """The name of what it consists of in timm, such as ``blocks.3``; ``stem`` for the first."""
    if number == 0:
        return "stem"
    targets = [str(node.target) for node in piece.nodes if node.op == "call_module"]
    parts = [target.split(".") for target in targets] or [[f"part{number}"]]
    common: list[str] = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return ".".join(common or parts[0])


def _view(module: nn.Module, piece: _Piece) -> fx.GraphModule:
    """A part of the forward pass that shares the module's layers."""
    graph = fx.Graph()
    made: dict[fx.Node, fx.Node] = {piece.start: graph.placeholder("x")}
    for node in piece.nodes:
        made[node] = graph.node_copy(node, lambda used: made[used])
    graph.output(made[piece.nodes[-1]])
    return fx.GraphModule(module, graph)


def _features(module: Any, classifier: nn.Module) -> int:
    last = [layer for layer in classifier.modules() if isinstance(layer, nn.Linear)]
    return int(last[-1].in_features) if last else int(getattr(module, "head_hidden_size", 0) or module.num_features)


def _check(module: nn.Module, backbone: Backbone) -> None:
    """Every parameter and buffer in one part."""
    parts = [*backbone.stages.values(), backbone.head]
    held = [id(tensor) for part in parts for tensor in _tensors(part)]
    if sorted(held) != sorted(id(tensor) for tensor in _tensors(module)):
        raise Unfit("some of its parameters are used in more than one part, or in none")


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
