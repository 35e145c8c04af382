"""What a watched loop computes, what is seen of it, and what is left behind."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from pytest_gradcheck import GradientError, Rule, StepProbe, UsageError, watch
from pytest_gradcheck.watching import observed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_gradcheck.records import Series


def make() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Return a small model with a batch."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Tanh(), nn.Linear(8, 1))
    return model, torch.randn(16, 4), torch.randn(16, 1)


def train(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    steps: int = 4,
    clip: Callable[[nn.Module], Any] | None = None,
    accumulate: int = 1,
) -> list[float]:
    """Train as any loop does, and return the total gradient norms before clipping."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = []
    for _ in range(steps):
        optimizer.zero_grad()
        for _ in range(accumulate):
            (nn.functional.mse_loss(model(x), y) / accumulate).backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        seen.append(float(torch.cat([g.flatten() for g in grads]).double().norm()))
        if clip is not None:
            clip(model)
        optimizer.step()
    return seen


def series_of(**options: Any) -> tuple[Series, list[float]]:
    """Return what is seen of a loop, and the norms that the loop itself saw."""
    model, x, y = make()
    with observed(model) as run:
        seen = train(model, x, y, **options)
    return run.series, seen


def taps() -> list[object]:
    """Return everything in torch that watching may exchange."""
    from torch.amp.grad_scaler import GradScaler
    from torch.nn.utils import clip_grad
    from torch.optim import optimizer

    cells = [
        cell.cell_contents
        for function in (clip_grad.clip_grad_norm_, clip_grad.clip_grad_value_)
        for cell in function.__closure__ or ()
    ]
    hooks = [*optimizer._global_optimizer_pre_hooks, *optimizer._global_optimizer_post_hooks]
    return [torch.autograd.backward, GradScaler.scale, GradScaler.step, *cells, *hooks]


def test_a_watched_loop_computes_the_same_bits() -> None:
    """Weights and gradients must be those of the loop unwatched, dropout and clipping included."""
    plain, x, y = make()
    train(plain, x, y, clip=lambda m: clip_grad_norm_(m.parameters(), 0.1))
    watched, x, y = make()
    with observed(watched):
        train(watched, x, y, clip=lambda m: clip_grad_norm_(m.parameters(), 0.1))
    for one, other in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one.grad, other.grad)  # type: ignore[arg-type] # both are there


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_behind(*, fails: bool) -> None:
    """Every hook and every exchanged function must be back, after an exception too."""
    before = taps()
    model, x, y = make()
    try:
        with observed(model):
            train(model, x, y)
            if fails:
                raise KeyError("missing")  # noqa: EM101, TRY301 - as a loop does
    except KeyError:
        assert fails
    assert taps() == before
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_norms_and_losses_are_those_of_the_loop() -> None:
    """The total norm must be what the loop itself would compute, before clipping."""
    series, seen = series_of(clip=lambda m: clip_grad_norm_(m.parameters(), 0.1))
    assert series["norm"].values == pytest.approx(seen, rel=1e-5)
    assert series["clipped"].values == (1.0,) * 4
    assert series["clip_threshold"].values == (0.1,) * 4
    assert series["applied_norm"].values == pytest.approx([0.1] * 4, rel=1e-4)
    parts = [series[f"norm.{name}"].values[0] for name in ("0.weight", "0.bias", "3.weight")]
    assert math.hypot(*parts, series["norm.3.bias"].values[0]) == pytest.approx(seen[0], rel=1e-5)


def test_a_threshold_that_is_not_reached_does_not_clip() -> None:
    """Clipping that changes nothing must count as not clipped."""
    series, _ = series_of(clip=lambda m: clip_grad_norm_(m.parameters(), 1e3))
    assert set(series["clipped"].values) == {0.0}


@pytest.mark.parametrize(("threshold", "clipped"), [(1e-3, 1.0), (1e3, 0.0)])
def test_clipping_by_value_is_seen(threshold: float, clipped: float) -> None:
    """Value clipping counts where an element is larger, and the norm is that before it."""
    series, seen = series_of(clip=lambda m: clip_grad_value_(m.parameters(), threshold))
    assert set(series["clipped"].values) == {clipped}
    assert series["norm"].values == pytest.approx(seen, rel=1e-5)
    assert (series["applied_norm"].values[0] < seen[0] / 2) == bool(clipped)


def test_accumulated_gradients_are_one_step() -> None:
    """Several backward calls before a step must add up to one loss."""
    model, x, y = make()
    model.eval()
    loss = float(nn.functional.mse_loss(model(x), y).detach())
    with observed(model) as run:
        train(model, x, y, steps=2, accumulate=4)
    assert run.series.steps == 2
    assert run.series["backwards"].values == (4.0, 4.0)
    assert run.series["loss"].values[0] == pytest.approx(loss, rel=1e-5)


def test_update_ratio_and_learning_rate() -> None:
    """Plain gradient descent moves the weights by rate times norm."""
    series, seen = series_of(steps=1)
    model, _, _ = make()
    weights = torch.cat([p.detach().flatten() for p in model.parameters()]).norm().item()
    assert series["lr"].values == (0.1,)
    assert series["update_ratio"].values[0] == pytest.approx(0.1 * seen[0] / weights, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.complex64])
