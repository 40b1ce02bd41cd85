"""Events survive the trip through a line of JSON, whatever their numbers are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tlstudio.api import events, parse_event

numbers = st.floats(allow_nan=False)
metrics = st.dictionaries(st.sampled_from(["loss", "accuracy", "f1"]), numbers, max_size=3)


@given(loss=numbers, lr=numbers, speed=numbers)
def test_steps(loss, lr, speed):
    event = events.StepDone(run="r", epoch=1, step=2, steps=3, loss=loss, lr=lr, images_per_s=speed)
    assert parse_event(event.model_dump_json()) == event


@given(train=metrics, val=metrics, text=st.text(max_size=50))
def test_epochs_and_notes(train, val, text):
    for event in (
        events.EpochDone(epoch=0, step=1, train=train, val=val, seconds=1.0, best=True),
        events.Note(text=text),
        events.RunFailed(error=text, hint=text),
        events.EpochStarted(epoch=0, stages=(events.StageState(name="stem", params=3, factor=0.1),)),
    ):
        assert parse_event(event.model_dump_json()) == event


def test_a_loss_that_is_not_a_number_is_written_and_read_back():
    event = events.StepDone(epoch=0, step=1, steps=1, loss=float("nan"), lr=1.0, images_per_s=1.0)
    again = parse_event(event.model_dump_json())
    assert again.loss != again.loss
