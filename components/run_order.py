"""The component of a program in an image of its own: the script of an order, by the image's shell."""

from kfp import dsl

from nephrite_kubeflow.components import IMAGE


@dsl.container_component
def run_order(order: dsl.Input[dsl.Artifact], done: dsl.Output[dsl.Artifact]) -> dsl.ContainerSpec:
    """Let the program do what an order asks for; the pipeline names its image."""
    script = 'mkdir -p "$1" && exec sh "$0/run.sh" "$0" "$1"'
    return dsl.ContainerSpec(image=IMAGE, command=["sh", "-c", script], args=[order.path, done.path])
