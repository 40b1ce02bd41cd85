"""A LightningModule and a Trainer, as its users write them: float32 or bf16-mixed, ImageFolder, two lasting workers, SGD.

    python tests/benchmarks/peers/lightning_fit.py DATA WEIGHTS [--learns head|last|all] [--epochs 5] [--bf16]

The progress bar, the logger and the checkpoints are off, which is in its favour.
"""

from __future__ import annotations

import logging
import time
import warnings

import lightning
import torch
from shared import build_network, mean_and_std, read_options, report
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


class Classifier(lightning.LightningModule):
    """A network and how it learns."""

    def __init__(self, model: nn.Module, learning_rate: float) -> None:
        super().__init__()
        self.model, self.learning_rate = model, learning_rate
        self.right = self.seen = 0

    def training_step(self, batch, index):
        images, labels = batch
        return nn.functional.cross_entropy(self.model(images), labels)

    def validation_step(self, batch, index):
        images, labels = batch
        self.right += int((self.model(images).argmax(1) == labels).sum())
        self.seen += len(labels)

    def on_train_epoch_start(self):
        self.began, self.right, self.seen = time.perf_counter(), 0, 0

    def on_train_epoch_end(self):  # Lightning has validated before it comes here
        report(self.current_epoch, self.right / self.seen, time.perf_counter() - self.began)

    def configure_optimizers(self):
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.SGD(learning, lr=self.learning_rate, momentum=0.9)


def main() -> None:
    """Train and print."""
    options = read_options(__doc__.splitlines()[0])
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    lightning.seed_everything(options.seed, verbose=False)
    mode = transforms.InterpolationMode.BICUBIC
    to_input = [transforms.ToTensor(), transforms.Normalize(*mean_and_std(options))]
    varied = [transforms.RandomResizedCrop(224, interpolation=mode), transforms.RandomHorizontalFlip()]
    plain = [transforms.Resize(256, interpolation=mode), transforms.CenterCrop(224)]
    train = datasets.ImageFolder(options.data / "train", transforms.Compose([*varied, *to_input]))
    val = datasets.ImageFolder(options.data / "val", transforms.Compose([*plain, *to_input]))
    loading = {"batch_size": 32, "num_workers": 2, "persistent_workers": True}
    trainer = lightning.Trainer(
        max_epochs=options.epochs, accelerator="cpu", precision="bf16-mixed" if options.bf16 else "32-true", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    model = Classifier(build_network(options, len(train.classes)), 0.01 if options.learns == "head" else 0.005)
    trainer.fit(model, DataLoader(train, shuffle=True, **loading), DataLoader(val, **loading))


if __name__ == "__main__":
    main()
