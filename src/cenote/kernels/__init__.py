"""Loops over plain arrays, in numba and torch. Every one releases the GIL and none starts threads of numba's.

numba's own thread pools abort or deadlock when two threads search at once or a process forks; work is cut into tasks
for ordinary threads instead (`kernels.threads`), and torch's products bring their own.
"""
