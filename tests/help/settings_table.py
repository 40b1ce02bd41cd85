"""The table of settings as the help page shows it; run as a script it writes the page's table anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

PAGE = Path(__file__).resolve().parents[2] / "resources" / "help" / "terminal.md"
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"


def settings_table() -> str:
    """Markdown with a row for each field of the configuration."""
    from tlstudio.api import TrainConfig

    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for section, info in TrainConfig.model_fields.items():
        model = info.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        for name, field in model.model_fields.items():
            rows.append(
                f"| `{section}.{name}` | {_default(field.get_default(call_default_factory=True))} | {field.description} |"
            )
    return "\n".join(rows) + "\n"


def _default(value: Any) -> str:
    if value is None or value in ("", {}):
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def shown_table() -> str:
    """The table that the page has now."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page.replace(BEGIN + shown_table() + END, BEGIN + settings_table() + END), encoding="utf-8")
