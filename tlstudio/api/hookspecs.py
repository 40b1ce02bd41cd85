"""The hooks of a plugin. Each takes nothing and returns typed records; listing them must not import torch or Qt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from tlstudio.api.backbone import BackboneSpec, RefusedBackbone
    from tlstudio.api.dataset import DatasetSpec
    from tlstudio.api.freezing import FreezingSpec
    from tlstudio.api.observers import ObserverSpec

API_VERSION = 1
"""Raised when a change to `tlstudio.api` breaks plugins; a plugin may state ``TLSTUDIO_API = 1`` in its module."""

PROJECT = "tlstudio"
ENTRY_POINT_GROUP = "tlstudio.plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_backbones() -> Iterable[BackboneSpec]:
    """The backbones that this plugin adds."""
    raise NotImplementedError


@hookspec
def register_refused_backbones() -> Iterable[RefusedBackbone]:
    """Networks that one may look for here and that are not offered, with the reasons."""
    raise NotImplementedError


@hookspec
def register_datasets() -> Iterable[DatasetSpec]:
    """The kinds of data set that this plugin can open."""
    raise NotImplementedError


@hookspec
def register_freezing_strategies() -> Iterable[FreezingSpec]:
    """The freezing strategies that this plugin adds."""
    raise NotImplementedError


@hookspec
def register_observers() -> Iterable[ObserverSpec]:
    """What this plugin does with the events of runs."""
    raise NotImplementedError
