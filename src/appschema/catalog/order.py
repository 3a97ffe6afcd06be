"""In which order objects are made: each after what it needs."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping

from appschema.exceptions import UnsupportedObject

from .snapshot import Key

_KINDS = "collation type routine sequence table default view constraint index statistics rule trigger policy"
_RANK = {kind: rank for rank, kind in enumerate(_KINDS.split())}


def in_order(keys: Iterable[Key], needs: Mapping[Key, set[Key]]) -> list[Key]:
    """Return *keys* so that each comes after those that it needs, else by kind and name.

    Raises ``UnsupportedObject`` for objects that need each other.
    """
    wanted = set(keys)
    missing = {key: {each for each in needs.get(key, ()) if each in wanted} for key in wanted}
    followers = defaultdict(list)
    for key, needed in missing.items():
        for each in needed:
            followers[each].append(key)
    ready = [(_RANK[key[0]], key) for key, needed in missing.items() if not needed]
    heapq.heapify(ready)
    ordered = []
    while ready:
        _, key = heapq.heappop(ready)
        ordered.append(key)
        for follower in followers[key]:
            missing[follower].discard(key)
            if not missing[follower]:
                heapq.heappush(ready, (_RANK[follower[0]], follower))
    if len(ordered) < len(wanted):
        raise UnsupportedObject(
            "These objects need one another, so that none of them can be made first:"
            f" {', '.join(sorted(map(describe_key, wanted.difference(ordered))))}."
        )
    return ordered


def needed_by(keys: Iterable[Key], needs: Mapping[Key, set[Key]]) -> set[Key]:
    """Return *keys* and all that they need."""
    found: set[Key] = set()
    ahead = list(keys)
    while ahead:
        key = ahead.pop()
        if key not in found:
            found.add(key)
            ahead.extend(needs.get(key, ()))
    return found


def describe_key(key: Key) -> str:
    """Return a key as a person reads it: ``constraint 'title_check' of 'notes_note'``."""
    return f"{key[0]} {key[-1]!r}" + (f" of {key[1]!r}" if len(key) > 2 else "")
