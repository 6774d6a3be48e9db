"""The component of `nephrite evaluate`."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def evaluate(  # noqa: PLR0917 - kfp itself calls it by position
    params: str,
    lineage: str,
    arm: str,
    pairs: dsl.Input[dsl.Dataset],
    raw: dsl.Input[dsl.Dataset],
    segmenter: dsl.Input[dsl.Model],
    scores: dsl.Output[dsl.Artifact],
    predictions: dsl.Output[dsl.Artifact],
    run: dsl.OutputPath(str),
    done: dsl.Input[dsl.Artifact] | None = None,
) -> dsl.ContainerSpec:
    """Score one arm on the test patients."""
    args = [
        "--params-text", params, "--lineage", lineage, "--set", f"arm={arm}", "--pairs", pairs.path, "--raw", raw.path,
        "--segmenter", segmenter.path, "--scores", scores.path, "--predictions", predictions.path, "--run-id", run,
        dsl.IfPresentPlaceholder("done", ["--done", done.path]),
    ]  # fmt: skip
    return dsl.ContainerSpec(image=IMAGE, command=["nephrite", "evaluate"], args=args)
