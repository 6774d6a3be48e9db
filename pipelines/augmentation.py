"""The trial as a pipeline: does synthetic data make the segmenter better?

    acquire - prepare -+- arms without synthetic slices ----------------------------------+- report - promote
                       +- train_gan - synthesize - screen - its arms, for every painter --+

A painter is a synthesizer trained for one label fraction and cell (a cell is a replicate: a subset of the patients and
a seed). Painters stand side by side in the graph, each with one loop over its arms:
a loop inside a loop does not hold under an exit handler (kubeflow/pipelines#13273), nor in `kfp.local`.
No `from __future__ import annotations` here: kfp reads the types off the signature.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kfp import dsl
from kfp.dsl import PipelineTask
from kfp.dsl.base_component import BaseComponent
from kfp.dsl.pipeline_channel import PipelineChannel

from nephrite_kubeflow.cluster import Cluster
from nephrite_kubeflow.components.acquire import acquire
from nephrite_kubeflow.components.close_trial import close_trial
from nephrite_kubeflow.components.evaluate import evaluate
from nephrite_kubeflow.components.order_fit import order_fit
from nephrite_kubeflow.components.order_predict import order_predict
from nephrite_kubeflow.components.prepare import prepare
from nephrite_kubeflow.components.promote import promote
from nephrite_kubeflow.components.publish import publish
from nephrite_kubeflow.components.report import report
from nephrite_kubeflow.components.run_order import run_order
from nephrite_kubeflow.components.screen import screen
from nephrite_kubeflow.components.synthesize import synthesize
from nephrite_kubeflow.components.train_gan import train_gan
from nephrite_kubeflow.components.train_segmenter import train_segmenter
from nephrite_kubeflow.experiment import Experiment, Painting
from nephrite_kubeflow.fan_in import list_names, with_lists
from nephrite_kubeflow.placement import Placement, shown_name
from nephrite_kubeflow.workspace import pipeline_settings

NAME = "augmentation"
DESCRIPTION = "Trains segmenters with and without synthetic slices and judges the difference."
ORDER = "order"  # whose machine the steps around somebody else's program get
YES, NO = "yes", "no"  # gates are text: kfp's local runner silently skips conditions on numbers
Channels = dict[str, PipelineChannel]


class Arms(NamedTuple):
    """The tasks in a loop over arms: the first one, and two that keep their MLflow run's id."""

    first: PipelineTask
    trained: PipelineTask
    scored: PipelineTask


class Painted(NamedTuple):
    """Accepted slices of a painter, and the arms that see them."""

    painter: str
    synthetic: PipelineChannel
    arms: list[Arms]


class Steps:
    """The steps of a trial, put on one kind of cluster."""

    def __init__(self, cluster: Cluster, image: str, apart: Mapping[str, str], *, parted: bool = False) -> None:
        # parts fetch the data once: the lineage, which their cache goes by, names its version
        self.place = Placement(cluster, image, cached=("acquire",) if parted else ())
        self.parallelism, self.parted, self.images, self.apart = cluster.parallelism, parted, cluster.images, apart

    def of_trial(self, task: PipelineTask) -> PipelineTask:
        """Let a task that looks at the runs of all arms find those of other parts, too."""
        if self.parted:
            told = task.container_spec.args
            task.container_spec.args = [re.sub("^runs:", "trial:", text) for text in told]
        return task

    def put(
        self, task: PipelineTask, about: str = "", image: str | None = None, machine: str | None = None
    ) -> PipelineTask:
        """Place a task; `about` tells it from others of its step on Kubeflow's page."""
        return self.place.put(task, task.component_spec.name.replace("-", "_"), about, image, machine)

    def train_arms(
        self, name: str, arms: Sequence[str], at_once: int, raw: PipelineChannel, **given: PipelineChannel
    ) -> list[Arms]:
        """Train and score every arm, in a loop for each image; `given` are the settings and the slices that they see.

        A loop's image is the same for all of its arms, so segmenters with an image of their own have another loop.
        Loops run one after the other: `at_once` holds for all of them.
        """
        loops: list[Arms] = []
        seen = {name: channel for name, channel in given.items() if name != "synthetic"}
        for number, ((image, apart), alike) in enumerate(self._by_image(arms).items()):
            shown = f"{name}-{number}" if number else name
            with dsl.ParallelFor(alike, parallelism=at_once, name=shown) as arm:
                if image and apart:
                    loop = self._train_apart(arm, image, raw, seen, given)
                else:
                    trained = self.put(train_segmenter(arm=arm, **given), image=image)
                    segmenter = trained.outputs["segmenter"]
                    scored = self.put(evaluate(arm=arm, raw=raw, segmenter=segmenter, **seen), image=image)
                    loop = Arms(trained, trained, scored)
                if loops:
                    loop.first.after(loops[-1].scored)
            loops.append(loop)
        return loops

    def _train_apart(
        self, arm: PipelineChannel, image: str, raw: PipelineChannel, seen: Channels, given: Channels
    ) -> Arms:
        """The steps of an arm whose program lies in an image of its own, which is handed folders and hands some back.

        The program trains before it is shown a scan that it is judged on.
        """
        # train
        ordered = self.put(order_fit(arm=arm, **given), machine=ORDER)
        fitted = self.place.put_strange(run_order(order=ordered.outputs["order"]), "train_segmenter", image)
        trained = self.put(train_segmenter(arm=arm, done=fitted.outputs["done"], **given), machine=ORDER)
        # predict
        segmenter = trained.outputs["segmenter"]
        asked = self.put(order_predict(arm=arm, segmenter=segmenter, **seen), machine=ORDER)
        found = self.place.put_strange(run_order(order=asked.outputs["order"]), "evaluate", image)
        scored = evaluate(arm=arm, raw=raw, segmenter=segmenter, done=found.outputs["done"], **seen)
        return Arms(ordered, trained, self.put(scored, machine=ORDER))

    def _by_image(self, arms: Sequence[str]) -> dict[tuple[str | None, bool], list[str]]:
        """Arms by the image of their segmenter (None: the trial's own), and whether it knows nothing of Nephrite."""
        groups: dict[tuple[str | None, bool], list[str]] = {}
        for arm in arms:
            segmenter = arm.split("/")[1]
            apart = segmenter in self.apart
            groups.setdefault(((self.apart if apart else self.images).get(segmenter), apart), []).append(arm)
        return groups

    def paint(
        self, paintings: Sequence[Painting], raw: PipelineChannel, pairs: PipelineChannel, same: Channels
    ) -> list[Painted]:
        """Train every synthesizer, and the arms that see its slices; `parallelism` trainings at a time in all."""
        # one painter per lane at a time; the lanes share the allowed parallelism
        lanes = min(len(paintings), self.parallelism) or 1
        done: list[Painted] = []
        for number, (painter, arms) in enumerate(paintings):
            shared = {"painter": painter, "pairs": pairs, **same}
            # a painter starts when the arms of an earlier one in its lane are scored
            trained = self.put(train_gan(**shared), painter)
            if number >= lanes:
                trained.after(done[number - lanes].arms[-1].scored)
            # paint slices, then screen them
            synthesizer = trained.outputs["synthesizer"]
            painted = self.put(synthesize(synthesizer=synthesizer, **shared), painter).outputs["painted"]
            synthetic = self.put(screen(painted=painted, **shared), painter).outputs["synthetic"]
            # its arms in one loop, with this lane's share of the parallelism
            looped = self.train_arms(
                shown_name("arms-of", painter),
                arms,
                self.parallelism // lanes,
                raw,
                pairs=pairs,
                synthetic=synthetic,
                **same,
            )
            done.append(Painted(painter, synthetic, looped))
        return done


