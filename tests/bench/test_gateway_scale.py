from __future__ import annotations

from ray.serve.schema import ServeDeploySchema

from bench.gateway_scale import Point, document, table


def test_the_gateway_is_the_projects_own_and_its_encoders_are_stubs() -> None:
    config = document(8123, 64)
    ServeDeploySchema.model_validate(config)
    gateway, encoder = config["applications"]
    assert gateway["import_path"] == "deployments.apps.builders:gateway"
    assert gateway["deployments"][0]["user_config"]["cache"] == {"bytes": 0}
    assert (encoder["import_path"], encoder["deployments"][0]["num_replicas"]) == ("bench.stub:text_encoder", 64)
    assert config["http_options"]["port"] == 8123


def test_costs_are_medians_and_compared_with_one_replica() -> None:
    costs = {1: [1.0, 3.0, 2.0], 64: [2.2, 2.1, 9.0]}
    points = [Point(n, cost, 0.0, 1.0, 100, 0, 90.0) for n, found in costs.items() for cost in found]
    columns = {str(column.header): list(column.cells) for column in table(points, [1, 64]).columns}
    assert columns["gateway ms/request"] == ["2.000", "2.200"]
    assert columns["against 1"] == ["+0.0%", "+10.0%"]
