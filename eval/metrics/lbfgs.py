"""L-BFGS as one jittable loop, step for step like SciPy's L-BFGS-B without bounds.

InfoE stops some fits before they converge, so its number depends on the path of the optimiser:
an accelerator gives the number of the host only by walking the same path. Nocedal and Wright,
"Numerical Optimization", algorithm 7.4; Moré and Thuente, "Line search algorithms with guaranteed
sufficient decrease", ACM TOMS 1994, sections 2 to 4.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

MEMORY = 10
_SUFFICIENT_DECREASE, _CURVATURE, _INTERVAL = 1e-3, 0.9, 0.1
_LONGEST_STEP = 1e10

Array = Any


class _Point(NamedTuple):
    """A step along the search direction, with the loss and its slope there."""

    step: Array
    loss: Array
    slope: Array


class _Search(NamedTuple):
    """A line search under way; `best` and `other` are the ends of its interval."""

    start: _Point
    best: _Point
    other: _Point
    step: Array
    lower: Array
    upper: Array
    width: Array
    previous_width: Array
    bracketed: Array
    descending: Array
    evaluations: Array


class _State(NamedTuple):
    """An iterate, its memory of the last steps, and the search along its direction."""

    x: Array
    loss: Array
    gradient: Array
    direction: Array
    steps_MxP: Array
    changes_MxP: Array
    inverse_M: Array
    search: _Search
    iteration: Array
    done: Array


def minimize(
    objective: Callable[[Array], Array],
    start_P: Array,
    *,
    max_iterations: Array | int,
    gradient_tolerance: float,
    loss_tolerance: float,
    max_evaluations: int,
) -> Array:
    """The last iterate (P,) of L-BFGS from `start_P`.

    Args:
      objective: a differentiable function of (P,) that gives a scalar.
      start_P: float64, or the path soon leaves that of the host.
      max_iterations: iterations at most.
      gradient_tolerance: ends where no entry of the gradient is larger.
      loss_tolerance: ends where an iteration gains less than this share of the loss.
      max_evaluations: evaluations in one line search at most.
    """
    evaluate = jax.value_and_grad(objective)

    def advance(state: _State) -> _State:
        x = state.x + state.search.step * state.direction
        loss, gradient = evaluate(x)
        point = _Point(state.search.step, loss, jnp.vdot(gradient, state.direction))
        search, accepted = _advance_search(state.search, point)
        searching = state._replace(search=search)
        gave_up = ~accepted & (search.evaluations >= max_evaluations)
        state = _select(gave_up, _forget(state), searching)
        return _select(accepted, accept(searching, x, loss, gradient), state)

    def accept(state: _State, x: Array, loss: Array, gradient: Array) -> _State:
        gain = state.loss - loss
        scale = jnp.maximum(jnp.maximum(jnp.abs(state.loss), jnp.abs(loss)), 1.0)
        iteration = state.iteration + 1
        done = (
            (jnp.abs(gradient).max() <= gradient_tolerance)
            | (gain <= loss_tolerance * scale)
            | (iteration >= max_iterations)
        )
        state = _remember(state, x - state.x, gradient - state.gradient)
        state = state._replace(x=x, loss=loss, gradient=gradient, iteration=iteration, done=done)
        direction = _find_direction(state)
        state = state._replace(direction=direction)
        search = _start_search(loss, jnp.vdot(gradient, direction), 1.0)
        return _select(
            search.start.slope < 0, state._replace(search=search), _forget(state, done=done)
        )

    loss, gradient = evaluate(start_P)
    slope = -jnp.vdot(gradient, gradient)
    first_step = jnp.minimum(1 / jnp.sqrt(jnp.maximum(-slope, 1e-300)), _LONGEST_STEP)
    memory_MxP = jnp.zeros((MEMORY, *start_P.shape), start_P.dtype)
    state = _State(
        x=start_P,
        loss=loss,
        gradient=gradient,
        direction=-gradient,
        steps_MxP=memory_MxP,
        changes_MxP=memory_MxP,
        inverse_M=jnp.zeros(MEMORY, start_P.dtype),
        search=_start_search(loss, slope, first_step),
        iteration=jnp.array(0),
        done=jnp.abs(gradient).max() <= gradient_tolerance,
    )
    return lax.while_loop(lambda state: ~state.done, advance, state).x


def _select(condition: Array, yes: _State, no: _State) -> _State:
    return jax.tree.map(lambda one, other: jnp.where(condition, one, other), yes, no)


def _forget(state: _State, done: Array | bool = False) -> _State:
    """Starts again along the gradient after a search that failed; ends if that had been tried."""
    slope = -jnp.vdot(state.gradient, state.gradient)
    return state._replace(
        direction=-state.gradient,
        inverse_M=jnp.zeros_like(state.inverse_M),
        search=_start_search(state.loss, slope, 1.0),
        done=done | ~state.inverse_M.any(),
    )


def _remember(state: _State, step: Array, change: Array) -> _State:
    """Stores a step and its change of gradient, unless the loss did not curve upwards along it."""
    product = jnp.vdot(step, change)
    curved = product > jnp.finfo(product.dtype).eps * -jnp.vdot(step, state.gradient)
    updated = state._replace(
        steps_MxP=jnp.concatenate([state.steps_MxP[1:], step[None]]),
        changes_MxP=jnp.concatenate([state.changes_MxP[1:], change[None]]),
        inverse_M=jnp.concatenate([state.inverse_M[1:], 1 / product[None]]),
    )
    return _select(curved, updated, state)


def _find_direction(state: _State) -> Array:
    """Minus the gradient times the approximate inverse Hessian; unused memory has inverse 0."""

    def project(direction: Array, memory: tuple) -> tuple[Array, Array]:
        step, change, inverse = memory
        share = inverse * jnp.vdot(step, direction)
        return direction - share * change, share

    def restore(direction: Array, memory: tuple) -> tuple[Array, None]:
        (step, change, inverse), share = memory
        return direction + (share - inverse * jnp.vdot(change, direction)) * step, None

    memory = (state.steps_MxP, state.changes_MxP, state.inverse_M)
    direction, shares_M = lax.scan(project, -state.gradient, memory, reverse=True)
    curvature = state.inverse_M[-1] * jnp.vdot(state.changes_MxP[-1], state.changes_MxP[-1])
    direction = direction / jnp.where(curvature > 0, curvature, 1.0)
    return lax.scan(restore, direction, (memory, shares_M))[0]


def _start_search(loss: Array, slope: Array, step: Array | float) -> _Search:
    zero = jnp.zeros_like(loss)
    start = _Point(zero, loss, slope)
    step = zero + step
    width = zero + _LONGEST_STEP
    false = jnp.array(False)
    return _Search(
        start, start, start, step, zero, 5 * step, width, 2 * width, false, false, jnp.array(0)
    )


def _advance_search(search: _Search, point: _Point) -> tuple[_Search, Array]:
    """Takes in one evaluation; returns the search with its next step, and whether it is over."""
    required_slope = _SUFFICIENT_DECREASE * search.start.slope
    required_loss = search.start.loss + point.step * required_slope
    low_enough = point.loss <= required_loss
    at_end = (point.step <= search.lower) | (point.step >= search.upper)
    narrow = search.upper - search.lower <= _INTERVAL * search.upper
    over = (
        (low_enough & (jnp.abs(point.slope) <= -_CURVATURE * search.start.slope))
        | (search.bracketed & (at_end | narrow))
        | ((point.step >= _LONGEST_STEP) & low_enough & (point.slope <= required_slope))
    )
    descending = search.descending | (low_enough & (point.slope >= required_slope))
    # Until a low enough step with a rising slope is seen, look at the loss above the line of
    # sufficient decrease: its minimum is such a step.
    tilted = ~descending & (point.loss <= search.best.loss) & ~low_enough
    tilt = jnp.where(tilted, required_slope, 0.0)
    best, other, trial = (
        _Point(p.step, p.loss - tilt * p.step, p.slope - tilt)
        for p in (search.best, search.other, point)
    )
    best, other, step, bracketed = _interpolate(best, other, trial, search)
    best, other = (_Point(p.step, p.loss + tilt * p.step, p.slope + tilt) for p in (best, other))

    span = jnp.abs(other.step - best.step)
    halve = bracketed & (span >= 0.66 * search.previous_width)
    step = jnp.where(halve, best.step + 0.5 * (other.step - best.step), step)
    lower = jnp.where(
        bracketed, jnp.minimum(best.step, other.step), step + 1.1 * (step - best.step)
    )
    upper = jnp.where(bracketed, jnp.maximum(best.step, other.step), step + 4 * (step - best.step))
    step = jnp.clip(step, 0.0, _LONGEST_STEP)
    stuck = (step <= lower) | (step >= upper) | (upper - lower <= _INTERVAL * upper)
    search = search._replace(
        best=best,
        other=other,
        step=jnp.where(bracketed & stuck, best.step, step),
        lower=lower,
        upper=upper,
        width=jnp.where(bracketed, span, search.width),
        previous_width=jnp.where(bracketed, search.width, search.previous_width),
        bracketed=bracketed,
        descending=descending,
        evaluations=search.evaluations + 1,
    )
    return search, over


def _interpolate(
    best: _Point, other: _Point, trial: _Point, search: _Search
) -> tuple[_Point, _Point, Array, Array]:
    """The interval with the trial taken in, the next step, and whether a minimum is bracketed."""
    away = trial.step > best.step
    cubic = _cubic_minimum(best, trial)
    secant = trial.step + trial.slope / (trial.slope - best.slope) * (best.step - trial.step)
    near_cubic = jnp.abs(cubic - trial.step) < jnp.abs(secant - trial.step)

    # The trial is higher than the best: a minimum lies between them.
    drop = (best.loss - trial.loss) / (trial.step - best.step)
    parabola = best.step + best.slope / (drop + best.slope) / 2 * (trial.step - best.step)
    nearer = jnp.abs(cubic - best.step) < jnp.abs(parabola - best.step)
    if_higher = jnp.where(nearer, cubic, cubic + (parabola - cubic) / 2)
    # It is lower and the slope changes sign: so too.
    if_turned = jnp.where(near_cubic, secant, cubic)
    # It is lower and the slope less steep: the cubic helps only if it has a minimum beyond.
    limit = jnp.where(away, search.upper, search.lower)
    beyond = jnp.where(_has_minimum_beyond(best, trial), cubic, limit)
    near_beyond = jnp.abs(beyond - trial.step) < jnp.abs(secant - trial.step)
    within = jnp.where(near_beyond, beyond, secant)
    cautious = trial.step + 0.66 * (other.step - trial.step)
    within = jnp.where(away, jnp.minimum(cautious, within), jnp.maximum(cautious, within))
    outside = jnp.clip(jnp.where(near_beyond, secant, beyond), search.lower, search.upper)
    if_flatter = jnp.where(search.bracketed, within, outside)
    # It is lower and no less steep.
    if_steeper = jnp.where(search.bracketed, _cubic_minimum(other, trial), limit)

    higher = trial.loss > best.loss
    turned = trial.slope * jnp.sign(best.slope) < 0
    flatter = jnp.abs(trial.slope) < jnp.abs(best.slope)
    step = jnp.select([higher, turned, flatter], [if_higher, if_turned, if_flatter], if_steeper)
    keep = jax.tree.map(lambda one, two: jnp.where(turned, one, two), best, other)
    new_other = jax.tree.map(lambda one, two: jnp.where(higher, one, two), trial, keep)
    new_best = jax.tree.map(lambda one, two: jnp.where(higher, one, two), best, trial)
    return new_best, new_other, step, search.bracketed | higher | turned


def _cubic_parts(one: _Point, trial: _Point) -> tuple[Array, Array]:
    """Of the cubic through two points and slopes: its middle slope, and its discriminant's root."""
    middle = 3 * (one.loss - trial.loss) / (trial.step - one.step) + one.slope + trial.slope
    scale = jnp.maximum(jnp.maximum(jnp.abs(middle), jnp.abs(one.slope)), jnp.abs(trial.slope))
    square = (middle / scale) ** 2 - (one.slope / scale) * (trial.slope / scale)
    root = scale * jnp.sqrt(jnp.maximum(square, 0.0))
    return middle, jnp.where(trial.step > one.step, -root, root)


def _cubic_minimum(one: _Point, trial: _Point) -> Array:
    """The step to the minimum of the cubic through two points and their slopes."""
    middle, root = _cubic_parts(one, trial)
    ratio = (root - trial.slope + middle) / (2 * root - trial.slope + one.slope)
    return trial.step + ratio * (one.step - trial.step)


def _has_minimum_beyond(one: _Point, trial: _Point) -> Array:
    """Whether that cubic has a minimum on the far side of the trial."""
    middle, root = _cubic_parts(one, trial)
    ratio = (root - trial.slope + middle) / (2 * root - trial.slope + one.slope)
    return (ratio < 0) & (root != 0)
