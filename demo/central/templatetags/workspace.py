"""How a workspace looks, from nothing but its name."""

from zlib import crc32

from django import template

register = template.Library()


@register.filter
def title(name: str) -> str:
    """Return the name for people: `our-team` is Our Team."""
    return name.replace("-", " ").title()


@register.filter
def hue(name: str) -> str:
    """Return the stylesheet's class of the workspace's colour, one of twelve."""
    return f"hue-{crc32(name.encode()) % 12}"
