"""What `dltc explain SPEC` prints: the data of :mod:`.explain` as aligned tables."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from textwrap import wrap
from typing import Any

from .cost.account import ROLES
from .cost.sharing import readable

Data = dict[str, Any]

LINES = 8
"""Lines of the spec that the table of costs shows; the rest is one row."""

WIDTH = 44
"""Columns for the text of a line, and for a prior, an initial value, a rule."""

WIDEST = 140
"""Columns of the table of parameters, where cutting these texts can keep it so narrow."""


def text(data: Data) -> str:
    """The whole report."""
    parts = [_head(data), _parameters(data), _cost(data), _lines(data), _memory(data), _graphs(data), _layout(data)]
    return "\n\n".join(part for part in parts if part)


def table(rows: Sequence[Sequence[str]], right: str = "") -> list[str]:
    """Rows with aligned columns, two blanks between; ``right`` marks a column ``>`` that is aligned at its right end."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines: list[str] = []
    for row in rows:
        cells = [
            c.rjust(w) if right[k : k + 1] == ">" else c.ljust(w)
            for k, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return lines


def size_text(count: float) -> str:
    """``1.5 KiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"


def _cut(text: str, width: int = WIDTH) -> str:
    return text if len(text) <= width else text[: width - 2] + ".."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# ---------------------------------------------------------------- parts


def _head(data: Data) -> str:
    replicas = f", {data['replicas']} replicas" if data["replicas"] else ""
    sizes = ", ".join(f"{name} {s['value']:,} ({s['source']})" for name, s in data["sizes"].items())
    head = f"{data['spec']}: {data['model']}, {data['dtype']}{replicas}; numbers at {sizes}"
    return "\n".join([head, *(f"  {line}" for line in data["doc"].splitlines())])


def _parameters(data: Data) -> str:
    totals, rows = data["totals"], data["parameters"]
    if not rows:
        return "no parameters"
    head = f"parameters: {_count(totals['entries'], 'number')}, {size_text(totals['bytes'])}; states of rules: "
    head += f"{size_text(totals['state_bytes'])}, {totals['state_bytes_per_parameter']:.3g} bytes a number"
    lines: list[str] = []
    for width in (WIDTH, 3 * WIDTH // 4, WIDTH // 2):  # prior, init and rule are cut as far as it takes
        lines = table([_parameter(row, width) for row in rows])
        if max(map(len, lines)) <= WIDEST:
            break
    return "\n".join([head, *lines])


def _parameter(row: Data, width: int) -> list[str]:
    axes = ", ".join(a if n is None else f"{a} {n}" for a, n in zip(row["axes"], row["shape"], strict=True))
    start = _cut(f"init {row['init']}", width) if row["init"] is not None else ""
    rule = "frozen" if row["frozen"] else _cut(row["rule"] or "no rule", width)
    names = [s["path"].partition("@")[2] for s in row["states"]]
    kept = f"{', '.join(names)}: {row['state_bytes_per_parameter']:.3g} B" if names else ""
    shown = f"{row['path']}[{axes}]" if axes else row["path"]
    doc = f"# {row['doc'].splitlines()[0]}" if row["doc"] else ""
    domain = row["domain"] if row["support"] == "dense" else f"{row['domain']}, {_cut(row['support'], width)}"
    return [shown, size_text(row["bytes"]), domain, _cut(f"~ {row['prior']}", width), start, rule, kept, doc]


def _cost(data: Data) -> str:
    """One row a routine, the step's phases below it."""
    rows = [["cost of", "FLOPs in products", "", "other FLOPs", "bytes moved", "FLOP/byte"]]
    for name in ("forward", "log_prob", "step"):
        if name in data["cost"]:
            rows.append(_tally(name, data["cost"][name]))
    for name, tally in data["cost"].get("step", {}).get("phases", {}).items():
        rows.append(_tally(f"  {name}", tally))
    lines = table(rows, " >>>>>")
    lines[0] = lines[0][2:].replace("cost of", "cost of  ")
    main = data["cost"][data["main"]]
    missed = main["flops"]["contraction"]["value"] - main["torch_counter"]["value"]
    note = f"torch's own counter sees {main['torch_counter']['value']:,} FLOPs of the {data['main']}"
    note += f": {missed:,} are in products by a vector or in place" if missed else ""
    hard = main["flops"]["linalg"]["value"]
    return "\n".join([*lines, f"  {note}", *([f"  matrix factorizations: about {hard:,} FLOPs more"] if hard else [])])


def _tally(name: str, tally: Data) -> list[str]:
    flops = tally["flops"]
    other = flops["elementwise"]["value"] + flops["reduction"]["value"]
    products, moved = flops["contraction"], tally["bytes_moved"]["value"]
    ratio = f"{flops['total']['value'] / moved:.2f}" if moved else "-"
    return [name, products["formula"], f"= {products['value']:,}", f"{other:,}", size_text(moved), ratio]


def _lines(data: Data) -> str:
    """The costliest lines of the spec, in shares of the whole."""
    lines, whole = data["lines"], data["cost"][data["main"]]
    shown, rest = lines[:LINES], lines[LINES:]
    rows = [[f"the {data['main']} by line", "", "products", "other", "moved", "at the peak"]]
    for row in shown:
        rows.append([row["place"], _cut(row["text"]), *_shares(row, whole), size_text(row["bytes_at_peak"]["value"])])
    if rest:
        shares = [f"{sum(float(_shares(r, whole)[k].rstrip(' %')) for r in rest):.1f} %" for k in range(3)]
        held = size_text(sum(r["bytes_at_peak"]["value"] for r in rest))
        rows.append([f"{len(rest)} more", "", *shares, held])
    found = table(rows, "  >>>>")
    return "\n".join([found[0][2:], *found[1:]])


def _shares(row: Data, whole: Data) -> list[str]:
    """Products, other arithmetic and traffic of a line in per cent of all."""

    def other(tally: Data) -> int:
        return tally["flops"]["total"]["value"] - tally["flops"]["contraction"]["value"]

    pairs = [
        (row["flops"]["contraction"]["value"], whole["flops"]["contraction"]["value"]),
        (other(row), other(whole)),
        (row["bytes_moved"]["value"], whole["bytes_moved"]["value"]),
    ]
    return [f"{100 * part / all_:.1f} %" if all_ else "0.0 %" for part, all_ in pairs]


def _memory(data: Data) -> str:
    memory = data["memory"]
    place = f" (in {memory['peak_place']})" if memory["peak_place"] else ""
    head = f"memory of one {data['main']}: {size_text(memory['peak']['value'])} at the peak{place}"
    parts = [f"{role} {size_text(memory[role]['value'])}" for role in ROLES if memory[role]["value"]]
    tidy = memory["peak_if_freed_after_last_reader"]
    formula = (
        f"  = {memory['peak']['formula']} bytes; {size_text(tidy['value'])} if each value went after its last reader"
    )
    return "\n".join([head, "  " + ", ".join(parts), formula])


def _graphs(data: Data) -> str:
    """Sharing of the graphs, then what the passes did to the step (to the functions, where nothing learns)."""
    rows = [["sharing", "nodes", "edges", "depth", "written out", "factor"]]
    for name, row in data["sharing"].items():
        factor = Fraction(row["factor"]) if len(row["factor"]) < 1000 else None
        written = _power(row["tree"], row["tree_log2"])
        short = f"{float(factor):,.2f}" if factor is not None and factor < 10**6 else ""
        short = short or (readable(int(factor)) if factor is not None else f"2^{row['factor_log2']:.1f}")
        rows.append([name, f"{row['nodes']:,}", f"{row['edges']:,}", str(row["depth"]), written, short])
    which = "step" if any(r["graph"] == "step" for r in data["passes"]) else "functions"
    effects = [r for r in data["passes"] if r["graph"] == which]
    idle = [r["pass"] for r in effects if not r["operations"] and not r["nodes_new"]]
    effects = [r for r in effects if r["operations"] or r["nodes_new"]]
    width = max((len(r["pass"]) for r in effects), default=0)
    found = table(rows, " >>>>>")
    head = [found[0][2:], *found[1:], "", f"passes over the {which} graph (nodes)"]
    rest = [f"  nothing to do for {', '.join(idle)}"] if idle else []
    return "\n".join([*head, *(_effect(row, width) for row in effects), *rest])


def _power(digits: str, log2: float) -> str:
    return readable(int(digits)) if len(digits) < 1000 else f"2^{log2:.1f}"


def _effect(row: Data, width: int) -> str:
    changes = [f"{'+' if k > 0 else '-'}{abs(k)} {op}" for op, k in row["operations"].items()]
    before, after = row["multiplications_before"], row["multiplications_after"]
    if before != after:
        changes.append(f"multiplications in products {before:,} -> {after:,}")
    changes = changes or [f"{_count(row['nodes_new'], 'node')} rewritten"]
    return f"  {row['pass']:<{width}}  {row['nodes_before']:,} -> {row['nodes_after']:,}  {', '.join(changes)}"


def _layout(data: Data) -> str:
    layout = data["layout"]
    order = ", ".join("replica" if a == "@replica" else a for a in layout["order"])
    head = f"layout: memory order {order}; every parameter is stored dense"
    parts = wrap(head, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    if layout["whole_products"]:
        whole = ", ".join(f"{name} = ({', '.join(parts_)})" for name, parts_ in layout["whole_products"].items())
        parts.append(f"  kept as one axis: {whole}")
    if layout["read_transposed"]:
        turned = ", ".join(f"{name} as [{', '.join(axes)}]" for name, axes in layout["read_transposed"].items())
        parts.append(f"  read through a transposed view: {turned}")
    return "\n".join(parts)
