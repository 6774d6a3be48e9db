"""A component that reads the runs of several loops."""

from __future__ import annotations

from typing import Any

import pytest

from nephrite_kubeflow.components.promote import promote
from nephrite_kubeflow.components.report import report
from nephrite_kubeflow.fan_in import list_names, with_lists


@pytest.mark.parametrize("component", [report, promote])
def test_command_gets_all_lists_in_one_text(component: Any) -> None:
    widened = with_lists(component, "runs", 3)
    told = [text for text in widened.component_spec.implementation.container.args if isinstance(text, str)]
    (runs,) = {text for text in told if text.startswith("runs:")}
    assert runs == "runs:" + "".join(f"{{{{$.inputs.parameters['{name}']}}}}" for name in list_names("runs", 3))


def test_one_list_makes_the_component_as_it_is_written() -> None:
    assert with_lists(report, "runs", 1).component_spec == report.component_spec


def test_lists_are_required_and_the_other_inputs_stay() -> None:
    inputs = with_lists(report, "runs", 2).component_spec.inputs
    assert set(inputs) == {*report.component_spec.inputs, "runs_2"}
    assert (inputs["runs_2"].type, inputs["runs_2"].optional) == ("List[String]", False)
    assert inputs["synthetic"].optional
