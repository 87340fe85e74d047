"""Filling in a page's template; whatever is filled in is escaped, for names are not ours."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def fill_template(name: str, **values: object) -> str:
    """Return the template of that name in this folder, filled in."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(**values)
