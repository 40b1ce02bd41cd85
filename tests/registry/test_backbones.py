"""The list of backbones: what a search finds and in which order, the figures, and whose weights are at hand."""

from __future__ import annotations

import pytest
from many_backbones import many_backbones

from tlstudio.registry.backbones import all_sets, at_hand, families, in_order, list_backbones, search


@pytest.mark.parametrize("query", ["resnet 18", "ResNet-18", "resnet18", "18 resnet", "torchvision/resnet18", "  RESNET18 "])
def test_words_find_a_backbone_in_any_order_and_spelling(catalog, query):
    found = search(list_backbones(catalog.backbones), query)
    assert found[0].spec.title == "ResNet-18"
    assert "torchvision/resnet18" in [item.name for item in found]


def test_every_word_must_be_found_and_the_family_counts_too(catalog):
    items = list_backbones(catalog.backbones)
    assert search(items, "resnet zebra") == []
    assert "torchvision/vit_b_16" in {item.name for item in search(items, "vit torchvision")}
    assert len(search(items, "")) == len(items)


def test_the_name_itself_comes_before_longer_names_and_what_is_at_hand_before_the_rest(tmp_path):
    items = list_backbones(many_backbones(200))
    names = [item.name for item in search(items, "vit", here={"zoo/vit_03"})]
    assert names[0] == "zoo/vit_03"
    assert names.index("zoo/vit_00") < names.index("zoo/levit_00"), "its name begins so"
    assert search(items, "levit 02")[0].name == "zoo/levit_02"


def test_orders_put_unknown_figures_last_either_way(catalog):
    items = list_backbones(catalog.backbones)
    for descending in (False, True):
        found = in_order(items, "accuracy", descending=descending)
        known = [item.accuracy for item in found if item.accuracy is not None]
        assert known == sorted(known, reverse=descending)
        assert found[-1].accuracy is None
    assert in_order(items, "accuracy", descending=True)[0].accuracy > 0.88


def test_families_are_counted(catalog):
    counts = families(list_backbones(catalog.backbones))
    assert counts["AlexNet"] == 1
    assert list(counts) == sorted(counts, key=str.casefold)
    assert sum(counts.values()) == len(catalog.backbones)


def test_those_at_hand_are_told_from_the_disk(tmp_path):
    (tmp_path / "vit_03.pth").touch()
    sets = all_sets(many_backbones(200, tmp_path))
    assert len(sets) == 200
    assert at_hand(sets) == {"zoo/vit_03"}
