"""Faults of the Qt binding that the pinned versions do not have."""

from __future__ import annotations

import sys

from PySide6.QtCore import QObject, Signal, Slot


class _Sender(QObject):
    sent = Signal(object)


class _Receiver(QObject):
    count = 0

    @Slot(object)
    def take(self, value):
        self.count += bool(value)


def test_emitting_true_keeps_its_references(qapp):
    sender, receiver = _Sender(), _Receiver()
    sender.sent.connect(receiver.take)
    before = sys.getrefcount(True)
    for _ in range(1000):
        sender.sent.emit(True)
    assert receiver.count == 1000
    assert abs(sys.getrefcount(True) - before) < 20
