"""show, build, train, eval and diff on a real spec."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STEPS = 2 * 45


@pytest.fixture
def run(dltc, spec):
    done = dltc("train", "digits.dlt", "-o", "r", "--json", "--quiet")
    assert done.code == 0, done.err
    return done


def test_train_json(run):
    result = run.json
    assert result["schema"] == 1
    assert set(result) == {"schema", "metrics", "part", "steps", "seconds", "run"}
    assert set(result["metrics"]) == {"accuracy(y, s)", "nll"}
    assert result["metrics"]["accuracy(y, s)"] > 0.8
    assert (result["steps"], result["run"], result["part"]) == (STEPS, "r", "test")
    assert run.err == ""


def test_the_run_folder_holds_what_it_should(run, spec):
    folder = Path("r")
    assert {p.name for p in folder.iterdir()} == {
        ".lock", "checkpoint", "curves.png", "digits.py", "log.txt", "manifest.json", "metrics.jsonl", "spec.dlt"
    }  # fmt: skip
    assert (folder / "spec.dlt").read_text() == spec.read_text()
    assert json.loads((folder / "manifest.json").read_text())["model"] == "Digits"
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["metrics"] == run.json["metrics"]


def test_train_text_and_default_folder(dltc, spec):
    done = dltc("train", "digits.dlt", "--set", "train.epochs=1")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("test accuracy(y, s): 0.")
    assert lines[-1] == "run: runs/digits-1"
    assert "steps/s" in done.err
    assert f"{STEPS // 2} steps in" in done.err
    assert dltc("train", "digits.dlt", "--set", "train.epochs=1", "--quiet").out.endswith("run: runs/digits-2\n")


def test_a_run_is_not_overwritten_without_being_told(dltc, run):
    done = dltc("train", "digits.dlt", "-o", "r")
    assert done.code == 2
    assert "r is not empty: pass --resume to go on, --force to start over" in done.err
    again = dltc("train", "digits.dlt", "-o", "r", "--json", "--force")
    assert again.json["metrics"] == run.json["metrics"]
    longer = dltc("train", "digits.dlt", "-o", "r", "--json", "--resume", "--set", "train.epochs=3")
    assert longer.json["steps"] == 3 * 45
    changed = dltc("train", "digits.dlt", "-o", "r", "--resume", "--set", "hid=9")
    assert changed.code == 2
    assert "they differ in --set hid" in changed.err


def test_idle_threads_sleep_unless_the_caller_says_otherwise(spec):
    code = (
        "import os, sys; from dltc.cli.main import main;"
        "main(['train', 'digits.dlt', '-q', '-o', sys.argv[1], '--set', 'train.epochs=1']); print(os.environ['OMP_WAIT_POLICY'])"
    )
    env = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    for name, given, expected in (("a", {}, "PASSIVE"), ("b", {"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        command = [sys.executable, "-c", code, name]
        done = subprocess.run(command, env=env | given, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == expected


def test_seed_and_dtype_reach_the_run(dltc, spec, run):
    done = dltc("train", "digits.dlt", "-o", "s", "--json", "--seed", "3", "--dtype", "float64")
    assert done.json["metrics"] != run.json["metrics"]
    state = json.loads(Path("s/checkpoint/state.json").read_text())
    assert (state["seed"], state["dtype"]) == (3, "float64")
    assert state["slots"][0]["dtype"] == "float64"


def test_eval_repeats_the_final_metrics(dltc, run):
    done = dltc("eval", "r", "--json")
    assert done.json == {"schema": 1, "run": "r", "part": "test", "metrics": run.json["metrics"]}
    text = dltc("eval", "r", "--part", "train")
    assert text.out.startswith("train accuracy(y, s): 0.")
    assert dltc("eval", "r", "--part", "valid").code == 2


def test_eval_compiles_with_the_options_of_the_run(dltc, spec):
    trained = dltc("train", "digits.dlt", "-o", "r", "--json", "--set", "hid=5", "--seed", "2", "--dtype", "float64")
    assert dltc("eval", "r", "--json").json["metrics"] == trained.json["metrics"]


def test_eval_does_not_run_the_module_in_the_folder(dltc, run):
    Path("r/digits.py").write_text("raise SystemExit('ran')\n")
    assert dltc("eval", "r").code == 0


def test_eval_refuses_a_damaged_run(dltc, run):
    (tensors,) = Path("r/checkpoint").glob("*.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:-1])
    done = dltc("eval", "r", "--json")
    assert done.code == 2
    assert done.json["error"]["exit"] == 2
    assert "is damaged" in done.err
    state = Path("r/checkpoint/state.json")
    state.write_text(json.dumps({"checkpoint": 1}))
    assert "the checkpoint is damaged: state.json has no `options`" in dltc("eval", "r").err


def test_divergence_exits_with_4(dltc, spec):
    spec.write_text(spec.read_text().replace("W, V : Adam(lr = 0.01)", "W, V : SGD(lr = 1e30)"))
    done = dltc("train", "digits.dlt", "-o", "r", "--json", "--quiet")
    assert done.code == 4
    assert "the run diverged:" in done.err
    assert "at step" in done.json["error"]["message"]
    assert Path("r/checkpoint/state.json").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_saves_and_resume_goes_on(dltc, spec, number, code):
    command = [sys.executable, "-m", "dltc", "train", "digits.dlt", "-o", "r", "--set", "train.epochs=4000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not Path("r/metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "saved in r, go on with --resume" in err
    assert "Traceback" not in err
    state = json.loads(Path("r/checkpoint/state.json").read_text())
    assert state["step"] >= 20
    epochs = state["step"] // 45 + 1
    done = dltc("train", "digits.dlt", "-o", "r", "--resume", "--json", "--set", f"train.epochs={epochs}")
    assert done.json["steps"] == epochs * 45


def test_a_missing_data_file_exits_with_2_and_bad_data_with_1(dltc, spec, folder):
    import numpy as np

    spec.write_text(spec.read_text().replace('sklearn("digits")', 'npz("d.npz")'))
    done = dltc("train", "digits.dlt", "-o", "r")
    assert (done.code, 'the data file "d.npz" is not there' in done.err) == (2, True)
    np.savez(folder / "d.npz", data=np.full((50, 64), 3.0), target=np.arange(50) % 11)
    done = dltc("train", "digits.dlt", "-o", "r", "--json")
    assert done.code == 1
    (row,) = done.json["diagnostics"]
    assert (row["code"], row["line"]) == ("E0605", 25)
    assert "row 11 holds the label 10" in row["message"]
    assert not Path("r").exists()


def test_a_missing_device_exits_with_3(dltc, spec):
    done = dltc("train", "digits.dlt", "-o", "r", "--device", "cuda:99")
    assert done.code == 3
    assert "there is no device `cuda:99`" in done.err


def test_a_spec_with_mistakes_exits_with_1_on_standard_error(dltc, spec):
    spec.write_text(spec.read_text().replace("V[cls, hid] * h", "V[cls, hdi] * h"))
    for arguments in (["train"], ["build", "-o", "out"], ["show"]):
        done = dltc(arguments[0], "digits.dlt", *arguments[1:])
        assert done.code == 1
        assert done.err.startswith("error[E02")
        assert done.out == ""
    assert not Path("out").exists()


def test_a_target_that_is_not_there_yet_says_so(dltc, spec):
    done = dltc("build", "digits.dlt", "-o", "out", "--target", "cuda")
    assert done.code == 1
    assert "error[E0901]: the target `cuda` is not compiled yet" in done.err


def test_build_writes_an_importable_module(dltc, spec):
    done = dltc("build", "digits.dlt", "-o", "out/deep", "--set", "hid=9")
    assert (done.code, done.out) == (0, "out/deep/digits.py\nout/deep/manifest.json\n")
    code = "from digits import Digits; m = Digits(); print(tuple(m.W.shape), list(m(x=[[0.0] * 64]))[0])"
    ran = subprocess.run([sys.executable, "-c", code], cwd="out/deep", capture_output=True, text=True, check=True)
    assert ran.stdout == "(9, 64) s\n"
    manifest = json.loads(Path("out/deep/manifest.json").read_text())
    assert manifest["command"] == "dltc build digits.dlt --set hid=9"
    assert dltc("build", "digits.dlt", "-o", "out/b", "--json").json["files"] == [
        "out/b/digits.py",
        "out/b/manifest.json",
    ]
    Path("file").write_text("")
    assert dltc("build", "digits.dlt", "-o", "file").code == 2


def test_build_is_deterministic(process, spec):
    texts = []
    for seed in ("0", "1"):
        assert process("build", "digits.dlt", "-o", seed, env={**os.environ, "PYTHONHASHSEED": seed}).code == 0
        texts.append([Path(seed, name).read_bytes() for name in ("digits.py", "manifest.json")])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("stage", ["syntax", "model", "graph", "step", "optimized", "plan", "code"])
def test_show(dltc, spec, stage):
    done = dltc("show", "digits.dlt", "--stage", stage)
    assert done.code == 0
    assert len(done.out.splitlines()) > 5
    assert done.err == ""
    shown = dltc("show", "digits.dlt", "--stage", stage, "--json").json
    assert (shown["schema"], shown["stage"], shown["text"]) == (1, stage, done.out)


@pytest.mark.parametrize("stage", ["model", "graph", "step", "optimized", "plan"])
def test_show_draws(dltc, spec, stage):
    done = dltc("show", "digits.dlt", "--stage", stage, "--svg", "a.svg", "--html", "a.html")
    assert (done.code, done.out, done.err) == (0, "a.svg\na.html\n", "")
    assert f">{stage} of Digits</text>" in Path("a.svg").read_text()
    shown = dltc("show", "digits.dlt", "--stage", stage, "--svg", "b.svg", "--json").json
    assert (shown["schema"], shown["stage"], shown["files"]) == (1, stage, ["b.svg"])
    assert shown["items"] > 5 and shown["links"] > 5
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()
    assert dltc("show", "digits.dlt", "--stage", stage, "--svg", "-").out == Path("a.svg").read_text()


def test_a_drawing_without_a_stage_is_of_the_model(dltc, spec):
    assert (
        dltc("show", "digits.dlt", "--svg", "-").out == dltc("show", "digits.dlt", "--stage", "model", "--svg", "-").out
    )


def test_a_drawing_of_every_node_has_more_items(dltc, spec):
    few, many = (
        dltc("show", "digits.dlt", "--stage", "step", "--level", level, "--svg", "a.svg", "--json").json["items"]
        for level in ("statement", "node")
    )
    listing = dltc("show", "digits.dlt", "--stage", "step").out.splitlines()
    assert few < many == sum(line.lstrip().startswith("%") for line in listing)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stage", "code", "--svg", "a.svg"], "cannot be drawn"),
        (["--stage", "syntax", "--html", "a.html"], "cannot be drawn"),
        (["--level", "node"], "belongs to a drawing"),
        (["--stage", "plan", "--level", "node", "--svg", "a.svg"], "has no nodes"),
        (["--svg", "a", "--html", "a"], "one place"),
        (["--svg", "-", "--json"], "one place"),
        (["--svg", "none/a.svg"], "cannot be written"),
        (["--svg", "."], "cannot be written"),
    ],
)
def test_what_cannot_be_drawn_is_a_matter_of_usage(dltc, spec, options, message):
    done = dltc("show", "digits.dlt", *options)
    assert (done.code, done.out) == (2, "") and message in done.err
    assert not Path("a.svg").exists() and not Path("a.html").exists()


@pytest.mark.parametrize("stage", ["graph", "step", "optimized"])
def test_graph_stages_are_data(dltc, spec, stage):
    """Nodes in topological order, edges between them, every root a node; the same as the text shows."""
    shown = dltc("show", "digits.dlt", "--stage", stage, "--json").json
    graph = shown["graph"]
    ids = [node["id"] for node in graph["nodes"]]
    assert ids == list(range(len(ids))) and len(ids) > 10
    assert all(source < target and position >= 0 for source, target, position in graph["edges"])
    assert set(graph["roots"].values()) <= set(ids)
    ops = [line.split(" = ")[1].split("(")[0] for line in shown["text"].splitlines() if line.startswith("%")]
    assert [node["op"] for node in graph["nodes"]] == ops[-len(ids) :]
    assert any("digits.dlt:" in place for node in graph["nodes"] for place in node["places"])
