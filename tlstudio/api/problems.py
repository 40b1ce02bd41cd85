"""What is wrong with settings, each problem at its dotted field. Knows pydantic's models, but no particular ones."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from tlstudio.api.errors import Problem


def field_names(model: type[BaseModel], prefix: str = "") -> tuple[str, ...]:
    """All dotted field names of a configuration model, such as ``optim.learning_rate``."""
    names: list[str] = []
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            names.extend(field_names(info.annotation, f"{prefix}{name}."))
        else:
            names.append(f"{prefix}{name}")
    return tuple(names)


def problems_of(error: ValidationError, *, prefix: str = "", known: tuple[str, ...] = ()) -> tuple[Problem, ...]:
    """A pydantic error as problems, one at each dotted field."""
    problems = []
    for item in error.errors(include_url=False):
        field = prefix + ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            message = unknown(field, known)
        else:
            message = f"{item['msg']} (got {item['input']!r})" if item["loc"] else item["msg"]
        problems.append(Problem(field=field, message=message))
    return tuple(problems)


def unknown(field: str, known: tuple[str, ...]) -> str:
    """Words for a setting that nobody knows, with the known one that it may be meant for."""
    from difflib import get_close_matches

    last = {name.rsplit(".", 1)[-1]: name for name in known}
    near = get_close_matches(field, known, n=1, cutoff=0.6) or [
        last[name] for name in get_close_matches(field.rsplit(".", 1)[-1], tuple(last), n=1, cutoff=0.7)
    ]
    return f"unknown setting; did you mean {near[0]}?" if near else "unknown setting"
