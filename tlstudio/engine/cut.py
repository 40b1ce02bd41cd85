"""Follows the freeze plan from epoch to epoch: where the network is cut, and the cache of what comes before the cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tlstudio import paths
from tlstudio.api.backbone import Backbone
from tlstudio.api.config import TrainConfig
from tlstudio.api.errors import DataError
from tlstudio.api.events import Event, Note, Progress
from tlstudio.api.freezing import FreezePlan
from tlstudio.engine.compute import ComputePlan, Prefix, Step
from tlstudio.engine.control import Control
from tlstudio.engine.device import Place
from tlstudio.engine.features import (
    CacheChoice,
    FeatureCache,
    choose_cache,
    feature_sizes,
    on_device,
    open_features,
    spare_disk,
    spare_memory,
    weights_digest,
)
from tlstudio.engine.fitting import Fitting
from tlstudio.engine.loader import ImageSource, ahead
from tlstudio.engine.planner import Job, plan_for
from tlstudio.engine.plans import plan_of, plan_record
from tlstudio.engine.split import SplitModel
from tlstudio.engine.world import World

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tlstudio.engine.parallel import Together

_ALONE = World()
_TRIED = 32  # images on which ways to compute are tried


class Cut:
    """Where a run's network is cut at the moment: `follow` moves it, `batches` gives what enters the rest.

    Args:
        config: of the run.
        backbone: the network.
        source: the images.
        place: the device.
        control: asked between batches.
        rows: training and validation rows.
        labels: the class of every row.
        folder: where features are kept from run to run, and the name of the images there; without it, nothing outlasts the
            run, and how to compute is not measured.
        world: the processes that share the work.
    """

    def __init__(
        self,
        config: TrainConfig,
        backbone: Backbone,
        source: ImageSource,
        place: Place,
        control: Control,
        *,
        rows: tuple[NDArray[np.int64], NDArray[np.int64]],
        labels: NDArray[np.int32],
        folder: tuple[Path, str] | None = None,
        world: World = _ALONE,
    ) -> None:
        self.config, self.backbone, self.source, self.place, self.control = config, backbone, source, place, control
        self.train_rows, self.val_rows = rows
        self.labels = torch.from_numpy(labels.astype(np.int64)).to(place.device)
        self.folder = folder if world.alone else None  # a store has one writer
        self._plans = None if folder is None else paths.cache() / "plans"
        self.world = world
        self._together: Together | None = None
        self.model: SplitModel | None = None
        self.cache: FeatureCache | None = None
        self.choice: CacheChoice | None = None
        self._frozen = -1
        self.fitting = Fitting(place)
        self._learned: set[str] = set()
        self._told: tuple[Prefix, Step, bool] | None = None
        self._decided: dict[int, tuple[CacheChoice | None, ComputePlan]] = {}
        self.keep_decisions: Callable[[Mapping[str, Any]], None] | None = None
        """Told all `decisions` whenever there is a new one."""

    def record(self) -> dict[str, Any]:
        """How it is cut and computed now, as what JSON knows, for a run that goes on from here."""
        return {"frozen": self._frozen, "learned": sorted(self._learned), "decisions": self.decisions()}

    def decisions(self) -> dict[str, Any]:
        """How it was decided to compute for each number of frozen stages that there has been, as what JSON knows."""
        return {
            str(frozen): {"choice": None if choice is None else asdict(choice), "plan": plan_record(plan)}
            for frozen, (choice, plan) in self._decided.items()
        }

    def decide_as(self, decisions: Mapping[str, Any]) -> None:
        """Decide as then, of `decisions`, where the plan comes to it; raises `KeyError` and the like where it is none."""
        for frozen, record in decisions.items():
            choice = None if record["choice"] is None else CacheChoice(**record["choice"])
            self._decided[int(frozen)] = choice, plan_of(record["plan"])

    def restore(self, record: Mapping[str, Any], *, same: bool) -> None:
        """Be cut as then, when the plan next asks for it.

        Args:
            record: of `record`.
            same: whether this machine computes as that one did; if not, it finds out anew what suits it.
        """
        self._learned = set(record["learned"])
        if same:
            frozen = int(record["frozen"])
            self.decide_as(record.get("decisions") or {str(frozen): record})  # there was a time when only the last was kept
            choice, plan = self._decided[frozen]
            self._told = plan.prefix, plan.step, (frozen if choice is None else choice.cut) > 0

    def draw(self, epoch: int) -> int | None:
        """The number of the random variation in an epoch; ``None`` for plain images. Cached ones come round again."""
        if not self.source.varies:
            return None
        return epoch % self.choice.views if self.choice is not None else epoch

    @property
    def head_only(self) -> bool:
        """Whether nothing but the head remains behind the cut, and what enters it lies in memory."""
        return self.choice is not None and self.choice.where == "memory" and self.choice.cut == len(self.backbone.stages)

    def follow(self, plan: FreezePlan, epoch: int, *, anew: bool = True) -> Iterator[Event]:
        """Move the cut to where the plan puts it and fill the cache; does nothing where nothing changed.

        Args:
            anew: whether the plan is another than in the last epoch.
        """
        frozen = plan.frozen_prefix(tuple(self.backbone.stages))
        self._learned.update(name for name in self.backbone.stages if plan.factor(name) > 0.0)
        if frozen != self._frozen:
            yield from self._move(frozen)
        if anew and not self.world.alone and self.model is not None:
            from tlstudio.engine.parallel import Together

            learning = [*list(self.backbone.stages.values())[self.model.frozen :], self.backbone.head]
            self._together = Together(self.model, learning)
        if self.cache is None:
            return
        draw = self.draw(epoch)
        wanted = [(self.train_rows, draw), (self.val_rows, None)]
        if draw is None:
            wanted = [(np.concatenate([self.train_rows, self.val_rows]), None)]
        for rows, view in wanted:
            own = self._own(rows)
            for done in self.cache.fill(own, view):
                yield Progress(task="Running the frozen layers", done=done, total=len(own))
                yield from self.news()
                if self.control.checkpoint() != "go" and self.world.alone:
                    return
            self.cache.share(rows, view, self.world)

    def suffix(self, x: Tensor) -> Tensor:
        """Logits ``(N, C)`` in training, from what `batches` gives; its gradients are those of all processes."""
        assert self.model is not None
        return self.model.suffix(x) if self._together is None else self._together(x)

    def batches(self, parts: list[NDArray[np.int64]], draw: int | None) -> Iterator[tuple[Tensor, Tensor]]:
        """What enters `suffix`, and the target ``(N,)`` int64, for this process's part of each batch of rows, on the device."""
        assert self.model is not None
        parts = [self._own(part) for part in parts]
        if self.cache is not None and self.choice is not None:
            tasks = (partial(self.cache.batch, part, draw) for part in parts)
            found = (task() for task in tasks) if self.choice.where == "memory" else ahead(tasks)
            for features, kept in found:
                if self._has_images(kept):
                    yield features, self._target(kept)
            return
        for images, kept in on_device(self.source, self.place, parts, draw):
            if self._has_images(kept):
                yield self.fitting.run(self.model.prefix, images), self._target(kept)

    def news(self) -> Iterator[Event]:
        """What is to be told of the memory since the last time."""
        if text := self.fitting.news():
            yield Note(level="warning", text=text)

    def close(self) -> None:
        """Let go of what is kept on disk."""
        if self.cache is not None:
            self.cache.close()

    def _split(self, cut: int, known: ComputePlan | None) -> SplitModel:
        """The network in two parts, which compute in the same way in all processes; as ``known``, where that is settled."""
        if known is not None:
            if self.place.device.type == "cuda":
                torch.backends.cudnn.benchmark = known.cudnn_benchmark
            return SplitModel(self.backbone, cut, self.place, known)
        run, each = self.config.run, len(self.train_rows) + len(self.val_rows)
        job = Job(
            network=self.config.model.backbone,
            frozen=cut,
            frozen_images=each * run.epochs if self.choice is None else self.choice.images,
            learned_images=len(self.train_rows) * run.epochs,
        )
        images, kept = next(on_device(self.source, self.place, [self.train_rows[:_TRIED]], None))
        plan = ComputePlan.usual(self.place, self.backbone.module)
        if self.world.first and len(kept):
            plan = plan_for(run, self.backbone, self.place, job, images, folder=self._plans)
        model = SplitModel(self.backbone, cut, self.place, self.world.from_first(plan))
        if self.world.first and len(kept):
            model.verify(images)
        model.plan = self.world.from_first(model.plan)  # the memory order is as before
        if self.place.device.type == "cuda":
            torch.backends.cudnn.benchmark = model.plan.cudnn_benchmark  # until the end of the run: see `settings_for`
        return model

    def _own(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows[self.world.rank :: self.world.size]

    def _has_images(self, kept: NDArray[np.int64]) -> bool:
        if not len(kept) and not self.world.alone:
            raise DataError("One of the processes has no image left in a batch.", hint="Use a larger batch size.")
        return bool(len(kept))

    def _target(self, rows: NDArray[np.int64]) -> Tensor:
        return self.labels[torch.from_numpy(rows).to(self.place.device, non_blocking=True)]

    def _move(self, frozen: int) -> Iterator[Event]:
        self.close()
        self.model = None  # until it is made: here, too, images are read
        self._frozen, self.cache, self.choice, self._together = frozen, None, None, None
        run, where = self.config.run, self.folder
        settled: ComputePlan | None = None
        if frozen in self._decided:
            self.choice, settled = self._decided[frozen]
        elif frozen:
            wanted = min(self.config.augment.views, run.epochs) if self.source.varies else 1
            self.choice = choose_cache(
                feature_sizes(self.backbone, frozen, self.source.preprocessing.image_size, self.place),
                train=len(self.train_rows), val=len(self.val_rows), views=wanted, memory=spare_memory(run, self.place.device),
                disk=0 if where is None else spare_disk(run, where[0]),
            )  # fmt: skip
            if self.choice is not None and self.choice.views < wanted:
                yield Note(text=f"Only {self.choice.views} of {wanted} varied versions of each image are kept: "
                           "there is no room for more.")  # fmt: skip
        cut = frozen if self.choice is None else self.choice.cut
        self.model = self._split(cut, settled)
        plan = self.model.plan
        if settled is None:
            self._decided[frozen] = self.choice, plan
            if self.keep_decisions is not None and self.world.first:
                self.keep_decisions(self.decisions())
        if (ways := (plan.prefix, plan.step, cut > 0)) != self._told:  # speeds alone are no news when the boundary moves
            self._told = ways
            yield Note(text=plan.sentence(frozen=cut > 0))
        if self.choice is None:
            return
        store = None
        published = self._learned.isdisjoint(list(self.backbone.stages)[:cut])  # else no later run has the same features
        if where is not None and (self.choice.where == "disk" or (published and self.choice.keeps(run))):
            digest = weights_digest(self.backbone, cut)
            store = open_features(where[0], where[1], digest, self.model, self.source,
                                  budget=int(run.cache_gigabytes * 2**30), room=self.choice.size)  # fmt: skip
        self.cache = FeatureCache(self.model, self.source, self.fitting, in_memory=self.choice.where == "memory", store=store)
