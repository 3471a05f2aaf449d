"""What is wrong with a pass is found: the pass, the output, the node and the lines of the spec; what is right stays silent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from broken import LOOP, SPEC, Change, another_function, breaking, dropped, swapped, tiny, wrong_constant
from spec_strategy import corpus

from dltc.cli.verify import EmittedFault, NoDataError, verify
from dltc.compiler import pipeline
from dltc.compiler.diagnostics import InternalError
from dltc.compiler.graph import expr as e
from dltc.compiler.graph import modular
from dltc.compiler.graph.node import Graph, Node, Pool
from dltc.compiler.optimize.base import Pass
from dltc.compiler.pipeline import Artefact, Options, compile_spec
from dltc.compiler.verify.data import Data, draw_data
from dltc.compiler.verify.passes import PassCheck, PassFault
from dltc.compiler.verify.views import Field, Floats, difference

Load = Callable[..., tuple[Pass, ...]]


def compiled(text: str = SPEC, **settings: str) -> Artefact:
    return compile_spec(text, "small.dlt", Options(set=settings))


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The pipeline, wrong in one pass."""

    def put(name: str, change: Change, only: str = "") -> None:
        passes = breaking(pipeline.load_passes(), name, change, only)
        monkeypatch.setattr(pipeline, "load_passes", lambda **_: passes)

    return put


@pytest.mark.parametrize(
    ("name", "change", "only", "graph", "output", "line", "view"),
    [
        ("constants", wrong_constant, "", "functions", "value s", 11, "in float64"),
        ("share", swapped, "", "functions", "value u", 10, "in float64"),
        ("contraction", dropped, "", "step", "next V", 8, "in float64"),
        ("stable", another_function, "report nll", "step", "next", 9, "in float64"),
        ("sums", tiny, "", "functions", "value u", 10, "exactly, in the field of 2^61 - 1"),
        ("dead", swapped, "next W", "step", "next", 10, "in float64"),
    ],
    ids=["constant", "operands", "gradient term", "step only", "1e-30", "last pass"],
)
def test_a_wrong_pass_is_named(
    broken: Callable[..., None], name: str, change: Change, only: str, graph: str, output: str, line: int, view: str
) -> None:
    """With the graph, the output and the line that the first wrong node comes from."""
    broken(name, change, only)
    with pytest.raises(PassFault) as found:
        verify(compiled())
    number = [p.name for p in pipeline.load_passes()].index(name) + 1
    head, *rest = str(found.value).splitlines()
    assert head.startswith(f"the pass `{name}` ({number} of 7) changes what the {graph} graph computes: `{output}")
    assert view in head
    assert "first node that it changes" in rest[0]
    assert f"small.dlt:{line}" in rest[0].replace(",", " small.dlt:")


def test_the_first_wrong_node_is_named_with_what_it_became(broken: Callable[..., None]) -> None:
    """Nothing above it, whatever else changes in its wake."""
    broken("share", swapped)
    with pytest.raises(PassFault) as found:
        verify(compiled())
    _, node, became, _ = str(found.value).splitlines()
    assert node.strip() == "the first node that it changes: pow(add, param): real[batch, hid] from small.dlt:10"
    assert became.strip() == "it became: pow(param, add): real[batch, hid]"


def test_a_mistake_inside_a_recurrence_is_found_there(broken: Callable[..., None]) -> None:
    broken("constants", another_function)
    with pytest.raises(PassFault) as found:
        verify(compiled(LOOP))
    _, node, became, _ = str(found.value).splitlines()
    assert "first node that it changes: tanh(add)" in node
    assert "small.dlt:8" in node
    assert "it became: sigmoid(add)" in became


