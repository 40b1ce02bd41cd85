"""Loads plugins one by one; whatever a plugin does wrong becomes a row that is shown, never a start that fails."""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pluggy

from tlstudio import paths
from tlstudio.api import hookspecs
from tlstudio.api.backbone import BackboneSpec, RefusedBackbone
from tlstudio.api.dataset import DatasetSpec
from tlstudio.api.freezing import FreezingSpec
from tlstudio.api.observers import ObserverSpec
from tlstudio.registry.catalog import Catalog
from tlstudio.registry.finders import FoundPlugin, Origin, find_in_folder, find_installed, import_root

Status = Literal["loaded", "failed", "shadowed", "off"]

_HOOKS: dict[str, type] = {
    "register_backbones": BackboneSpec,
    "register_refused_backbones": RefusedBackbone,
    "register_datasets": DatasetSpec,
    "register_freezing_strategies": FreezingSpec,
    "register_observers": ObserverSpec,
}
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class PluginRecord:
    """A row of the plugins page: what was found, whether it works, and if not, why.

    ``provides`` lists the qualified names it added; ``error`` is one sentence, ``details`` the traceback.
    """

    name: str
    origin: Origin
    location: str
    version: str = ""
    status: Status = "loaded"
    provides: tuple[str, ...] = ()
    error: str = ""
    details: str = ""


class _PluginFault(Exception):
    """A plugin broke the contract; the message says how."""


def load_catalog(
    *, off: Iterable[str] = (), all_off: bool = False, user_folder: Path | None = None, shipped_folder: Path | None = None
) -> Catalog:
    """Find and load all plugins.

    Installed distributions win over the user's folder, that over what ships; a loser is listed as shadowed.

    Args:
        off: names of plugins not to load.
        all_off: load only what ships (the safe mode).
        user_folder: instead of the user's plugin folder.
        shipped_folder: instead of the folder that ships.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    unwanted = frozenset(off)
    winners: dict[str, str] = {}
    records: list[PluginRecord] = []
    specs: dict[str, dict[str, Any]] = {hook: {} for hook in _HOOKS}
    for found in _find_all(user_folder or paths.user_plugins(), shipped_folder or paths.shipped_plugins()):
        record = PluginRecord(name=found.name, origin=found.origin, location=found.location, version=found.version)
        if found.name in unwanted or (all_off and found.origin != "shipped"):
            records.append(replace(record, status="off"))
            continue
        if found.name in winners:
            records.append(replace(record, status="shadowed", error=f"Hidden by the plugin from {winners[found.name]}."))
            continue
        winners[found.name] = found.location
        added, record = _load(manager, found, record)
        records.append(record)
        for hook, items in added.items():
            specs[hook].update({f"{found.name}/{spec.name}": spec for spec in items})
    return Catalog(
        plugins=tuple(records),
        backbones=specs["register_backbones"],
        datasets=specs["register_datasets"],
        strategies=specs["register_freezing_strategies"],
        observers=specs["register_observers"],
        refused={name: spec.reason for name, spec in specs["register_refused_backbones"].items()},
    )


def _find_all(user_folder: Path, shipped_folder: Path) -> list[FoundPlugin]:
    return [*find_installed(), *find_in_folder(user_folder, "user folder"), *find_in_folder(shipped_folder, "shipped")]


def _load(manager: pluggy.PluginManager, found: FoundPlugin, record: PluginRecord) -> tuple[dict[str, list[Any]], PluginRecord]:
    """Import, check, register and ask one plugin; a fault of any kind leaves the manager as it was."""
    plugin: Any = None
    try:
        if found.problem:
            raise _PluginFault(found.problem)
        plugin = _import(found)
        _check_api(plugin)
        manager.register(plugin, name=found.name)
        manager.check_pending()
        added = {hook: _ask(manager, plugin, hook, spec) for hook, spec in _HOOKS.items()}
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may even call sys.exit; the program starts all the same
        if plugin is not None and manager.is_registered(plugin):
            manager.unregister(plugin)
        cause = str(error) or type(error).__name__
        text = cause if isinstance(error, _PluginFault) else f"{type(error).__name__}: {cause}"
        return {}, replace(record, status="failed", error=text, details=traceback.format_exc())
    offered = (spec for items in added.values() for spec in items if not isinstance(spec, RefusedBackbone))
    names = tuple(f"{found.name}/{spec.name}" for spec in offered)
    return added, replace(record, provides=names)


def _import(found: FoundPlugin) -> Any:
    import_root(found)
    module_name, _, attribute = found.module.partition(":")
    before = set(sys.modules)
    try:
        module = importlib.import_module(module_name)
    except BaseException:
        for name in set(sys.modules) - before:
            if name == module_name or name.startswith(f"{module_name}."):
                del sys.modules[name]  # half-imported: a later try must not find it
        raise
    return getattr(module, attribute) if attribute else module


def _check_api(plugin: Any) -> None:
    wanted = getattr(plugin, "TLSTUDIO_API", hookspecs.API_VERSION)
    if wanted != hookspecs.API_VERSION:
        raise _PluginFault(f"Made for plugin API {wanted}; this program has {hookspecs.API_VERSION}.")


def _ask(manager: pluggy.PluginManager, plugin: Any, hook: str, spec: type) -> list[Any]:
    """Call one hook of one plugin and validate what it returns."""
    caller = getattr(manager.hook, hook)
    implementations = [item for item in caller.get_hookimpls() if item.plugin is plugin]
    records: list[Any] = []
    for implementation in implementations:
        returned = implementation.function()
        try:
            items = list(returned)
        except TypeError:
            raise _PluginFault(f"{hook} must return a list of {spec.__name__}, not {type(returned).__name__}.") from None
        records.extend(items)
    seen: set[str] = set()
    for item in records:
        if not isinstance(item, spec):
            raise _PluginFault(f"{hook} must return {spec.__name__} records, but one is a {type(item).__name__}.")
        if not _NAME.fullmatch(item.name):  # type: ignore[attr-defined]
            raise _PluginFault(f"{item.name!r} is not a valid name: lower-case letters, digits, '.', '_' and '-'.")  # type: ignore[attr-defined]
        if item.name in seen:  # type: ignore[attr-defined]
            raise _PluginFault(f"{hook} returns {item.name!r} twice.")  # type: ignore[attr-defined]
        seen.add(item.name)  # type: ignore[attr-defined]
    return records
