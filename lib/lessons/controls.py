"""Sliders, where a person can move them."""

from collections.abc import Callable
from typing import Any

from lib.execution.kernel import live


def sliders(function: Callable, widgets: Callable[[], dict[str, Any]]) -> None:
    """Call `function(**values)` again whenever one of `widgets()` moves; says so where there is nobody to move them."""
    if not live():
        print("Sliders need JupyterLab; what stands above was made with the parameters.")
        return
    import ipywidgets  # here: only a kernel needs it

    ipywidgets.interact(function, **widgets())


def snr(value: float) -> dict[str, Any]:
    """A slider over the SNR in dB."""
    import ipywidgets

    return {"snr_db": ipywidgets.FloatSlider(value=value, min=-10, max=25, step=0.5, continuous_update=False)}
