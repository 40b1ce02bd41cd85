"""Finds and loads plugins, and turns a configuration into what the engine runs."""

from tlstudio.registry.catalog import Catalog, Recipe, ResolvedWeights
from tlstudio.registry.manager import PluginRecord, load_catalog

__all__ = ["Catalog", "PluginRecord", "Recipe", "ResolvedWeights", "load_catalog"]
