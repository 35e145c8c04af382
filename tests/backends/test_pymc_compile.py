from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode, get_mode
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from pytest_gradcheck import UsageError
from pytest_gradcheck.backends import objective
from pytest_gradcheck.backends._pymc import cache, graph, terms
from pytest_gradcheck.backends._pymc import mode as modes
from pytest_gradcheck.errors import UsageTypeError
from pytest_gradcheck.point import to_numpy
from pytest_gradcheck.progress import listening
from tests.backends import pymc_models as models
from tests.backends.pymc_gallery import GALLERY

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_gradcheck.records import Evaluation


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count what is compiled: one entry for each function; nothing is known beforehand."""
    cache.EQUAL.clear()
    calls: list[str] = []
    headline, compile_terms = pm.Model.logp_dlogp_function, pm.pytensorf.compile

    def count_headline(*args: Any, **kwargs: Any) -> Any:
        calls.append("headline")
        return headline(*args, **kwargs)

    def count_terms(*args: Any, **kwargs: Any) -> Any:
        calls.append("terms")
        return compile_terms(*args, **kwargs)

    monkeypatch.setattr(pm.Model, "logp_dlogp_function", count_headline)
    monkeypatch.setattr(pm.pytensorf, "compile", count_terms)
    return calls


@pytest.fixture
def plain_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the default mode be one that compiles at once: what is chosen matters, not how."""
    monkeypatch.setattr(modes, "get_default_mode", lambda: get_mode("FAST_COMPILE"))


def test_a_model_is_compiled_once(compiled: list[str]) -> None:
    """All calls and checks on one model must share its functions, whatever their seeds."""
    model = models.eight_schools()
    for seed in (0, 0, 1):
        target = objective(model, seed=seed)
        target.value()
        target.value_and_grad()
        target.value_and_grad({"mu": np.array(1.0)})
    assert compiled == ["headline", "terms"]


def test_a_model_built_anew_is_not_compiled_anew(compiled: list[str]) -> None:
    """Tests that each build the same model must share its functions, terms included."""
    first = objective(models.hierarchy()).value_and_grad()
    second = objective(models.hierarchy()).value_and_grad()
    assert compiled == ["headline", "terms"]
    assert second.value == first.value
    assert {n: c.value for n, c in second.components.items()} == {
        n: c.value for n, c in first.components.items()
    }


def schools(
    *, scale: float = 5.0, shift: float = 0.0, name: str = "mu", bounds: bool = True
) -> pm.Model:
    """Make a small model that differs from others in one thing."""
    with pm.Model(check_bounds=bounds) as model:
        mu = pm.Normal(name, 0, scale)
        pm.Normal("y", mu, 1, observed=np.array([1.0, 2.0]) + shift)
    return model


@pytest.mark.parametrize(
    "change", [{"scale": 6.0}, {"shift": 1e-9}, {"name": "nu"}, {"bounds": False}]
)
def test_a_model_that_differs_at_all_is_compiled(compiled: list[str], change: Any) -> None:
    """Another constant, the last digit of the data or a name must make another function."""
    objective(schools())
    assert objective(schools(**change)).value() is not None
    assert compiled == ["headline", "headline"]


def test_models_of_equal_data_share_functions_and_no_data(compiled: list[str]) -> None:
    """Two models with data of their own must each see their own, whichever is changed, and when."""
    one, other = models.data(), models.data()
    first, second = objective(one), objective(other)
    before = first.value_and_grad()
    for model, target, still in ((other, second, first), (one, first, second)):
        kept = still.value_and_grad()
        with model:
            pm.set_data({"y_values": np.arange(3.0)})
        assert target.value() != before.value
        assert same(still.value_and_grad(), kept)
        pm.set_data({"y_values": np.ones(3)}, model=model)
        assert same(target.value_and_grad(), before)
    assert compiled == ["headline", "terms"]


def test_data_that_differ_are_compiled_for(compiled: list[str]) -> None:
    """Only equal data make equal models: how one is compiled may depend on their values."""
    one, other = models.data(), models.data()
    pm.set_data({"y_values": np.zeros(3)}, model=other)
    assert objective(one).value() != objective(other).value()
    assert compiled == ["headline", "headline"]


