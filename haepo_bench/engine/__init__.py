"""The compiled engine: kernels in C++ that play episodes, evaluate policies and take gradients; optional."""