def build_pipeline(cluster: Cluster, image: str, experiment: Experiment) -> BaseComponent:
    """The pipeline of a trial's arms, or of a part of them, for one kind of cluster and one image.

    Of several parts the last one judges; it takes the other parts' runs from MLflow, by the trial.

    Its arguments: `params` (the settings as YAML), `lineage` (JSON object), and the gates `publish_synthetic` and
    `promote_best` ('yes' or 'no').
    """
    parted, last = experiment.parts > 1, experiment.part == experiment.parts
    steps = Steps(cluster, image, experiment.apart, parted=parted)
    real_arms, paintings = experiment.real_arms, experiment.paintings

    @dsl.pipeline(name=NAME, description=DESCRIPTION, pipeline_config=pipeline_settings(cluster))
    def augmentation(params: str, lineage: str, publish_synthetic: str = NO, promote_best: str = YES) -> None:
        same = {"params": params, "lineage": lineage}
        with dsl.ExitHandler(steps.put(close_trial(params=params)), name="trial"):
            # data: once for all arms
            raw = steps.put(acquire(**same)).outputs["raw"]
            pairs = steps.put(prepare(raw=raw, **same)).outputs["pairs"]
            # arms: those on real data, then those of every painter
            looped: list[Arms] = []
            if real_arms:
                looped += steps.train_arms("real-arms", real_arms, steps.parallelism, raw, pairs=pairs, **same)
            painted = steps.paint(paintings, raw, pairs, same)
            looped += [loop for each in painted for loop in each.arms]
            # synthetic slices leave the cluster only if asked for
            if painted:
                with dsl.If(publish_synthetic == YES, name="publish-synthetic"):
                    for each in painted:
                        steps.put(publish(data=each.synthetic, **same), each.painter)
            if not last:
                return
            # judge all arms together
            shown = {"synthetic": painted[0].synthetic} if painted else {}
            scored = collected([each.scored for each in looped])
            judging = with_lists(report, "runs", len(looped))(pairs=pairs, **shown, **scored, **same)
            judged = steps.of_trial(steps.put(judging)).outputs["report"]
            # the best segmenter goes to the registry only if asked for
            with dsl.If(promote_best == YES, name="promote-best"):
                trained = collected([each.trained for each in looped])
                best = with_lists(promote, "runs", len(looped))(pairs=pairs, report=judged, **trained, **same)
                steps.of_trial(steps.put(best))

    return augmentation


def collected(tasks: Sequence[PipelineTask]) -> dict[str, dsl.Collected]:
    """The runs of tasks in loops, as inputs of a component with one list per loop."""
    lists = [dsl.Collected(task.outputs["run"]) for task in tasks]
    return dict(zip(list_names("runs", len(lists)), lists, strict=True))
