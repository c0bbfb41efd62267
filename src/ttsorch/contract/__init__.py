"""The v1 HTTP contract, without a framework: a request in, a response out."""

from ttsorch.contract.cors import Cors
from ttsorch.contract.exchange import ClientGone, HttpRequest, HttpResponse
from ttsorch.contract.handler import ContractHandler

__all__ = ["ClientGone", "ContractHandler", "Cors", "HttpRequest", "HttpResponse"]
