"""Any MO-Gymnasium environment: solved exactly where it can be enumerated, else trained."""

from backends.gym.backend import GymBackend

__all__ = ["GymBackend"]
