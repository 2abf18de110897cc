"""Datasets, and the loader that makes shuffled batches of them in the background."""

from lucid.data.collate import default_collate
from lucid.data.dataset import ConcatDataset, Dataset, Subset, TensorDataset, random_split
from lucid.data.loader import DataLoader

__all__ = [
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "Subset",
    "TensorDataset",
    "default_collate",
    "random_split",
]
