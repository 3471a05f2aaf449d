"""Strongly connected components: which equations read each other in a circle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def components(reads: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The components of "reads", each after those that it reads; members in the order in which they were given.

    Tarjan (1972), without recursion: a chain of equations may be thousands long.
    """
    place = {name: k for k, name in enumerate(reads)}
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: list[str] = []
    inside: set[str] = set()
    found: list[list[str]] = []
    for root in reads:
        if root in number:
            continue
        stack = [(root, iter(reads[root]))]
        while stack:
            name, rest = stack[-1]
            if name not in number:
                number[name] = lowest[name] = len(number)
                open_.append(name)
                inside.add(name)
            for following in rest:
                if following not in number:
                    stack.append((following, iter(reads[following])))
                    break
                if following in inside:
                    lowest[name] = min(lowest[name], number[following])
            else:
                stack.pop()
                if stack:
                    above = stack[-1][0]
                    lowest[above] = min(lowest[above], lowest[name])
                if lowest[name] == number[name]:
                    found.append(_popped(open_, inside, name, place))
    return found


def _popped(open_: list[str], inside: set[str], root: str, place: Mapping[str, int]) -> list[str]:
    """The component that ends with its root on the stack."""
    members = [open_.pop()]
    while members[-1] != root:
        members.append(open_.pop())
    inside.difference_update(members)
    return sorted(members, key=place.__getitem__)
