"""The component of `nephrite report`."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def report(  # noqa: PLR0917 - kfp itself calls it by position
    params: str,
    lineage: str,
    pairs: dsl.Input[dsl.Dataset],
    runs: list[str],
    report: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    synthetic: dsl.Input[dsl.Dataset] | None = None,
) -> dsl.ContainerSpec:
    """Judge all arms, from scores and label maps that the runs of evaluate kept in MLflow; of `synthetic`, examples."""
    args = [
        "--params-text", params, "--lineage", lineage, "--pairs", pairs.path,
        "--scores", f"runs:{runs}", "--predictions", f"runs:{runs}", "--report", report.path, "--page", page.path,
        dsl.IfPresentPlaceholder("synthetic", ["--synthetic", synthetic.path]),
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "report"], args=args)
