"""Two processes with half a batch each run through the numbers of one with the whole batch."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import ranks
from conftest import ROOT
from sanspec.errors import SanspecError
from sanspec.nets import parallel
from sanspec.nets.parallel import SharedNorm


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes under torchrun find, over gloo."""
    out = tmp_path_factory.mktemp("ranks") / "two.json"
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = str(ROOT / "tests" / "ranks.py")
    subprocess.run(
        [sys.executable, *command, script, str(out)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        check=True,
        capture_output=True,
        timeout=300,
    )
    found = json.loads(out.read_text())
    assert found.pop("ranks") == 2
    return found


@pytest.mark.parametrize("case", ranks.CASES)
def test_two_processes_train_as_one(two, case):
    """Loss and gradient norm of every step, every validation score, the norm of every weight tensor.

    Biases are left out: before a normalisation their gradient is rounding alone, which Adam blows up.
    """
    one, both = ranks.train(case), two[case]
    for key, rtol in (("loss", 2e-5), ("norm", 1e-3)):
        np.testing.assert_allclose(both["curve"][key], one["curve"][key], rtol=rtol)
    for mine, theirs in zip(one["valid"], both["valid"], strict=True):
        assert theirs == pytest.approx(mine, rel=1e-3)
    for name, norm in one["weights"].items():
        if name.endswith("weight"):
            np.testing.assert_allclose(both["weights"][name], norm, rtol=2e-3, err_msg=name)


@pytest.mark.parametrize("case", ranks.CAPTURED)
def test_a_loss_is_captured_whole_for_compilation(two, case):
    """torch.compile takes each training loss as one graph, as CUDA graphs need, and its value is the same."""
    plain, compiled = two["captured"][case]
    assert compiled == pytest.approx(plain, rel=1e-6)


def test_a_process_by_itself_needs_no_group():
    x = torch.randn(4, 3, requires_grad=True)
    assert parallel.ranks() == 1 and parallel.rank() == 0
    assert parallel.gather(x) is x and parallel.rows(x) is x and parallel.of_first("a") == "a"
    assert float(parallel.mean(torch.tensor(1.0))) == 1
    assert torch.equal(parallel.mean(x), x.detach())


def test_shared_normalisation_by_itself_is_torchs():
    ours, theirs = SharedNorm(3), torch.nn.BatchNorm2d(3)
    x = torch.randn(5, 3, 4, 4)
    assert torch.equal(ours(x), theirs(x)) and torch.equal(ours.running_var, theirs.running_var)
    assert ours.state_dict().keys() == theirs.state_dict().keys()


def in_group(monkeypatch, number, of):
    monkeypatch.setattr(parallel, "ranks", lambda: of)
    monkeypatch.setattr(parallel, "rank", lambda: number)


def test_each_rank_has_its_own_rows_and_none_is_left_out(monkeypatch):
    parts = []
    for number in range(4):
        in_group(monkeypatch, number, 4)
        parts.append(parallel.rows(torch.arange(12)))
    assert torch.equal(torch.cat(parts), torch.arange(12)) and {len(part) for part in parts} == {3}


def test_a_batch_that_cannot_be_shared_is_one_line(monkeypatch):
    in_group(monkeypatch, 0, 3)
    assert parallel.batch_size(12, 100) == 12
    assert parallel.batch_size(12, 11) == 9  # fewer galaxies than a batch: as many as can be shared
    with pytest.raises(SanspecError, match="batch=16; allowed: a multiple of the 3 processes"):
        parallel.batch_size(16, 100)
    with pytest.raises(SanspecError, match="2 galaxies for 3 processes"):
        parallel.batch_size(12, 2)


def test_validation_leaves_the_other_ranks_alone(monkeypatch):
    monkeypatch.setattr(parallel.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(parallel.distributed, "get_world_size", lambda: 5)
    assert parallel.ranks() == 5
    with parallel.alone():
        assert parallel.ranks() == 1
    assert parallel.ranks() == 5
