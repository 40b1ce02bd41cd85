"""``tlstudio backbones`` and the summary of ``tlstudio plugins list``."""

from __future__ import annotations

import pytest
from many_backbones import with_many

import tlstudio.registry as registry


@pytest.fixture
def many(monkeypatch, catalog, tmp_path):
    """1,300 more, of which two of the made-up ones have weights here."""
    for name in ("resnet_05", "vit_03"):
        (tmp_path / f"{name}.pth").touch()
    monkeypatch.setattr(registry, "load_catalog", lambda **_options: with_many(catalog, tmp_path))


def test_words_find_backbones_as_a_plain_table(cli, many):
    lines = cli("backbones", "resnet", "18", "--sort", "params").out.splitlines()
    assert lines[0].split() == ["backbone", "family", "parameters", "multiply-adds", "pixels", "top-1", "weights"]
    found = {line.split()[0]: line for line in lines[1:]}
    assert {"torchvision/resnet18", "zoo/resnet_18"} <= found.keys()
    assert "zoo/resnet_17" not in found
    assert "69.8 %" in found["torchvision/resnet18"]
    assert "11.7 M" in found["torchvision/resnet18"]


def test_the_network_that_comes_with_the_program_has_its_figures(cli):
    [row] = cli("backbones", "tf_efficientnet_lite0", "--json").json
    assert (row["backbone"], row["flops"], row["accuracy"]) == ("timm/tf_efficientnet_lite0", 385_187_552, 0.751)
    lines = cli("backbones", "tf_efficientnet_lite0").out.splitlines()
    line = next(line for line in lines if line.startswith("timm/tf_efficientnet_lite0"))
    assert "385" in line
    assert "75.1 %" in line


def test_without_words_the_families_and_what_is_here(cli, many, catalog):
    out = cli("backbones").out
    assert len(out.splitlines()) < 400
    assert f"{len(catalog.backbones) + 1300} backbones in" in out
    for name in ("zoo/resnet_05", "zoo/vit_03", "timm/tf_efficientnet_lite0"):
        assert name in out
    assert "zoo/resnet_06" not in out


def test_json_has_all_of_them_and_whose_weights_are_here(cli, many, catalog):
    rows = cli("backbones", "--json").json
    assert len(rows) == len(catalog.backbones) + 1300
    found = cli("backbones", "zoo", "--here", "--json").json
    assert {row["backbone"] for row in found} == {"zoo/resnet_05", "zoo/vit_03"}
    assert all(row["here"] and row["weights"][0]["path"] for row in found)
    best = cli("backbones", "--sort", "accuracy", "--json").json
    assert best[0]["accuracy"] == max(row["accuracy"] or 0 for row in rows)


def test_an_unknown_order_is_a_wrong_setting(cli):
    result = cli("backbones", "--sort", "colour")
    assert result.code != 0
    assert "accuracy" in result.err


def test_plugins_say_in_short_what_they_add(cli):
    short, full = cli("plugins", "list").out, cli("plugins", "list", "--all").out
    assert "83 backbones: RegNet (15)" in short
    assert "torchvision/resnet18" not in short
    assert max(map(len, short.splitlines())) < 120
    assert "  torchvision/resnet18\n" in full
    assert "14 freezing strategies: head-only" in short
