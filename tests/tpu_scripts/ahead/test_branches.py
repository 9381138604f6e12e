"""What a branch costs, asked of XLA in a program that is worked out by hand."""

import jax
import jax.numpy as jnp
import pytest

from tpu_scripts.ahead.branches import measure_branches


def compile_text(function, *arguments):
    return jax.jit(function).lower(*arguments).compile().as_text()


def test_a_program_without_conditional_has_none():
    assert measure_branches(compile_text(lambda x: x @ x, jnp.ones((8, 8)))) == (0.0, 0.0)


def test_the_costliest_branch_is_a_share_of_the_whole():
    """One product always, and three more in the one branch: three quarters of the FLOPs."""

    def function(x, moves):
        y = x @ x
        return jax.lax.cond(moves, lambda: ((y @ x) @ x) @ x, lambda: y)

    text = compile_text(function, jnp.ones((64, 64)), jnp.array(True))
    flops, bytes_accessed = measure_branches(text)
    assert flops == pytest.approx(0.75, abs=0.01)
    assert 0.4 < bytes_accessed < 0.9
