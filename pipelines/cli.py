"""`nephrite-pipeline`: compile the experiment for a cluster, submit it, and follow it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from nephrite.config import load_config
from nephrite.errors import NephriteError
from nephrite_kubeflow import augmentation, inference
from nephrite_kubeflow.cluster import CLUSTER_FILE, load_cluster
from nephrite_kubeflow.errors import ExperimentError
from nephrite_kubeflow.experiment import (
    Experiment,
    check_apart,
    check_fit,
    check_image,
    check_publish,
    check_scans,
    read_experiment,
)
from nephrite_kubeflow.package import read_package, write_inference, write_package
from nephrite_kubeflow.preflight import check_objects, check_release, check_retries
from nephrite_kubeflow.record import trial_page
from nephrite_kubeflow.server import FINISHED, Server

BUILD = Path("build")
PACKAGE_FILE = BUILD / f"{augmentation.NAME}.yaml"
OWN_OPTIONS = {  # of `compile`, each with the only pipeline that has a use for it
    "arms": ("--arm", augmentation.NAME),
    "publish": ("--publish", augmentation.NAME),
    "promote": ("--promote", augmentation.NAME),
    "scans": ("--scans", inference.NAME),
}
FILE = click.Path(path_type=Path)
host_option = click.option("--host", envvar="KFP_HOST", required=True, help="URL of Kubeflow Pipelines (KFP_HOST).")
timeout_option = click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=30, show_default=True, help="Seconds per answer."
)
wait_options = [
    click.option("--wait", is_flag=True, help="Stay and print what changes, until the run has finished."),
    click.option("--poll", type=click.FloatRange(0), default=10, show_default=True, help="Seconds between two looks."),
]
namespace_option = click.option(
    "--namespace", envvar="KFP_NAMESPACE", default="nephrite", show_default=True, help="Where the run goes."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """The trial on Kubeflow. KFP_TOKEN, or the token that Kubeflow mounts into pods, says who asks."""


@group.command("compile")
@click.option(
    "--pipeline",
    type=click.Choice([augmentation.NAME, inference.NAME]),
    default=augmentation.NAME,
    show_default=True,
    help="The trial, or its champion on a folder of scans.",
)
@click.option("--params", type=FILE, default=Path("params.yaml"), show_default=True, help="Settings.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting; repeatable.")
@click.option("--arm", "arms", multiple=True, metavar="SET/SEGMENTER/FRACTION/CELL", help="Only this arm; repeatable.")
@click.option("--scans", metavar="s3://BUCKET/FOLDER", help="What 'inference' segments.")
@click.option("--cluster", type=FILE, default=CLUSTER_FILE, help="What the steps ask for; default: no GPUs.")
@click.option("--image", envvar="NEPHRITE_IMAGE", required=True, help="NAME@sha256:... (NEPHRITE_IMAGE).")
@click.option("--allow-tag", is_flag=True, help="Accept an image without digest, for a local trial.")
@click.option("--publish/--no-publish", default=False, show_default=True, help="Push the synthetic sets with DVC.")
@click.option("--promote/--no-promote", default=True, show_default=True, help="Register the best segmenter.")
@click.option("--output", type=FILE, help="Where the pipeline goes.  [default: build/PIPELINE.yaml]")
@click.pass_context
def compile_pipeline(
    context: click.Context,
    *,
    pipeline: str,
    params: Path,
    overrides: tuple[str, ...],
    arms: tuple[str, ...],
    scans: str | None,
    cluster: Path,
    image: str,
    allow_tag: bool,
    publish: bool,
    promote: bool,
    output: Path | None,
) -> None:
    """Check settings, cluster file and image, and write the pipeline with its arguments."""
    # all inputs are checked before anything is written
    _check_options(context, pipeline)
    settings = load_cluster(cluster)
    for named in (image, *settings.images.values()):
        check_image(named, allow_tag=allow_tag)
    output = output or BUILD / f"{pipeline}.yaml"
    # compile one of the two pipelines
    if pipeline == inference.NAME:
        folder = check_scans(scans)
        experiment = Experiment(load_config(params, overrides))
        check_fit(experiment.config, settings, cluster, inference.STEPS)
        lineage = write_inference(output, experiment, settings, image, scans=folder)
        told = "the champion"
    else:
        from nephrite.preflight import preflight

        experiment = read_experiment(params, overrides, arms)
        preflight(experiment.config)
        check_fit(experiment.config, settings, cluster)
        check_apart(experiment, params, promote=promote, allow_tag=allow_tag)
        check_publish(experiment.config, params, publish=publish)
        parts = experiment.split()
        outputs = [output] if len(parts) == 1 else [part_file(output, part.part, part.parts) for part in parts]
        for file, part in zip(outputs, parts, strict=True):
            lineage = write_package(file, part, settings, image, publish=publish, promote=promote)
        told, output = _counted(experiment), outputs[-1]
        if len(parts) > 1:
            _show_parts(outputs, parts)
    # a run that cannot be repeated is worth a warning
    if lineage["commit"].endswith("-dirty") or lineage["commit"] == "unknown":
        click.echo(f"warning: the commit is '{lineage['commit']}', so the run cannot be repeated from it", err=True)
    click.echo(f"{output}: {told}; data {lineage['data']}; commit {lineage['commit'][:12]}")


def _check_options(context: click.Context, pipeline: str) -> None:
    """Refuse an option that this pipeline has no use for, rather than ignore it."""
    for name, (option, owner) in OWN_OPTIONS.items():
        if owner != pipeline and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            remedy = f"leave it out, or compile --pipeline {owner}"
            raise ExperimentError(option, f"is of no use to the pipeline '{pipeline}'", remedy)


@group.command()
@click.option(
    "--package",
    "packages",
    type=FILE,
    multiple=True,
    default=[PACKAGE_FILE],
    show_default=True,
    help="What 'compile' wrote; repeat it for the parts of a trial, in their order.",
)
@host_option
@namespace_option
@click.option("--experiment", default="nephrite", show_default=True, help="Kubeflow experiment; made if absent.")
@click.option("--service-account", default="nephrite-runner", show_default=True, help="Of the steps' pods.")
@click.option("--check/--no-check", default=True, help="Look for secrets and volumes, by the kubeconfig in force.")
@timeout_option
@wait_options[0]
@wait_options[1]
def submit(
    *,
    packages: tuple[Path, ...],
    host: str,
    namespace: str,
    experiment: str,
    service_account: str,
    check: bool,
    timeout: float,
    wait: bool,
    poll: float,
) -> None:
    """Start a run of the compiled pipeline, as a version named by its commit, and print where to see it."""
    # the packages and the server, before anything is uploaded
    contents = [read_package(package) for package in packages]
    if len(contents) > 1 and not wait:
        raise ExperimentError("--package", f"names {len(contents)} parts, which run one after the other", "add --wait")
    server = Server(host, namespace, (min(timeout, 5), timeout))
    server.check()
    # what the pods need, as far as this user may look
    if check:
        _warn(check_release(server.version, namespace, multi_user=server.multi_user))
        unseen = check_objects(contents[0], namespace)
        _warn(f"secrets and volumes in '{namespace}' were not looked up: {unseen}" if unseen else check_retries())
    # start, then follow if asked to
    for content in contents:
        run_id = server.start(content, experiment, service_account)
        click.echo(f"run {run_id}, version {content.version}")
        _show_links(server.page_of(run_id), run_id)
        if wait and _follow(server, run_id, poll):
            sys.exit(1)


@group.command()
@click.argument("run_id")
@host_option
@namespace_option
@timeout_option
@wait_options[0]
@wait_options[1]
def status(*, run_id: str, host: str, namespace: str, timeout: float, wait: bool, poll: float) -> None:
    """Print the state of a run and its tasks. Exit code 1 if the run failed or was canceled."""
    server = Server(host, namespace, (min(timeout, 5), timeout))
    _show_links(server.page_of(run_id), run_id)
    if wait:
        sys.exit(_follow(server, run_id, poll))
    state, tasks = server.states(run_id)
    for name, told in tasks.values():
        click.echo(f"{name}: {told}")
    click.echo(f"run: {state}")
    sys.exit(int(state in FINISHED - {"SUCCEEDED"}))


def _warn(text: str | None) -> None:
    if text:
        click.echo(f"warning: {text}", err=True)


def part_file(output: Path, part: int, parts: int) -> Path:
    """Where a part of a trial goes, beside the place of a whole one."""
    return output.with_name(f"{output.stem}-{part}-of-{parts}{output.suffix}")


def _show_parts(outputs: Sequence[Path], parts: Sequence[Experiment]) -> None:
    """One line for each pipeline of a trial that takes several, and how to submit them."""
    for file, part in zip(outputs, parts, strict=True):
        click.echo(f"{file}: {_counted(part)}; {file.stat().st_size / 1024:.0f} KB")
    click.echo(
        "submit them one after the other, the last one reports: nephrite-pipeline submit --wait "
        + " ".join(f"--package {file}" for file in outputs)
    )


def _counted(experiment: Experiment) -> str:
    painters, real, synthetic = (
        len(found) for found in (experiment.paintings, experiment.real_arms, experiment.synthetic_arms)
    )
    many = f"{painters} painter{'' if painters == 1 else 's'}"
    return f"{many}, {real} arms without synthetic slices, {synthetic} with"


def _follow(server: Server, run_id: str, poll: float) -> int:
    """Print every change; gives 1 unless the run succeeded, else 0."""
    state = ""
    for name, state in server.follow(run_id, poll):
        click.echo(f"{name}: {state}")
    return int(state != "SUCCEEDED")


def _show_links(page: str, run_id: str) -> None:
    """Where to see the run: Kubeflow's page, and MLflow's, whose runs carry the id as a tag."""
    click.echo(f"Kubeflow: {page}")
    tracking = os.environ.get("MLFLOW_TRACKING_URI", "")
    if tracking.startswith("http"):
        click.echo(f"MLflow: {trial_page(tracking, run_id)}")


def main() -> None:
    """Run the command line; a refusal is one line and exit code 2."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        group(standalone_mode=True)
    except NephriteError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
