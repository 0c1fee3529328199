"""The old home of these types; each has a file of its own now."""

from deployments.contract.call import Queued
from deployments.contract.embedding import Label
from deployments.contract.items import Item, ItemError
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply, Stages

__all__ = ["EncodeReply", "Item", "ItemError", "Label", "ModelInfo", "Queued", "Stages"]
