"""The component of `nephrite report`."""

from kfp import dsl

from components import IMAGE


@dsl.container_component
def report(  # noqa: PLR0917 - kfp itself calls it by position
    params: str,
    lineage: str,
    pairs: dsl.Input[dsl.Dataset],
    synthetic: dsl.Input[dsl.Dataset],
    real_runs: list[str],
    synthetic_runs: list[str],
    report: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
) -> dsl.ContainerSpec:
    """Judge all arms, from the scores that the runs of evaluate kept in MLflow."""
    args = [
        "--params-text", params, "--lineage", lineage, "--pairs", pairs.path, "--synthetic", synthetic.path,
        "--scores", f"runs:{real_runs}{synthetic_runs}", "--report", report.path, "--page", page.path,
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "report"], args=args)
