"""The SMS gateway of the process, for the routes that send messages."""

from fastapi import BackgroundTasks, Request

from app.auth.errors import PhoneCodesUnavailable
from app.sms.gateway import SMS, SmsGateway, deliver_message
from app.sms.messages import Message, Template


def require_gateway(request: Request) -> SmsGateway:
    """Return the SMS gateway of the process. Raises PhoneCodesUnavailable if the process has no gateway."""
    gateway = SMS.get(request)
    if gateway is None:
        raise PhoneCodesUnavailable
    return gateway


def send_notice(request: Request, tasks: BackgroundTasks, phone: str, template: Template) -> None:
    """Send a message after the commit, if there is a gateway: what the message reports is done without it too."""
    gateway = SMS.get(request)
    if gateway is not None:
        tasks.add_task(deliver_message, gateway, phone, Message(template))
