"""Helpers for the rules: the settings a stage reads, a digest of the package files it is made of, whose stars are used."""

import ast
import hashlib


def section(*names):
    """Settings of the given sections for a job's run, so that a change of any other section reruns nothing."""

    def chosen(wildcards):
        run = RUNS[getattr(wildcards, "run", "main")]
        return {name: getattr(run, name).model_dump(mode="json") for name in names}

    return chosen


def sources(*modules):
    """Digest of the package files that the given modules are made of: they and all they import, found by reading.

    A parameter, not an input: only a change of content reruns a rule, not a fresh checkout's new dates. Settings are left
    out: `section` watches their values.
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


def continua(wildcards):
    """The fitted spectra that the settings of the run name."""
    return f"results/{wildcards.run}/tables/{RUNS[wildcards.run].lines.continuum}_models.h5"
