"""fastai's vision_learner and fit_one_cycle, as its users write them: float32, its own head, its own learning rates.

    python tests/benchmarks/peers/fastai_fit.py DATA WEIGHTS [--learns head|all] [--epochs 5]

``head`` is a frozen learner: as fastai ships it, the frozen part's batch norms go on learning.
"""

from __future__ import annotations

import time

import torch
from fastai.vision.all import (
    Callback,
    Flip,
    ImageDataLoaders,
    Normalize,
    RandomResizedCrop,
    accuracy,
    set_seed,
    vision_learner,
)
from shared import mean_and_std, read_options, report

BASE_RATE = 2e-3  # that of fine_tune


class Report(Callback):
    """Prints each epoch, after the recorder has its figures."""

    order = 60

    def before_epoch(self):
        self.began = time.perf_counter()

    def after_epoch(self):
        report(self.epoch, float(self.recorder.values[-1][-1]), time.perf_counter() - self.began)


def main() -> None:
    """Train and print."""
    options = read_options(__doc__.splitlines()[0])
    set_seed(options.seed)
    views = [Flip(), Normalize.from_stats(*mean_and_std(options))]
    crop = RandomResizedCrop(224, min_scale=0.35)
    loaders = ImageDataLoaders.from_folder(
        options.data, train="train", valid="val", item_tfms=crop, batch_tfms=views, bs=32, num_workers=2
    )
    learner = vision_learner(loaders, options.network, pretrained=False, normalize=False, metrics=accuracy)
    if options.weights != "none":
        state = torch.load(options.weights, weights_only=True)
        learner.model[0].model.load_state_dict({k: v for k, v in state.items() if not k.startswith(("classifier", "fc"))})
    with learner.no_bar(), learner.no_logging():
        if options.learns == "head":
            learner.freeze()
            learner.fit_one_cycle(options.epochs, BASE_RATE, cbs=Report())
        else:
            learner.unfreeze()
            learner.fit_one_cycle(options.epochs, slice(BASE_RATE / 100, BASE_RATE), cbs=Report())


if __name__ == "__main__":
    main()
