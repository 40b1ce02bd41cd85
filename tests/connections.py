"""Finds in the source of a module what could open a network connection: what it imports, calls and starts.

Of names that only the running program makes (``getattr``, a module's name in a variable) it knows nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

MODULES = frozenset({
    "_asyncio", "_socket", "_ssl", "aiohttp", "asyncio", "boto3", "botocore", "fsspec", "ftplib", "gdown", "grpc",
    "http.client", "http.server", "httpcore", "httpx", "huggingface_hub", "imaplib", "kagglehub",
    "multiprocessing.connection", "multiprocessing.managers", "nntplib", "paramiko", "poplib", "pycurl", "PySide6.QtNetwork",
    "PySide6.QtNetworkAuth", "PySide6.QtWebEngineCore", "PySide6.QtWebEngineWidgets", "PySide6.QtWebSockets", "requests",
    "smtplib", "socket", "socketserver", "ssl", "telnetlib", "torch.distributed", "torch.hub", "torch.utils.model_zoo",
    "torchvision.datasets.utils", "tornado", "trio", "urllib.request", "urllib3", "webbrowser", "websocket", "websockets",
    "wget", "wsgiref", "xmlrpc", "zmq",
})  # fmt: skip
"""With all below them."""
NAMES = frozenset({
    "create_connection", "create_server", "DatagramHandler", "download_and_extract_archive",
    "download_file_from_google_drive", "download_url", "download_url_to_file", "fetch_openml", "from_pretrained",
    "get_state_dict", "getaddrinfo", "gethostbyname", "hf_hub_download", "HTTPHandler", "load_dataset",
    "load_state_dict_from_url", "open_connection", "SMTPHandler", "snapshot_download", "SocketHandler", "SysLogHandler",
    "urlopen", "urlretrieve",
})  # fmt: skip
"""Functions that connect, whatever they are taken from."""
PROGRAMS = frozenset({"apt-get", "conda", "curl", "git", "pip", "rsync", "scp", "ssh", "uv", "wget"})
_BUILDERS = frozenset({"create_model", "get_model"})
"""Of torchvision and timm: their second argument asks for weights."""
_IMPORTERS = frozenset({"__import__", "import_module"})


def connections(source: str) -> set[str]:
    """What could connect: names of modules, functions and programs, and arguments with a ``=``."""
    tree = ast.parse(source)
    known = dict(_names_of_modules(tree))
    return {found for node in ast.walk(tree) for found in _in_node(node, known) if found}


def _names_of_modules(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """What a name stands for, of those that imports bind."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                yield (item.asname, item.name) if item.asname else (item.name.partition(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for item in node.names:
                yield item.asname or item.name, f"{node.module}.{item.name}"


def _in_node(node: ast.AST, known: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (_module(item.name) for item in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        for item in node.names:
            yield item.name if item.name in NAMES else ""
            yield _module(f"{node.module}.{item.name}") if item.name != "*" else _below(node.module or "")
    elif isinstance(node, ast.Name | ast.Attribute):
        name = _dotted(node, known)
        yield _module(name)
        yield name.rpartition(".")[2] if name.rpartition(".")[2] in NAMES else ""
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        words = node.value.split()
        yield words[0] if words and words[0] in PROGRAMS and len(words) == 1 else ""
    elif isinstance(node, ast.Call):
        yield from _in_call(node, _dotted(node.func, known).rpartition(".")[2])


def _in_call(node: ast.Call, function: str) -> Iterator[str]:
    for argument in node.keywords:
        asks = {
            "download": not _is(argument.value, False),
            "pretrained": not _is(argument.value, False) if function in _BUILDERS else _is(argument.value, True),
            "weights": function in _BUILDERS and not _is(argument.value, None),
        }
        yield f"{argument.arg}=" if asks.get(argument.arg or "") else ""
    if function in _BUILDERS and len(node.args) > 1 and not _is(node.args[1], False):
        yield "weights="
    if function in _IMPORTERS and node.args and isinstance(node.args[0], ast.Constant):
        yield _module(str(node.args[0].value))
    if function in {"system", "popen", "getoutput"} or any(item.arg == "shell" for item in node.keywords):
        yield from (word for word in _words(node) if word in PROGRAMS)


def _words(node: ast.AST) -> Iterator[str]:
    """Of all texts within, also those within texts with values."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from part.value.split()


def _is(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _dotted(node: ast.AST, known: dict[str, str]) -> str:
    """``a.b.c``, with ``a`` as it was imported; a question mark for what was not."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, known)}.{node.attr}"
    return known.get(node.id, f"?.{node.id}") if isinstance(node, ast.Name) else "?"


def _module(name: str) -> str:
    """The listed module that a dotted name is, or is part of; empty for none."""
    parts = name.split(".")
    return next((part for at in range(len(parts)) if (part := ".".join(parts[: at + 1])) in MODULES), "")


def _below(package: str) -> str:
    """What a star would take from a package: itself where it is listed, or a listed module in it."""
    return _module(package) or next((name for name in sorted(MODULES) if name.startswith(f"{package}.")), "")