def test_update_ratio_in_every_dtype(dtype: torch.dtype) -> None:
    """Weights must be seen to move in whatever dtype they are, from one step to the next."""
    start = torch.tensor([3.0, 4.0], dtype=dtype)
    weight = nn.Parameter(start.clone())
    other = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight, other], lr=1.0)
    with observed(optimizer=optimizer) as run:
        for step in (0.5, 1.0):
            weight.data = start.clone()  # which no version counter tells of
            weight.grad, other.grad = step * start, torch.zeros(2)
            optimizer.step()
    assert run.series["update_ratio"].values == pytest.approx([0.5, 1.0], rel=1e-6)


def test_other_parameters_from_step_to_step() -> None:
    """A step that moves fewer parameters, or larger ones, must be measured on its own."""
    one, two = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
    optimizer = torch.optim.SGD([one, two], lr=1.0)
    with observed(optimizer=optimizer) as run:
        for first, second, size in ((0.5, 0.5, 4), (None, 0.25, 4), (0.25, 0.25, 9)):
            for parameter, grad in ((one, first), (two, second)):
                parameter.data = torch.ones(size)
                parameter.grad = None if grad is None else torch.full((size,), grad)
            optimizer.step()
    assert run.series["update_ratio"].values == pytest.approx([0.5, 0.25, 0.25])


def test_clipping_takes_each_norm_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The norms that clipping needs must be taken once, by torch, however many watch."""
    asked = []
    plain = torch._foreach_norm

    def counted(tensors: list[torch.Tensor], *args: Any) -> tuple[torch.Tensor, ...]:
        asked.append(len(tensors))
        return plain(tensors, *args)

    monkeypatch.setattr(torch, "_foreach_norm", counted)
    model, x, y = make()
    with observed(model, updates=0), observed(model, updates=0):
        train(model, x, y, steps=2, clip=lambda m: clip_grad_norm_(m.parameters(), 0.1))
    assert asked == [4, 4]
    assert torch._foreach_norm is counted


def test_several_optimizers_have_their_own_metrics() -> None:
    """Each optimizer's steps must carry its name, with its own loss and norm."""
    first, x, y = make()
    second, _, _ = make()
    one = torch.optim.SGD(first.parameters(), lr=0.1)
    two = torch.optim.SGD(second.parameters(), lr=0.2)
    with observed(optimizer={"actor": one, "critic": two}) as run:
        for _ in range(3):
            for model, optimizer, factor in ((first, one, 1.0), (second, two, 10.0)):
                optimizer.zero_grad()
                (factor * nn.functional.mse_loss(model(x), y)).backward()
                optimizer.step()
            run.log(score=1.0)
    series = run.series
    assert series.steps == 3
    assert series["actor.lr"].values == (0.1,) * 3
    assert series["critic.norm"].values[0] > 5 * series["actor.norm"].values[0]
    assert series["score"].steps == (0, 1, 2)


def test_a_closure_is_heard() -> None:
    """An optimizer that is given a closure must show the gradients that the closure computes."""
    model, x, y = make()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        return loss

    with observed(model) as run:
        for _ in range(2):
            optimizer.step(closure)
    assert run.series.steps == 2
    assert all(norm > 0 for norm in run.series["norm"].values)


def test_a_gradient_scaler_is_seen_through() -> None:
    """Loss and norms must be unscaled; a step that overflows counts as skipped and has no norm."""
    model, x, y = make()
    model.eval()
    loss = float(nn.functional.mse_loss(model(x), y).detach())
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with observed(model) as run:
        for step in range(3):
            optimizer.zero_grad()
            factor = math.inf if step == 1 else 1.0
            value = nn.functional.mse_loss(model(x), y) * factor
            scaler.scale(value).backward()
            scaler.unscale_(optimizer)
            clip_grad_norm_(model.parameters(), 100.0)
            scaler.step(optimizer)
            scaler.update()
    series = run.series
    assert series["loss"].values[0] == pytest.approx(loss, rel=1e-5)
    assert series["loss_scale"].values == (1024.0, 1024.0, 512.0)
    assert series["skipped"].values == (0.0, 1.0, 0.0)
    assert series["norm"].steps == (0, 2)
    assert series["norm"].values[0] < 100


def test_a_model_that_nobody_named_is_found() -> None:
    """Without a model, parameters must have the names that their module has for them."""
    model, x, y = make()
    with observed() as run:
        train(model, x, y)
    assert "norm.3.weight" in run.series
    assert run.series.objective == "Sequential"


