"""Receive webhooks that are signed with DARKROOM_WEBHOOK_SECRET: webhook_receiver.py PORT"""

import os
import sys

from flask import Flask, Response, request

from darkroom import WebhookRejectedError, verify_webhook

if len(sys.argv) != 2 or not sys.argv[1].isdecimal() or "DARKROOM_WEBHOOK_SECRET" not in os.environ:
    print("usage: DARKROOM_WEBHOOK_SECRET=whsec_... python webhook_receiver.py PORT", file=sys.stderr)
    sys.exit(2)
app = Flask(__name__)


@app.post("/")
def receive() -> Response:
    """Respond with 204. After any other status darkroom sends the webhook again with the same id."""
    try:
        event = verify_webhook(request.get_data(), request.headers, os.environ["DARKROOM_WEBHOOK_SECRET"])
    except WebhookRejectedError as rejected:
        return Response(f"{rejected}\n", status=400)
    print(event.id, event.type, event.data.id, event.data.status, flush=True)
    return Response(status=204)


app.run(port=int(sys.argv[1]))