def test_a_pass_that_hides_its_rewrites_is_followed_down_from_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes a graph without the driver, so there is nothing to go through."""
    passes = pipeline.load_passes()

    def run(graph: Graph) -> Graph:
        roots = {n: e.mul(graph.pool, 2.0, x) if n == "report nll" else x for n, x in graph.roots.items()}
        return Graph(graph.pool, roots)

    wrong = SimpleNamespace(name="sums", algebraic=True, moves=False, run=run)
    monkeypatch.setattr(pipeline, "load_passes", lambda **_: (passes[0], wrong, *passes[3:]))
    with pytest.raises(PassFault, match=r"`sums` \(2 of 6\).*step graph.*`report nll` differs") as found:
        verify(compiled())
    assert "`report nll` comes from small.dlt:12" in str(found.value)


def test_a_lost_output_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    lossy = SimpleNamespace(
        name="dead", algebraic=True, moves=True, run=lambda g: Graph(g.pool, dict([*g.roots.items()][1:]))
    )
    monkeypatch.setattr(pipeline, "load_passes", lambda **_: (lossy,))
    with pytest.raises(PassFault, match=r"`dead` \(1 of 1\).*loses or adds outputs: \['"):
        verify(compiled())


def test_nan_where_there_was_a_number_is_a_fault(broken: Callable[..., None]) -> None:
    def undefined(pool: Pool, node: Node) -> Node | None:
        return e.log(pool, e.mul(pool, -1.0, e.exp(pool, node.inputs[0]))) if node.op == "tanh" else None

    broken("stable", undefined)
    with pytest.raises(PassFault, match="differs by inf of its largest entry"):
        verify(compiled())


# the emitted module


@pytest.mark.parametrize(
    ("text", "wrong", "output"),
    [
        ("torch.tanh", "torch.sin", "value h"),
        ("0.3", "0.3000001", "value s"),
        ("0.999", "0.998", "next"),
    ],
)
def test_a_wrong_emitted_module_is_found(text: str, wrong: str, output: str) -> None:
    artefact = compiled()
    assert text in artefact.source
    artefact.__dict__["source"] = artefact.source.replace(text, wrong)
    with pytest.raises(
        EmittedFault, match=rf"than the optimized graph: `{output}.*differs by .* comes from small.dlt:\d"
    ):
        try:
            verify(artefact)
        except EmittedFault as fault:
            raise EmittedFault(str(fault).replace("\n", " ")) from None


def test_a_step_that_forgets_a_write_is_found() -> None:
    artefact = compiled()
    lines = artefact.source.splitlines(keepends=True)
    step = next(k for k, line in enumerate(lines) if "def _step" in line)
    writes = [k for k, line in enumerate(lines) if (k > step and ".sub_(" in line) or ".addcdiv_(" in line]
    assert writes
    artefact.__dict__["source"] = "".join(line for k, line in enumerate(lines) if k != writes[0])
    with pytest.raises(EmittedFault, match="`next "):
        verify(artefact)


# what is right


def test_what_is_right_is_silent() -> None:
    for text in (SPEC, LOOP):
        done = verify(compiled(text))
        assert [c.name for c in done] == ["functions graph", "step graph", "emitted module"]
        assert [c.passes for c in done] == [7, 7, 0]
        assert all(c.exact == c.algebraic for c in done)
        assert all(c.outputs > 2 and c.largest < 1e-13 and not c.unclear for c in done)


@pytest.mark.parametrize(
    "settings", [{}, pytest.param({"train.seeds": "2"}, marks=pytest.mark.slow)], ids=["one run", "replicas"]
)
def test_generated_specs(settings: dict[str, str]) -> None:
    """Everything compared, nothing found, whatever a spec is made of."""
    for spec in corpus(0, 2):
        check(spec.text, settings)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(6))
def test_more_generated_specs(chunk: int) -> None:
    for k, spec in enumerate(corpus(chunk, 26)):
        check(spec.text, {"train.seeds": "2"} if k % 4 == 3 else {})


def check(text: str, settings: dict[str, str]) -> None:
    """Nothing wrong; at most one output that says why it was not compared (a step whose objective overflows, say)."""
    try:
        done = verify(compile_spec(text, "generated.dlt", Options(set=settings)))
        unclear = [why for c in done for why in c.unclear]
        assert all(c.exact == c.algebraic for c in done)
        assert len(unclear) <= 1, unclear
    except Exception as problem:
        problem.add_note(f"in the spec\n{text}")
        raise


def test_without_a_pass_the_others_are_checked() -> None:
    done = verify(compile_spec(SPEC, "small.dlt", Options(without=("share", "constants"))))
    assert [c.passes for c in done] == [4, 4, 0]


def test_the_same_data_every_time() -> None:
    assert [c.data() for c in verify(compiled())] == [c.data() for c in verify(compiled())]


# what cannot be compared


def test_larger_axes_are_tried_and_then_it_is_said() -> None:
    """An element that small data does not have."""
    text = "dlt 1\nmodel M {{\n  axis t\n  input x[t]\n  h = x[{}]\n}}\n"
    assert verify(compiled(text.format(9)))[2].outputs
    with pytest.raises(NoDataError, match="an index leaves the axis `t'"):
        verify(compiled(text.format(99)))


def test_a_model_too_large_is_said() -> None:
    text = "dlt 1\nmodel M {\n  axis d = 100000\n  input x[d]\n  h[d, d'] = x[d] * x[d']\n}\n"
    with pytest.raises(NoDataError, match=r"have \d+,\d+,\d+,\d+ entries, and no more than 268,435,456 are compared"):
        verify(compiled(text))


def test_outputs_that_are_finite_nowhere_are_listed() -> None:
    text = "dlt 1\nmodel M {\n  axis d = 2\n  input x[d]\n  h[d] = log(-x * x - 1)\n  g[d] = 2 * x\n}\n"
    functions, _, _ = verify(compiled(text))
    assert functions.unclear == ["value h is finite nowhere on the random data"]


def test_rounding_that_decides_is_no_fault() -> None:
    """(1 + 0.1) + 0.3 is above 1.4 and 1 + (0.1 + 0.3) is not: that is said, and is no fault of the pass."""
    p = Pool({"i": 3})
    x = e.param(p, "x", ["i"])
    sum_ = p.node("add", p.node("add", x, e.const(p, 0.1)), e.const(p, 0.3))
    graph = Graph(p, {"y": e.le(p, sum_, e.add(p, x, 0.4)), "z": sum_})
    view = Floats(Data({}, {"x": np.ones(3)}, {}, {"batch": 2}, 0))
    check = PassCheck("graph", [view], Field({"batch": 2}, 0), lambda graph, node: "")
    _, checked = check.run(graph, [p for p in pipeline.load_passes() if p.name == "share"])
    assert checked.unclear == ["y is too sensitive to rounding on the random data to be compared"]
    assert checked.exact == 1
    assert view.sensitivity(graph, "z") < 1e-10


def test_a_field_too_large_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modular, "_MOST", 5)
    functions, *_ = verify(compiled())
    assert functions.exact < functions.algebraic
    assert any("could not be checked in the field: more than 5 products" in text for text in functions.unclear)


def test_differences() -> None:
    one = np.array([1.0, 100.0])
    assert difference(one, one + 1.0) == pytest.approx(0.01)
    assert difference(np.array([1e-3]), np.array([2e-3])) == pytest.approx(1e-3)
    assert difference(np.array([np.nan, 1.0]), np.array([2.0, 1.0])) == 0
    assert difference(np.array([2.0, 1.0]), np.array([np.nan, 1.0])) == np.inf
    assert difference(np.array([2]), np.array([3])) == np.inf
    assert difference(np.array([2]), np.array([2.0])) == np.inf
    assert difference(np.array([True]), np.array([True])) == 0


def test_a_pass_check_keeps_only_what_the_next_graph_holds() -> None:
    artefact = compiled()
    view = Field({"batch": 4}, 0)
    data = draw_data(artefact.model, artefact.functions, artefact.step, "key")
    check = PassCheck("step graph", [Floats(data)], view, lambda graph, node: "")
    after, _ = check.run(artefact.step, pipeline.load_passes())
    assert set(view.known) == {node.digest for node in after.topological()}


def test_data_obeys_domains_and_supports() -> None:
    """Parameters on their domains, labels on their axes (from their first), data on the support of its density."""
    text = """dlt 1