def test_the_model_found_is_the_whole_of_it() -> None:
    """Neither a part that has every parameter, nor what wraps the model, must give the names."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, *_ = make()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.body(x)
            return found

    _, x, y = make()
    model = Net()
    wrapper, both = nn.DataParallel(model), nn.ModuleList([model, nn.Linear(2, 2)])
    with observed() as run:
        train(model, x, y)
    assert wrapper.module is both[0]
    assert run.series.objective == "Net"
    assert "norm.body.3.weight" in run.series


def test_inputs_are_described() -> None:
    """What is fed to the model must be seen, once a step."""
    model, x, y = make()
    with observed(model) as run:
        train(model, 1000 * x, y, steps=2)
    assert run.series["input.max"].values == pytest.approx([1000 * x.max().item()] * 2)
    assert run.series["input.std"].values[0] == pytest.approx(1000 * x.std(correction=0).item())
    assert run.series.facts["batch"] == 16


def test_logged_values_belong_to_their_step() -> None:
    """A number logged after a step belongs to it, one logged before to the step in progress."""
    model, x, y = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with observed(model) as run:
        for i in range(3):
            loss = nn.functional.mse_loss(model(x), y)
            run.log(before=torch.tensor(float(i)))
            loss.backward()
            optimizer.step()
            run.log(after=i, components={"fit": loss})
    assert run.series["before"].steps == run.series["after"].steps == (0, 1, 2)
    assert run.series["before"].values == run.series["after"].values == (0.0, 1.0, 2.0)
    assert run.series["component.fit"].values == pytest.approx(run.series["loss"].values)


def test_probes_have_their_own_cadence() -> None:
    """A probe must be read at its own steps, and leave the random stream as it was."""
    model, x, y = make()
    probe = StepProbe(name="noise", read=lambda: {"draw": torch.rand(())}, every=2)
    with observed(model, probes=probe) as run:
        train(model, x, y, steps=5)
    plain, x, y = make()
    train(plain, x, y, steps=5)
    assert run.series["noise.draw"].steps == (0, 2, 4)
    assert torch.equal(plain[0].weight, model[0].weight)  # type: ignore[index] # a Sequential


def test_epochs_split_the_clip_ratio() -> None:
    """Epochs must begin where the loop says."""
    model, x, y = make()
    with observed(model) as run:
        for _ in range(2):
            run.epoch()
            train(model, x, y, steps=3)
    # Each call of train() makes an optimizer of its own: two names, three steps each.
    assert run.series.epochs == (3,)


def test_two_watchers_hear_the_same() -> None:
    """A watched loop inside a watched loop must be seen by both."""
    model, x, y = make()
    with observed(model) as outer, observed(model) as inner:
        train(model, x, y)
    assert outer.series["norm"] == inner.series["norm"]


def test_unhealthy_inputs_fail_and_say_what_to_do() -> None:
    """Inputs in their own units must fail with their range and the step to try first."""
    model, x, y = make()
    with pytest.raises(GradientError) as failure, watch(model):
        train(model, 1000 * x, y, clip=lambda m: clip_grad_norm_(m.parameters(), 0.01))
    text = str(failure.value)
    assert "inputs [input.max_abs]  values from " in text
    assert "next step 1: input scale" in text
    assert "clip_ratio [clipped]  mean 1 over steps 0 to 3; healthy 0 to 0.2" in text


def test_a_healthy_run_passes_quietly() -> None:
    """A sound loop must not fail, and a rule of the call must be judged."""
    model, x, y = make()
    with watch(model, rules=Rule(metric="lr", healthy=(0.1, 0.1)), max_norm=100) as run:
        train(model, x, y)
    assert run.verdict is not None
    assert run.verdict.passed
    assert run.verdict.result("lr") is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 3}, "takes a torch.nn.Module"),
        ({"optimizer": "adam"}, "takes a torch.optim.Optimizer"),
        ({"rules": "loss"}, "takes a Rule"),
        ({"without": "clip"}, "there is no such rule"),
        ({"numeric": True}, "does not apply to a training run"),
        ({"max_nrm": 1.0}, "did you mean 'max_norm'"),
        ({"probes": 1}, "StepProbe"),
    ],
)
def test_a_mistake_is_refused_before_the_loop(arguments: dict[str, Any], message: str) -> None:
    """A wrong argument must be named, with what is allowed, before anything is trained."""
    if arguments == {"probes": 1}:
        arguments = {"probes": (1,)}
    with pytest.raises(UsageError, match=message), watch(**arguments):
        pytest.fail("the loop began")


def test_an_optimizer_of_another_model_is_refused() -> None:
    """An optimizer that steps none of the model's parameters must be refused."""
    model, _, _ = make()
    other, _, _ = make()
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    with pytest.raises(UsageError, match="another copy"), watch(model, optimizer=optimizer):
        pytest.fail("the loop began")


def test_a_loop_without_gradients_is_an_error() -> None:
    """Steps that have nothing to step with are what a forgotten backward() leaves."""
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loop() -> None:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(4, 2)).mean()
            optimizer.step()

    told = r"watch\(\): 3 optimizer steps were seen, and no gradient at any of them\. Is backward"
    with pytest.raises(UsageError, match=told), watch(model):
        loop()


def test_a_loop_without_steps_is_an_error() -> None:
    """A block in which nothing was trained must not look like a passed check."""
    model, _, _ = make()
    with pytest.raises(UsageError, match="no optimizer step was seen"), watch(model):
        pass
