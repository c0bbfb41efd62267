"""``gunicorn --config examples/mounting/gunicorn_workers.py examples.mounting.flask_app:app``"""

from functools import partial

from flask import Flask, Request

from examples.mounting.blocking import tts
from examples.mounting.settings import config, owner_of
from ttsorch.adapters.flask import contract_blueprint
from ttsorch.config import load_signing_key
from ttsorch.contract import ContractHandler


def authenticate(request: Request) -> str | None:
    return owner_of(request.headers.get("authorization", ""))


app = Flask(__name__)
make_handler = partial(ContractHandler, signing_key=load_signing_key(config))
app.register_blueprint(contract_blueprint(tts, make_handler, authenticate))

if __name__ == "__main__":
    with tts:
        app.run(config.host, config.port, threaded=True)
