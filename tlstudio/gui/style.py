"""The application's small stylesheet: flat panels, thin lines, the roles of text and buttons. Fusion draws the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlstudio.gui.theme import Colors

_SHEET = """
QLabel[role="title"] {{ font-size: {title}pt; font-weight: 600; }}
QLabel[role="section"] {{ font-size: {section}pt; font-weight: 600; }}
QLabel[role="caption"] {{ font-size: {caption}pt; color: {muted}; }}
QLabel[role="muted"] {{ color: {muted}; }}
#dropHint {{ background: {selection}; color: {text}; border: 2px dashed {accent}; font-size: {title}pt; }}
QLabel[role="error"] {{ color: {error}; }}
QToolTip {{ background: {raised}; color: {text}; border: 1px solid {line}; padding: 4px; }}

QMenuBar {{ background: {window}; border-bottom: 1px solid {line}; padding: 1px 4px; }}
QMenuBar::item {{ padding: 4px 8px; background: transparent; border-radius: 4px; }}
QMenuBar::item:selected {{ background: {raised}; }}
QMenu {{ background: {base}; border: 1px solid {line}; padding: 4px; }}
QMenu::item {{ padding: 5px 24px 5px 12px; border-radius: 4px; }}
QMenu::item:selected {{ background: {selection}; color: {text}; }}
QMenu::item:disabled {{ color: {faded}; }}
QMenu::icon {{ padding-left: 8px; }}
QMenu::separator {{ height: 1px; background: {line}; margin: 4px 8px; }}
QStatusBar {{ background: {window}; border-top: 1px solid {line}; }}
QStatusBar::item {{ border: none; }}
QStatusBar QLabel {{ font-size: {caption}pt; color: {muted}; padding: 0 6px; }}

#rail {{ background: {window}; border-right: 1px solid {line}; }}
#rail QToolButton {{ border: none; border-left: 3px solid transparent; color: {muted}; padding: 8px 0 6px 0;
  font-size: {caption}pt; border-radius: 0; }}
#rail QToolButton:hover {{ background: {raised}; color: {text}; }}
#rail QToolButton:checked {{ border-left: 3px solid {accent}; color: {text}; font-weight: 600; background: {raised}; }}
#rail QToolButton:focus {{ background: {raised}; color: {text}; border-right: 1px solid {accent}; }}

QPushButton {{ background: {base}; border: 1px solid {line}; border-radius: 4px; padding: 5px 12px; min-height: 16px; }}
QPushButton:hover {{ background: {raised}; }}
QPushButton:pressed {{ background: {line}; }}
QPushButton:focus {{ border-color: {accent}; }}
QPushButton:checked {{ background: {selection}; border-color: {accent}; }}
QPushButton:disabled {{ color: {faded}; background: {window}; }}
QPushButton[role="primary"] {{ background: {accent}; color: {on_accent}; border-color: {accent}; font-weight: 600; }}
QPushButton[role="primary"]:hover {{ background: {accent_hover}; }}
QPushButton[role="primary"]:pressed {{ background: {accent_down}; }}
QPushButton[role="primary"]:focus {{ border: 1px solid {text}; }}
QPushButton[role="primary"]:disabled {{ background: {raised}; color: {faded}; border-color: {line}; }}
QPushButton[role="danger"] {{ color: {error}; }}
QPushButton[role="flat"], QPushButton[role="link"] {{ background: transparent; border-color: transparent; padding: 4px 6px; }}
QPushButton[role="flat"]:hover {{ background: {raised}; }}
QPushButton[role="fold"] {{ background: transparent; border-color: transparent; padding: 3px 6px 3px 0;
  font-weight: 600; text-align: left; }}
QPushButton[role="fold"]:hover {{ background: {raised}; }}
QPushButton[role="fold"]:focus {{ border-color: {accent}; }}
QPushButton[role="link"] {{ color: {accent}; text-align: left; }}
QPushButton[role="link"]:hover {{ text-decoration: underline; }}
QPushButton[role="flat"]:focus, QPushButton[role="link"]:focus {{ border-color: {accent}; }}
QToolButton {{ border: 1px solid transparent; border-radius: 4px; padding: 3px; }}
QToolButton:hover {{ background: {raised}; }}
QToolButton:checked {{ background: {selection}; }}
QToolButton:focus {{ border-color: {accent}; }}

