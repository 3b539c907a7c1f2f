"""Everything that SMS takes at central, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.applications import Starlette

from central.notify.answers import AnswerParts
from central.notify.duty_answers import DutyAnswers
from central.notify.kin import KinAnswers
from central.quarantine import Quarantine
from central.sms import SmsProvider
from central.sms_answers import SmsAnswers
from central.sms_api import Receipts, SmsApi, sms_app
from central.sms_http import HttpProvider, Seal, secret_in
from central.sms_ingest import SmsIngest
from central.wakeup import Wakeup

if TYPE_CHECKING:
    from central.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsParts:
    """The webhook's application, who answers, and the provider for whoever else has to text a phone."""

    app: Starlette
    answers: SmsAnswers
    receipts: list[Receipts]
    """Who is asked whose text it was that the provider gives a receipt for."""
    provider: SmsProvider


def sms_parts(services: Services, quarantine: Quarantine, wakeup: Wakeup) -> SmsParts | None:
    """None: the settings have no `[sms]`. Raises SettingsError when a secret cannot be read."""
    settings = services.settings.sms
    if settings is None:
        return None
    provider = HttpProvider(settings)
    answers = SmsAnswers(
        store=services.store,
        keys=services.keys,
        clock=services.clock,
        metrics=services.metrics,
        wakeup=wakeup,
        provider=provider,
    )
    ingest = SmsIngest(
        store=services.store,
        clock=services.clock,
        hubs=services.hubs,
        metrics=services.metrics,
        security=services.security,
        quarantine=quarantine,
        wakeup=wakeup,
    )
    receipts: list[Receipts] = [answers.delivered]
    asked = AnswerParts(
        store=services.store,
        clock=services.clock,
        contacts=services.people,
        metrics=services.metrics,
        security=services.security,
        wakeup=wakeup,
    )
    api = SmsApi(
        seal=Seal(secret_in(settings.inbound_secret_file, "inbound_secret_file")),
        ingest=ingest,
        kin=KinAnswers(asked),
        technicians=DutyAnswers(asked, services.settings.call_out),
        receipts=receipts,
        security=services.security,
        clock=services.clock,
    )
    return SmsParts(app=sms_app(api), answers=answers, receipts=receipts, provider=provider)
