"""The subscription of a request that waits for changes."""

from flask import Response, after_this_request

from frontend_api.http.requests import caller_id, current
from frontend_api.streams.package import Streams
from frontend_api.streams.subscriptions import Subscription


def reserve_subscription(*, for_list: bool = False) -> Subscription:
    """Reserve a subscription of the caller until the response is sent.

    The thread of a request that waits counts for it alone, also while the caller reads the response
    slowly. Reserve it before anything is changed, because a refusal must have no effect.
    Raises TooManyWaitingError or TooManyListStreamsError.
    """
    subscription = current(Streams).subscriptions.reserve(caller_id(), for_list=for_list)

    @after_this_request
    def close_at_the_end(response: Response) -> Response:
        response.call_on_close(subscription.close)
        return response

    return subscription
