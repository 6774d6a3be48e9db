"""The trial as a pipeline: does synthetic data make the segmenter better?

    acquire - prepare -+- train_gan - synthesize -+- arms with synthetic slices -+- report - promote
                       +- arms without -----------------------------------------+

No `from __future__ import annotations` here: kfp reads the types off the signature.
"""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import PipelineTask
from kfp.dsl.base_component import BaseComponent
from kfp.dsl.pipeline_channel import PipelineChannel

from components.acquire import acquire
from components.close_trial import close_trial
from components.evaluate import evaluate
from components.prepare import prepare
from components.promote import promote
from components.publish import publish
from components.report import report
from components.synthesize import synthesize
from components.train_gan import train_gan
from components.train_segmenter import train_segmenter
from pipelines.cluster import Cluster
from pipelines.placement import Placement
from pipelines.workspace import pipeline_settings

NAME = "augmentation"
DESCRIPTION = "Trains segmenters with and without synthetic slices and judges the difference."
YES, NO = "yes", "no"  # gates are text: kfp's local runner skips conditions on numbers without a word


class Runs(NamedTuple):
    """MLflow run ids of a loop's arms: lists of what train_segmenter and evaluate wrote."""

    trained: dsl.Collected
    evaluated: dsl.Collected


def build_pipeline(cluster: Cluster, image: str) -> BaseComponent:
    """The pipeline for one kind of cluster and one image.

    Its arguments: `params` (the settings as YAML), `lineage` (JSON object), `real_arms` and `synthetic_arms`
    ('SET/SEGMENTER/CELL'), and the gates `publish_synthetic` and `promote_best` ('yes' or 'no').
    """
    place = Placement(cluster, image)

    def put(task: PipelineTask) -> PipelineTask:
        return place.put(task, task.component_spec.name.replace("-", "_"))

    def train_arms(arms: PipelineChannel, **given: PipelineChannel) -> Runs:
        """Train and score every arm; `given` are the settings and the slices that the arms see."""
        with dsl.ParallelFor(arms, parallelism=cluster.parallelism) as arm:
            trained = put(train_segmenter(arm=arm, **given))
            seen = {name: channel for name, channel in given.items() if name != "synthetic"}
            scored = put(evaluate(arm=arm, segmenter=trained.outputs["segmenter"], **seen))
        return Runs(dsl.Collected(trained.outputs["run"]), dsl.Collected(scored.outputs["run"]))

    @dsl.pipeline(name=NAME, description=DESCRIPTION, pipeline_config=pipeline_settings(cluster))
    def augmentation(  # noqa: PLR0917 - kfp itself calls it by position
        params: str,
        lineage: str,
        real_arms: list[str],
        synthetic_arms: list[str],
        publish_synthetic: str = NO,
        promote_best: str = YES,
    ) -> None:
        same = {"params": params, "lineage": lineage}
        with dsl.ExitHandler(put(close_trial(params=params)), name="trial"):
            raw = put(acquire(**same)).outputs["raw"]
            pairs = put(prepare(raw=raw, **same)).outputs["pairs"]
            synthesizer = put(train_gan(pairs=pairs, **same)).outputs["synthesizer"]
            synthetic = put(synthesize(pairs=pairs, synthesizer=synthesizer, **same)).outputs["synthetic"]
            with dsl.If(publish_synthetic == YES, name="publish-synthetic"):
                put(publish(data=synthetic, **same))
            real = train_arms(real_arms, pairs=pairs, **same)
            mixed = train_arms(synthetic_arms, pairs=pairs, synthetic=synthetic, **same)
            scored = {"real_runs": real.evaluated, "synthetic_runs": mixed.evaluated}
            judged = put(report(pairs=pairs, synthetic=synthetic, **scored, **same)).outputs["report"]
            with dsl.If(promote_best == YES, name="promote-best"):
                put(promote(report=judged, real_runs=real.trained, synthetic_runs=mixed.trained, **same))

    return augmentation
