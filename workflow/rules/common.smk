"""Two helpers for the rules: the settings a stage reads, and the package files it is made of."""

import ast


def section(*names):
    """Settings of the given sections for a job's run, so that a change of any other section reruns nothing."""

    def chosen(wildcards):
        run = RUNS[getattr(wildcards, "run", "main")]
        return {name: getattr(run, name).model_dump(mode="json") for name in names}

    return chosen


def sources(*modules):
    """The package files that the given modules are made of: they and all they import, found by reading."""
    root = Path(
        os.path.relpath(workflow.basedir), "src"
    )  # relative: a moved checkout reruns nothing
    found, queue = set(), [f"sanspec.{module}" for module in modules]
    while queue:
        base = root.joinpath(*queue.pop().split("."))
        candidates = base.with_suffix(".py"), base / "__init__.py"
        path = next(filter(Path.exists, candidates), None)
        if path is None or path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(
                "sanspec."
            ):
                queue += [
                    node.module,
                    *(f"{node.module}.{name.name}" for name in node.names),
                ]
    return sorted(map(str, found))
