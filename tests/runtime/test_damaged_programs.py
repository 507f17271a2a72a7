"""Compiled programs that are damaged on disk are compiled and written again, without a message."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.compilation_cache import decompress_executable as unpacked
from jax.experimental.compilation_cache import compilation_cache

from jaxopt_notes.runtime.compilation import keep_compiled
from jaxopt_notes.runtime.host import host_settings


@pytest.mark.parametrize("damage", ["flipped", "empty", "cut"])
def test_a_damaged_program_is_replaced(tmp_path, damage):
    def run():
        def doubled_here(x):  # another function each time, of which JAX remembers nothing
            return x + x

        compilation_cache.reset_cache()
        return np.asarray(jax.jit(doubled_here)(jnp.arange(3.0)))

    show = warnings.showwarning
    with warnings.catch_warnings(record=True) as shown, host_settings():
        warnings.simplefilter("always")
        keep_compiled(str(tmp_path))
        assert run().tolist() == [0, 2, 4]
        (file,) = tmp_path.glob("jit_doubled_here-*-cache")
        whole = file.read_bytes()
        places = range(0, len(whole), max(1, len(whole) // 12)) if damage == "flipped" else [0]
        for place in places:
            content = bytearray(whole)
            content[place] ^= 1 << place % 8
            cut = {"empty": b"", "cut": whole[: len(whole) // 2]}
            damaged = cut.get(damage, bytes(content))
            file.write_bytes(damaged)
            assert run().tolist() == [0, 2, 4]
            assert len(file.read_bytes()) > len(whole) / 2
            # Where a program repeats itself, other compressed bytes can stand for the same one.
            assert file.read_bytes() != damaged or unpacked(damaged) == unpacked(whole)
        assert not [str(each.message) for each in shown if "compilation cache" in str(each.message)]
        warnings.warn("another", stacklevel=1)
        assert "another" in str(shown[-1].message)
    assert warnings.showwarning is show
