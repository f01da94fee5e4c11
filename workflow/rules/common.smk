"""Helpers for the rules: the settings that a stage reads, a digest of its package files, its command line."""

import ast
import hashlib


def section(*names):
    """Settings of the given sections for a job's run, so that a change of any other section reruns nothing."""

    def chosen(wildcards):
        run = RUNS[getattr(wildcards, "run", "main")]
        return {name: getattr(run, name).model_dump(mode="json") for name in names}

    return chosen


def sources(*modules):
    """Digest of the given modules and of all package modules that they import, found by reading the files.

    It is a parameter, not an input, so that only a change of content reruns a rule, not the new dates of a fresh
    checkout. Settings are left out: `section` watches their values.
    """
    root = Path(workflow.basedir, "src")
    found, queue = {}, [f"sanspec.{module}" for module in modules]
    while queue:
        base = root.joinpath(*queue.pop().split("."))
        candidates = base.with_suffix(".py"), base / "__init__.py"
        path = next(filter(Path.exists, candidates), None)
        if path is None or path in found or root / "sanspec" / "config" in path.parents:
            continue
        found[path] = path.read_bytes()
        for node in ast.walk(ast.parse(found[path])):
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(
                "sanspec."
            ):
                queue += [
                    node.module,
                    *(f"{node.module}.{name.name}" for name in node.names),
                ]
    return hashlib.sha256(b"".join(found[path] for path in sorted(found))).hexdigest()[
        :12
    ]


def command(stage, **settings):
    """Parameters of a rule: the stage that it runs, the digest of the stage's code and the settings that it reads."""
    name, *_ = stage.replace("-", "_").split()
    return {"stage": stage, "code": sources(f"stages.{name}"), **settings}


def options(wildcards, input, output):
    """The named files of a job as options of the command line: `--spectra results/main/prepared/spectra.h5 ...`."""
    named = [*input.items(), *output.items()]
    return " ".join(f"--{name.replace('_', '-')} {files}" for name, files in named)


def device(wildcards, threads, resources):
    """Where a stage computes that runs networks."""
    return f"--threads {threads} --gpus {resources.gpu}"


def continuum(wildcards):
    """The fitted spectra that the settings of the run subtract before the emission lines are measured."""
    return f"results/{wildcards.run}/tables/{RUNS[wildcards.run].lines.continuum}_models.h5"