QLineEdit, QPlainTextEdit, QTextEdit, QTextBrowser {{ background: {base}; border: 1px solid {line}; border-radius: 4px;
  padding: 3px 6px; selection-background-color: {accent}; selection-color: {on_accent}; }}
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QTextBrowser:focus {{ border-color: {accent}; }}
QComboBox {{ combobox-popup: 0; }}
QComboBox QAbstractItemView {{ border: 1px solid {line}; }}
QComboBox QAbstractItemView::item {{ min-height: 20px; }}
QLineEdit[invalid="true"], QComboBox[invalid="true"], QAbstractSpinBox[invalid="true"] {{ border: 1px solid {error}; }}

QCheckBox::indicator, QRadioButton::indicator, QTreeView::indicator {{
  width: 14px; height: 14px; border: 1px solid {muted}; background: {base}; }}
QCheckBox::indicator, QTreeView::indicator {{ border-radius: 3px; }}
QRadioButton::indicator {{ border-radius: 8px; }}
QCheckBox::indicator:checked, QTreeView::indicator:checked {{
  background: {accent}; border-color: {accent}; image: url("{check}"); }}
QRadioButton::indicator:checked {{ border: 5px solid {accent}; width: 6px; height: 6px; }}
QCheckBox::indicator:focus, QRadioButton::indicator:focus {{ border-color: {accent}; }}
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled {{ border-color: {line}; background: {window}; }}
QCheckBox::indicator:checked:disabled {{ background: {faded}; }}

QListView, QTableView, QTreeView {{ background: {base}; border: none; outline: none;
  selection-background-color: {selection}; selection-color: {text}; }}
QListView::item:selected, QTableView::item:selected, QTreeView::item:selected {{ background: {selection}; color: {text}; }}
QTableView {{ gridline-color: transparent; }}
QTableView::item {{ padding: 2px 8px; }}
QHeaderView::section {{ background: {window}; color: {muted}; border: none; border-bottom: 1px solid {line};
  padding: 5px 8px; font-size: {caption}pt; }}
QScrollArea {{ border: none; background: transparent; }}
QScrollBar {{ background: transparent; border: none; }}
QScrollBar:vertical {{ width: 12px; }}
QScrollBar:horizontal {{ height: 12px; }}
QScrollBar::handle {{ background: {thumb}; border-radius: 4px; margin: 2px; }}
QScrollBar::handle:vertical {{ min-height: 32px; }}
QScrollBar::handle:horizontal {{ min-width: 32px; }}
QScrollBar::handle:hover {{ background: {muted}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; border: none; background: none; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: none; }}
#palette {{ background: {base}; border: 1px solid {line}; }}
QSplitter::handle {{ background: {line}; }}
QSplitter::handle:horizontal {{ width: 1px; }}
QSplitter::handle:vertical {{ height: 1px; }}
QFrame[line="true"] {{ background: {line}; border: none; }}
QFrame[card="true"] {{ background: {base}; border: 1px solid {line}; border-radius: 6px; }}
QFrame[card="true"] QLabel {{ background: transparent; }}
#infoBar {{ background: {raised}; border-bottom: 1px solid {line}; }}
QProgressBar {{ background: {raised}; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; }}
QProgressBar::chunk {{ background: {accent}; border-radius: 3px; }}
"""


def stylesheet(now: Colors, points: float) -> str:
    """The stylesheet for one theme and size of body text in points."""
    from tlstudio import paths
    from tlstudio.gui.theme import mix

    names = {key: value.name() for key, value in vars(now).items() if key not in {"dark", "series"}}
    return _SHEET.format(
        **names,
        check=(paths.resources() / "icons" / f"check-{'black' if now.dark else 'white'}.svg").as_posix(),
        thumb=mix(now.line, now.muted, 0.35).name(),
        faded=mix(now.muted, now.window, 0.5).name(),
        accent_hover=mix(now.accent, now.text, 0.12).name(),
        accent_down=mix(now.accent, now.text, 0.25).name(),
        title=round(points * 1.6, 1),
        section=round(points * 1.15, 1),
        caption=round(points * 0.9, 1),
    )
