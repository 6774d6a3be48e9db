"""Components that read the runs of several loops: Kubeflow joins no lists, so they take one list for each loop."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from kfp import dsl
from kfp.dsl import ContainerSpec
from kfp.dsl.container_component_class import ContainerComponent


def with_lists(component: ContainerComponent, name: str, count: int) -> ContainerComponent:
    """The same component with `count` lists instead of one: `name`, then `name`_2 and so on.

    Where its command has the list's text, it has those of all of them, one after the other.
    """
    # the component takes one argument per list entry; here they are joined again
    function, names = component.pipeline_func, list_names(name, count)
    signature = inspect.signature(function)

    def several(*given: object) -> ContainerSpec:
        known = dict(zip(widened.parameters, given, strict=True))
        joined = "".join(str(known.pop(each)) for each in names)
        container: ContainerSpec = function(**known, **{name: joined})
        return container

    # kfp reads inputs off the signature
    widened = signature.replace(parameters=list(_widened(signature, name, names)))
    several.__signature__ = widened  # type: ignore[attr-defined] # what inspect, and so kfp, reads a signature off
    several.__name__, several.__doc__ = function.__name__, function.__doc__
    return dsl.container_component(several)


def list_names(name: str, count: int) -> list[str]:
    """Names of the inputs that hold the lists."""
    return [name, *(f"{name}_{number}" for number in range(2, count + 1))]


def _widened(signature: inspect.Signature, name: str, names: list[str]) -> Iterator[inspect.Parameter]:
    for parameter in signature.parameters.values():
        if parameter.name == name:
            yield from (parameter.replace(name=each) for each in names)
        else:
            yield parameter
