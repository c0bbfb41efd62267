"""The v1 HTTP contract, without a framework: a request in, a response out."""

from ttsorch.contract.cors import Cors
from ttsorch.contract.exchange import ClientGone, HttpRequest, HttpResponse
from ttsorch.contract.failures import MethodNotAllowed, UnexpectedFailure, failure_response
from ttsorch.contract.handler import ContractHandler
from ttsorch.contract.request_ids import request_id

__all__ = [
    # for a host
    "ContractHandler",
    "Cors",
    # for what a host answers itself, in the contract's shape
    "MethodNotAllowed",
    "UnexpectedFailure",
    "failure_response",
    "request_id",
    # for an adapter
    "ClientGone",
    "HttpRequest",
    "HttpResponse",
]
