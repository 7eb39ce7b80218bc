"""/v1/usage: the costs of the caller's tasks per day."""

import re
from datetime import date, timedelta
from typing import Annotated

from flask import Blueprint, Response
from pydantic import BeforeValidator, Field, WithJsonSchema

from frontend_api.http.api_doc import ApiDoc, ResponseDoc
from frontend_api.http.problems import Complaint, RequestRefusedError, rejected
from frontend_api.http.requests import authenticate, caller_id, current, query
from frontend_api.http.responses import json_response
from frontend_api.http.schemas import QueryParameters, ResponseBody, RoundedSeconds, fields_of
from frontend_api.identity.ports import Identity
from frontend_api.quotas.limits import QuotaUse
from frontend_api.quotas.quotas import Quotas
from frontend_api.usage.ports import NO_USAGE, UsageTotals
from frontend_api.usage.usage import Usage

blueprint = Blueprint("usage", __name__, url_prefix="/v1/usage")
blueprint.before_request(authenticate)
doc = ApiDoc(tag="usage")

MAX_DAYS = 31
_DAYS_BY_DEFAULT = 7
_ISO_DAY = r"2[0-9]{3}-[0-9]{2}-[0-9]{2}"


def _iso_day(given: object) -> object:
    if isinstance(given, str) and not re.fullmatch(_ISO_DAY, given):
        # pydantic alone would also accept seconds since 1970
        raise ValueError("must be a date such as 2026-11-20, in the years 2000 to 2999")
    return given


_Day = Annotated[
    date,
    BeforeValidator(_iso_day),
    WithJsonSchema({"type": "string", "format": "date", "pattern": f"^{_ISO_DAY}$"}),
]


class UsageQuery(QueryParameters):
    """The range of days, in UTC."""

    first: _Day | None = Field(
        default=None, alias="from", description="First day; by default six days before the last."
    )
    last: _Day | None = Field(default=None, alias="to", description="Last day; today by default.")


class UsageResponse(ResponseBody):
    """The costs of tasks."""

    tasks: int = Field(description="Finished tasks, in any terminal state.")
    gpu_seconds: RoundedSeconds = Field(description="GPU seconds of images that were kept.")
    wasted_gpu_seconds: RoundedSeconds = Field(
        description="GPU seconds that produced no image. They are free of charge."
    )
    price: float | None = Field(description="Price of `gpu_seconds`; null if no price is configured.")

    @classmethod
    def of(cls, totals: UsageTotals) -> "UsageResponse":
        price = current(Usage).price
        costs = None if price is None else price.of(totals.gpu_seconds)
        return cls.model_validate({**fields_of(totals), "price": costs})


class DayOfUsageResponse(UsageResponse):
    """The costs of the tasks that finished on one day."""

    day: date


class QuotaResponse(ResponseBody):
    """The use of one limit."""

    name: str = Field(description="The name in the `RateLimit` header, such as `daily-gpu-seconds`.")
    limit: int
    used: RoundedSeconds = Field(
        description="GPU seconds, tasks or requests. GPU seconds include the prediction for active tasks."
    )
    remaining: int = Field(description="Rounded down.")
    resets_in_seconds: int | None = Field(
        description="Seconds until `used` starts from 0 again; null for limits of active tasks."
    )

    @classmethod
    def of(cls, use: QuotaUse) -> "QuotaResponse":
        return cls(
            name=use.policy.name,
            limit=use.policy.limit,
            used=use.used,
            remaining=use.remaining,
            resets_in_seconds=use.resets_in_seconds,
        )


class UsageReportResponse(ResponseBody):
    """The costs of the caller's tasks, in total and per day, in ascending order of days."""

    currency: str | None = Field(description="Currency of every `price`; null if no price is configured.")
    total: UsageResponse
    days: tuple[DayOfUsageResponse, ...]
    quotas: tuple[QuotaResponse, ...] = Field(description="The caller's limits, and how much is used now.")


@blueprint.get("")
@doc(
    "readUsage",
    {200: ResponseDoc("Usage in total and per day.", UsageReportResponse)},
    query=UsageQuery,
)
def read() -> Response:
    """Read the costs of your tasks, and how much of your quotas is used.

    Each day counts as one request, because it is a query of its own.
    """
    first, last = _interval(query(UsageQuery))
    current(Identity).request_rate.count(caller_id(), (last - first).days)  # beside the request itself
    days = current(Usage).by_day(caller_id(), first=first, last=last)
    price = current(Usage).price
    total = sum(days.values(), NO_USAGE)
    return json_response(
        UsageReportResponse(
            currency=None if price is None else price.currency,
            total=UsageResponse.of(total),
            days=tuple(
                DayOfUsageResponse(day=day, **dict(UsageResponse.of(each))) for day, each in days.items()
            ),
            quotas=tuple(map(QuotaResponse.of, current(Quotas).counted_uses(caller_id()))),
        )
    )


def _interval(asked: UsageQuery) -> tuple[date, date]:
    last = asked.last or current(Usage).clock.now().date()
    first = asked.first or last - timedelta(days=_DAYS_BY_DEFAULT - 1)
    if not timedelta(0) <= last - first < timedelta(days=MAX_DAYS):
        complaint = Complaint(
            "parameter", "from", f"must be at most {MAX_DAYS - 1} days before `to`, and not after it"
        )
        raise RequestRefusedError(rejected([complaint]))
    return first, last
