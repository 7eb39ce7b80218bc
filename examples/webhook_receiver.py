"""Listens for webhooks and believes only those signed with DARKROOM_WEBHOOK_SECRET: webhook_receiver.py PORT"""

import os
import sys

from flask import Flask, Response, request

from client import WebhookRejectedError, verify_webhook

app = Flask(__name__)


@app.post("/")
def receive() -> Response:
    """204: done with. Anything else has darkroom send it again, so the same id may come twice."""
    try:
        event = verify_webhook(request.get_data(), request.headers, os.environ["DARKROOM_WEBHOOK_SECRET"])
    except WebhookRejectedError as rejected:
        return Response(f"{rejected}\n", status=400)
    print(event.id, event.type, event.data.id, event.data.status, flush=True)
    return Response(status=204)


app.run(port=int(sys.argv[1]))
