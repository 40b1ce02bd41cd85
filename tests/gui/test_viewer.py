"""The large view: any zoom, by wheel, mouse and keys; what is under the pointer; neighbours at once; all greys of 16 bit."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtWidgets import QApplication

from tlstudio.api.errors import ImageError
from tlstudio.api.images import decode, grey16
from tlstudio.gui.widgets.levels import FULL, apply_range, auto_range
from tlstudio.gui.widgets.picture import make_levels
from tlstudio.gui.widgets.viewer import About, Viewer

NO = Qt.KeyboardModifier.NoModifier
RAMP = np.linspace(1000, 3000, 120 * 80).reshape(80, 120).astype(np.uint16)


class Images:
    """Ten pictures: pixel (x, y) of picture i is (x, y, i); the fifth cannot be read, the last two are 16-bit."""

    def __init__(self):
        self.asked = []
        self.go_on = threading.Event()
        self.go_on.set()

    def load(self, position):
        self.asked.append(position)
        assert self.go_on.wait(20)
        if position == 5:
            raise ImageError("truncated")
        y, x = np.mgrid[:80, :120]
        return Image.fromarray(np.stack([x, y, np.full_like(x, position)], axis=2).astype(np.uint8))

    def greys(self, position):
        return RAMP if position >= 8 else None


@pytest.fixture
def images():
    images = Images()
    yield images
    images.go_on.set()


@pytest.fixture
def viewer(qtbot, images):
    viewer = Viewer(images.load, lambda i: About(f"picture {i}", ("class",)), lambda _i: None, greys=images.greys)
    qtbot.addWidget(viewer)
    viewer.resize(700, 500)
    with qtbot.waitExposed(viewer):
        viewer.show()
    viewer.setFocus()
    show(qtbot, viewer, 0)
    return viewer


def show(qtbot, viewer, position):
    viewer.show_image(position, 10)
    qtbot.waitUntil(lambda: viewer.picture.has_picture() or bool(viewer.picture.reason()), timeout=20_000)


def press(qtbot, viewer, key, modifiers=NO):
    qtbot.keyClick(viewer, key, modifiers)


def wheel(picture, delta, at, modifiers=NO):
    event = QWheelEvent(at, picture.mapToGlobal(at), QPoint(), QPoint(0, delta), Qt.MouseButton.NoButton, modifiers,
                        Qt.ScrollPhase.NoScrollPhase, False)  # fmt: skip
    QApplication.sendEvent(picture, event)


def test_it_begins_with_the_whole_picture(viewer):
    picture = viewer.picture
    assert picture.is_fitted()
    whole = picture.place_of(QPoint(0, 0)).united(picture.place_of(QPoint(119, 79)))
    assert picture.rect().toRectF().contains(whole)
    assert max(whole.width() / picture.width(), whole.height() / picture.height()) > 0.9


def test_keys_zoom_to_100_percent_in_out_and_back_to_the_whole(qtbot, viewer):
    picture = viewer.picture
    fit = picture.zoom()
    press(qtbot, viewer, Qt.Key.Key_Z)
    assert picture.zoom() == 1.0
    assert viewer._zoom.text() == "100 %"
    assert picture.place_of(QPoint(0, 0)).topLeft() == picture.place_of(QPoint(0, 0)).topLeft().toPoint().toPointF(), "sharp"
    press(qtbot, viewer, Qt.Key.Key_Plus)
    assert picture.zoom() == pytest.approx(1.25)
    press(qtbot, viewer, Qt.Key.Key_Minus)
    assert picture.zoom() == pytest.approx(1.0)
    press(qtbot, viewer, Qt.Key.Key_F)
    assert picture.zoom() == pytest.approx(fit)
    assert picture.is_fitted()


@pytest.mark.parametrize("modifiers", [NO, Qt.KeyboardModifier.ControlModifier])
def test_the_wheel_zooms_at_the_pointer(viewer, modifiers):
    picture = viewer.picture
    at = picture.place_of(QPoint(30, 60)).center()
    for _ in range(8):
        wheel(picture, 120, at, modifiers)
        assert picture.pixel_at(at) == QPoint(30, 60)
    assert picture.zoom() > 16
    for _ in range(40):
        wheel(picture, -120, at, modifiers)
    assert picture.zoom() <= 1


def test_dragging_moves_the_picture_but_not_out_of_sight(qtbot, viewer):
    picture = viewer.picture
    picture.set_zoom(20)
    before = picture.pixel_at(QPointF(300, 200))
    qtbot.mousePress(picture, Qt.MouseButton.LeftButton, pos=QPoint(300, 200))
    qtbot.mouseMove(picture, QPoint(400, 240))
    qtbot.mouseRelease(picture, Qt.MouseButton.LeftButton, pos=QPoint(400, 240))
    assert picture.pixel_at(QPointF(400, 240)) == before
    picture.pan(100_000, 100_000)
    assert picture.pixel_at(QPointF(20, 20)) == QPoint(0, 0)
    picture.pan(-100_000, -100_000)
    assert picture.pixel_at(QPointF(picture.width() - 20, picture.height() - 20)) == QPoint(119, 79)


def test_shift_and_arrows_move_a_picture_that_is_larger_than_the_view(qtbot, viewer):
    picture = viewer.picture
    picture.set_zoom(20)
    before = picture.pixel_at(QPointF(300, 200))
    press(qtbot, viewer, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert viewer.position() == 0
    assert picture.pixel_at(QPointF(300, 200)).x() > before.x()


def test_large_pixels_are_squares_of_one_colour_with_lines_between_them(viewer):
    picture = viewer.picture
    picture.set_zoom(4)
    inside = picture.place_of(QPoint(60, 40)).toAlignedRect()
    shot = picture.grab().toImage()
    assert {shot.pixelColor(inside.center() + QPoint(dx, 0)).red() for dx in (-1, 0, 1)} == {60}
    picture.set_zoom(32)
    place = picture.place_of(QPoint(60, 40))
    shot = picture.grab().toImage()
    corners = [place.center() + QPointF(dx, dy) for dx in (-12, 12) for dy in (-12, 12)]
    assert {shot.pixelColor(at.toPoint()).getRgb()[:3] for at in corners} == {(60, 40, 0)}
    edge = [shot.pixelColor(round(place.left()) + dx, round(place.center().y())) for dx in (-1, 0, 1)]
    assert any(color not in (QColor(60, 40, 0), QColor(59, 40, 0)) for color in edge)


def test_the_pixel_under_the_pointer_is_told_and_follows_the_zoom(qtbot, viewer):
    picture = viewer.picture
    at = picture.place_of(QPoint(17, 42)).center().toPoint()
    qtbot.mouseMove(picture, at)
    qtbot.waitUntil(lambda: "x 17  y 42" in viewer._pixel.text())
    assert "R 17  G 42  B 0" in viewer._pixel.text()
    press(qtbot, viewer, Qt.Key.Key_Z)
    pixel = picture.pixel_at(at.toPointF())
    assert viewer._pixel.text() == ("" if pixel is None else viewer._pixel.text())
    assert pixel is None or f"x {pixel.x()}  y {pixel.y()}" in viewer._pixel.text()
    qtbot.mouseMove(picture, QPoint(2, 2))
    qtbot.waitUntil(lambda: viewer._pixel.text() == "")


def test_arrows_find_the_neighbours_already_loaded(qtbot, viewer, images):
    show(qtbot, viewer, 2)
    qtbot.waitUntil(lambda: {1, 3} <= viewer._loaded.keys())
    images.go_on.clear()
    press(qtbot, viewer, Qt.Key.Key_Right)
    assert viewer.picture.has_picture()
    assert viewer.picture.color_at(QPoint(0, 0)).blue() == 3
    assert "120 × 80 px" in viewer.text()
    press(qtbot, viewer, Qt.Key.Key_Left)
    assert viewer.picture.color_at(QPoint(0, 0)).blue() == 2


def test_only_neighbours_are_kept(qtbot, viewer):
    for position in range(1, 5):
        press(qtbot, viewer, Qt.Key.Key_Right)
        qtbot.waitUntil(lambda position=position: position in viewer._loaded and viewer.picture.has_picture())
    assert viewer._loaded.keys() <= {3, 4, 5}


def test_home_and_end_lead_to_the_first_and_the_last(qtbot, viewer):
    press(qtbot, viewer, Qt.Key.Key_End)
    assert viewer.position() == 9
    press(qtbot, viewer, Qt.Key.Key_Right)
    assert viewer.position() == 9
    press(qtbot, viewer, Qt.Key.Key_Home)
    assert viewer.position() == 0


@pytest.mark.parametrize("key", [Qt.Key.Key_Escape, Qt.Key.Key_Space])
def test_escape_and_space_lead_back(qtbot, viewer, key):
    with qtbot.waitSignal(viewer.closed):
        press(qtbot, viewer, key)


def test_the_place_stays_while_going_through_pictures_of_one_size(qtbot, viewer):
    picture = viewer.picture
    picture.set_zoom(20, QPointF(100, 100))
    before = picture.pixel_at(QPointF(300, 200))
    press(qtbot, viewer, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: picture.has_picture() and picture.color_at(QPoint(0, 0)).blue() == 1)
    assert picture.zoom() == pytest.approx(20)
    assert picture.pixel_at(QPointF(300, 200)) == before


def test_a_picture_that_cannot_be_read_says_why_and_arrows_go_on(qtbot, viewer):
    show(qtbot, viewer, 5)
    assert "truncated" in viewer.picture.reason()
    assert viewer.picture.accessibleDescription() == viewer.picture.reason()
    press(qtbot, viewer, Qt.Key.Key_Plus)
    press(qtbot, viewer, Qt.Key.Key_Right)
    qtbot.waitUntil(viewer.picture.has_picture)
    assert viewer.picture.reason() == ""


def test_many_facts_never_make_the_window_wider(qtbot, viewer):
    narrow = viewer.minimumSizeHint().width()
    viewer._about = lambda _position: About("picture", ("a very long fact " * 20,) * 5)
    show(qtbot, viewer, 3)
    assert viewer.minimumSizeHint().width() <= narrow
    assert viewer._facts.toolTip() == viewer._facts.text()
    assert viewer._facts.text().startswith("120 × 80 px")


def test_only_16_bit_pictures_have_a_range_of_greys(qtbot, viewer):
    assert not viewer.levels.isVisible()
    show(qtbot, viewer, 8)
    assert viewer.levels.isVisible()
    assert "16 bit" in viewer.text()
    assert viewer.levels.values() == FULL
    assert viewer.picture.color_at(QPoint(119, 79)).red() == round(3000 / 257)
    show(qtbot, viewer, 2)
    assert not viewer.levels.isVisible()


def test_auto_shows_all_that_is_in_the_picture_and_the_next_one(qtbot, viewer):
    show(qtbot, viewer, 8)
    viewer.levels.auto.click()
    qtbot.waitUntil(lambda: viewer.picture.color_at(QPoint(119, 79)).red() == 255)
    assert viewer.picture.color_at(QPoint(0, 0)).red() == 0
    assert viewer.levels.values() == auto_range(RAMP)
    press(qtbot, viewer, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: viewer.picture.has_picture() and viewer.picture.color_at(QPoint(119, 79)).red() == 255)


def test_a_range_set_by_hand_holds_for_the_next_picture_and_pixels_keep_their_full_value(qtbot, viewer):
    show(qtbot, viewer, 8)
    viewer.levels.auto.click()
    viewer.levels._low.setValue(2000)
    viewer.levels._high.setValue(2001)
    assert not viewer.levels.auto.isChecked()
    qtbot.waitUntil(lambda: viewer.picture.color_at(QPoint(0, 39)).red() == 0)
    qtbot.waitUntil(lambda: viewer.picture.color_at(QPoint(119, 41)).red() == 255)
    press(qtbot, viewer, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: viewer.picture.has_picture() and viewer.picture.color_at(QPoint(119, 41)).red() == 255)
    assert viewer.levels.values() == (2000, 2001)
    qtbot.mouseMove(viewer.picture, viewer.picture.place_of(QPoint(60, 40)).center().toPoint())
    qtbot.waitUntil(lambda: f"grey {int(RAMP[40, 60]):,}" in viewer._pixel.text())


def test_of_many_changes_of_the_range_the_last_one_is_shown(qtbot, viewer):
    show(qtbot, viewer, 8)
    for high in range(2000, 3000, 50):
        viewer.levels._high.setValue(high)
    qtbot.waitUntil(lambda: viewer._loaded[8].shown == (0, 2950))
    assert viewer.picture.color_at(QPoint(119, 79)).red() == 255
    assert viewer.picture.color_at(QPoint(0, 0)).red() == round(1000 * 255 / 2950)


def test_the_ends_of_the_slider_are_dragged_and_never_cross(qtbot, viewer):
    show(qtbot, viewer, 8)
    slider = viewer.levels.slider
    qtbot.mousePress(slider, Qt.MouseButton.LeftButton, pos=QPoint(slider._place(FULL[1]), 12))
    qtbot.mouseMove(slider, QPoint(slider._place(30_000), 12))
    assert viewer.levels.values()[1] == pytest.approx(30_000, abs=400)
    qtbot.mouseMove(slider, QPoint(0, 12))
    qtbot.mouseRelease(slider, Qt.MouseButton.LeftButton)
    low, high = viewer.levels.values()
    assert 0 == low < high


def test_a_range_maps_greys_to_black_and_white_evenly():
    greys = np.array([[0, 100, 150, 355, 65535]], np.uint16)
    assert np.asarray(apply_range(greys, 100, 355)).tolist() == [[0, 0, 50, 255, 255]]
    assert auto_range(np.full((4, 4), 65535, np.uint16)) == (65534, 65535)
    assert auto_range(np.zeros((4, 4), np.uint16)) == (0, 1)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_all_greys_of_16_bit_files_are_read_upright(tmp_path, suffix):
    path = tmp_path / f"deep{suffix}"
    image, exif = Image.fromarray(RAMP), Image.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    assert np.array_equal(grey16(path), np.rot90(RAMP, -1))
    assert decode(path).size == (80, 120)


def test_other_files_have_no_16_bit_greys(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    assert [grey16(tmp_path / name) for name in ("a.png", "b.png", "missing.png")] == [None, None, None]


def test_a_huge_picture_has_smaller_copies_to_paint_from():
    levels = make_levels(Image.new("RGB", (5000, 301), (10, 200, 30)))
    assert [(level.width(), level.height()) for level in levels] == [(5000, 301), (2500, 151), (1250, 76), (625, 38)]
    assert levels[-1].pixelColor(300, 20) == QColor(10, 200, 30)


def test_the_data_page_shows_16_bit_files_with_their_range(qtbot, loaded, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "deep" / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(RAMP + np.uint16(i)).save(tmp_path / "deep" / name / f"{i}.png")
    with qtbot.waitSignal(loaded.context.data_changed, timeout=20_000):
        loaded.open_path(tmp_path / "deep")
    view = loaded.data_page.view
    view.show_large(0)
    qtbot.waitUntil(view.viewer.levels.isVisible, timeout=20_000)
    before = view.viewer.picture.zoom()
    for key in (Qt.Key.Key_Z, Qt.Key.Key_F):
        qtbot.keyClick(view.viewer, key)
        assert (view.viewer.picture.zoom() == 1.0) == (key == Qt.Key.Key_Z)
    assert view.viewer.picture.zoom() == before
