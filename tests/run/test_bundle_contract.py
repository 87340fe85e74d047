import copy

import pytest
from monai.bundle import ConfigWorkflow

pytestmark = pytest.mark.run


@pytest.fixture
def workflow(start):
    return start(max_epochs=1)


def test_every_property_that_monai_asks_for_is_there(workflow):
    assert workflow.check_properties() == []


def test_all_that_the_optimiser_holds_moves_and_nothing_else(workflow):
    parser = workflow.parser
    distiller, loss = parser.get_parsed_content("distiller"), parser.get_parsed_content("loss")
    optimizer = parser.get_parsed_content("optimizer")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    before = {name: (p, p.detach().clone()) for name, p in distiller.named_parameters()}
    teacher = copy.deepcopy(distiller.teacher.state_dict())
    parser.get_parsed_content("train#trainer").run()
    assert all(teacher[name].equal(v) for name, v in distiller.teacher.state_dict().items())
    for name, (parameter, value) in before.items():
        assert parameter.equal(value) is (id(parameter) not in held), name
    assert {id(p) for p in (*distiller.student.parameters(), *loss.parameters())} == held


def test_twin_starts_from_the_weights_of_the_student(workflow, finished_run):
    student = copy.deepcopy(workflow.parser.get_parsed_content("network").state_dict())
    files = [str(finished_run.folder / "config.yaml"), "bundles/stage.yaml", "bundles/twin.yaml"]
    twin = ConfigWorkflow(files, meta_file="bundles/metadata.json", logging_file=False)
    twin.initialize()
    weights = twin.parser.get_parsed_content("network").state_dict()
    assert all(weights[name].equal(value) for name, value in student.items())
