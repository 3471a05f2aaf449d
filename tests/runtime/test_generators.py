"""Generated data sets against their definitions, and text files as sequences of labels: from specs to arrays."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from tolerances import GENERATED

from dltc.cli.main import main
from dltc.compiler.diagnostics import SpecError
from dltc.compiler.frontend.datasets import GENERATORS as DECLARED
from dltc.compiler.pipeline import compile_spec
from dltc.runtime.data import Dataset, split_in_order
from dltc.runtime.errors import DataError, MissingDependency
from dltc.runtime.generators import GENERATORS, generated
from dltc.runtime.session import Job, load_data

SMALL = {"patches": {"n": 50, "size": 8}}
"""Arguments of generators whose defaults are large."""


def arguments(name: str, **given: float) -> dict[str, object]:
    """All arguments, in the defaults but for those given."""
    return {**{k: a.default for k, a in DECLARED[name].arguments.items()}, **SMALL.get(name, {}), **given}


def dataset(folder: Path, inputs: str, source: str, columns: str, parts: str = "") -> Dataset:
    text = f"dlt 1\nmodel M {{\n{inputs}\nparam w ~ Normal(0, var = 1)\ndata from {source} {{ {columns}{parts} }}\n}}\n"
    artefact = compile_spec(text, "m.dlt")
    return load_data(Job(artefact.source, artefact.manifest, artefact.text, folder, {}))


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_a_generator_makes_what_is_declared_of_it(name: str) -> None:
    """Columns, shapes, kinds, rows and labels; the same from the same seed, another from another."""
    given = arguments(name)
    made = generated(name, given, 0)
    declared = DECLARED[name]
    assert set(DECLARED) == set(GENERATORS)
    assert {c: (v.shape[1:], v.dtype.kind) for c, v in made.items()} == {
        c: (shape, {"real": "f", "int": "i"}[kind]) for c, (shape, kind) in declared.columns(given).items()
    }
    assert {len(v) for v in made.values()} == {declared.rows(given)}
    for column, labels in declared.labels(given).items():
        assert set(np.unique(made[column])) == set(range(labels))
    again, other = generated(name, given, 0), generated(name, {**given, "seed": 5}, 0)
    assert all(np.array_equal(made[c], again[c]) for c in made)
    assert np.array_equal(
        *(generated(name, g, s)[c] for g, s in (({**given, "seed": 5}, 0), (given, 5)) for c in [next(iter(made))][:1])
    )
    assert name == "hierarchy" or not all(np.array_equal(made[c], other[c]) for c in made)


def test_mixture() -> None:
    made = generated("mixture", arguments("mixture", n=30_000, k=4, dim=3, spread=9.0, std=0.5), 1)
    groups = [made["x"][made["component"] == j] for j in range(4)]
    assert all(np.allclose(g.std(axis=0), 0.5, atol=0.02) for g in groups)
    assert all(abs(len(g) / 30_000 - 0.25) < 0.02 for g in groups)


def test_parity_is_the_xor_of_k_bits() -> None:
    made = generated("parity", arguments("parity", n=4000, bits=10, k=3), 2)
    bits = made["x"] < 0
    found = [
        (a, b, c)
        for a in range(10)
        for b in range(a)
        for c in range(b)
        if np.array_equal(bits[:, a] ^ bits[:, b] ^ bits[:, c], made["y"] == 1)
    ]
    assert len(found) == 1  # no other three bits tell
    assert max(abs(np.corrcoef(made["x"][:, i], made["y"])[0, 1]) for i in range(10)) < 0.06  # nor does any one


def test_sparse_linear() -> None:
    made = generated("sparse_linear", arguments("sparse_linear", n=5000, dim=30, nonzero=4, noise=0.2), 3)
    weights = np.linalg.lstsq(made["x"], made["signal"], rcond=None)[0]
    assert (np.abs(weights) > GENERATED).sum() == 4
    assert abs((made["y"] - made["signal"]).std() - 0.2) < 0.01


def test_hierarchy_has_the_singular_values_of_its_tree() -> None:
    """Items share as many properties as they have common ancestors; modes of one level are equally strong."""
    made = generated("hierarchy", arguments("hierarchy", levels=3, branch=2), 0)
    shared = made["properties"] @ made["properties"].T
    assert shared[0].tolist() == [4, 3, 2, 2, 1, 1, 1, 1]
    strengths = np.linalg.svd(made["properties"], compute_uv=False) ** 2
    np.testing.assert_allclose(strengths, [15, 7, 3, 3, 1, 1, 1, 1], atol=GENERATED)


def test_dynamics_obey_their_recursion() -> None:
    """The best linear prediction of z[t] from z[t-1] is a scaled rotation that leaves the declared noise."""
    given = arguments("dynamics", n=2000, length=30, dim=3, observed=5, decay=0.9, noise=0.2, observation=0.1)
    made = generated("dynamics", given, 4)
    before, after = made["z"][:, :-1].reshape(-1, 3), made["z"][:, 1:].reshape(-1, 3)
    transition = np.linalg.lstsq(before, after, rcond=None)[0]
    np.testing.assert_allclose(transition @ transition.T, 0.81 * np.eye(3), atol=0.02)
    assert abs((after - before @ transition).std() - 0.2) < 0.005
    flat, x = made["z"].reshape(-1, 3), made["x"].reshape(-1, 5)
    loading = np.linalg.lstsq(flat, x, rcond=None)[0]
    assert abs((x - flat @ loading).std() - 0.1) < 0.005


def test_moons() -> None:
    made = generated("moons", arguments("moons", n=1000, noise=0.0), 5)
    centres = np.array([[0.0, 0.0], [1.0, 0.5]])[made["y"]]
    np.testing.assert_allclose(np.linalg.norm(made["x"] - centres, axis=1), 1, atol=GENERATED)
    upper = made["x"][:, 1] >= centres[:, 1] - GENERATED
    assert np.array_equal(upper, made["y"] == 0) or np.array_equal(
        upper[made["y"] == 0], np.ones((made["y"] == 0).sum(), bool)
    )


def test_patches_are_whitened() -> None:
    """Neighbours are less alike than in the photographs, the two strongest components weaker; means are 0, the variance is 1."""
    raw, white = (generated("patches", arguments("patches", n=4000, size=8, whiten=w), 6)["x"] for w in (0, 1))
    for x in (raw, white):
        np.testing.assert_allclose(x.mean(axis=(1, 2)), 0, atol=GENERATED)
        assert abs(x.std() - 1) < GENERATED
    alike = [np.corrcoef(x[:, :, :-1].ravel(), x[:, :, 1:].ravel())[0, 1] for x in (raw, white)]
    assert alike[1] < alike[0] - 0.1
    strengths = [np.linalg.eigvalsh(np.cov(x.reshape(4000, -1).T)) for x in (raw, white)]
    assert strengths[1][-2:].sum() < 0.6 * strengths[0][-2:].sum()


def test_patches_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    import dltc.runtime.sklearn_source as file

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(file, "import_module", missing)
    with pytest.raises(MissingDependency, match="scikit-learn and Pillow"):
        generated("patches", arguments("patches"), 0)


def test_a_spec_reads_generated_columns(tmp_path: Path) -> None:
    found = dataset(
        tmp_path,
        "axis d = 2, k = 4\ninput x[d]\ninput c: k",
        "mixture(n = 40, k = 4, seed = 3)",
        "x = x; c = component",
    )
    assert found.inputs["x"].shape == (40, 2)
    np.testing.assert_array_equal(found.inputs["x"], generated("mixture", arguments("mixture", n=40, k=4), 3)["x"])


@pytest.mark.parametrize(
    ("source", "columns", "code", "words"),
    [
        ("moon()", "x = x", "E0601", "did you mean `moons`?"),
        ("moons(noice = 1)", "x = x", "E0213", "did you mean `noise`?"),
        ("moons(5)", "x = x", "E0213", "have names"),
        ("moons(n = 5, n = 6)", "x = x", "E0213", "given twice"),
        ("moons(n = 0)", "x = x", "E0702", "`n` takes whole numbers from 1"),
        ("moons(n = 2.5)", "x = x", "E0207", "a whole number is needed"),
        ("moons()", "x = z", "E0602", "`moons` has no column `z`"),
        ("mixture(dim = 3)", "x = x", "E0604", "the column has 3"),
        ("parity(bits = 2, k = 3)", "x = x", "E0601", "`k` can be at most `bits`"),
        ("patches(n = 10000000)", "x = x", "E0601", "numbers, more than"),
        ("mixture(k = 5, dim = 2)", "x = x; c = component", "E0605", "labels up to 4"),
    ],
)
def test_wrong_sources(source: str, columns: str, code: str, words: str) -> None:
    c = "" if "c =" not in columns else "\naxis k = 3\ninput c: k"
    text = f"dlt 1\nmodel M {{\naxis d = 2\ninput x[d]{c}\nparam w ~ Normal(0, var = 1)\ndata from {source} {{ {columns} }}\n}}\n"
    with pytest.raises(SpecError) as caught:
        compile_spec(text, "m.dlt")
    assert [d.code for d in caught.value.diagnostics] == [code]
    (found,) = caught.value.diagnostics
    assert words in found.message + (found.help or "") + (found.label or "")


# text


@pytest.fixture
def play(tmp_path: Path) -> Path:
    """Twenty characters, five different ones."""
    (tmp_path / "play.txt").write_text("abcab\ncabca abcabcabc", encoding="utf-8")
    return tmp_path


def test_windows_of_a_text(play: Path) -> None:
    found = dataset(
        play,
        "axis t = 4, ch = 5\ninput tok[t]: ch\ninput nxt[t]: ch",
        'text("play.txt", length = 4)',
        "tok = tok; nxt = next",
    )
    letters = "\n abc"
    text = (play / "play.txt").read_text(encoding="utf-8")
    assert ["".join(letters[i] for i in row) for row in found.inputs["tok"]] == [
        text[k : k + 4] for k in (0, 4, 8, 12, 16)
    ]
    assert ["".join(letters[i] for i in row) for row in found.inputs["nxt"]] == [
        text[k : k + 4] for k in (1, 5, 9, 13, 17)
    ]


@pytest.mark.parametrize(("length", "stride"), [(4, 4), (4, 2), (5, 1), (3, 7)])
def test_parts_of_a_text_share_nothing(length: int, stride: int, tmp_path: Path) -> None:
    """Parts follow each other, the test comes last, and no character of one is seen in another."""
    (tmp_path / "long.txt").write_text("".join(chr(0x4E00 + k) for k in range(400)), encoding="utf-8")
    source = f'text("long.txt", length = {length}, stride = {stride})'
    found = dataset(
        tmp_path,
        f"axis t = {length}, ch = 400\ninput tok[t]: ch\ninput nxt[t]: ch",
        source,
        "tok = tok; nxt = next",
        "; valid 0.2; test 0.2",
    )
    seen = {name: np.unique(np.concatenate([v.ravel() for v in found.part(name).values()])) for name in found.parts}
    assert seen["train"].max() < seen["valid"].min() and seen["valid"].max() < seen["test"].min()
    assert all(len(found.parts[name]) for name in ("train", "valid", "test"))
    assert seen["test"].max() >= 399 - stride - length


def test_too_few_windows() -> None:
    with pytest.raises(DataError, match="share nothing"):
        split_in_order(10, 0.3, 0.3, 5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"ab", "it has 2 characters"),
        (b"ab\n\xff\xfe12345", "it is not UTF-8: line 2"),
        (None, "is not there"),
    ],
)
def test_texts_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "play.txt").write_bytes(content)
    spec = tmp_path / "m.dlt"
    spec.write_text(
        'dlt 1\nmodel M {\naxis t = 4, ch = 5\ninput tok[t]: ch\nh = sum(tok)\ndata from text("play.txt", length = 4) { tok = tok }\n}\n'
    )
    code = main(["check", str(spec)])
    said = capsys.readouterr()
    assert words in said.out + said.err
    assert code == (1 if content is not None else 0)


def test_an_axis_too_short_for_the_alphabet(play: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = play / "m.dlt"
    spec.write_text(
        'dlt 1\nmodel M {\naxis t = 4, ch = 4\ninput tok[t]: ch\nh = sum(tok)\ndata from text("play.txt", length = 4) { tok = tok }\n}\n'
    )
    assert main(["check", str(spec)]) == 1
    said = capsys.readouterr()
    assert (
        "E0605" in said.out + said.err
        and "5 labels" in said.out + said.err
        and "write axis ch = 5" in said.out + said.err
    )


def test_another_text_is_read_in_the_alphabet_of_the_first(play: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`predict` on new text: its own alphabet would number the letters otherwise; what was never seen is an error."""
    spec = play / "m.dlt"
    spec.write_text(
        "dlt 1\nmodel M {\naxis t = 4, ch = 5\ninput tok[t]: ch\nparam E[ch] ~ Normal(0, var = 1)\nlatentless[t] = E[tok[t]]\n"
        "seen[t] = tok[t] + 0\noutput seen\ntok[t] ~ Categorical(logits = E)\nlearn { E : SGD(lr = 0.1) }\n"
        'data from text("play.txt", length = 4) { tok = tok }\ntrain { epochs 1; batch all }\n}\n'
    )
    assert main(["train", str(spec), "-o", str(play / "run"), "--quiet"]) == 0
    (play / "new.txt").write_text("cabca", encoding="utf-8")
    capsys.readouterr()
    assert main(["predict", str(play / "run"), str(play / "new.txt")]) == 0
    assert '"seen": [4' in capsys.readouterr().out
    (play / "odd.txt").write_text("caxca", encoding="utf-8")
    assert main(["predict", str(play / "run"), str(play / "odd.txt")]) != 0
    assert "line 1 holds 'x'" in capsys.readouterr().err


def test_pillow_is_there() -> None:
    """What the extra `data` promises."""
    assert importlib.util.find_spec("PIL") is not None
