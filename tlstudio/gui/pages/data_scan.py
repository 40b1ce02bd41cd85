"""Measures the opened images in the background and finds what is wrong with them; what is known already comes at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from tlstudio.data.curation import Drawing
from tlstudio.data.duplicates import Pairs, inseparable
from tlstudio.data.index import forget
from tlstudio.data.measure import NOT_MEASURED, Measures
from tlstudio.data.quality import Issues, find_issues
from tlstudio.data.scan import duplicates_in, look_up, measure_missing
from tlstudio.gui.opening import Opened
from tlstudio.gui.widgets.background import Task, run_in_background

_BY_ITSELF = 100_000  # larger sets are checked when the user asks for it
_SEARCHED_AGAIN = 10_000  # up to so many images near duplicates are looked for again after an edit
_AFTER_SHOWING_MS = 500  # the first thumbnails come first
_AFTER_EDITS_MS = 700


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is known of the images by now."""

    measures: Measures
    issues: Issues | None
    pairs: Pairs | None = None
    """Near duplicates, where they were looked for."""
    drawing: Drawing | None = None
    """A split that is still to be fixed, drawn with those near duplicates together."""


class Scan(QObject):
    """One scan at a time, of the images it was given last."""

    progressed = Signal(object)
    """(int, int): images measured, and how many there are."""
    found = Signal(object)
    """Found: more is known."""
    ended = Signal(object)
    """bool: whether everything is measured now."""
    failed = Signal(object)
    """Exception."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.measures: Measures | None = None
        self.issues: Issues | None = None
        self.pairs: Pairs | None = None
        """Near duplicates among all images; ``None`` while nobody looked."""
        self.flips = False
        """Whether a mirrored picture counts as a duplicate."""
        self._opened: Opened | None = None
        self._task: Task | None = None
        self._judging: Task | None = None
        self._first = QTimer(self, singleShot=True)
        self._first.timeout.connect(self._begin)
        self._soon = QTimer(self, singleShot=True, interval=_AFTER_EDITS_MS)
        self._soon.timeout.connect(self._judge)

    @property
    def running(self) -> bool:
        """Whether images are being measured."""
        return self._task is not None or self._first.isActive()

    @property
    def complete(self) -> bool:
        """Whether every image is measured."""
        return self.measures is not None and not (self.measures.state == NOT_MEASURED).any()

    def begin(self, opened: Opened) -> None:
        """Take other images: first what is known of them, then, unless they are very many, all the rest."""
        self.cancel()
        self._opened, self.measures, self.issues, self.pairs = opened, None, None, None
        self._first.start(_AFTER_SHOWING_MS)

    def _begin(self) -> None:
        if self._opened is not None and self._task is None:
            self._run(all_of_them=len(self._opened.images) <= _BY_ITSELF)

    def go_on(self) -> None:
        """Measure all that is not measured yet."""
        if self._opened is not None and self._task is None:
            self._first.stop()
            self._run(all_of_them=True)

    def count_flips(self, on: bool) -> None:
        """Let mirrored pictures count as duplicates, or not, and look again."""
        self.cancel()
        self.flips = on
        self.go_on()

    def cancel(self) -> None:
        """Stop measuring; what was measured so far is kept."""
        self._first.stop()
        self._soon.stop()
        for task in (self._task, self._judging):
            if task is not None:
                task.cancel()
        self._task = self._judging = None

    def edited(self, opened: Opened) -> None:
        """The same images after an edit: look for issues again, a little later."""
        self._opened = opened
        if self.issues is not None:
            self._soon.start()

    def _run(self, *, all_of_them: bool) -> None:
        opened, known, flips = self._opened, self.measures, self.flips
        assert opened is not None
        self._task = run_in_background(
            self,
            lambda task: _scan(task, opened, known, flips=flips, all_of_them=all_of_them),
            done=self._done,
            failed=self._fail,
            progress=self._take,
        )

    def _take(self, news: object) -> None:
        if isinstance(news, Found):
            self.measures = news.measures
            self.issues = self.issues if news.issues is None else news.issues
            self.pairs = self.pairs if news.pairs is None else news.pairs
            self.found.emit(news)
        else:
            self.progressed.emit(news)

    def _done(self, found: Found) -> None:
        self._task = None
        self._take(found)
        self.ended.emit(self.complete)

    def _fail(self, error: BaseException) -> None:
        self._task = None
        self.failed.emit(error)

    def _judge(self) -> None:
        opened, measures = self._opened, self.measures
        if opened is None or measures is None or self.running:
            return
        if self._judging is not None:
            self._judging.cancel()
        pairs = self.pairs if self.flips or len(measures) > _SEARCHED_AGAIN else None
        self._judging = run_in_background(
            self,
            lambda task: Found(measures=measures, issues=issues_of(opened, measures, pairs, task)),
            done=self._take,
        )


def issues_of(opened: Opened, measures: Measures, pairs: Pairs | None, task: Task) -> Issues:
    """The issues of the images that take part; ``pairs`` are near duplicates that are known already."""
    if opened.table.excluded.any():
        measures = forget(measures, np.flatnonzero(opened.table.excluded))
    return find_issues(opened.images, opened.splits, measures, pairs=pairs, progress=lambda _done, _total: not task.cancelled)


def _scan(task: Task, opened: Opened, known: Measures | None, *, flips: bool, all_of_them: bool) -> Found:
    """In the background: load what is known, measure what is not, keep it, judge it."""
    images, index = opened.images, opened.index
    if opened.curation is not None:
        opened.curation.prepare()
    if index is not None and opened.fresh and opened.curation is not None:
        index.save_images(opened.curation.original)
    measures = look_up(images, index, progress=lambda _done, _total: not task.cancelled) if known is None else known
    task.report(Found(measures=measures, issues=None))
    known_pairs = index is not None and index.load_pairs(measures, flips=flips) is not None
    if not (all_of_them or known_pairs):
        return Found(measures=measures, issues=None)

    def progress(done: int, total: int) -> bool:
        task.report((done, total))
        return not task.cancelled

    measures = measure_missing(images, measures, index, progress=progress)
    return Found(measures=measures, issues=None) if task.cancelled else _judged(task, opened, measures, flips)


def _judged(task: Task, opened: Opened, measures: Measures, flips: bool) -> Found:
    pairs = duplicates_in(measures, opened.index, flips=flips, progress=lambda _done, _total: not task.cancelled)
    curation, drawing = opened.curation, None
    if curation is not None and curation.plan.together and not curation.fixed:
        drawing = curation.drawn_with(inseparable(pairs, len(measures)))
    return Found(measures=measures, issues=issues_of(opened, measures, pairs, task), pairs=pairs, drawing=drawing)
