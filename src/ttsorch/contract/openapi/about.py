"""What the server is and can do (R1, R2)."""

from ttsorch.contract.openapi.vocabulary import Answer, Operation
from ttsorch.contract.wire import HealthResponse, LanguagesResponse

_TAG = "about"

OPERATIONS = {
    ("GET", "/api/health"): Operation(
        "health",
        _TAG,
        "Whether requests are answered",
        "Says nothing about the provider.",
        answers=(Answer("They are.", HealthResponse),),
    ),
    ("GET", "/api/languages"): Operation(
        "listLanguages",
        _TAG,
        "What can be spoken",
        "The languages of the provider, and what a client may offer its user.",
        answers=(Answer("The languages; `default` is one of them.", LanguagesResponse),),
    ),
}
