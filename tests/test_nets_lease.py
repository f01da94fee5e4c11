"""A device has one user at a time, on fake device names: the logic is the same without a GPU."""

import os
import subprocess
import sys

import pytest

from sanspec.errors import SanspecError
from sanspec.nets import lease

HOLD = """
import pathlib, sys
from sanspec.nets import lease
with lease.exclusive(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(lease.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(lease, "NVIDIA", tmp_path / "no-driver")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


def offer(monkeypatch, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)


def test_two_leases_take_two_devices_and_leave_one_visible(monkeypatch):
    offer(monkeypatch, "3,GPU-aa/7")
    with lease.lease("auto") as first:
        assert first == "cuda" and os.environ["CUDA_VISIBLE_DEVICES"] == "3"
        offer(monkeypatch, "3,GPU-aa/7")
        with lease.lease("cuda") as second:
            assert second == "cuda" and os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-aa/7"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,GPU-aa/7"


def test_a_taken_device_is_one_line_that_names_its_holder(monkeypatch):
    offer(monkeypatch, "0")
    with lease.lease("auto"):
        offer(monkeypatch, "0")
        with (
            pytest.raises(SanspecError, match=f"0 by process {os.getpid()}.*--device cpu") as caught,
            lease.lease("auto"),
        ):
            pass
        assert "\n" not in str(caught.value)
    with lease.lease("auto") as again:
        assert again == "cuda"


def test_another_process_holds_a_device_until_it_ends(monkeypatch, tmp_path):
    offer(monkeypatch, "5")
    path = lease.folder() / "5.lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=-1, stdout=-1, text=True)
    try:
        assert process.stdout.readline().strip() == "held"
        with pytest.raises(SanspecError, match=f"process {process.pid}"), lease.lease("auto"):
            pass
    finally:
        process.kill()
        process.wait()
    with lease.lease("auto") as device:
        assert device == "cuda"


@pytest.mark.parametrize("names", ["", "-1", " "])
def test_an_empty_pool_means_cpu(monkeypatch, names):
    offer(monkeypatch, names)
    with lease.lease("auto") as device:
        assert device == "cpu"
    with pytest.raises(SanspecError, match="no GPU is offered"), lease.lease("cuda"):
        pass


def test_cluster_jobs_whose_devices_carry_the_same_number_do_not_meet(monkeypatch):
    offer(monkeypatch, "0")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with lease.lease("auto"):
        offer(monkeypatch, "0")
        monkeypatch.setenv("SLURM_JOB_ID", "18")
        with lease.lease("auto") as device:
            assert device == "cuda"


def test_cpu_takes_no_device(monkeypatch):
    offer(monkeypatch, "0")
    with lease.lease("cpu") as device:
        assert device == "cpu" and os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert not lease.folder().exists()


def test_without_the_variable_the_driver_is_asked(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert lease.pool() == []
    monkeypatch.setattr(lease, "NVIDIA", tmp_path / "gpus")
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "gpus" / name).mkdir(parents=True)
    assert lease.pool() == ["0", "1"]


def test_leasing_imports_no_torch():
    code = "import sys; from sanspec.stages import train, generate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
