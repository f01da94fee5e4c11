"""The command line: help for every stage, faults as exit codes."""

import subprocess
import sys

import pytest

from sanspec.__main__ import STAGES, main


def test_help_lists_every_stage(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name.replace("_", "-") in text or name in text for name in STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_explains_itself(stage, capsys):
    with pytest.raises(SystemExit) as caught:
        main([stage, "--help"])
    assert caught.value.code == 0 and f"sanspec {stage}" in capsys.readouterr().out


def test_an_unknown_stage_is_one_line(capsys):
    assert main(["analyze"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_users_fault_is_one_line_and_exit_2():
    options = "match --config none.yaml --out a --losses b --lost c"
    command = [sys.executable, "-m", "sanspec", *options.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "none.yaml" in done.stderr


def test_asking_for_help_imports_no_torch():
    code = "import sys; from sanspec.__main__ import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
