"""The laws themselves, one function each (see `pytest_gradcheck.testing`)."""

from __future__ import annotations

from pytest_gradcheck.laws import numbers, purity

__all__ = ["EVERY"]

EVERY = (
    numbers.shapes_are_those_of_the_parameters,
    numbers.chunks_cover_everything_in_order,
    purity.same_point_gives_the_same_bits,
    purity.the_point_is_where_the_objective_stands,
    numbers.values_are_right,
    numbers.gradients_are_right,
    numbers.none_means_disconnected,
    numbers.components_are_right,
    numbers.directional_derivatives_agree,
    numbers.float64_is_float64_or_an_error,
    purity.seeds_rule_every_draw,
    purity.random_streams_are_put_back,
    purity.objects_are_left_alone,
    purity.objects_survive_an_error,
)
