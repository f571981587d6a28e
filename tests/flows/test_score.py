"""`densecorr score` on files: figures, JSON, both protocols, comparing runs, and every kind of bad input."""

import copy
import json

import numpy as np
import pytest

from flows.cli import main
from tests.benchmarks.densepose_order_of_work import PlainEvaluator
from tests.densepose_worlds import make_geodesics, make_world, write_world

NAMES = ["AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl"]
MESHES = ("mesh_1", "mesh_2")


@pytest.fixture(scope="module")
def world():
    truth, results = make_world(3, n_images=12)
    return truth, results, {name: make_geodesics(number) for number, name in enumerate(MESHES)}


@pytest.fixture
def files(tmp_path, world):
    return write_world(tmp_path, *world)


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(["score", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("metric", ["gps", "gpsm", "segm-iou"])
def test_the_json_holds_the_figures_of_the_evaluator_to_the_bit(tmp_path, files, world, capsys, metric):
    truth, results, geodesics = world
    code, table, _ = run(capsys, *files, "--metric", metric, "--json", tmp_path / "o.json", "--resamples", 20)
    said = json.loads((tmp_path / "o.json").read_text())
    plain = PlainEvaluator(copy.deepcopy(truth), results, geodesics, metric).figures()
    assert code == 0
    assert {name: said[name] for name in NAMES} == plain
    assert said["protocol"] == "reference"
    assert said["other_protocol"]["protocol"] == "corrected"
    assert said["settings"]["metric"] == metric
    assert said["settings"]["kappa"] == 0.255
    assert said["intervals"]["AP"]["low"] <= said["AP"] <= said["intervals"]["AP"]["high"]
    assert said["corrected_minus_reference"]["AP"] == pytest.approx(said["other_protocol"]["AP"] - said["AP"])
    assert all(name in table for name in NAMES)


def test_npz_and_nested_lists_give_the_same(tmp_path, world, capsys):
    said = []
    for nested in (True, False):
        folder = tmp_path / str(nested)
        folder.mkdir()
        options = write_world(folder, *world, nested=nested)
        assert run(capsys, *options, "--json", folder / "o.json", "--resamples", 0)[0] == 0
        said.append(json.loads((folder / "o.json").read_text()))
    assert [said[0][name] for name in NAMES] == [said[1][name] for name in NAMES]


def test_no_results_is_an_ap_of_zero(tmp_path, files, capsys):
    (tmp_path / "pred.json").write_text("[]")
    for protocol in ("reference", "corrected"):
        code, _, err = run(capsys, *files, "--protocol", protocol, "--json", tmp_path / "o.json")
        assert code == 0
        assert json.loads((tmp_path / "o.json").read_text())["AP"] == 0
        assert "no results" in err


def spoil(change):
    def act(rows):
        change(rows)
        return rows

    return act


BAD = {
    "vertex": (spoil(lambda r: r[0]["vertices"][0].__setitem__(0, 99)), "vertices in [0, 60)"),
    "image": (spoil(lambda r: r[0].update(image_id=12345)), "image_id 12345"),
    "category": (spoil(lambda r: r[0].update(category_id=77)), "category_id 77"),
    "duplicate": (spoil(lambda r: r.append(r[0])), "equal to result 0"),
    "nan": (spoil(lambda r: r[0].update(score=float("nan"))), "NaN"),
    "null score": (spoil(lambda r: r[0].update(score=None)), "a finite score"),
    "size": (spoil(lambda r: r[0].update(vertices=[[1, 2], [3, 4]])), "of shape (2, 2)"),
    "ragged": (spoil(lambda r: r[0].update(vertices=[[1, 2], [3]])), "rows of one length"),
    "no file": (spoil(lambda r: r[0].update(vertices="gone.npz")), "gone.npz"),
    "no vertices": (spoil(lambda r: r[0].pop("vertices")), "`vertices`"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_results_are_named(tmp_path, files, capsys, name):
    change, message = BAD[name]
    rows = json.loads((tmp_path / "pred.json").read_text())
    rows.sort(key=lambda row: (row["category_id"], -row["score"]))
    (tmp_path / "pred.json").write_text(json.dumps(change(rows)))
    code, _, err = run(capsys, *files)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_bad_truths_are_named(tmp_path, files, world, capsys):
    truth = world[0]
    none = {
        **truth,
        "annotations": [{k: v for k, v in a.items() if k != "dp_x"} for a in truth["annotations"]],
    }
    (tmp_path / "gt.json").write_text(json.dumps(none))
    code, _, err = run(capsys, *files)
    assert code == 2
    assert "an annotated instance" in err
    wrong = copy.deepcopy(truth)
    next(a for a in wrong["annotations"] if a.get("dp_vertex"))["dp_vertex"][0] = 61
    (tmp_path / "gt.json").write_text(json.dumps(wrong))
    code, _, err = run(capsys, *files)
    assert code == 2
    assert "dp_vertex below 60" in err


def test_masks_of_another_size_are_named(tmp_path, files, world, capsys):
    truth = copy.deepcopy(world[0])
    for annotation in truth["annotations"]:
        annotation.pop("dp_masks", None)
        annotation["segmentation"] = {"size": [10, 10], "counts": [100]}
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    code, _, err = run(capsys, *files, "--metric", "gpsm")
    assert code == 2
    assert "[120, 160]" in err


def test_geodesics_are_asked_for_by_name(files, capsys):
    code, _, err = run(capsys, *files[:4])
    assert (code, "--geodesics" in err) == (2, True)
    code, _, err = run(capsys, *files[:6])
    assert (code, "mesh_1, mesh_2" in err) == (2, True)
    code, _, err = run(capsys)
    assert (code, "--gt and --pred" in err) == (2, True)


@pytest.mark.parametrize(
    "words", ["--unit mm", "--align root", "--n-bins 5", "--alphas 0.1", "--n-bins 5 --unit none"]
)
def test_options_of_other_metrics_are_refused(files, capsys, words):
    code, table, err = run(capsys, *files, *words.split())
    assert (code, table) == (2, "")
    assert "options that gps reads; received " in err
    assert all(word in err for word in words.split() if word.startswith("--"))


def test_two_runs_are_compared_on_the_same_images(tmp_path, files, world, capsys):
    truth, results, geodesics = world
    worse = tmp_path / "worse"
    worse.mkdir()
    write_world(worse, truth, [r | {"vertices": np.full_like(r["vertices"], -1)} for r in results], geodesics)
    other = [*files[:3], str(worse / "pred.json"), *files[4:]]
    for options, name in ((files, "a.json"), (other, "b.json")):
        assert run(capsys, *options, "--json", tmp_path / name, "--resamples", 0)[0] == 0
    pair = (tmp_path / "a.json", tmp_path / "b.json")
    code, table, _ = run(capsys, "--compare", *pair, "--json", tmp_path / "d.json", "--resamples", 100)
    said = json.loads((tmp_path / "d.json").read_text())["a_minus_b"]["AP"]
    assert code == 0
    assert said["value"] == pytest.approx(json.loads(pair[0].read_text())["AP"])
    assert said["low"] <= said["value"] <= said["high"]
    assert said["p"] < 0.05
    assert "clear" in table
    assert run(capsys, "--compare", pair[0], pair[0], "--resamples", 50)[1].count("+0.000") >= len(NAMES)
    (worse / "pred.json").write_text("[]")
    code, _, err = run(capsys, "--compare", *pair)
    assert (code, "another content" in err) == (2, True)


def test_results_on_another_mesh_go_through_a_map(tmp_path, world, capsys):
    truth, results, geodesics = world
    back = np.random.default_rng(0).permutation(60)
    there = np.argsort(back)  # back[there[v]] == v
    moved = [
        r
        | {
            "vertices": np.where(r["vertices"] >= 0, there[r["vertices"]], -1).astype(np.int32),
            "ref_model": "other",
        }
        for r in results
    ]
    plain = write_world(tmp_path, truth, results, geodesics)
    assert run(capsys, *plain, "--json", tmp_path / "a.json", "--resamples", 0)[0] == 0
    options = write_world(tmp_path, truth, moved, geodesics)
    code, _, err = run(capsys, *options)
    assert (code, "--vertex-map other:" in err) == (2, True)
    np.save(tmp_path / "map.npy", back)
    maps = [text for mesh in MESHES for text in ("--vertex-map", f"other:{mesh}={tmp_path / 'map.npy'}")]
    assert run(capsys, *options, *maps, "--json", tmp_path / "b.json", "--resamples", 0)[0] == 0
    a, b = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert [a[name] for name in NAMES] == [b[name] for name in NAMES]
