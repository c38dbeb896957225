# %% [markdown]
# # An array that outlives a restart of the kernel's workers, looked at in a notebook
#
# Cells as Jupyter, VS Code and jupytext read them. It runs as a script, too.

# %%
import areas
import numpy as np

frames = areas.create("notebook-frames", shape=(64, 256, 256), dtype="f4")
frames

# %% [markdown]
# `frames.array` is an ordinary NumPy array over the shared memory. Pages come as they are touched.

# %%
array = frames.array
array[:32] = np.random.default_rng(0).random((32, 256, 256), dtype="f4")
print(frames.residency())

# %% [markdown]
# Where each page is:

# %%
frames.show()

# %% [markdown]
# Another kernel, or a process beside it, finds it by its name. Here it is this one. For reading
# only, unless `write=True` is said.

# %%
again = areas.find("notebook-frames")
assert np.array_equal(again.array, array)
assert not again.array.flags.writeable
again.close()
del again

# %% [markdown]
# Frozen, no process changes it any more. `freeze` wants no writer left, so our array goes first.

# %%
mean = array.mean()
del array
frames.freeze(timeout=5)
assert np.isclose(frames.array.mean(), mean)
frames.close()
