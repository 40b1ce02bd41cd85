"""The tutorial of the help: train, save, load, fine-tune with a smaller learning rate, save; files that any script can use."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tlstudio.api.config import TrainConfig, with_overrides
from tlstudio.engine.control import Control
from tlstudio.engine.export import export_model
from tlstudio.engine.run import start_run
from tlstudio.runs.store import require_run

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def _train(catalog, workspace, *overrides):
    events = list(start_run(with_overrides(TrainConfig(), overrides), catalog, workspace, Control()))
    assert events[-1].event == "RunFinished", events[-1]
    return events


@pytest.fixture(scope="module")
def some_cifar(tmp_path_factory):
    """Twelve CIFAR-10 images a class: of the real archive where it is at hand, else of the same shape."""
    import zipfile

    from conftest import SHARED_DATA, make_photos

    folder = tmp_path_factory.mktemp("cifar10")
    archive = SHARED_DATA / "cifar10-images.zip"
    if not archive.is_file():
        return make_photos(folder, dict.fromkeys(CIFAR10, 12), size=(32, 32))
    taken = dict.fromkeys(CIFAR10, 0)
    with zipfile.ZipFile(archive) as file:
        for name in sorted(file.namelist()):
            parts = name.split("/")
            label = next((part for part in parts[:-1] if part in taken), None)
            if label and "train" in parts and taken[label] < 12 and not name.endswith("/"):
                (folder / label).mkdir(exist_ok=True)
                (folder / label / parts[-1]).write_bytes(file.read(name))
                taken[label] += 1
    assert set(taken.values()) == {12}
    return folder


def test_train_save_load_fine_tune_save(catalog, some_cifar, tmp_path):
    import torchvision

    common = (
        f"data.path={some_cifar}", "data.image_size=64", "model.backbone=torchvision/resnet18", "freezing.strategy=full",
        "optim.optimizer=adam", "run.batch_size=64", "run.epochs=2", "augment.preset=none",
    )  # fmt: skip
    first = _train(catalog, tmp_path, *common, "model.weights=none", "optim.learning_rate=0.001")
    export_model(require_run(tmp_path, first[-1].run).folder, tmp_path / "pretrained_model.pth")
    second = _train(
        catalog, tmp_path, *common, f"model.weights={tmp_path / 'pretrained_model.pth'}", "optim.learning_rate=0.0001"
    )
    export_model(require_run(tmp_path, second[-1].run).folder, tmp_path / "fine_tuned_model.pth")

    note = next(event.text for event in second if event.event == "Note" and "tensors matched" in event.text)
    assert "start anew" not in note
    states = []
    for name in ("pretrained_model.pth", "fine_tuned_model.pth"):
        model = torchvision.models.resnet18(num_classes=10)
        states.append(torch.load(tmp_path / name, weights_only=True))
        model.load_state_dict(states[-1], strict=True)
    assert not torch.equal(states[0]["conv1.weight"], states[1]["conv1.weight"])


def test_the_exported_file_gives_the_same_answers_in_a_plain_script(catalog, some_cifar, tmp_path):
    """The steps of a script without tlstudio: resize, crop, normalise, softmax."""
    import torchvision
    from torchvision.transforms import v2

    from tlstudio.engine.predict import load_model

    events = _train(
        catalog, tmp_path, f"data.path={some_cifar}", "model.backbone=resnet18", "model.weights=none", "run.epochs=1",
        "data.image_size=64",
    )  # fmt: skip
    folder = require_run(tmp_path, events[-1].run).folder
    export_model(folder, tmp_path / "model.pth")
    script = torchvision.models.resnet18(num_classes=10).eval()
    script.load_state_dict(torch.load(tmp_path / "model.pth", weights_only=True))
    model = load_model(folder, catalog)
    p = model.preprocessing
    transform = v2.Compose([
        v2.Resize(p.resize, interpolation=v2.InterpolationMode(p.interpolation)), v2.CenterCrop(p.image_size), v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True), v2.Normalize(p.mean, p.std),
    ])  # fmt: skip
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in ((32, 32), (50, 81), (300, 200))]
    with torch.no_grad():
        expected = torch.softmax(script(torch.stack([transform(image) for image in images])), 1).numpy()
    np.testing.assert_allclose(model.predict(images), expected, atol=1e-5)


def test_a_script_s_checkpoint_with_another_class_count_loads_here(catalog, some_cifar, tmp_path):
    import torchvision

    state = torchvision.models.resnet18(num_classes=1000).state_dict()
    torch.save({"epoch": 90, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "theirs.pth")
    events = _train(
        catalog, tmp_path, f"data.path={some_cifar}", "model.backbone=resnet18", f"model.weights={tmp_path / 'theirs.pth'}",
        "run.epochs=1", "data.image_size=64",
    )  # fmt: skip
    note = next(event.text for event in events if event.event == "Note" and "tensors matched" in event.text)
    assert "2 start anew for the new classes" in note
