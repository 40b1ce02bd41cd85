"""TrivialAugment, RandAugment, random erasing and CutMix: what torchvision's do, drawn by a generator of the image's own."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import v2
from training import run

from tlstudio.api import AugmentConfig, DataConfig, Preprocessing
from tlstudio.engine.augment import effective_preset, preview, random_views
from tlstudio.engine.loader import ImageSource
from tlstudio.engine.policies import OPERATIONS, SIGNED, draw_erased, draw_operations, operate
from tlstudio.engine.random import sample_generator
from tlstudio.engine.task import Classification, draw_box, mix

SIDE = 40
THEIRS = {
    "trivial": lambda magnitude: v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR),
    "rand": lambda magnitude: v2.RandAugment(magnitude=magnitude, interpolation=v2.InterpolationMode.BILINEAR),
}


def pixels(seed=0, side=SIDE):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("policy", THEIRS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_does_what_torchvision_s_does(policy, name):
    theirs = THEIRS[policy](17)
    found = set()
    for seed in range(4000):
        augment = AugmentConfig(policy=policy, magnitude=17)
        for drawn, strength in draw_operations(augment, SIDE, np.random.default_rng(seed)):
            if drawn == name and len(found) < 6:
                found.add(strength)
    assert found
    for strength in found:
        expected = theirs._apply_image_or_video_transform(
            torch.from_numpy(pixels()).permute(2, 0, 1), name, strength, v2.InterpolationMode.BILINEAR, {torch.Tensor: None}
        )
        np.testing.assert_array_equal(operate(pixels(), [(name, strength)]), expected.permute(1, 2, 0).numpy())


@pytest.mark.parametrize(("policy", "magnitude"), [("trivial", 9), ("rand", 9), ("rand", 30), ("rand", 0)])
def test_operations_and_strengths_are_drawn_as_torchvision_draws_them(policy, magnitude):
    torch.manual_seed(0)
    theirs, drawn = THEIRS[policy](magnitude), []

    def note(image, name, strength, **_):
        drawn.append((name, strength))
        return image

    theirs._apply_image_or_video_transform = note
    image = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    ours = []
    for seed in range(3000):
        theirs(image)
        ours += draw_operations(AugmentConfig(policy=policy, magnitude=magnitude), SIDE, sample_generator(0, 1, seed))
    assert len(ours) == len(drawn)
    counts = [Counter(name for name, _ in side) for side in (ours, drawn)]
    assert counts[0].keys() == counts[1].keys() == set(OPERATIONS)
    for name in OPERATIONS:
        assert abs(counts[0][name] - counts[1][name]) < 6 * (len(drawn) / len(OPERATIONS)) ** 0.5
        strengths = [np.array([strength for drawn_name, strength in side if drawn_name == name]) for side in (ours, drawn)]
        quantiles = [np.quantile(np.abs(values), np.linspace(0, 1, 6)) for values in strengths]
        np.testing.assert_allclose(*quantiles, atol=0.3 * max(1e-6, float(np.abs(strengths[1]).max())), err_msg=name)
        assert set(np.round(np.abs(strengths[0]), 4)) <= set(np.round(np.abs(strengths[1]), 4)), name
        if name in SIGNED and strengths[1].any():
            assert 0.3 < np.mean(strengths[0] < 0) < 0.7


def test_rectangles_to_erase_are_drawn_as_torchvision_draws_them():
    torch.manual_seed(0)
    transform = v2.RandomErasing(p=1.0)
    image = torch.zeros(3, 60, 80)
    theirs = [transform.make_params([image]) for _ in range(3000)]
    theirs = np.array([(box["i"], box["j"], box["h"], box["w"]) for box in theirs])
    ours = np.array([draw_erased(60, 80, np.random.default_rng((3, seed))) for seed in range(3000)])
    for of in (lambda box: box[:, 2] * box[:, 3] / 4800, lambda box: np.log(box[:, 2] / box[:, 3]) / 3,
               lambda box: box[:, 0] / 60, lambda box: box[:, 1] / 80):  # fmt: skip
        np.testing.assert_allclose(*(np.quantile(of(side), np.linspace(0, 1, 11)) for side in (ours, theirs)), atol=0.04)


def test_an_erased_rectangle_has_the_mean_colour_and_comes_as_often_as_wanted():
    preprocessing = Preprocessing(image_size=SIDE, resize=SIDE, mean=(0.2, 0.4, 0.6))
    generators = [np.random.default_rng(seed) for seed in range(300)]
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    views = random_views([white] * 300, preprocessing, "none", generators, augment=AugmentConfig(erase=0.3))
    erased = (views != 255).any((1, 2, 3))
    assert 0.2 < erased.mean() < 0.4
    assert {tuple(colour) for colour in views[erased].reshape(-1, 3).tolist()} == {(51, 102, 153), (255, 255, 255)}


@given(
    policy=st.sampled_from(["none", "trivial", "rand"]), erase=st.sampled_from([0.0, 0.5, 1.0]),
    preset=st.sampled_from(["none", "light", "strong"]), magnitude=st.integers(0, 30), seed=st.integers(0, 999),
)  # fmt: skip
def test_a_view_depends_on_its_generator_alone(policy, erase, preset, magnitude, seed):
    preprocessing = Preprocessing(image_size=24, resize=28)
    augment = AugmentConfig(policy=policy, erase=erase, magnitude=magnitude)

    def view(number):
        return random_views([pixels(number, 30)], preprocessing, preset, [sample_generator(seed, 0, number)], augment=augment)

    alone = [view(number) for number in range(4)]
    state = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(view, range(4)))
    assert torch.equal(torch.get_rng_state(), state)
    for first, second in zip(alone, together, strict=True):
        assert (first.shape, first.dtype) == ((1, 24, 24, 3), np.uint8)
        np.testing.assert_array_equal(first, second)


def test_without_policy_and_erasing_views_are_as_they_were():
    preprocessing = Preprocessing(image_size=24, resize=28)
    plain, none = (
        random_views([pixels()], preprocessing, "strong", [np.random.default_rng(4)], **more)
        for more in ({}, {"augment": AugmentConfig()})
    )
    np.testing.assert_array_equal(plain, none)


def test_the_preview_shows_policies_and_erasing(catalog, photos):
    images = catalog.open_images(DataConfig(path=str(photos)))
    preprocessing, augment = Preprocessing(image_size=32, resize=36), AugmentConfig(preset="none", policy="rand", erase=1.0)
    source = ImageSource(images, preprocessing, preset="none", augment=augment, seed=5)
    drawn, _ = source.batch([3, 30, 7], draw=2)
    plain, _ = source.batch([3, 30, 7])
    source.close()
    np.testing.assert_array_equal(drawn, np.stack(preview(images, [3, 30, 7], preprocessing, augment, seed=5, draw=2)))
    assert not np.array_equal(drawn, plain)


def test_who_asks_for_a_policy_gets_variation_also_while_the_head_alone_learns():
    assert effective_preset(AugmentConfig(), learns_stages=False) == "none"
    assert effective_preset(AugmentConfig(policy="trivial"), learns_stages=False) == "light"
    assert effective_preset(AugmentConfig(erase=0.1), learns_stages=False) == "light"
    assert effective_preset(AugmentConfig(erase=0.1, preset="none"), learns_stages=True) == "none"


def test_views_of_a_policy_are_cached_and_kept_apart_from_others(tiny_catalog, photos, tmp_path):
    def losses(*settings):
        events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=4", "freezing.strategy=head-only",
                     "augment.views=2", "run.plan=reference", *settings)  # fmt: skip
        assert [event.cached for event in events if event.event == "EpochStarted"] == [True] * 4
        return [event.train["loss"] for event in events if event.event == "EpochDone"]

    first, other, again = (losses(f"augment.policy={name}") for name in ("rand", "trivial", "rand"))
    assert first == again
    assert first != other
    assert first != losses("augment.policy=rand", "augment.magnitude=20")


@given(seed=st.integers(0, 500), n=st.integers(1, 6))
def test_cutmix_puts_a_rectangle_of_another_image_in_and_counts_its_area(seed, n):
    x = torch.arange(n).float().view(n, 1, 1, 1).expand(n, 3, 12, 16).contiguous()
    mixture = mix(x, AugmentConfig(cutmix=1.0), 3, seed, images=True)
    for row in range(n):
        found = mixture.x[row]
        assert set(found.unique().tolist()) <= {row, int(mixture.other[row])}
        if int(mixture.other[row]) != row:
            assert float((found == row).float().mean()) == pytest.approx(mixture.own)
    assert torch.equal(x, torch.arange(n).float().view(n, 1, 1, 1).expand(n, 3, 12, 16))
    logits, target = torch.randn(n, 3), torch.randint(3, (n,))
    task = Classification()
    expected = mixture.own * task.loss(logits, target) + (1 - mixture.own) * task.loss(logits, target[mixture.other])
    assert float(mixture.loss(task, logits, target)) == pytest.approx(float(expected))


def test_cutmix_boxes_are_drawn_as_torchvision_draws_them():
    torch.manual_seed(0)
    transform = v2.CutMix(alpha=1.0, num_classes=2)
    theirs = np.array([transform.make_params([torch.zeros(2, 3, 60, 80)])["lam_adjusted"] for _ in range(4000)])
    ours = []
    for seed in range(4000):
        rng = np.random.default_rng((5, seed))
        top, left, bottom, right = draw_box(60, 80, float(rng.beta(1.0, 1.0)), rng)
        ours.append(1 - (bottom - top) * (right - left) / 4800)
    np.testing.assert_allclose(*(np.quantile(side, np.linspace(0, 1, 11)) for side in (ours, theirs)), atol=0.04)


def test_mixup_and_cutmix_take_turns_and_features_are_never_cut():
    x = torch.randn(4, 3, 8, 8)
    both = AugmentConfig(mixup=0.4, cutmix=1.0)
    cut = [bool(torch.isin(mix(x, both, 0, step, images=True).x, x).all()) for step in range(200)]
    assert 0.35 < np.mean(cut) < 0.65
    smooth = [bool(torch.isin(mix(x, AugmentConfig(cutmix=1.0), 0, step, images=False).x, x).all()) for step in range(50)]
    assert np.mean(smooth) < 0.2, "a share of almost 1, or everyone paired with itself"
    assert mix(x, AugmentConfig(), 0, 0, images=True) is None


@pytest.mark.parametrize(("strategy", "noted"), [("head-only", True), ("full", False)])
def test_a_run_says_where_mixup_stands_in_for_cutmix(tiny_catalog, photos, tmp_path, strategy, noted):
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=2", f"freezing.strategy={strategy}",
                 "augment.cutmix=1", "run.plan=reference")  # fmt: skip
    assert events[-1].event == "RunFinished", events[-1]
    assert any("stands in for CutMix" in event.text for event in events if event.event == "Note") is noted
