import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from flows import checks, packages
from flows.checks import Probe
from flows.doctor import Doctor, Finding, diagnose, format_findings
from flows.session import Session


def executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    assert len({finding.name for finding in findings}) == len(findings)
    return {finding.name: finding for finding in findings}


def test_this_machine_can_run_densecorr(tmp_path: Path) -> None:
    found = by_name(diagnose(tmp_path / "store"))
    assert not [finding for finding in found.values() if finding.blocks]
    assert {"Python", "packages", "processor", "memory", "store", "GPU", "models", "FiftyOne"} <= found.keys()
    assert "draws a test square exactly" in found["ray casting (embree)"].detail
    assert found["torch"].status == "ok"
    assert all(finding.remedy for finding in found.values() if finding.status in ("missing", "broken"))
    assert not (tmp_path / "store").exists()  # looking changes nothing


def test_the_command_prints_and_returns_zero_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Doctor(quick=True)(Session(str(tmp_path))) == 0
    printed = capsys.readouterr().out
    assert "Everything that densecorr needs works here." in printed
    assert "ray casting" not in printed


def test_only_a_required_thing_that_is_broken_makes_the_check_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session = Session(str(tmp_path))
    broken = Finding("memory", "broken", "none", "buy some")
    monkeypatch.setattr(checks, "check_memory", lambda: broken)
    assert Doctor(quick=True)(session) == 0
    monkeypatch.setattr(
        checks, "check_memory", lambda: Finding("memory", "broken", "none", "", required=True)
    )
    assert Doctor(quick=True)(session) == 2


def test_a_check_that_fails_itself_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def crash() -> Finding:
        raise ModuleNotFoundError("No module named 'psutil'")

    monkeypatch.setattr(checks, "check_memory", crash)
    found = by_name(diagnose(tmp_path, quick=True))
    assert found["memory"].status == "broken"
    assert "No module named 'psutil'" in found["memory"].detail
    assert found["Python"].status == "ok"


def test_the_report_lines_up_and_counts() -> None:
    text = format_findings(
        [
            Finding("a", "ok", "fine"),
            Finding("longer", "missing", "absent", "get it"),
            Finding("needed", "broken", "bad", "mend it", required=True),
        ]
    )
    assert text.splitlines() == [
        "ok       a       fine",
        "missing  longer  absent",
        "                 -> get it",
        "broken   needed  bad",
        "                 -> mend it",
        "densecorr cannot work here yet: needed.",
        "1 optional part missing: see the lines marked ->.",
    ]


def test_packages_are_held_against_the_declared_bounds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pyproject = """
        [project]
        dependencies = ["numpy>=2", "pyarrow<2", "no-such-package>=1", "nowhere; sys_platform == 'plan9'"]
        [project.optional-dependencies]
        gl = ["no-such-extra"]
    """
    (tmp_path / "pyproject.toml").write_text(pyproject)
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "constraints.txt").write_text("# tested\nNumPy==2.0.1  # old\nunused==1\n")
    monkeypatch.setattr(packages, "ROOT", tmp_path)
    found = by_name(list(packages.check_packages()))
    assert found["package pyarrow"].status == "broken"
    assert found["package pyarrow"].remedy == "pip install 'pyarrow<2'"
    assert found["package no-such-package"].status == "missing"
    assert found["package no-such-package"].blocks
    assert found["extra 'gl'"].status == "note"
    assert found["packages"].detail == "1 within their bounds"
    assert "(tested: 2.0.1)" in found["tested versions"].detail
    assert len(found) == 5


def test_a_store_that_cannot_be_written_blocks(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = checks.check_disk(str(tmp_path / "file" / "store"))
    assert finding.status == "broken"
    assert finding.blocks
    assert checks.check_disk(str(tmp_path / "new" / "store")).status in ("ok", "note")
    assert checks.check_disk("s3://bucket/store").status == "note"


def test_the_gpu_is_what_nvidia_smi_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checks.check_gpu().status == "note"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    executable(tmp_path / "nvidia-smi", "echo 'NVIDIA H200, 143771 MiB, 143000 MiB, 570.10'")
    finding = checks.check_gpu()
    assert (finding.status, finding.detail) == (
        "ok",
        "NVIDIA H200, 143000 MiB of 143771 MiB free; driver 570.10",
    )
    executable(tmp_path / "nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")
    assert checks.check_gpu().status == "broken"
    assert checks.check_gpu().detail == "nvidia-smi: NVIDIA-SMI has failed"


@pytest.mark.parametrize(
    ("torch", "status"),
    [("2.13.0+cpu on cpu, 2 threads", "broken"), ("2.13.0 on cuda: H200, 8 threads", "ok")],
)
def test_a_gpu_that_torch_does_not_use_is_broken(torch: str, status: str) -> None:
    findings = [Finding("GPU", "ok", "one H200"), Finding("torch", "ok", torch, required=True)]
    gpu, other = checks.compare_gpu(findings)
    assert gpu.status == status
    assert bool(gpu.remedy) == (status == "broken")
    assert other == findings[1]


def test_a_probe_that_fails_hangs_or_crashes_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    probe = Probe("no-such-probe", "thing", "mend it", required=True)
    failed = checks.run_probe(probe, 60.0)
    assert (failed.status, failed.detail) == ("broken", "KeyError: 'no-such-probe'")
    monkeypatch.setattr(sys, "executable", str(executable(tmp_path / "python", "exec sleep 30")))
    assert checks.run_probe(probe, 0.2).detail == "no answer in 0.2 s"
    monkeypatch.setattr(sys, "executable", str(executable(tmp_path / "python", "kill -SEGV $$")))
    assert checks.run_probe(probe, 60.0).detail == "crashed (SIGSEGV)"
    assert checks.run_probe(probe, 60.0).blocks


def test_cached_models_are_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "absent"))
    assert checks.check_models().status == "note"
    snapshot = tmp_path / "models--facebook--dinov2-small" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps({"a": 1}))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    finding = checks.check_models()
    assert finding.status == "broken"
    assert finding.detail.endswith(f"not whole: facebook/dinov2-small@{'0' * 40}")
    save_file({"a": np.zeros(3)}, snapshot / "model.safetensors")
    finding = checks.check_models()
    assert finding.status == "ok"
    assert finding.detail.startswith("facebook/dinov2-small (")
    (tmp_path / "models--half--fetched").mkdir()
    assert checks.check_models().status == "broken"


def test_a_server_that_is_named_and_silent_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    finding = checks.check_prefect()
    assert finding.status == "broken"
    assert not finding.blocks
    assert "http://127.0.0.1:1/api" in finding.detail


def test_sample_data_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DENSECORR_SHARED_DATA", str(tmp_path))
    assert checks.check_shared_data().status == "ok"
    monkeypatch.setenv("DENSECORR_SHARED_DATA", str(tmp_path / "absent"))
    assert checks.check_shared_data().status == "missing"
