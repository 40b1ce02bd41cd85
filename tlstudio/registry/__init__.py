"""Finds and loads plugins, and turns a configuration into what the engine runs."""

from tlstudio.registry.catalog import Catalog, Recipe
from tlstudio.registry.manager import PluginRecord, load_catalog
from tlstudio.registry.weights import ResolvedWeights

__all__ = ["Catalog", "PluginRecord", "Recipe", "ResolvedWeights", "load_catalog"]