model M {
  axis k = 3, d = 2, r = -1..1, t
  input n: r
  input z[t, d]
  input t_: int
  input p[k]
  param a[d] in positive ~ LogNormal(0, std = 1)
  param q[k] in simplex[k] ~ Dirichlet(2)
  param v[d] in unit ~ Beta(2, 2)
  param o[d, k] in orthogonal[d, k] ~ Normal(0, std = 1)
  param m[k] in unit_norm[k] ~ Normal(0, std = 1)
  param g[d] in signed[d] ~ Normal(0, std = 1)
  f = sum[d](a * v * g) + sum[k](q * m) + sum[k](o[0, k]) + n + t_
  f ~ Gibbs()
  p ~ Dirichlet(q + 1)
  z ~ LogNormal(f, std = 1)
}
"""
    artefact = compiled(text)
    data = draw_data(artefact.model, artefact.functions, artefact.step, "key")
    assert set(data.inputs["n"].ravel()) <= {-1, 0, 1}
    assert (data.inputs["z"] > 0).all()
    assert data.inputs["z"].shape == (4, 3, 2)
    np.testing.assert_allclose(data.inputs["p"].sum(-1), 1)
    assert (data.params["a"] > 0).all()
    assert ((data.params["v"] > 0) & (data.params["v"] < 1)).all()
    np.testing.assert_allclose(data.params["q"].sum(), 1)
    np.testing.assert_allclose(data.params["o"] @ data.params["o"].T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose((data.params["m"] ** 2).sum(), 1)
    assert (np.sign(data.params["g"]) == data.states["g@sign"]).all()
    assert all(c.outputs and not c.unclear for c in verify(artefact))


def test_states_are_in_use() -> None:
    """Adam's moments are those after a step: a mistake in what they are multiplied by shows."""
    artefact = compiled()
    data = draw_data(artefact.model, artefact.functions, artefact.step, "key")
    assert all(np.abs(value).min() > 0 for value in data.states.values())
    assert replace(data, step=1).env().step == 1


def test_faults_are_the_compilers() -> None:
    assert issubclass(PassFault, InternalError) and issubclass(EmittedFault, InternalError)
