"""The errors of devices and gradients that have a class of their own."""

from lucid._core.errors import BackwardError, DeviceMismatchError, UnknownDeviceError

__all__ = ["BackwardError", "DeviceMismatchError", "UnknownDeviceError"]