def test_what_is_drawn_is_never_shared(compiled: list[str]) -> None:
    """A model with a generator of its own must keep it to itself."""
    for _ in range(2):
        objective(models.minibatch())
    assert compiled == ["headline", "headline"]


def test_a_fault_is_told_of_the_data_of_its_own_model() -> None:
    """What explains a number that is not finite must come from the model that was asked."""
    first, second = faulty(), faulty()
    targets = [objective(model) for model in (first, second)]
    for model, bad in ((first, -4.0), (second, -9.0)):
        pm.set_data({"x": np.array([1.0, bad])}, model=model)
    told = [target.origins() for target in (*targets, *targets) if target.origins is not None]
    assert [[origin.operation for origin in one] for one in told] == 2 * [
        ["sqrt(-4) = nan"],
        ["sqrt(-9) = nan"],
    ]


def faulty() -> pm.Model:
    """Make a model whose data may leave the domain of its potential."""
    with pm.Model() as model:
        x = pm.Data("x", np.array([1.0, 4.0]))
        pm.Potential("pull", (pt.sqrt(x) * pm.Normal("a", 0, 1)).sum())
    return model


def test_terms_that_need_the_model_are_not_shared(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where terms are derived from the model once more, each model must be compiled for itself."""
    monkeypatch.setattr(graph, "factors", lambda *_: [])
    found = [objective(models.potential()).value_and_grad() for _ in range(2)]
    assert same(*found)
    assert compiled == ["headline", "terms", "headline", "terms"]


def same(one: Evaluation, other: Evaluation) -> bool:
    """Return whether two evaluations have the same values and terms."""
    values = [[e.value, *(c.value for c in e.components.values())] for e in (one, other)]
    return values[0] == values[1]


def test_the_held_variables_are_those_of_each_model() -> None:
    """Equal models that start elsewhere must share functions, not starting points."""
    values = []
    for start in (0.0, 1.0):
        with pm.Model() as model:
            pm.Normal("a", initval=start)
            pm.Normal("b")
        values.append(objective(model, wrt="b").value())
    assert values[0] - values[1] == pytest.approx(0.5)


def test_only_so_many_functions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long session must not keep every function that it compiled."""
    cache.EQUAL.clear()
    monkeypatch.setattr(cache, "_MOST_EQUAL", 2)
    for scale in (1.0, 2.0, 3.0):
        objective(schools(scale=scale))
    assert len(cache.EQUAL) == 2


def test_compiling_is_announced() -> None:
    """Who waits for the compiler must be able to see what for."""
    cache.EQUAL.clear()
    heard = []
    with listening(lambda work: heard.append(work and work.what)):
        objective(models.potential()).value_and_grad()
    assert heard == [
        "compiling the log-density of 'model'", None, "compiling the terms of 'model'", None,
    ]  # fmt: skip


def test_the_model_derives_its_density_itself_again() -> None:
    """Compiling must leave the model's own function in its place."""
    cache.EQUAL.clear()
    model = models.potential()
    objective(model)
    assert "logp" not in vars(model)


def test_components_are_compiled_when_asked_for(compiled: list[str]) -> None:
    """The gradients of the terms must cost nothing to who does not want them."""
    objective(models.eight_schools()).value_and_grad(components=False)
    assert compiled == ["headline"]


def test_a_model_that_grows_is_compiled_again(compiled: list[str]) -> None:
    """A term added after the first call must be in the next one."""
    model = models.potential()
    before = objective(model).value()
    with model:
        pm.Potential("more", model["b"] * 2)
    after = objective(model)
    assert after.value() == pytest.approx(before + 2)
    assert list(after.value_and_grad().components) == ["a", "b", "pull", "more"]
    assert compiled == ["headline", "headline", "terms"]


def test_a_compiled_model_can_be_forgotten() -> None:
    """Keeping compiled functions must not keep the model alive."""
    model = models.potential()
    objective(model).value_and_grad()
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None


def test_no_compiler_is_left_switched_off() -> None:
    """Compiling without C must leave PyTensor's settings and its default mode as they were."""
    before = pytensor.config.cxx, get_mode(None).linker
    objective(models.potential()).value_and_grad()
    assert (pytensor.config.cxx, get_mode(None).linker) == before


def test_the_fast_mode_splits_long_sums() -> None:
    """No sum or product may take more than two operands: a Python loop would run it."""
    x = pt.dvectors(5)
    with modes.scope("fast"):
        function = pytensor.function(
            list(x), [sum(x), pt.prod(pt.stack(x))], modes.choose(None, 0).mode
        )
        values = function(*np.arange(10.0).reshape(5, 2))
    nodes = function.maker.fgraph.apply_nodes
    assert max(len(node.inputs) for node in nodes if "Add" in str(node.op)) == 2
    assert values[0].tolist() == [20.0, 25.0]


@pytest.mark.parametrize("name", ["FAST_COMPILE", "fast"])
def test_a_mode_by_name_is_used(name: str) -> None:
    """The mode that the user names must be the one that is used, and be in the facts."""
    target = objective(models.potential(), mode=name)
    assert target.facts["mode"] == name
    assert target.value() == pytest.approx(objective(models.potential()).value())


def test_a_mode_of_pytensor_is_used() -> None:
    """A mode object must be used, and be in the facts under a name without an address."""
    target = objective(models.potential(), mode=Mode("py", "fast_compile"))
    assert target.facts["mode"] == "Mode(PerformLinker)"
    assert target.value_and_grad().components["pull"].value == pytest.approx(-9.0)


def test_the_default_mode_can_be_asked_for(plain_default: None) -> None:
    """PyTensor's own mode must be there for the asking."""
    facts = objective(models.potential(), mode="default").facts
    assert (facts["mode"], "mode_reason" in facts) == ("default", False)


def test_an_unknown_mode_is_an_error() -> None:
    """A name that PyTensor does not know must be answered with those that it knows."""
    with pytest.raises(UsageError, match=r"mode='FASTER' is not a PyTensor mode; known: fast, def"):
        objective(models.potential(), mode="FASTER")


def test_a_mode_of_the_wrong_type_is_an_error() -> None:
    """What is no mode at all must be refused by its type."""
    with pytest.raises(UsageTypeError, match="a name or a pytensor Mode, not list"):
        objective(models.potential(), mode=["fast"])


def test_a_short_loop_is_fast() -> None:
    """A loop of a few steps must not cost a compiler."""
    assert objective(models.loop(5)).facts["mode"] == "fast"


def test_a_long_loop_is_compiled(plain_default: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop too long for Python must get the default mode, and the facts must say why."""
    monkeypatch.setattr(modes, "MOST_SCANNED", 5)
    facts = objective(models.loop(6)).facts
    assert facts["mode"] == "default"
    assert facts["mode_reason"] == "a Scan too long to run in Python"


def test_a_loop_of_unknown_length_is_compiled(plain_default: None) -> None:
    """A loop whose length depends on a parameter must be taken for a long one."""
    with pm.Model() as model:
        a = pm.HalfNormal("a")
        steps = pt.cast(pt.ceil(a) + 2, "int64")
        series = models.scan(
            lambda last, slope: last * slope,
            outputs_info=[pt.ones(())],
            non_sequences=[a],
            n_steps=steps,
        )
        pm.Potential("last", -(series[-1] ** 2))
    assert objective(model).facts["mode"] == "default"


class Compiled(Op):
    """Stand for an Op that only a compiler can run: the first call, in Python, fails."""

    calls = 0

    def make_node(self, *inputs: Any) -> Apply:
        """Take a scalar, return a scalar."""
        return Apply(self, [pt.as_tensor(inputs[0])], [pt.dscalar()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        """Compute it, but not the first time."""
        type(self).calls += 1
        if type(self).calls == 1:
            raise NotImplementedError
        output_storage[0][0] = np.asarray(inputs[0] ** 2)

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Return the gradient, as PyTensor 3 asks for it."""
        return [2 * inputs[0] * cotangents[0]]

    L_op = pullback  # as PyTensor 2 asks for it


def compiled_only() -> pm.Model:
    """Make a model with an Op that has no Python implementation."""
    Compiled.calls = 0
    with pm.Model() as model:
        pm.Potential("op", -Compiled()(pm.Normal("x", 1, 1)))
    return model


def test_an_op_without_python_is_compiled(plain_default: None) -> None:
    """What Python cannot run must get the default mode, and the facts must say why."""
    target = objective(compiled_only())
    assert target.facts["mode"] == "default"
    assert str(target.facts["mode_reason"]).startswith("no Python implementation: ")
    assert target.value_and_grad().components["op"].value == -1.0


def test_the_fast_mode_can_be_insisted_on(plain_default: None) -> None:
    """Who asks for the fast mode must get it or the error."""
    with pytest.raises(NotImplementedError):
        objective(compiled_only(), mode="fast")


class Drifting(Op):
    """Add noise from a generator of its own."""

    def __init__(self) -> None:
        """Make the generator."""
        self.generator = np.random.default_rng(0)

    def make_node(self, *inputs: Any) -> Apply:
        """Take a scalar, return a scalar."""
        return Apply(self, [pt.as_tensor(inputs[0])], [pt.dscalar()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        """Compute it."""
        output_storage[0][0] = np.asarray(inputs[0] + self.generator.normal())

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Return the gradient, as PyTensor 3 asks for it."""
        return [cotangents[0]]

    L_op = pullback  # as PyTensor 2 asks for it


def test_a_density_that_no_seed_repeats_is_an_error() -> None:
    """A random density that keeps its random state to itself must be refused, not measured."""
    model = models.minibatch()
    with model:
        pm.Potential("drift", Drifting()(model["x"]))
    with pytest.raises(UsageError, match=r"'model' \(pymc\): the log-density is random, .*mode="):
        objective(model)


def test_a_bad_point_compiles_the_terms_like_the_headline(compiled: list[str]) -> None:
    """Where a number is not finite, what is said of the terms must be said by the same rewrites."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1)
        pm.Potential("pull", pt.sqrt(1 - x))
    target = objective(model)
    good = target.value_and_grad()
    bad = target.value_and_grad({"x": np.array(2.0)})
    assert compiled == ["headline", "terms", "terms"]
    assert np.isnan(bad.components["pull"].value)
    assert bad.components["x"].value == pytest.approx(-2.0 - 0.5 * np.log(2 * np.pi))
    again = target.value_and_grad()
    assert [c.value for c in again.components.values()] == [
        c.value for c in good.components.values()
    ]
    assert compiled == ["headline", "terms", "terms"]


@pytest.mark.parametrize("build", GALLERY, ids=lambda build: build.__name__)
def test_plain_terms_are_the_rewritten_ones(
    build: Callable[[], pm.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the terms are at a point must not depend on how they were compiled, but for rounding."""
    cache.EQUAL.clear()
    plain = objective(build()).value_and_grad()
    monkeypatch.setattr(terms.Terms, "plainly", lambda *_: [])
    cache.EQUAL.clear()
    rewritten = objective(build()).value_and_grad()
    whole = [to_numpy(g) for g in rewritten.grads.values() if g is not None]
    floor = 1e-12 * max(float(np.max(np.abs(g), initial=0.0)) for g in whole)
    for name, one in plain.components.items():
        other = rewritten.components[name]
        assert one.value == pytest.approx(other.value, rel=1e-10)
        assert one.grads.keys() == other.grads.keys()
        for parameter, grad in one.grads.items():
            wanted = other.grads[parameter]
            assert (grad is None) == (wanted is None)
            if grad is not None and wanted is not None:
                np.testing.assert_allclose(
                    to_numpy(grad), to_numpy(wanted), rtol=1e-8, atol=floor or 1e-300
                )


def test_an_op_that_only_rewriting_makes_runnable_has_terms(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Terms that cannot be evaluated as they were derived must come from the other function."""

    def refuse(*_: object) -> None:
        raise NotImplementedError

    target = objective(models.potential())
    wanted = {name: c.value for name, c in target.value_and_grad().components.items()}
    cache.EQUAL.clear()
    target = objective(models.potential())
    monkeypatch.setattr(
        terms.Terms,
        "_compiled",
        lambda self, mode, real=terms.Terms._compiled: (
            refuse if mode is modes.plain() else real(self, mode)
        ),
    )
    found = {name: c.value for name, c in target.value_and_grad().components.items()}
    assert found == pytest.approx(wanted, rel=1e-12)
    assert compiled == ["headline", "terms", "headline", "terms"]


def test_compiling_leaves_the_collector_as_it_was() -> None:
    """The garbage collector must run afterwards where it ran before, and only there."""
    for switch, running in ((gc.enable, True), (gc.disable, False)):
        cache.EQUAL.clear()
        switch()
        try:
            objective(models.potential()).value_and_grad()
            assert gc.isenabled() is running
        finally:
            gc.enable()
